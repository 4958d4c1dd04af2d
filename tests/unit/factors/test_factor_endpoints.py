"""Endpoints from factors: out-of-fold scores against independent ones, and every shortage as a reason."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radgen_lib.analyses.cox_risk import NotConverged
from radgen_lib.analyses.factors import endpoints
from radgen_lib.analyses.factors.endpoints import Arm, endpoint_rows, out_of_fold_risk, out_of_fold_scores

N = 60
NAMES = [f"TCGA-AA-{i:04d}" for i in range(N)]
HALF = np.arange(N) // 3 % 2
SUBTYPES = np.array(["Basal", "LumA", "LumB"])


@pytest.fixture(autouse=True)
def few_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two penalties and two inner folds: as much as the rules around them need."""
    monkeypatch.setattr(endpoints, "PENALTIES", (0.1, 1.0))
    monkeypatch.setattr(endpoints, "INNER_FOLDS", 2)


def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    group = np.arange(N) % 3
    risk = rng.normal(size=N)
    return pd.DataFrame(
        {
            "patient": NAMES, "er": (group > 0).astype(float), "mut_TP53": (rng.random(N) < 0.4).astype(float),
            "mut_PIK3CA": np.where(np.arange(N) < 3, 1.0, 0.0), "mut_CDH1": np.nan, "subtype": SUBTYPES[group],
            "os_days": np.exp(6 - risk), "os_event": (rng.random(N) < 0.6).astype(float), "risk": risk,
        }
    )  # fmt: skip


def splits(repeats: int = 1) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"fold": f"cv{r}-{f}", "patient": NAMES, "role": np.where(f == HALF, "test", "train")})
        for r in range(repeats)
        for f in range(2)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def arm(repeats: int = 1, noise: float = 0.3, model: str = "btf_gibbs") -> Arm:
    """Features that know subtype and risk, with noise of their own in every fold."""
    known, rng = people(), np.random.default_rng(1)
    exact = np.column_stack([np.eye(3)[np.arange(N) % 3], known["risk"]])
    features = {
        fold: pd.DataFrame(exact + noise * rng.normal(size=exact.shape), index=NAMES)
        for fold in splits(repeats)["fold"].unique()
    }
    return Arm(model, features)


def rows_of(*arms: Arm, patients: pd.DataFrame | None = None, parts: pd.DataFrame | None = None) -> pd.DataFrame:
    parts = splits() if parts is None else parts
    table = pd.DataFrame(endpoint_rows(arms, parts, people() if patients is None else patients, seed=0, draws=100)[0])
    return table.set_index(["model", "task"])


