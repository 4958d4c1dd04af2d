"""From a phantom's omics to what its factors mean: planted gene sets and labels are found, through the script too."""

from __future__ import annotations

import runpy
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.factors.meaning import Meaning, factor_meaning, read_sets
from radgen_lib.core.atomic import write_parquet
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import DataError
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.folds import FoldFit, fit_fold
from radgen_lib.sources.phantom.factors import factor_names
from radgen_lib.sources.phantom.gene_sets import GENE_SETS_FILE, write_gene_sets
from radgen_lib.sources.phantom.loadings import OMICS
from radgen_lib.sources.phantom.molecular import omics_matrices
from radgen_lib.sources.phantom.truth import Truth, draw_truth

SCRIPT = Path(__file__).resolve().parents[3] / "workflow_scripts" / "factor_meaning.py"
SEED = 6
SPEC = Phantom(patients=20, omics_only=140, genes=150, factors=4, noise=0.5, missing_share=0.0)
SETTINGS = Factors(components=5, method="variational", chains=1, draws=40, max_genes=None)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return draw_truth(SPEC, SEED)


@pytest.fixture(scope="module")
def fit(truth: Truth) -> FoldFit:
    found = omics_matrices(truth, SPEC, SEED)
    patients = truth.patients["patient"].tolist()
    tables = {omic: found[omic].T.reindex([f"{name}-01" for name in patients]) for omic in OMICS}
    tables["methylation"] = np.log2(tables["methylation"] / (1 - tables["methylation"]))
    values = np.stack([table.to_numpy(dtype=np.float32) for table in tables.values()], axis=2)
    scales = ("log2(x + 1)", "log2 ratio", "m_value")
    tensor = StoredTensor(values, tuple(patients), tuple(truth.genes), OMICS, scales)
    return fit_fold(tensor, "full", patients, SETTINGS, seed=SEED)


@pytest.fixture(scope="module")
def patients(truth: Truth) -> pd.DataFrame:
    table = truth.patients.rename(columns={"pam50": "subtype"})
    rng = np.random.default_rng(0)
    for name in ("mut_TP53", "mut_PIK3CA", "mut_CDH1"):
        table[name] = (rng.random(len(table)) < 0.3).astype(float)
    return table


