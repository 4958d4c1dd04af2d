"""Training and test sets of every arm: real, synthetic, both, condition, untrained, shuffled, noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from radgen_lib.analyses.classifiers import Fit
from radgen_lib.analyses.runs import extractor_columns, finite_columns, repeat_of
from radgen_lib.core.config.cpdm import Protocol
from radgen_lib.core.seeds import make_rng
from radgen_lib.omics.conditions import Preparation, of_fold

CONTROLS = ("untrained", "noise")
NO_REAL = "tested on synthetic images: the real arm has no such images"
TestOn = Literal["real", "synthetic"]


@dataclass(frozen=True)
class Tables:
    """Tables of the cohort that predictions read.

    patients: one row a patient with label columns; real_features: image_index, patient, features;
    conditions: name -> table of patient and values; splits and endpoint_splits as the cohort wrote them.
    """

    patients: pd.DataFrame
    real_features: pd.DataFrame
    conditions: dict[str, pd.DataFrame]
    splits: pd.DataFrame
    endpoint_splits: pd.DataFrame

    def labels(self, task: str) -> pd.Series:
        """0/1 label by patient, patients without a label left out."""
        return self.patients.set_index("patient")[task].dropna().astype(int)


@dataclass(frozen=True)
class Arm:
    """One arm of one generator; ``kind`` names the sample rows it learns from (``""``: none)."""

    name: str
    generator: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Material:
    """Features of one condition and extractor, by patient (several images of a patient are averaged).

    samples: (generator, kind, fold) -> float table indexed by patient; given: fold -> the condition by patient as the
    generators of that fold were given it (the arm of the conditioning vector alone); condition: its raw values.
    """

    real: pd.DataFrame
    condition: pd.DataFrame
    samples: dict[tuple[str, str, str], pd.DataFrame]
    dropped_columns: int
    given: dict[str, pd.DataFrame] = field(default_factory=dict)

    def fitted_on(self) -> pd.Index | None:
        """Patients who have a condition that is fitted (factors); None for one that was measured."""
        return self.condition.index.unique() if "fold" in self.condition else None


@dataclass(frozen=True)
class Partition:
    """Patients of one fold, and the fold whose generator made the images."""

    repeat: int
    fold: str
    train: list[str]
    test: list[str]
    source_fold: str


def gather(
    tables: Tables, featured: dict[str, pd.DataFrame], condition: str, extractor: str, protocol: Protocol
) -> Material:
    """Collect the features of ``extractor``; ``featured`` maps generator -> samples' index with features.

    The condition itself is prepared as ``protocol`` had it prepared for the generators of each fold. Columns with a
    value that is not finite in any table are left out everywhere and counted.
    """
    columns = extractor_columns(tables.real_features, extractor)
    wanted = {g: t[t["kind"].isin(["synthetic", "shuffled"])] for g, t in featured.items()}
    columns, dropped = finite_columns(columns, tables.real_features, *wanted.values())
    samples: dict[tuple[str, str, str], pd.DataFrame] = {}
    for generator, table in wanted.items():
        for (kind, fold), part in table.groupby(["kind", "fold"], sort=True):
            samples[generator, str(kind), str(fold)] = part.groupby("patient")[columns].mean()
    real = tables.real_features.groupby("patient")[columns].mean()
    raw = tables.conditions[condition]
    prepared = Preparation(condition, protocol.condition_scaling, protocol.condition_log)
    folds = sorted({fold for _, _, fold in samples})
    given = {fold: _given(raw, tables.splits, fold, prepared) for fold in folds}
    return Material(real, raw.set_index("patient"), samples, dropped, given)


def _given(raw: pd.DataFrame, splits: pd.DataFrame, fold: str, prepared: Preparation) -> pd.DataFrame:
    """The condition by patient as the generators of ``fold`` were given it: fitted on the patients they trained on."""
    table = of_fold(raw, fold).set_index("patient").astype(float)
    trained = splits.loc[(splits["fold"] == fold) & (splits["role"] == "train"), "patient"]
    return prepared.given(table, trained[trained.isin(table.index)])


def arms_of(generators: list[str], primary: str) -> list[Arm]:
    """Arms that the generators at hand allow, in the order of the tables; controls are listed even where missing."""
    others = [g for g in generators if g not in (*CONTROLS, primary)]
    arms = [Arm("real"), Arm("synthetic", primary, "synthetic"), Arm("both", primary, "synthetic"), Arm("condition")]
    arms += [Arm("synthetic", g, "synthetic") for g in others]
    arms += [Arm("shuffled", primary, "shuffled")]
    return arms + [Arm(name, name, "synthetic") for name in CONTROLS]


def sample_note(patients: pd.DataFrame, drawn: Iterable[str], condition: pd.Index | None = None) -> str:
    """How ``drawn`` came from the patients who have the condition but no MRI; "" when they are all of them.

    The draw is :func:`radgen_lib.generators.sampling.choose_others`: labelled patients first, so no random sample.
    patients: patient, n_images, has_genes15; condition: patients who have the condition (None: all with the genes).
    """
    everyone = set(patients.loc[(patients["n_images"] == 0) & patients["has_genes15"], "patient"])
    everyone &= everyone if condition is None else set(condition)
    taken = everyone & set(drawn)
    if len(taken) == len(everyone):
        return ""
    return f"sample of {len(taken)} of {len(everyone)} patients without MRI, drawn to hold the labelled ones"


def drawn_patients(material: Material, generator: str) -> list[str]:
    """Patients without MRI who were given synthetic images by ``generator``, in any fold."""
    tables = [table for (name, kind, _), table in material.samples.items() if (name, kind) == (generator, "synthetic")]
    return sorted({str(patient) for table in tables for patient in table.index})


def source_fold(material: Material, primary: str) -> str | None:
    """Fold whose generator serves all patients without MRI: ``full``, else ``split`` (as published), else None."""
    return next((f for f in ("full", "split") if (primary, "synthetic", f) in material.samples), None)


def grouped_partitions(splits: pd.DataFrame, labels: pd.Series) -> list[Partition]:
    """Folds of the grouped design over labelled imaged patients; each fold's own generator made the images."""
    found = []
    for fold, part in splits[splits["design"] == "grouped"].groupby("fold", sort=True):
        roles = {role: _labelled(part.loc[part["role"] == role, "patient"], labels) for role in ("train", "test")}
        found.append(Partition(repeat_of(str(fold)), str(fold), roles["train"], roles["test"], str(fold)))
    return found


