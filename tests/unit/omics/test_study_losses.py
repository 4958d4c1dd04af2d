"""What a study loses to faults is counted by table, and too much of it stops the run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from radgen_lib.cohort.losses import check_tables
from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.local import read_any_study
from radgen_lib.omics.study.read import Study, read_study

PEOPLE = [f"TCGA-AA-{number:04d}" for number in range(10)]
META = "genetic_alteration_type: {}\ndatatype: {}\nstable_id: {}\ndata_filename: {}\n"
MAF = "Hugo_Symbol\tVariant_Classification\tMutation_Status\tTumor_Sample_Barcode\n"


def matrix(genes: int = 20, ragged: int = 0, samples: list[str] | None = None) -> str:
    """A matrix whose last ``ragged`` rows lack a cell; the second sample of the first patient is no loss."""
    names = samples or [f"{name}-01" for name in PEOPLE]
    lines = ["\t".join(["Hugo_Symbol", *names])]
    for gene in range(genes):
        cells = [f"G{gene}", *(str(100 + gene + number) for number in range(len(names)))]
        lines.append("\t".join(cells[:-1] if gene >= genes - ragged else cells))
    return "\n".join(lines) + "\n"


def clinical(people: list[str], extra: str = "") -> str:
    return "PATIENT_ID\tAGE\n" + "".join(f"{name}\t50\n" for name in people) + extra


def portal(folder: Path, expression: str, *, people: list[str] | None = None, maf: str = "", more: str = "") -> Path:
    """A study folder of a portal with these tables; ``more`` are further rows of the clinical one."""
    files = {
        "meta_e.txt": META.format("MRNA_EXPRESSION", "CONTINUOUS", "rna_seq_v2_mrna", "e.txt"), "e.txt": expression,
        "meta_c.txt": META.format("CLINICAL", "PATIENT_ATTRIBUTES", "c", "c.txt"),
        "c.txt": clinical(PEOPLE if people is None else people, more),
    }  # fmt: skip
    if maf:
        files |= {"meta_m.txt": META.format("MUTATION_EXTENDED", "MAF", "mutations", "m.txt"), "m.txt": MAF + maf}
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def counted(study: Study, unit: str) -> dict[str, tuple[int, int]]:
    """Table -> (lost, all) of a unit."""
    rows = study.losses[study.losses["unit"] == unit]
    lost = rows["count"].where(rows["reason"] != "", 0).groupby(rows["table"]).sum()
    return {str(name): (int(lost[name]), int(count)) for name, count in rows.groupby("table")["count"].sum().items()}


def test_a_sound_study_has_lost_nothing(tmp_path: Path) -> None:
    samples = [*(f"{name}-01" for name in PEOPLE), f"{PEOPLE[0]}-06", f"{PEOPLE[1]}-11"]
    maf = "".join(f"TP53\tMissense_Mutation\t{status}\t{PEOPLE[0]}-01\n" for status in ("Somatic", "Wildtype", "LOH"))
    study = read_study(portal(tmp_path / "in", matrix(samples=samples), maf=maf), drivers=["TP53"])
    assert (study.losses["reason"] == "").all()
    assert counted(study, "rows") == {"e.txt": (0, 20), "c.txt": (0, 10), "m.txt": (0, 1)}
    assert counted(study, "samples") == {"e.txt": (0, 10)} and counted(study, "tables") == {"study": (0, 3)}
    check_tables(study.losses, 0.0)


def test_ragged_rows_of_a_matrix_stop_the_run(tmp_path: Path) -> None:
    study = read_study(portal(tmp_path / "in", matrix(100, ragged=90)), drivers=[])
    check_tables(study.losses, 0.9)
    words = r"^e\.txt: 90 of 100 rows \(90%\) cannot be used.*= 0\.2; most frequent reason: 10 cells where 11 are"
    with pytest.raises(DataError, match=words):
        check_tables(study.losses, 0.2)


def test_a_matrix_of_ragged_rows_alone_is_lost_once_as_a_table(tmp_path: Path) -> None:
    study = read_study(portal(tmp_path / "in", matrix(20, ragged=20)), drivers=[])
    assert "e.txt" not in counted(study, "rows") and counted(study, "tables") == {"study": (1, 2)}
    check_tables(study.losses, 0.2)  # one table of the two is told, and stops nothing


def test_samples_genes_and_names_without_anything_of_use_are_lost(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in matrix(20).splitlines()]
    for place, row in enumerate(rows[1:]):
        row[1] = "none"
        if place < 4:
            row[2:8] = ["NA"] * 6
    rows[20][0] = ""
    study = read_study(portal(tmp_path / "in", "".join("\t".join(row) + "\n" for row in rows)), drivers=[])
    assert counted(study, "samples")["e.txt"] == (1, 10)
    assert counted(study, "genes")["e.txt"] == (0, 19), "what max_missing leaves out was asked for"
    assert counted(study, "rows")["e.txt"] == (1, 20)


def test_rows_without_patient_or_variant_are_lost(tmp_path: Path) -> None:
    maf = f"TP53\tMissense_Mutation\t\t{PEOPLE[0]}-01\nTP53\t\t\t{PEOPLE[0]}-01\nTP53\tSilent\t\t\n"
    more = f"\t60\n{PEOPLE[0]}\t61\na\tb\tc\n"
    study = read_study(portal(tmp_path / "in", matrix(), maf=maf, more=more), drivers=["TP53"])
    # The second row of a patient is left out as planned.
    assert counted(study, "rows") == {"e.txt": (0, 20), "c.txt": (2, 13), "m.txt": (2, 3)}


def test_rows_of_a_sample_file_count_though_it_has_no_values(tmp_path: Path) -> None:
    folder = portal(tmp_path / "in", matrix())
    (folder / "meta_s.txt").write_text(META.format("CLINICAL", "SAMPLE_ATTRIBUTES", "s", "s.txt"))
    samples = "".join(f"{name}\t{name}-01\n" for name in PEOPLE)
    (folder / "s.txt").write_text(f"PATIENT_ID\tSAMPLE_ID\n{samples}a\tb\tc\n")
    study = read_study(folder, drivers=[])
    assert counted(study, "rows")["s.txt"] == (1, 11)


def test_patients_whom_the_clinical_table_calls_otherwise_are_lost(tmp_path: Path) -> None:
    others = [name.replace("AA", "BB") for name in PEOPLE[3:]]
    study = read_study(portal(tmp_path / "in", matrix(), people=[*PEOPLE[:3], *others]), drivers=[])
    with pytest.raises(DataError, match=r"^clinical: 7 of 10 patients with omics \(70%\).*no clinical row"):
        check_tables(study.losses, 0.2)


def test_a_table_that_cannot_be_read_is_one_of_the_study(tmp_path: Path) -> None:
    study = read_study(portal(tmp_path / "in", matrix(), maf=f"TP53\tSilent\t\t{PEOPLE[0]}-01\n"), drivers=[])
    assert counted(study, "tables") == {"study": (0, 3)}
    folder = portal(tmp_path / "cut", "Hugo_Symbol\tx\n")
    (folder / "meta_y.txt").write_text(META.format("METHYLATION", "CONTINUOUS", "m", "nowhere.txt"))
    cut = read_study(folder, drivers=[])
    assert counted(cut, "tables") == {"study": (2, 3)}
    with pytest.raises(DataError, match=r"^study: 2 of 3 tables \(67%\)"):
        check_tables(cut.losses, 0.5)


@pytest.mark.parametrize("private", [False, True])
def test_plain_tables_lose_before_and_after_they_are_renamed(tmp_path: Path, private: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "expression.tsv").write_text(matrix(20, ragged=5))
    (folder / "clinical.csv").write_text(clinical(PEOPLE, "a\tb\tc\n\t60\n").replace("\t", ","))
    maf = f"TP53\tMissense_Mutation\t\t{PEOPLE[0]}\nTP53\tSilent\t\t\nTP53\n\t\tSilent\t{PEOPLE[1]}\n"
    (folder / "mutations.tsv").write_text(MAF + maf)
    rename = (lambda patient: f"P-{PEOPLE.index(patient):012d}" if patient in PEOPLE else "P-x") if private else None
    study = read_any_study(folder, drivers=["TP53"], rename=rename)
    assert counted(study, "rows") == {"expression.tsv": (5, 20), "clinical.csv": (2, 12), "mutations.tsv": (3, 4)}
    assert counted(study, "tables") == {"study": (0, 3)}
    assert not any(name in str(text) for name in PEOPLE for text in study.losses.to_numpy().ravel())


def test_losses_are_written_beside_the_decisions(tmp_path: Path) -> None:
    from radgen_lib.omics.study.write import write_omics

    study = read_study(portal(tmp_path / "in", matrix(ragged=1)), drivers=[])
    write_omics(study, tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "losses.parquet"), study.losses)
