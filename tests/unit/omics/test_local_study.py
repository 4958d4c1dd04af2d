"""A study of one's own: plain tables in any dialect, patients renamed before anything is read."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.local import is_plain, plain_tables, read_any_study
from radgen_lib.omics.study.read import Study, read_study
from radgen_lib.omics.study.write import FILES, write_omics

GENES = ("TP53", "ERBB2", "ESR1", "CD6")
PEOPLE = ("H0001", "H0002", "H0003", "H0004")
VALUES = np.arange(16, dtype=float).reshape(4, 4) / 2 - 3


def hidden(patient: str) -> str:
    return "P-" + patient.encode().hex().rjust(12, "0")[-12:]


def study_of(folder: Path, **given: object) -> Study:
    return read_any_study(folder, drivers=("TP53",), **{"rename": hidden, **given})  # type: ignore[arg-type]


def matrix(names: tuple[str, ...] = PEOPLE, values: np.ndarray = VALUES, index: str = "gene") -> pd.DataFrame:
    return pd.DataFrame(values, GENES, names).rename_axis(index)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Expression, mutations, sequenced patients and a clinical table of four people."""
    folder = tmp_path / "omics"
    folder.mkdir()
    matrix().to_csv(folder / "expression.csv")
    (folder / "mutations.tsv").write_text(
        "Patient\tVariant_Classification\tGene\tNote\n"
        "H0001\tMissense_Mutation\tTP53\tfirst\nH0002\tSilent\tTP53\t\nH0003\tNonsense_Mutation\tCDH1\t\n"
    )
    (folder / "sequenced.txt").write_text("Patient ID\nH0001\nH0002\nH0004\n")
    (folder / "clinical.csv").write_text(
        "ID;Name;Born;Age;ER;OS (days)\n"
        "H0001;Muster, Eva;01.02.1950;61,5;positive;\nH0002;Muster, Ada;;44;neg;\nH0004;;;nonsense;2+;\n"
    )
    return folder


def test_plain_tables_become_a_study(tables: Path, tmp_path: Path) -> None:
    study = study_of(tables, scratch=tmp_path)
    (expression,) = study.matrices
    assert expression.patients == tuple(map(hidden, PEOPLE)) and expression.genes == GENES
    np.testing.assert_array_equal(expression.values, VALUES.T.astype("f4"))
    clinical = study.clinical.set_index("patient")
    assert clinical.loc[hidden("H0001"), ["age", "er"]].tolist() == [61.5, 1.0]
    assert clinical.loc[hidden("H0002"), ["age", "er"]].tolist() == [44.0, 0.0]
    assert clinical.loc[hidden("H0004"), ["age", "er"]].isna().all()
    assert clinical.loc[hidden("H0003"), ["age", "er"]].isna().all()  # of a matrix alone
    driver = study.mutated.set_index("patient")["mut_TP53"].reindex(map(hidden, PEOPLE))
    np.testing.assert_array_equal(driver, [1, 0, 0, 0])  # the third has a variant, so was sequenced
    assert sorted(path.name for path in tmp_path.iterdir()) == ["omics"]  # nothing temporary is left
    write_omics(study, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)


def test_nothing_of_a_person_is_in_any_table(tables: Path, tmp_path: Path) -> None:
    (tables / "methylation.txt").write_text("gene,H0001,H0002,H0003\nTP53,0.1,H0009,0.3\nCD6,0.1\n")
    study = study_of(tables)
    frames = (study.clinical, study.mutations, study.mutated, study.decisions, study.selection, study.quality)
    text = "".join(frame.to_csv() for frame in frames)
    assert "missing" in text and hidden("H0002") in text
    for secret in ("H0001", "H0002", "H0004", "Muster", "1950", "omics/", str(tmp_path)):
        assert secret not in text.replace("H0009", ""), secret
    unused = study.decisions[study.decisions["decision"] == "not used"]["item"].tolist()
    assert {"column 2", "column 3"} <= set(unused)
    named = read_any_study(public(tables), drivers=("TP53",)).decisions  # public codes: columns are called by name
    assert {"Name", "Born"} <= set(named.loc[named["decision"] == "not used", "item"])


def public(folder: Path) -> Path:
    """The tables with research codes in the place of local numbers."""
    for path in folder.iterdir():
        path.write_text(re.sub(r"H000(\d)", r"TCGA-AO-A00\1", path.read_text()))
    return folder


