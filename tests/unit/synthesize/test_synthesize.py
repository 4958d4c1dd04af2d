"""``radgen synthesize``: what it writes, that it can be repeated, and every way in which its input can be wrong."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from radgen_lib.cli.synthesize import add_parser, synthesize
from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import DataError, RadgenError
from radgen_lib.generators.baselines import PCARidge
from radgen_lib.generators.store import load_generators


def parse(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["synthesize", *map(str, arguments)])


def write(path: Path, table: pd.DataFrame, separator: str = ",") -> Path:
    table.to_csv(path, index=False, sep=separator)
    return path


def test_what_is_written(trained, omics, new_patients, tmp_path):
    out = tmp_path / "deep" / "out"
    made = synthesize(trained, omics, out, draws=2, seed=5)
    assert (made.images, made.patients, made.fold) == (8, 4, "full")
    samples, images = pd.read_csv(out / "samples.csv"), np.load(out / "images.npy", allow_pickle=False)
    assert images.shape == (8, 16, 16) and images.dtype == np.float32
    assert samples["patient"].tolist() == [p for p in new_patients["patient"] for _ in range(2)]
    assert samples["draw"].tolist() == [0, 1] * 4 and samples["seed"].is_unique
    assert samples["in_training"].tolist() == [p == "TCGA-AO-A002" for p in samples["patient"]]
    for row in samples.itertuples():
        picture = Image.open(out / row.file)
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), np.rint(images[row.row].clip(0, 1) * 255))
    assert images.min() < 0, "values outside [0, 1] stay in images.npy"
    assert sorted(p.name for p in out.parent.iterdir()) == ["out"], "nothing else is left behind"


def test_the_images_are_those_of_the_generator_on_matched_columns(trained, omics, new_patients, tmp_path):
    synthesize(trained, omics, tmp_path / "out", fold="r0f0")
    fitted = load_generators(trained)["r0f0"]
    expected = fitted.sample(new_patients, [0] * 4)
    np.testing.assert_allclose(np.load(tmp_path / "out" / "images.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["per_patient_minmax", "cohort_zscore"])
@pytest.mark.parametrize("log", [True, False])
def test_conditions_are_logged_as_the_card_says(train, omics, new_patients, tmp_path, monkeypatch, method, log):
    card = train(tmp_path / "trained", method=method, log=log, ranges=False)
    given = []

    def note(self, conditions, seeds, *, device="cpu"):
        given.append(conditions)
        return np.zeros((len(seeds), 16, 16), np.float32)

    monkeypatch.setattr(PCARidge, "sample", note)
    synthesize(card, omics, tmp_path / "out")
    raw = new_patients[["CD6", "LTB", "CYBA"]].to_numpy()
    taken = np.log2(raw + 1) if log else raw
    if method == "per_patient_minmax":
        low, high = taken.min(axis=1, keepdims=True), taken.max(axis=1, keepdims=True)
        expected = (taken - low) / (high - low)
    else:
        scaler = load_generators(card)["full"].scaler
        expected = (taken - scaler.mean) / scaler.scale
    np.testing.assert_allclose(np.concatenate(given), expected, rtol=1e-5, atol=1e-6)
    assert json.loads((tmp_path / "out/card.json").read_text())["condition_log"] is log


def test_the_card_names_inputs_and_limits(trained, omics, tmp_path):
    out = tmp_path / "out"
    synthesize(trained, omics, out, seed=9)
    card = json.loads((out / "card.json").read_text())
    assert card["inputs"] == {
        path.name: file_sha256(path) for path in (omics, trained, trained.with_name("weights.safetensors"))
    }
    assert card["seed"] == 9 and card["fold"] == "full" and card["generator_class"] == "PCARidge"
    assert "diagnosis" in card["intended_use"] and card["licence"] and card["packages"]
    assert any("1 columns" in note for note in card["notes"])
    assert any("1 of 4 patients trained this generator" in note for note in card["notes"])


def test_the_same_seed_gives_the_same_bytes_whatever_the_other_rows(
    trained, omics, new_patients, tmp_path, monkeypatch
):
    monkeypatch.setattr(PCARidge, "sample", noisy)
    synthesize(trained, omics, tmp_path / "a", seed=1)
    synthesize(trained, omics, tmp_path / "b", seed=1)
    synthesize(trained, omics, tmp_path / "c", seed=2)
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(names) == 7
    for name in names:
        if name.name != "card.json":
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    first = np.load(tmp_path / "a" / "images.npy")
    assert np.abs(np.load(tmp_path / "c" / "images.npy") - first).max() > 0.1
    some = write(tmp_path / "some.csv", new_patients.iloc[[3, 1]])
    synthesize(trained, some, tmp_path / "d", seed=1)
    np.testing.assert_array_equal(np.load(tmp_path / "d" / "images.npy"), first[[3, 1]])


def noisy(self, conditions, seeds, *, device="cpu"):
    """A generator whose images depend on the seed alone."""
    return np.stack([np.random.default_rng(seed).random((16, 16), dtype=np.float32) for seed in seeds])


def test_tab_separated_tables_are_recognised(trained, new_patients, tmp_path):
    table = write(tmp_path / "omics.txt", new_patients, "\t")
    assert synthesize(trained, table, tmp_path / "out").patients == 4


def test_values_outside_the_training_range_are_told(trained, new_patients, tmp_path):
    new_patients[["CYBA", "CD6", "LTB"]] = 60.0
    new_patients.loc[2, "LTB"] = 500.0
    made = synthesize(trained, write(tmp_path / "t.csv", new_patients), tmp_path / "out")
    warnings = pd.read_csv(tmp_path / "out" / "samples.csv", keep_default_na=False)["warning"]
    assert [bool(w) for w in warnings] == [False, False, True, False]
    assert "LTB 500 not in" in warnings[2]
    assert any("1 of 4 patients have values outside the training range" in note for note in made.notes)


def test_values_far_outside_the_training_range_are_refused_unless_forced(trained, new_patients, tmp_path):
    new_patients.loc[2, "LTB"] = 1e6
    table = write(tmp_path / "t.csv", new_patients)
    with pytest.raises(DataError, match=r"LTB is 1e\+06, \d+ training ranges outside .*--force") as caught:
        synthesize(trained, table, tmp_path / "out")
    assert "P/3 x" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert parse("--generator", trained, "--omics", table, "--out", tmp_path / "out", "--force").force
    assert synthesize(trained, table, tmp_path / "out", force=True).images == 4


def test_without_stored_ranges_that_is_said(train, omics, tmp_path):
    made = synthesize(train(tmp_path / "g", ranges=False), omics, tmp_path / "out")
    assert any("no range" in note for note in made.notes)


def test_minmax_scaling_is_always_said(train, trained, omics, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="radgen"):  # the command prints the notes: said once
        made = synthesize(train(tmp_path / "g", method="per_patient_minmax"), omics, tmp_path / "out")
    assert any("per-patient min-max" in note for note in made.notes)
    assert caplog.text == ""
    assert "per-patient min-max" in (tmp_path / "out" / "card.json").read_text()
    assert not any("min-max" in note for note in synthesize(trained, omics, tmp_path / "z").notes)


def test_which_fold(train, omics, tmp_path):
    only = train(tmp_path / "one", folds=("r1f1",))
    assert synthesize(only, omics, tmp_path / "a").fold == "r1f1"
    several = train(tmp_path / "two", folds=("r0f0", "r0f1"))
    with pytest.raises(DataError, match=r"no generator of fold 'full'.*--fold: r0f0, r0f1"):
        synthesize(several, omics, tmp_path / "b")
    again = train(tmp_path / "three", folds=("split", "split-s1", "split-s2"))
    assert synthesize(again, omics, tmp_path / "c").fold == "split", "the first training, unless another is named"
    assert synthesize(again, omics, tmp_path / "d", fold="split-s2").fold == "split-s2"


def transposed(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("patient").T.rename_axis("gene").reset_index()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns=["LTB", "CD6"]), "2 of 3 columns of the generator are missing: CD6, LTB"),
        (transposed, "genes stand in rows. Transpose"),
        (lambda t: t.astype(object).replace({"CYBA": {t["CYBA"][1]: "high"}}), "row TCGA-AO-A002: CYBA is 'high'"),
        (lambda t: t.assign(CD6=[1.0, 2.0, np.nan, 4.0]), "row P/3 x: CD6 is ''"),
        (lambda t: t.assign(CD6=[1.0, np.inf, 3.0, 4.0]), "row TCGA-AO-A002: CD6 is 'inf'"),
        (lambda t: t.assign(LTB=[1.0, 2.0, 3.0, -2.0]), "row P-4: LTB is -2; the generator takes log2"),
        (lambda t: t.assign(patient=["a", "b", "a", "c"]), "row a: the identifier stands twice"),
        (lambda t: t.assign(patient=["a", "", "b", "c"]), "row 3: the identifier in the first column is empty"),
        (lambda t: t.iloc[:0], "no rows"),
    ],
)
def test_a_bad_table_is_one_line_and_leaves_nothing(trained, new_patients, tmp_path, change, said):
    table = write(tmp_path / "bad.csv", change(new_patients))
    with pytest.raises(DataError) as caught:
        synthesize(trained, table, tmp_path / "out")
    assert said in str(caught.value) and "bad.csv" in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv", "trained"]


def test_a_missing_table_is_named(trained, tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        synthesize(trained, tmp_path / "gone.csv", tmp_path / "out")


def test_nothing_is_overwritten(trained, omics, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    synthesize(trained, omics, out)
    before = (out / "images.npy").read_bytes()
    with pytest.raises(DataError, match="not an empty folder"):
        synthesize(trained, omics, out, seed=8)
    assert (out / "images.npy").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        synthesize(trained, omics, tmp_path / "file")


def test_a_failure_while_writing_leaves_nothing(trained, omics, tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("radgen_lib.cli.synthesize.write_csv", full_disk)
    with pytest.raises(OSError, match="No space left"):
        synthesize(trained, omics, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["omics.csv", "trained"]


def test_values_that_are_no_numbers_are_not_written(trained, omics, tmp_path, monkeypatch):
    monkeypatch.setattr(PCARidge, "sample", lambda self, c, s, *, device: np.full((len(c), 16, 16), np.nan, "f4"))
    with pytest.raises(RadgenError, match="no numbers"):
        synthesize(trained, omics, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_exchanged_weights_are_refused(trained, train, omics, tmp_path):
    other = train(tmp_path / "other", folds=("full",))
    other.with_name("weights.safetensors").replace(trained.with_name("weights.safetensors"))
    with pytest.raises(DataError, match="SHA-256"):
        synthesize(trained, omics, tmp_path / "out")


def test_the_command(trained, omics, tmp_path, capsys):
    options = parse(
        "--generator", trained, "--omics", omics, "--out", tmp_path / "out", "--draws", 2, "--device", "cpu"
    )
    assert options.run(options) == 0
    told = capsys.readouterr().out
    assert "8 images of 4 patients by the generator of fold full" in told and "note: " in told


@pytest.mark.parametrize("draws", ["0", "-1", "two"])
def test_the_command_refuses_impossible_draws(draws, capsys):
    with pytest.raises(SystemExit):
        parse("--generator", "c", "--omics", "o", "--out", "f", "--draws", draws)
    assert "--draws" in capsys.readouterr().err
