"""Made-up results: plausible shapes, invented numbers, never used outside tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.config.load import as_tree, load_config
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.reporting import figures
from radgen_lib.reporting.facts import ReportFacts

PATIENTS = ("TCGA-AO-A03M", "TCGA-AO-A12E", "TCGA-AO-A12G", "TCGA-AR-A1AX")
ARMS = ("synthetic", "condition", "shuffled", "untrained", "noise")


def make_facts(preset: str = "demo", **overrides: Any) -> ReportFacts:
    """Facts of a run at ``preset``."""
    config = load_config(None, overrides, preset=preset)
    return ReportFacts(
        "tcga_brca_released",
        preset,
        config.seed,
        as_tree(config),
        packages={"numpy": "2.0", "torch": "2.1"},
        code_version="0.1.0",
        cards={"train cpdm": "cpdm/as_published/genes15/cpdm/all/card.json"},
    )


def _spread(rng: np.random.Generator, centre: float, width: float) -> dict[str, float]:
    value = float(centre + rng.normal(0, width / 4))
    return {"value": value, "low": value - width, "high": value + width}


def fidelity(rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for protocol, design, generators, n in (
        ("as_published", "published_split", ("cpdm", "vae"), 4),
        ("rigorous", "grouped", ("cpdm", "edm", "vae", "mean", "noise"), 28),
    ):
        for generator in generators:
            keys = {
                "item": "B.TA",
                "protocol": protocol,
                "condition": "genes15",
                "generator": generator,
                "design": design,
            }
            for metric, centre in (
                ("pixelrow_frechet_best", 1.6),
                ("pixelrow_frechet_mean", 2.1),
                ("mse", 0.03),
                ("ssim", 0.5),
            ):
                rows.append(
                    result_row(
                        **keys, metric=metric, n=n, interval="patient bootstrap", **_spread(rng, centre, centre / 5)
                    )
                )
    kid = {"item": "B.TA", "protocol": "rigorous", "extractor": "radiomics", "metric": "kid", "n": 28}
    for generator in ("cpdm", "edm"):
        whose = {"condition": "genes15", "generator": generator, "design": "grouped"}
        rows.append(result_row(**kid, **whose, **_spread(rng, 3.0, 1.0)))
    rows.append(result_row(**kid, arm="floor", generator="real", value=0.01))
    return rows


def prediction(rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for protocol, generator, design in (
        ("as_published", "cpdm", "holdout10:test_on_synthetic"),
        ("rigorous", "edm", "out_of_fold:test_on_synthetic"),
    ):
        keys = {
            "item": "B.TB",
            "protocol": protocol,
            "condition": "genes15",
            "extractor": "radiomics",
            "design": design,
        }
        for task in ("er", "subgroup", "mut_TP53"):
            for model in ("xgboost", "logistic"):
                for arm in ARMS:
                    whose = {
                        "generator": "" if arm == "condition" else generator if arm != "untrained" else "untrained"
                    }
                    for metric in ("auroc", "average_precision", "auprc_trapz", "f1"):
                        rows.append(
                            result_row(
                                **keys,
                                **whose,
                                task=task,
                                model=model,
                                arm=arm,
                                metric=metric,
                                n=123,
                                events=60,
                                **_spread(rng, 0.7, 0.09),
                                interval="patient bootstrap, 500 draws, 95 %",
                            )
                        )
        rows.append(
            result_row(
                **{**keys, "extractor": "vgg16"},
                task="er",
                arm="synthetic",
                metric="auroc",
                reason="weights not present: vgg16",
            )
        )
    return rows


def survival(rng: np.random.Generator) -> list[dict[str, Any]]:
    keys = {
        "item": "B.TC",
        "condition": "genes15",
        "extractor": "radiomics",
        "task": "survival_subgroup",
        "arm": "synthetic",
    }
    return [
        result_row(
            **keys,
            protocol="as_published",
            generator="cpdm",
            model="cox_best_of_search",
            metric="c_harrell",
            n=123,
            events=16,
            **_spread(rng, 0.75, 0.1),
        ),
        result_row(
            **keys,
            protocol="rigorous",
            generator="edm",
            model="cox",
            metric="c_harrell",
            n=123,
            events=16,
            **_spread(rng, 0.55, 0.12),
        ),
        result_row(
            **keys, protocol="rigorous", generator="edm", model="cox", metric="logrank_p", value=0.31, n=123, events=16
        ),
    ]


def audits() -> list[dict[str, Any]]:
    rows = [
        result_row(item="S.ADH", protocol=p, condition="genes15", generator=g, metric=m, value=v, n=28)
        for p, g in (("as_published", "cpdm"), ("rigorous", "edm"))
        for m, v in (
            ("sensitivity_ratio", 1.2),
            ("permutation_p", 0.21),
            ("retrieval_top1", 0.04),
            ("readback_r2", 0.01),
        )
    ]
    rows.append(
        result_row(
            item="S.LEAK", protocol="as_published", design="published_split", metric="patients_crossing", value=4, n=28
        )
    )
    rows.append(
        result_row(item="S.LEAK", protocol="rigorous", design="grouped", metric="patients_crossing", value=0, n=28)
    )
    rows.append(
        result_row(
            item="S.PRIV", protocol="rigorous", generator="edm", metric="nearest_training_distance", value=0.08, n=28
        )
    )
    rows += [
        result_row(item="B.TD", protocol="", task=patient, arm=arm, metric="pixelrow_frechet", value=value, n=1)
        for patient, arm, value in (
            (PATIENTS[0], "copy", 0.0532),
            (PATIENTS[0], "mean_image", 1.5),
            (PATIENTS[1], "noise", 21.4),
        )
    ]
    return rows


def make_rows(seed: int = 1) -> pd.DataFrame:
    """Result rows of all analyses with their source files."""
    rng = make_rng(seed, "made up")
    parts = {"fidelity": fidelity(rng), "prediction": prediction(rng), "survival": survival(rng), "audit": audits()}
    return pd.concat(
        [result_frame(rows).assign(source=f"cpdm/rows/{name}.csv") for name, rows in parts.items()], ignore_index=True
    )


def make_curve(seed: int, n: int = 60) -> pd.DataFrame:
    """A survival curve with a band and numbers at risk."""
    rng = make_rng(seed, "curve")
    time = np.sort(rng.uniform(100, 4000, n))
    survival = np.cumprod(1 - rng.uniform(0, 0.012 * seed, n))
    return pd.DataFrame(
        {
            "time": time,
            "survival": survival,
            "low": survival * 0.9,
            "high": np.minimum(1, survival * 1.06),
            "at_risk": np.arange(n, 0, -1),
        }
    )


def make_flow() -> pd.DataFrame:
    """A flow table of three steps."""
    return pd.DataFrame(
        {
            "step": ["projection images", "expression of imaged patients", "labels_subgroup"],
            "unit": ["image", "patient", "patient"],
            "kept": [58, 28, 123],
            "excluded": [0, 1, 12],
            "reasons": ["", "1 x no expression", "9 x unknown code; 3 x duplicated sample"],
        }
    )


def make_log() -> pd.DataFrame:
    """A training log of two generators."""
    steps = np.arange(1, 300)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "protocol": protocol,
                    "generator": generator,
                    "fold": fold,
                    "step": steps,
                    "epoch": steps // 10,
                    "loss": np.exp(-steps / 80) + 0.1 + 0.02 * make_rng(1, generator, fold).normal(size=len(steps)),
                }
            )
            for protocol, generator in (("as_published", "cpdm"), ("rigorous", "edm"))
            for fold in ("f0", "f1")
        ]
    )


def make_images(n: int = 4, size: int = 64) -> dict[str, np.ndarray]:
    """Blobs of different size for the real column and each generator."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    names = ("real", "cpdm", "edm", "vae", "pca_ridge", "nearest", "mean", "untrained", "noise")
    return {
        name: np.stack([np.exp(-((x - 0.8) ** 2 + (y - 0.5) ** 2) / (0.05 + 0.03 * i + 0.01 * j)) for i in range(n)])
        for j, name in enumerate(names)
    }