@pytest.fixture(scope="module")
def folder(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("phantom")
    write_gene_sets(truth, target / "tables" / GENE_SETS_FILE, seed=SEED)
    return target / "tables"


@pytest.fixture(scope="module")
def found(fit: FoldFit, patients: pd.DataFrame, folder: Path) -> Meaning:
    return factor_meaning(fit, patients, read_sets(folder, phantom=True), seed=SEED, permutations=500, draws=100)


def planted(fit: FoldFit, truth: Truth) -> dict[str, tuple[str, float]]:
    """Component -> the planted factor it is, and the correlation."""
    count = fit.model.n_components_
    both = np.corrcoef(fit.model.factors_.T, truth.factors.T)[:count, count:]
    names = factor_names(truth.factors.shape[1])
    best = np.argmax(np.abs(both), axis=1)
    return {f"F{k + 1:02d}": (names[j], float(both[k, j])) for k, j in enumerate(best)}


def test_each_factor_is_enriched_for_its_own_genes_at_the_right_end(found: Meaning, fit: FoldFit, truth: Truth) -> None:
    pairs = {name: pair for name, pair in planted(fit, truth).items() if abs(pair[1]) > 0.9}
    assert {factor for factor, _ in pairs.values()} == set(factor_names(4))
    table = found.enrichment[found.enrichment["metric"] == "nes"]
    genes = found.genes[found.genes["omic"] == "expression"]
    expression = genes.groupby("component")["omic_loading"].first()
    for component, (factor, correlation) in pairs.items():
        strongest = table[table["arm"] == component].sort_values("p").iloc[0]
        assert strongest["fdr"] < 0.01 and strongest["task"].startswith(f"PHANTOM_{factor.upper()}_")
        # Sets are named by what expression does, and a component may be turned in patients and in omics.
        turned = np.sign(correlation) * np.sign(expression[component])
        assert np.sign(strongest["value"]) == turned * (1 if strongest["task"].endswith("_UP") else -1)
    random = table[table["task"].str.startswith("RANDOM") & table["arm"].isin(pairs)]
    assert len(random) > 10 and (random["fdr"] < 0.05).mean() <= 0.1


def test_top_genes_are_planted_ones(found: Meaning, fit: FoldFit, truth: Truth) -> None:
    loadings = pd.DataFrame(truth.loadings["genes"], index=list(truth.genes), columns=list(factor_names(4)))
    for component, (factor, correlation) in planted(fit, truth).items():
        if abs(correlation) > 0.9:
            rows = found.genes[(found.genes["component"] == component) & (found.genes["rank"] <= 5)]
            assert (loadings.loc[rows["gene"].unique(), factor] != 0).all()


def test_the_factor_of_the_luminal_genes_tells_the_subtypes_apart(found: Meaning, fit: FoldFit, truth: Truth) -> None:
    luminal = [name for name, (factor, r) in planted(fit, truth).items() if factor == "luminal" and abs(r) > 0.9]
    rows = found.associations.set_index(["task", "arm"])
    subtype = rows.loc[("subtype", luminal[0])]
    assert subtype["fdr"] < 1e-6 and subtype["low"] > 0.1 and subtype["n"] <= SPEC.patients + SPEC.omics_only
    assert rows.loc[("er", luminal[0]), "fdr"] < 0.01
    assert set(rows["model"]) == {"btf_variational"} and (rows["posterior_sd"] > 0).all()


def test_the_script_writes_the_three_tables_the_same_each_time(
    fit: FoldFit, patients: pd.DataFrame, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit.save(tmp_path / "models")
    write_parquet(tmp_path / "patients.parquet", patients)
    monkeypatch.setattr("radgen_lib.core.job.open_job", lambda job: nullcontext(Mock()))
    quick = partial(factor_meaning, permutations=50, draws=20)
    monkeypatch.setattr("radgen_lib.analyses.factors.meaning.factor_meaning", quick)
    written = []
    for run in ("first", "second"):
        out = {name: tmp_path / run / f"{name}.parquet" for name in Meaning._fields}
        inputs = SimpleNamespace(models=tmp_path / "models", patients=tmp_path / "patients.parquet", sets=[folder])
        outputs = _Named(card=tmp_path / run / "card.json", **out)
        params = SimpleNamespace(seed=SEED, phantom=True, whole=False)
        job = SimpleNamespace(input=inputs, output=outputs, params=params, threads=1)
        runpy.run_path(str(SCRIPT), {"snakemake": job})
        written.append({name: path.read_bytes() for name, path in out.items()})
    assert written[0] == written[1]
    tables = {name: pd.read_parquet(tmp_path / "first" / f"{name}.parquet") for name in Meaning._fields}
    assert set(tables["associations"]["item"]) == {"F.ASSOC"} and set(tables["enrichment"]["item"]) == {"F.SETS"}
    assert len(tables["genes"]) == fit.model.n_components_ * 20 * 3


class _Named(dict[str, object]):
    """Names as keys and as attributes, as outputs of a job are."""

    __getattr__ = dict.__getitem__


def test_patients_of_another_cohort_are_refused(fit: FoldFit, patients: pd.DataFrame, folder: Path) -> None:
    strangers = patients.assign(patient=[f"TCGA-AA-{i:04d}" for i in range(len(patients))])
    with pytest.raises(DataError, match="none of the 160 patients of the factors"):
        factor_meaning(fit, strangers, read_sets(folder, phantom=True), seed=SEED)


# Gene sets


def test_a_gene_that_stands_twice_is_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / GENE_SETS_FILE).write_text("PHANTOM_A\tRANDOM_A\nTP53\tESR1\nTP53\tNA\n", encoding="utf-8")
    table = read_sets(tmp_path, phantom=True)
    assert table.to_dict("list") == {"set": ["PHANTOM_A", "RANDOM_A"], "gene": ["TP53", "ESR1"]}
    assert "1 rows left out" in caplog.text and "PHANTOM_A/TP53" in caplog.text


def test_a_file_of_kegg_must_be_whole(tmp_path: Path) -> None:
    (tmp_path / "sets.gmt").write_text("KEGG_A\tKEGG_B\nTP53\tESR1\n", encoding="utf-8")
    with pytest.raises(DataError, match="186 are expected"):
        read_sets(tmp_path / "sets.gmt", phantom=False)


def test_a_folder_without_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=GENE_SETS_FILE):
        read_sets(tmp_path, phantom=True)