class TestRows:
    def test_each_task_has_a_row_an_arm(self):
        noise = replace(arm(noise=100.0), model="noise", protocol="as_published", note="transductive")
        table = rows_of(arm(), noise)
        assert len(table) == 2 * 6
        known = table.loc["btf_gibbs"]
        assert known.loc["er", "value"] > 0.95 and known.loc["subtype", "value"] > 0.95
        assert known.loc["survival", "value"] > 0.75 and known.loc["survival", "metric"] == "harrell_c"
        assert known.loc["er", ["n", "events"]].tolist() == [60, 40]
        assert known.loc["er", "low"] < known.loc["er", "value"] <= known.loc["er", "high"]
        assert 0.3 < table.loc[("noise", "er"), "value"] < 0.7
        assert set(table.loc["noise", "protocol"]) == {"as_published"}
        assert table.loc["noise", "note"].str.startswith("transductive").all()

    def test_shortages_are_reasons(self):
        table = rows_of(arm()).loc["btf_gibbs"]
        assert table.loc["mut_PIK3CA", "reason"] == "3 of 60 patients are positive, 5 of each class are needed"
        assert "0 of 0" in table.loc["mut_CDH1", "reason"]
        few = people().assign(os_event=0.0)
        assert rows_of(arm(), patients=few).loc[("btf_gibbs", "survival"), "reason"] == "60 patients, 0 deaths"

    def test_an_arm_without_components_and_one_that_failed(self):
        empty = Arm("empty", {fold: pd.DataFrame(index=NAMES) for fold in ("cv0-0", "cv0-1")})
        failed = Arm("mofa", {}, reason="fold cv0-1: gave up")
        table = rows_of(empty, failed)
        possible = table.loc["empty"].loc[["er", "mut_TP53", "subtype", "survival"], "reason"]
        assert set(possible) == {"fold cv0-0: the fit kept no component"}
        assert set(table.loc["mofa", "reason"]) == {"fold cv0-1: gave up"}

    def test_a_class_absent_in_a_training_part(self):
        known, parts = people(), splits()
        in_first = set(parts.loc[(parts["fold"] == "cv0-0") & (parts["role"] == "test"), "patient"])
        known["er"] = known["patient"].isin(in_first).astype(float)
        known["subtype"] = np.where(known["patient"].isin(in_first) & (known["subtype"] == "LumB"), "Her2", "LumA")
        table = rows_of(arm(), patients=known).loc["btf_gibbs"]
        assert table.loc["er", "reason"] == "fold cv0-0: 0 positive and 30 negative training patients"
        assert table.loc["subtype", "reason"] == "fewer than two subtypes with enough patients"
        assert "too few patients: Her2" in table.loc["subtype", "note"]

    def test_notes_have_the_range_over_repeats_of_the_folds(self):
        table = rows_of(arm(2, noise=1.0), parts=splits(2)).loc["btf_gibbs"]
        for task in ("er", "subtype", "survival"):
            low, high = map(float, re.search(r"2 repeats: ([\d.]+) to ([\d.]+)", table.loc[task, "note"]).groups())
            assert 0 < low < high <= 1, task
        assert "repeats" not in " ".join(rows_of(arm())["note"])

    def test_notes_say_where_the_receptor_status_is_from(self):
        origins = np.where(np.arange(N) < 20, "further", "same").astype(object)
        origins[30:33] = ""
        known = people().assign(er_from=origins)
        known.loc[30:32, "er"] = np.nan
        table = rows_of(arm(), patients=known).loc["btf_gibbs"]
        assert table.loc["er", "note"].endswith(
            "37 the same in the cohort's own receptors, 0 different there, 20 unknown there"
        )
        assert table.loc["er", "n"] == 57
        assert "2012" not in rows_of(arm()).loc[("btf_gibbs", "er"), "note"] + table.loc["mut_TP53", "note"]

    def test_rare_subtypes_are_left_out_by_name_and_unknown_ones_silently(self):
        known = people()
        known.loc[:2, "subtype"] = ["Normal", "", "Normal"]
        row = rows_of(arm(), patients=known).loc[("btf_gibbs", "subtype")]
        assert row["note"] == "macro over Basal, LumA, LumB; too few patients: Normal"
        assert row["n"] == 59 and np.isnan(row["events"])

    def test_patients_without_factors_are_not_counted(self):
        known = arm()
        for table in known.features.values():
            table.iloc[:6] = np.nan
        assert rows_of(known).loc[("btf_gibbs", "er"), "n"] == 54

    def test_few_patients_have_a_value_without_interval_or_a_reason(self):
        names = NAMES[:12]
        parts = splits()[lambda table: table["patient"].isin(names)]
        table = rows_of(arm(), patients=people().head(12), parts=parts)
        assert ((table["reason"] != "") | np.isfinite(table["value"])).all()
        assert table.loc[("btf_gibbs", "subtype"), "reason"]