@settings(max_examples=25, deadline=None)
@given(
    delimiter=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    first=st.sampled_from(["gene", "Hugo_Symbol", "", "symbol", "Unnamed: 0"]),
    quoted=st.booleans(),
    comma=st.booleans(),
    comments=st.integers(0, 2),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]),
)
def test_any_dialect_gives_the_same_matrix(
    tmp_path_factory: pytest.TempPathFactory,
    delimiter: str, end: str, first: str, quoted: bool, comma: bool, comments: int, encoding: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("dialect")
    text = io.StringIO()
    decimal = "," if comma and delimiter == ";" else "."
    matrix(index=first).to_csv(
        text, sep=delimiter, quoting=1 if quoted else 0, decimal=decimal, lineterminator=end, float_format="%.3f"
    )
    body = f"# Zürich{end}" * comments + text.getvalue()
    (folder / "expression.txt").write_bytes(body.encode(encoding))
    (expression,) = study_of(folder).matrices
    assert expression.genes == GENES and expression.patients == tuple(map(hidden, PEOPLE))
    np.testing.assert_array_equal(expression.values, VALUES.T.astype("f4"))


def test_row_names_without_a_title(tmp_path: Path) -> None:
    lines = matrix().to_csv(sep="\t").splitlines()
    (tmp_path / "expression.tsv").write_text("\n".join([lines[0].removeprefix("gene\t"), *lines[1:]]) + "\n")
    np.testing.assert_array_equal(study_of(tmp_path).matrices[0].values, VALUES.T.astype("f4"))


def test_samples_by_the_clinical_table(tmp_path: Path) -> None:
    """Blocks of tissue with numbers of their own; a normal and a second sample do not stand for their patient."""
    samples = ("B19-7", "B19-8", "B19-9", "B20-1")
    matrix(samples).to_csv(tmp_path / "expression.csv")
    (tmp_path / "clinical.tsv").write_text(
        "Patient\tSample\tSample type\tAge\nH1\tB19-7\tMetastasis\t50\nH1\tB19-8\tPrimary\t50\n"
        "H2\tB19-9\tNormal tissue\t60\nH3\tB20-1\tPrimary\t70\n"
    )
    (tmp_path / "mutations.csv").write_text(
        "Sample,Gene,Variant_Classification\nB19-7,TP53,Nonsense_Mutation\nB20-1,TP53,Missense_Mutation\n"
    )
    study = study_of(tmp_path)
    (expression,) = study.matrices
    assert expression.patients == (hidden("H1"), hidden("H3"))
    np.testing.assert_array_equal(expression.values, VALUES.T[[1, 3]].astype("f4"))
    assert study.mutations["patient"].tolist() == [hidden("H1"), hidden("H3")]
    left = study.decisions[(study.decisions["table"] == "expression.csv") & (study.decisions["step"] == "sample")]
    assert left["count"].tolist() == [2] and "B19" not in study.decisions.to_csv() + study.selection.to_csv()


def test_public_codes_stay(tmp_path: Path) -> None:
    names = ("TCGA-AO-A03M-01", "TCGA.AO.A0J8.01A", "TCGA-AR-A1AX-01", "TCGA-AR-A1AX-11")
    matrix(names).to_csv(tmp_path / "expression.csv")
    study = study_of(tmp_path, rename=None)
    assert study.matrices[0].patients == ("TCGA-AO-A03M", "TCGA-AO-A0J8", "TCGA-AR-A1AX")
    np.testing.assert_array_equal(study.matrices[0].values, VALUES.T[:3].astype("f4"))


def test_local_identifiers_are_refused_without_a_name(tables: Path) -> None:
    with pytest.raises(DataError, match=r"4 of 4 patients .* Set imaging\.pseudonyms: true") as fault:
        study_of(tables, rename=None)
    assert "H0001" not in str(fault.value)


def portal(folder: Path) -> Path:
    """A portal's folder with local identifiers, samples named after patients."""
    folder.mkdir()
    samples = tuple(f"{name}-T" for name in PEOPLE)
    data = {
        "expr": ("MRNA_EXPRESSION", "CONTINUOUS", matrix(samples, index="Hugo_Symbol").to_csv(sep="\t")),
        "patients": ("CLINICAL", "PATIENT_ATTRIBUTES", "#Patient\tAge\nPATIENT_ID\tAGE\tNAME\nH0001\t50\tEva\n"),
        "samples": (
            "CLINICAL", "SAMPLE_ATTRIBUTES",
            "PATIENT_ID\tSAMPLE_ID\n" + "".join(f"{name}\t{name}-T\n" for name in PEOPLE),
        ),
        "maf": (
            "MUTATION_EXTENDED", "MAF",
            "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\nTP53\tNonsense_Mutation\tH0002-T\n",
        ),
    }  # fmt: skip
    for name, (alteration, datatype, text) in data.items():
        meta = {"genetic_alteration_type": alteration, "datatype": datatype, "data_filename": f"{name}.txt"}
        (folder / f"meta_{name}.txt").write_text("".join(f"{key}: {value}\n" for key, value in meta.items()))
        (folder / f"{name}.txt").write_text(text)
    (folder / "case_lists").mkdir()
    listed = "\t".join(samples[:3])
    (folder / "case_lists/cases_sequenced.txt").write_text(f"stable_id: x_sequenced\ncase_list_ids: {listed}\n")
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_portals_folder_is_renamed_too(tmp_path: Path, packed: bool) -> None:
    source = portal(tmp_path / "study")
    plain = read_study(source, drivers=("TP53",))
    if packed:
        with tarfile.open(tmp_path / "study.tar.gz", "w:gz") as archive:
            archive.add(source, "study")
        source = tmp_path / "study.tar.gz"
    study = study_of(source)
    np.testing.assert_array_equal(study.matrices[0].values, plain.matrices[0].values)
    names = [hidden(patient) for patient in plain.clinical["patient"]]
    assert study.clinical["patient"].tolist() == names and study.clinical["age"].equals(plain.clinical["age"])
    expected = plain.mutated.assign(patient=names)
    pd.testing.assert_frame_equal(study.mutated, expected)
    text = "".join(frame.to_csv() for frame in (study.clinical, study.mutations, study.decisions, study.selection))
    assert "H000" not in text and "Eva" not in text


def test_without_a_name_a_portals_folder_is_read_as_ever(tmp_path: Path) -> None:
    folder = portal(tmp_path / "study")
    for path in folder.rglob("*.txt"):
        path.write_text(path.read_text().replace("-T", "").replace("H000", "TCGA-AO-A00"))
    left, right = read_any_study(folder, drivers=("TP53",)), read_study(folder, drivers=("TP53",))
    pd.testing.assert_frame_equal(left.decisions, right.decisions)
    pd.testing.assert_frame_equal(left.clinical, right.clinical)


def test_a_clinical_table_elsewhere_goes_first(tables: Path, tmp_path: Path) -> None:
    other = tmp_path / "people.xlsx"
    pd.DataFrame({"patient_id": ["H0001", "H0003"], "Age": [33, 34], "secret": "x"}).to_excel(other, index=False)
    clinical = study_of(tables, clinical=other).clinical.set_index("patient")
    assert clinical.loc[[hidden(name) for name in PEOPLE[:3]], "age"].tolist() == [33, 44, 34]
    assert clinical.loc[hidden("H0001"), "er"] == 1.0
    (tmp_path / "both").mkdir()
    alone = study_of(portal(tmp_path / "both/study"), clinical=other).clinical.set_index("patient")
    assert alone.loc[hidden("H0001"), "age"] == 33 and alone.loc[hidden("H0003"), "age"] == 34


def numbered(folder: Path) -> Path:
    """A portal's folder whose samples are named after nothing; H0001 has a normal one, whose row stands first."""
    portal(folder)
    rows = [
        ("H0001", "S9", "Normal", "Negative"),
        *((name, f"S{i}", "Primary", "Positive") for i, name in enumerate(PEOPLE)),
    ]
    (folder / "samples.txt").write_text(
        "PATIENT_ID\tSAMPLE_ID\tSAMPLE_TYPE\tER_STATUS\n" + "".join("\t".join(row) + "\n" for row in rows)
    )
    for name in ("maf.txt", "case_lists/cases_sequenced.txt"):
        (folder / name).write_text(re.sub(r"H000(\d)-T", lambda of: f"S{int(of[1]) - 1}", (folder / name).read_text()))
    samples = ("S0", "S1", "S9", "S3")
    (folder / "expr.txt").write_text(matrix(samples, index="Hugo_Symbol").to_csv(sep="\t"))
    return folder


@pytest.mark.parametrize("own", ["Patient,T stage\nH0001,T2\nH0003,T1\n",
                                 "Patient,Sample,T stage\nH0001,block 7,T2\nH0003,S0,T1\n"])  # fmt: skip
def test_a_clinical_table_elsewhere_leaves_the_samples_to_the_study(tmp_path: Path, own: str) -> None:
    """The study's sample file still says whose sample is whose, and its values are the third table."""
    source, other = numbered(tmp_path / "study"), tmp_path / "people.csv"
    other.write_text(own)
    alone, study = study_of(source), study_of(source, clinical=other)
    assert study.matrices[0].patients == tuple(hidden(PEOPLE[i]) for i in (0, 1, 3))
    np.testing.assert_array_equal(study.matrices[0].values, alone.matrices[0].values)
    np.testing.assert_array_equal(study.matrices[0].values, VALUES.T[[0, 1, 3]].astype("f4"))
    clinical = study.clinical.set_index("patient").loc[[hidden(name) for name in PEOPLE]]
    assert clinical["T"].tolist() == ["T2", "", "T1", ""] and clinical["er"].tolist() == [1, 1, 1, 1]
    assert clinical.loc[hidden("H0001"), "age"] == 50  # of the study's table of patients
    assert len(study.clinical) == len(alone.clinical) == 4
    (joined,) = study.decisions.loc[study.decisions["decision"] == "gaps filled from the next", "count"]
    assert joined == 3
    clashes = study.decisions.query("decision == 'not by this table'")
    assert clashes["count"].tolist() == ([1] if "S0" in own else [])  # S0 is of H0001, not of H0003


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("expression.csv", "patient,TP53,CD6\nH0001,1,2\n", "transpose the table"),
        ("expression.csv", "gene\nTP53\n", "no column of samples"),
        ("expression.csv", "", "no rows"),
        ("clinical.csv", "H0001,Muster Eva,1950\nH0002,Muster Ada,1951\n", "no column of patients"),
        ("mutations.csv", "Gene,Kind\nTP53,Silent\n", "no column of samples or patients"),
        ("expression.csv", "PK\x03\x04", "is compressed"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_to_do(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=told) as fault:
        study_of(tmp_path)
    assert name in str(fault.value) and "Muster" not in str(fault.value) and "H0001" not in str(fault.value)


def test_one_bad_table_is_a_row(tables: Path) -> None:
    (tables / "copy_number.csv").write_text("patient,TP53\nH0001,1\n")
    study = study_of(tables)
    assert [found.omic for found in study.matrices] == ["expression"]
    lost = study.decisions[study.decisions["decision"] == "left out"]
    assert lost["table"].tolist() == ["copy_number.csv"] and "transpose" in lost["reason"].iloc[0]


def test_samples_that_lost_their_table_are_told(tmp_path: Path) -> None:
    source = portal(tmp_path / "study")
    told = study_of(source).decisions
    assert not told["decision"].isin(["not by this table", "left out"]).any()
    (source / "samples.txt").write_text("PATIENT_ID\tSAMPLE_ID\n")  # no row
    study = study_of(source)
    lost = study.decisions[study.decisions["decision"] == "not by this table"]
    assert lost[["step", "item", "reason"]].to_numpy().tolist() == [["sample", "samples", "the table cannot be read"]]
    (left,) = study.decisions.loc[study.decisions["decision"] == "left out", "table"]
    assert left == lost["table"].item()
    # What the row warns of: a sample now stands for a patient of its own, unlike in the other clinical table.
    assert hidden("H0001-T") in study.matrices[0].patients and hidden("H0001") in set(study.clinical["patient"])
    assert "H000" not in study.decisions.to_csv()


def test_which_files_are_tables(tables: Path, tmp_path: Path) -> None:
    (tables / "readme.md").write_text("x")
    (tables / "Expression_old.csv").write_text("x")
    (tables / ".expression.csv").write_text("x")
    found, others = plain_tables(tables)
    assert set(found) == {"expression", "mutations", "sequenced", "clinical"} and others == 2
    assert is_plain(tables) and not is_plain(portal(tmp_path / "study")) and not is_plain(tables / "clinical.csv")
    (tables / "Expression.TSV").write_text("x")
    with pytest.raises(DataError, match="the folder holds Expression"):
        plain_tables(tables)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/sequenced.txt").write_text("H1\n")
    with pytest.raises(DataError, match="neither tables nor meta files"):
        study_of(tmp_path / "empty")