def endpoint_partitions(endpoint_splits: pd.DataFrame, task: str, source: str, keep: pd.Index) -> list[Partition]:
    """Endpoint folds over patients without MRI that are in ``keep`` (those that have images)."""
    rows = endpoint_splits[(endpoint_splits["task"] == task) & endpoint_splits["patient"].isin(keep)]
    found = []
    for (repeat, fold), part in rows.groupby(["repeat", "fold"], sort=True):
        test = sorted(part["patient"].unique())
        everyone = set(rows.loc[rows["repeat"] == repeat, "patient"])
        found.append(Partition(int(repeat), f"e{repeat}f{fold}", sorted(everyone - set(test)), test, source))
    return found


def holdout_partitions(patients: list[str], source: str, *, share: float, times: int, seed: int) -> list[Partition]:
    """Random unstratified tests of ``share`` of the patients, drawn ``times`` times (published evaluation)."""
    ordered = np.array(sorted(patients))
    size = max(1, round(share * len(ordered)))
    found = []
    for time in range(times):
        order = make_rng(seed, "holdout", time).permutation(len(ordered))
        test, train = sorted(ordered[order[:size]]), sorted(ordered[order[size:]])
        found.append(Partition(time, f"h{time}", train, test, source))
    return found


def make_fit(arm: Arm, material: Material, part: Partition, labels: pd.Series, primary: str, on: TestOn) -> Fit | str:
    """Training and test set of ``arm`` in one fold, or the reason why there is none."""
    reference = material.samples.get((primary, "synthetic", part.source_fold))
    if reference is None and arm.name != "real":
        return f"generator {primary} has no synthetic images of fold {part.source_fold}"
    if on == "synthetic" and arm.name == "real":
        return NO_REAL
    pool = _pool(arm, material, part)
    if isinstance(pool, str):
        return pool
    builder: Callable[..., tuple[pd.DataFrame, pd.DataFrame]] = _test_real if on == "real" else _test_synthetic
    train, test = builder(arm, material, part, labels, pool, reference)
    return Fit(part.repeat, part.fold, *_arrays(train, labels), *_arrays(test, labels))


def _pool(arm: Arm, material: Material, part: Partition) -> pd.DataFrame | str | None:
    """Images that the arm learns from; None for arms that use none; text where they are missing."""
    if not arm.kind:
        return None
    pool = material.samples.get((arm.generator, arm.kind, part.source_fold))
    missing = f"no {arm.kind} images of generator {arm.generator or '(none)'} for fold {part.source_fold}"
    return missing if pool is None else pool


def _test_real(
    arm: Arm, material: Material, part: Partition, labels: pd.Series, pool: pd.DataFrame | None,
    reference: pd.DataFrame | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Train on images of patients without MRI (and, where the arm says so, imaged training patients)."""
    if arm.name == "condition":
        assert reference is not None
        outside = _labelled(reference.index.difference(material.real.index), labels)
        table = material.given[part.source_fold]
        return table.reindex([*outside, *part.train]).dropna(), table.reindex(part.test).dropna()
    real_train, test = material.real.loc[part.train], material.real.loc[part.test]
    if pool is None:
        return real_train, test
    outside = _labelled(pool.index.difference(material.real.index), labels)
    parts = [pool.loc[outside], real_train] if arm.name == "both" else [pool.loc[outside]]
    return pd.concat(parts), test


def _test_synthetic(
    arm: Arm, material: Material, part: Partition, labels: pd.Series, pool: pd.DataFrame | None,
    reference: pd.DataFrame | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Train and test on patients without MRI, as the published study did."""
    table = material.given[part.source_fold] if arm.name == "condition" else pool
    assert table is not None
    train, test = (table.loc[table.index.intersection(p)].sort_index().dropna() for p in (part.train, part.test))
    if arm.name == "both":
        real = material.real.loc[_labelled(material.real.index, labels)]
        train = pd.concat([train, real.drop(index=real.index.intersection(part.test))])
    return train, test


def _labelled(patients: pd.Index | pd.Series, labels: pd.Series) -> list[str]:
    return sorted(set(patients) & set(labels.index))


def _arrays(table: pd.DataFrame, labels: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    patients = table.index.to_numpy(dtype=str)
    return table.to_numpy(dtype=float), labels.loc[patients].to_numpy(dtype=int), patients