def make_figures(rows: pd.DataFrame) -> dict[str, bytes]:
    """Every figure, from made-up data."""
    images = make_images()
    subgroup = rows[(rows["item"] == "B.TB") & (rows["task"] == "subgroup") & (rows["model"] == "logistic")]
    rng = make_rng(2, "points")
    points = pd.DataFrame(rng.normal(size=(80, 2)), columns=["pc1", "pc2"]).assign(
        group=["Subgroup 1", "Subgroup 2"] * 40
    )
    names = ["copy of a training image", "CPDM, as published", "published (preprint)", "mean training image", "noise"]
    bars = pd.DataFrame(
        {
            "name": names,
            "value": [0.05, 1.6, 1.33, 2.0, 22.7],
            "kind": ["reference", "model", "published", "reference", "reference"],
        }
    )
    pairs = [f"EDM, {patient.removeprefix('TCGA-')}" for patient in PATIENTS]
    return {
        "cohort_flow": figures.cohort_flow(make_flow()),
        "image_grid": figures.image_grid(images, PATIENTS),
        "training_curves": figures.training_curves(make_log()),
        "frechet_reference": figures.frechet_reference(bars),
        "auroc_forest_subgroup": figures.auroc_forest(subgroup, title="ER+/HER2+ subgroup"),
        "kaplan_meier": figures.kaplan_meier_figure(
            {"low risk": make_curve(1), "high risk": make_curve(2)},
            title="Out-of-fold risk groups",
            note="log-rank p = 0.31",
        ),
        "subgroup_pca": figures.subgroup_pca(points, explained=(0.4, 0.2)),
        "nearest_pairs": figures.nearest_pairs(images["edm"], images["real"], [0.08, 0.1, 0.2, 0.3], pairs),
    }


@pytest.fixture(scope="session")
def facts() -> ReportFacts:
    return make_facts()


@pytest.fixture(scope="session")
def facts_for() -> Callable[..., ReportFacts]:
    return make_facts


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return make_rows()


@pytest.fixture(scope="session")
def rows_for() -> Callable[[int], pd.DataFrame]:
    return make_rows


@pytest.fixture(scope="session")
def all_figures(rows: pd.DataFrame) -> dict[str, bytes]:
    return make_figures(rows)


@pytest.fixture
def curve() -> Callable[..., pd.DataFrame]:
    return make_curve


@pytest.fixture
def log() -> pd.DataFrame:
    return make_log()


@pytest.fixture
def flow() -> pd.DataFrame:
    return make_flow()


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return make_images()