class TestScores:
    def test_macro_is_the_mean_of_the_pooled_aurocs(self):
        known, parts = people(), splits(2)
        value = rows_of(arm(2), parts=parts).loc[("btf_gibbs", "subtype"), "value"]
        found = []
        for name in SUBTYPES:
            label = (known.set_index("patient")["subtype"] == name).astype(int)
            seed = endpoints.derive_seed(0, "logistic", "subtype", name)
            scores = out_of_fold_scores(arm(2), label, parts, seed)
            scores["score"] = (scores["score"] - scores["centre"]) / scores["scale"]
            mean = scores.groupby("patient")[["y", "score"]].mean()
            found.append(roc_auc_score(mean["y"], mean["score"]))
        assert value == pytest.approx(np.mean(found))

    def test_penalty_is_chosen_as_scikit_learn_would(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(size=(50, 4)), (rng.random(50) < 0.4).astype(int)
        x[:, 0] += y
        _, found = endpoints.l1_scores(x, y, x[:7], 5)
        model = LogisticRegressionCV(
            Cs=endpoints.PENALTIES, l1_ratios=(1.0,), solver="liblinear", scoring="roc_auc", max_iter=5000,
            cv=StratifiedKFold(endpoints.INNER_FOLDS, shuffle=True, random_state=5), random_state=5,
            use_legacy_attributes=False,
        )  # fmt: skip
        np.testing.assert_allclose(found, make_pipeline(StandardScaler(), model).fit(x, y).decision_function(x[:7]))

    def test_labels_and_factors_of_test_patients_do_not_move_the_fit(self):
        label = people().set_index("patient")["er"].astype(int)
        parts = splits()[lambda table: table["fold"] == "cv0-0"]
        test = parts.loc[parts["role"] == "test", "patient"]
        before = out_of_fold_scores(arm(), label, parts, 0)
        label[test] = 1 - label[test]
        moved = arm()
        moved.features["cv0-0"].loc[test.iloc[0]] = 1e6
        after = out_of_fold_scores(moved, label, parts, 0)
        assert not isinstance(before, str) and not isinstance(after, str)
        np.testing.assert_array_equal(before["score"][1:], after["score"][1:])
        train = parts.loc[parts["role"] == "train", "patient"]
        x, y = arm().features["cv0-0"], label[train].to_numpy()
        seed = endpoints.derive_seed(0, "cv0-0")
        training, _ = endpoints.l1_scores(x.loc[train].to_numpy(), y, x.loc[test].to_numpy(), seed)
        assert before["centre"].iloc[0] == training.mean() and before["scale"].iloc[0] == training.std()
        assert before["centre"].equals(after["centre"]) and (before["y"] != after["y"]).all()

    def test_constant_factors_rank_nobody(self):
        flat = Arm("flat", {fold: pd.DataFrame(1.0, index=NAMES, columns=["F01"]) for fold in ("cv0-0", "cv0-1")})
        table = rows_of(flat).loc["flat"]
        assert table.loc["er", "value"] == table.loc["subtype", "value"] == table.loc["survival", "value"] == 0.5


class TestSurvival:
    def test_value_is_the_concordance_of_the_pooled_risks(self):
        known = people().set_index("patient")
        outcome = pd.DataFrame({"time": known["os_days"], "event": known["os_event"].astype(int)})
        risk = out_of_fold_risk(arm(), outcome, splits())
        assert not isinstance(risk, str)
        risk = risk.groupby("patient")["risk"].mean()
        paired = outcome.loc[risk.index]
        expected = concordance_index(paired["time"], -risk, paired["event"])
        assert rows_of(arm()).loc[("btf_gibbs", "survival"), "value"] == pytest.approx(expected)

    def test_no_deaths_in_training_and_no_solution_are_reasons(self, monkeypatch):
        known = people().set_index("patient")
        outcome = pd.DataFrame({"time": known["os_days"], "event": 0})
        outcome.loc[splits()[lambda t: (t["fold"] == "cv0-0") & (t["role"] == "test")]["patient"], "event"] = 1
        assert out_of_fold_risk(arm(), outcome, splits()) == "fold cv0-0: 0 deaths in training, 30 test patients"

        def fails(*args: object, **options: object) -> None:
            raise NotConverged("Cox model did not converge: singular")

        monkeypatch.setattr(endpoints, "cox_risk", fails)
        assert rows_of(arm()).loc[("btf_gibbs", "survival"), "reason"].endswith("did not converge: singular")
