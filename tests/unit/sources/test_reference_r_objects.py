"""R objects read without R: signatures, cell fractions, molecular layers, counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata
import xarray
from rdata.conversion.to_r import DEFAULT_CLASS_MAP

from radgen_lib.core.errors import DataError
from radgen_lib.sources.reference.cells import read_r_object
from radgen_lib.sources.reference.genefu import LAYOUTS, read_genefu, read_genefu_mixture
from radgen_lib.sources.reference.infiltration import CIBERSORT_CELLS, read_cibersort
from radgen_lib.sources.reference.multiomics import OMICS, read_rnaseq_counts, read_tcga2012, tcga2012_tensor
from radgen_lib.sources.registry import load_registry
from tests.released_omics import matrix_constructor


def real(mirror: Path, entry: str) -> Path:
    return mirror / str(load_registry()[entry].mirror_path)


def write(path: Path, value: object, name: str = "x") -> Path:
    constructors = {**DEFAULT_CLASS_MAP, xarray.DataArray: matrix_constructor}
    rdata.write_rda(path, {name: value}, constructor_dict=constructors)
    return path


def matrix(values: np.ndarray, rows: list[str], columns: list[str]) -> xarray.DataArray:
    return xarray.DataArray(values, dims=("dim_0", "dim_1"), coords={"dim_0": rows, "dim_1": columns})


# R files in general.


@pytest.mark.parametrize("content", [b"", b"not R at all, not R at all", b"\x1f\x8b\x08\x00half"])
def test_files_that_are_no_r_data(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.rda"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.rda: cannot be read as R data") as told:
        read_r_object(path)
    assert "\n" not in str(told.value)


def test_a_truncated_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "x.rda", np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:200])
    for name in ("x.rda", "none.rda"):
        with pytest.raises(DataError, match=f"{name}: cannot be read as R data"):
            read_genefu(tmp_path / name)


def test_one_object_a_file(tmp_path: Path) -> None:
    rdata.write_rda(tmp_path / "two.rda", {"a": 1, "b": 2})
    with pytest.raises(DataError, match="does not hold one R object"):
        read_r_object(tmp_path / "two.rda")
    assert read_r_object(write(tmp_path / "one.rda", np.array([1.0, 2.0]), "some.name"))[0] == "some.name"


# Signatures.


def pik3ca(n: int = 3) -> pd.DataFrame:
    probes = [f"{i}_at" for i in range(n)]
    return pd.DataFrame(
        {"probe": probes, "EntrezGene.ID": range(1, n + 1), "coefficient": [1.0, -1.0, 1.0][:n]}, index=probes
    )


def test_one_data_frame(tmp_path: Path) -> None:
    table, faults = read_genefu(write(tmp_path / "s.rda", pik3ca(), "sig.pik3cags"), whole=False)
    assert faults.empty and list(table) == ["part", "probe", "symbol", "entrez", "weight"]
    assert table["weight"].tolist() == [1, -1, 1] and table["entrez"].tolist() == [1, 2, 3]
    assert table["part"].isna().all()


def test_a_text_matrix_a_part(tmp_path: Path) -> None:
    module = np.array(["1_at", "2_at", "11", "22", "Inf", "-0.5"])
    value = {"mod": {"ESR1": module, "ERBB2": np.array(["1_at", "11", "1"])}, "other": np.array([1.0])}
    table, faults = read_genefu(write(tmp_path / "s.rda", value, "scmod2.robust"), whole=False)
    assert faults.empty and table["part"].tolist() == ["ESR1", "ESR1", "ERBB2"]
    assert table["probe"].tolist() == ["1_at", "2_at", "1_at"] and table["entrez"].tolist() == [11, 22, 11]
    assert table["weight"].tolist() == [math.inf, -0.5, 1]


def test_centroids(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(3, 2)
    value = {"centroids": matrix(values, ["G1", "G2", "G3"], ["Basal", "LumA"]), "std": "none"}
    table, faults = read_genefu(write(tmp_path / "p.rda", value, "pam50"), whole=False)
    assert faults.empty
    assert table["probe"].tolist() == ["G1", "G2", "G3"] * 2 and table["part"].tolist() == ["Basal"] * 3 + ["LumA"] * 3
    assert table["weight"].tolist() == values.T.ravel().tolist()


def test_faults_of_genes_of_a_signature(tmp_path: Path) -> None:
    frame = pik3ca()
    frame["coefficient"] = [1.0, np.nan, 1.0]
    frame["probe"] = ["0_at", "1_at", "0_at"]
    frame["EntrezGene.ID"] = [1.5, 2.0, 3.0]
    table, faults = read_genefu(write(tmp_path / "s.rda", frame, "sig.pik3cags"), whole=False)
    assert table["probe"].tolist() == ["0_at"] and table["entrez"].tolist() == [3]
    assert faults[["row", "reason"]].values.tolist() == [
        ["0_at", "'1.5' is not a whole number"], ["1_at", "it has no weight"],
    ]  # fmt: skip


def test_reference_genes_have_no_weight(tmp_path: Path) -> None:
    symbols = ["MKI67", "ACTB", "GAPDH"]
    frame = pd.DataFrame(
        {
            "symbol": symbols, "probe.affy": ["1_at", None, "3_at"], "EntrezGene.ID": [4288, 60, 2597],
            "group": ["proliferation", "reference", "her2"], "weight": [0.208, np.nan, np.nan],
        },
        index=symbols,
    )  # fmt: skip
    table, faults = read_genefu(write(tmp_path / "o.rda", frame, "sig.oncotypedx"), whole=False)
    assert table["symbol"].tolist() == ["MKI67", "ACTB"] and math.isnan(table["weight"][1])
    assert faults["id"].tolist() == ["her2/GAPDH"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("sig.new", pik3ca(), "holds 'sig.new', no known signature. Known: mod1"),
        ("sig.pik3cags", pik3ca(), "holds 3 rows, 278 are expected"),
        ("sig.pik3cags", pik3ca().drop(columns="coefficient"), "no column 'coefficient'; it has probe"),
        ("sig.pik3cags", np.array([1.0, 2.0]), "is not of the kind 'frame'"),
        ("sig.tamr13", {"a": np.array(["x", "1"])}, "is not of the kind 'texts'"),
        ("pam50", {"std": "none"}, "is not of the kind 'centroids'"),
        ("mod1", np.array([1.0, 2.0]), "is not of the kind 'frames'"),
    ],
)
def test_files_that_are_no_signature(tmp_path: Path, name: str, value: object, told: str) -> None:
    with pytest.raises(DataError) as caught:
        read_genefu(write(tmp_path / "s.rda", value, name))
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_real_signatures(mirror: Path, name: str) -> None:
    table, faults = read_genefu(mirror / "bhklab_genefu" / "data" / f"{name}.rda")
    assert faults.empty and len(table) == LAYOUTS[name].rows
    assert table["weight"].notna().sum() >= len(table) - 5


def test_what_is_known_of_real_signatures(mirror: Path) -> None:
    tables = {name: read_genefu(mirror / "bhklab_genefu" / "data" / f"{name}.rda").table for name in LAYOUTS}
    assert tables["pam50"]["part"].unique().tolist() == ["Basal", "Her2", "LumA", "LumB", "Normal"]
    assert {"ESR1", "ERBB2", "MKI67"} <= set(tables["pam50"]["probe"])
    pd.testing.assert_frame_equal(tables["pam50"], tables["pam50.scale"])
    assert tables["sig.gene76"]["part"].value_counts().to_dict() == {"ER+": 60, "ER-": 16}
    assert tables["sig.ggi"]["weight"].value_counts().to_dict() == {1.0: 112, -1.0: 16}
    her2 = tables["sig.oncotypedx"].set_index("symbol")
    assert her2.loc["GRB7", "weight"] == 0.423 and her2.loc["ESR1", "entrez"] == 2099
    # The subtype model is built on the modules of the same paper, in another order.
    both = tables["mod1"].merge(tables["scmod1.robust"], on=["part", "probe", "entrez"], suffixes=("", "_model"))
    assert len(both) == len(tables["scmod1.robust"])
    np.testing.assert_allclose(both["weight"], both["weight_model"], rtol=1e-8)


def mixture(proportions: list[float], variance: float = 0.1) -> dict[str, object]:
    modules = ["ESR1", "ERBB2"]
    mean = matrix(np.arange(6.0).reshape(2, 3), modules, ["1", "2", "3"])
    sigma = matrix(np.diag([variance, 0.2]), modules, modules)
    return {"parameters": {"pro": np.array(proportions), "mean": mean, "variance": {"Sigma": sigma}}}


def test_mixture_of_a_subtype_model(tmp_path: Path) -> None:
    table = read_genefu_mixture(write(tmp_path / "m.rda", mixture([0.2, 0.3, 0.5])))
    assert table["mean_ESR1"].tolist() == [0, 1, 2] and table["mean_ERBB2"].tolist() == [3, 4, 5]
    assert table["variance_ERBB2"].tolist() == [0.2] * 3 and table["proportion"].tolist() == [0.2, 0.3, 0.5]


@pytest.mark.parametrize("value", [mixture([0.2, 0.3, 0.6]), mixture([0.2, 0.3, 0.5], 0.0)])
def test_impossible_mixtures(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match="proportions or variances of x are impossible"):
        read_genefu_mixture(write(tmp_path / "m.rda", value))


def test_files_without_a_mixture(tmp_path: Path) -> None:
    for value in (np.array([1.0]), {"a": np.array([1.0])}, {"parameters": {"pro": np.array([1.0])}}):
        with pytest.raises(DataError, match="x holds no mixture of subtypes"):
            read_genefu_mixture(write(tmp_path / "m.rda", value))


def test_real_mixtures(mirror: Path) -> None:
    for name in ("scmgene.robust", "scmod1.robust", "scmod2.robust"):
        table = read_genefu_mixture(mirror / "bhklab_genefu" / "data" / f"{name}.rda")
        assert table.shape == (3, 5) and table["mean_ERBB2"].idxmax() == 1


# Cell fractions.


def fractions(n: int = 3) -> pd.DataFrame:
    shares = np.random.default_rng(1).dirichlet(np.ones(22), n)
    frame = pd.DataFrame(shares, columns=list(CIBERSORT_CELLS))
    frame.insert(0, "PATIENT_BARCODE", [f"TCGA-01-00{i:02d}" for i in range(n)])
    return frame


def test_fractions_and_their_faults(tmp_path: Path) -> None:
    frame = fractions(6)
    frame.loc[1, CIBERSORT_CELLS] = np.nan
    frame.loc[2, "Monocytes"] += 0.01
    frame.loc[3, "Neutrophils"] = np.nan
    frame.loc[4, "PATIENT_BARCODE"] = "TCGA-01-0000"
    table, faults = read_cibersort(write(tmp_path / "c.rda", frame), whole=False)
    assert table["patient"].tolist() == ["TCGA-01-0000", "TCGA-01-0005"]
    np.testing.assert_allclose(table.drop(columns="patient").sum(axis=1), 1)
    told = faults.set_index("id")["reason"].to_dict()
    assert told == {
        "TCGA-01-0001": "was not measured", "TCGA-01-0002": "the fractions do not sum to 1",
        "TCGA-01-0003": "is empty", "TCGA-01-0000": "is there already",
    }  # fmt: skip
    assert len(faults) == 4


def test_structure_of_fractions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 3 rows, 11080 are expected"):
        read_cibersort(write(tmp_path / "a.rda", fractions()))
    with pytest.raises(DataError, match=r"no column 'Monocytes'"):
        read_cibersort(write(tmp_path / "b.rda", fractions().drop(columns="Monocytes")), whole=False)
    with pytest.raises(DataError, match="x is not a data frame"):
        read_cibersort(write(tmp_path / "c.rda", np.arange(3.0)))


def test_real_fractions(mirror: Path) -> None:
    table, faults = read_cibersort(real(mirror, "cibersort"))
    assert len(table) == 9693 and table["patient"].is_unique
    assert set(faults["reason"]) == {"was not measured"} and len(faults) == 1387
    clinical = (mirror / str(load_registry()["clinical"].mirror_path)).read_text().splitlines()
    breast = {line.split("\t")[0] for line in clinical if line.startswith("TCGA-")}
    assert table["patient"].isin(breast).sum() == 1079


# Three layers of the same genes.

PATIENTS = [f"TCGA-A1-A0S{letter}-01" for letter in "DEFG"]


def gene(probes: int = 2, patients: list[str] = PATIENTS, seed: int = 0) -> xarray.DataArray:
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.normal(size=(len(patients), 2)), rng.random((len(patients), probes))])
    names = ["W"] if probes == 1 else [f"W{i}" for i in range(1, probes + 1)]
    return matrix(values, patients, ["Y", "X", *names])


def test_layers_by_gene(tmp_path: Path) -> None:
    value = {"chr17,000062,AAA": gene(2), "chr17,000100,BBB": gene(1, seed=1)}
    table, faults = read_tcga2012(write(tmp_path / "t.rda", value), whole=False)
    assert faults.empty and table.index.tolist() == [name[:12] for name in PATIENTS]
    assert table.columns.tolist() == [
        ("chr17", 62, "AAA", "expression"), ("chr17", 62, "AAA", "copy_number"), ("chr17", 62, "AAA", "methylation_1"),
        ("chr17", 62, "AAA", "methylation_2"), ("chr17", 100, "BBB", "expression"),
        ("chr17", 100, "BBB", "copy_number"), ("chr17", 100, "BBB", "methylation_1"),
    ]  # fmt: skip
    np.testing.assert_array_equal(table.iloc[:, :4].to_numpy(), gene(2).values)


def test_tensor_of_two_files(tmp_path: Path) -> None:
    second = {"chr21,000001,CCC": gene(3, [*PATIENTS[::-1], "TCGA-A1-A0SZ-01"], seed=2)}
    first = {"chr17,000100,BBB": gene(1, seed=1), "chr17,000062,AAA": gene(2)}
    tables = [
        read_tcga2012(write(tmp_path / f"{i}.rda", value), whole=False).table for i, value in enumerate((first, second))
    ]
    values, patients, genes = tcga2012_tensor(tables)
    assert values.shape == (4, 3, len(OMICS)) and patients == tuple(name[:12] for name in PATIENTS)
    assert genes["gene"].tolist() == ["BBB", "AAA", "CCC"] and genes["probes"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(values[:, 1, :2], gene(2).values[:, :2])
    np.testing.assert_allclose(values[:, 1, 2], gene(2).values[:, 2:].mean(axis=1))
    expected = second["chr21,000001,CCC"].sel(dim_0=PATIENTS).values
    np.testing.assert_allclose(values[:, 2, 2], expected[:, 2:].mean(axis=1))
    with pytest.raises(ValueError, match="more than one table"):
        tcga2012_tensor([tables[0], tables[0]])


def test_missing_probes_do_not_count(tmp_path: Path) -> None:
    block = gene(2)
    block.values[0, 2], block.values[1, 2:], block.values[2, 0] = np.nan, np.nan, np.nan
    table, faults = read_tcga2012(write(tmp_path / "t.rda", {"chr17,1,AAA": block}), whole=False)
    values = tcga2012_tensor([table]).values
    assert faults.empty and values[0, 0, 2] == block.values[0, 3]
    assert np.isnan(values[1, 0, 2]) and np.isnan(values[2, 0, 0])


def test_faults_of_genes_and_cells(tmp_path: Path) -> None:
    high = gene()
    high.values[1, 3], high.values[2, 1] = 1.5, np.inf
    bad_layers = matrix(np.zeros((4, 2)), PATIENTS, ["Y", "W1"])
    value = {
        "chr17,1,AAA": high, "AAA": gene(), "chr17,2,BBB": gene(patients=PATIENTS[::-1]), "chr17,3,CCC": bad_layers,
        "chr17,4,AAA": gene(), "chr17,5,DDD": np.zeros((4, 3)), "chr17,6,EEE": gene(patients=["x", *PATIENTS[1:]]),
    }  # fmt: skip
    table, faults = read_tcga2012(write(tmp_path / "t.rda", value), whole=False)
    assert table.columns.unique("gene").tolist() == ["AAA"]
    assert table.iloc[1].isna().tolist() == [False, False, False, True] and table.isna().to_numpy().sum() == 2
    reasons = faults.set_index("id")["reason"].to_dict()
    assert reasons == {
        "AAA": "is not named chromosome,position,gene",
        "chr17,2,BBB": "its patients are not those of the other genes",
        "chr17,3,CCC": "its layers are Y, W1, not Y, X and W1, W2, ...",
        "chr17,4,AAA": "is there already",
        "chr17,5,DDD": "its rows and columns have no names",
        "chr17,6,EEE": "its patients are not those of the other genes",
        "AAA/TCGA-A1-A0SE": "1.5 is not in [0, 1]",
        "AAA/TCGA-A1-A0SF": "inf is not in [-10, 10]",
    }
    assert faults["kept"].tolist() == [False] * 6 + [True] * 2


def test_structure_of_layers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 genes of chr17 and 4 patients, 150 and 463 are expected"):
        read_tcga2012(write(tmp_path / "a.rda", {"chr17,1,AAA": gene()}))
    with pytest.raises(DataError, match="x is not a list of one matrix a gene"):
        read_tcga2012(write(tmp_path / "b.rda", {"chr17,1,AAA": np.arange(3.0)}))
    with pytest.raises(DataError, match="holds no usable gene"):
        read_tcga2012(write(tmp_path / "c.rda", {"AAA": gene()}))


def test_real_layers_make_one_tensor(mirror: Path) -> None:
    tables = []
    for entry in ("tcga2012_chr17", "tcga2012_chr21"):
        table, faults = read_tcga2012(real(mirror, entry))
        assert faults.empty
        tables.append(table)
    values, patients, genes = tcga2012_tensor(tables)
    assert values.shape == (463, 275, 3) and len(set(patients)) == 463
    assert genes["chromosome"].value_counts().to_dict() == {"chr17": 150, "chr21": 125}
    assert np.isnan(values[..., 0]).sum() == 14 and not np.isnan(values[..., 1]).any()
    assert genes["probes"].max() == 5
    assert np.nanmin(values[..., 2]) >= 0 and np.nanmax(values[..., 2]) <= 1
    # Copy number drives expression: the layers of a gene belong together.
    rho = [pd.Series(values[:, g, 0]).corr(pd.Series(values[:, g, 1])) for g in range(0, 275, 5)]
    assert np.median(rho) > 0.2


# Counts.


def counts() -> pd.DataFrame:
    barcodes = [f"TCGA-A1-A0S{letter}-01A-11R-A144-07" for letter in "BCD"]
    return pd.DataFrame(np.arange(6.0).reshape(2, 3), index=["ERBB2", "TP53"], columns=barcodes)


def test_counts(tmp_path: Path) -> None:
    table, faults = read_rnaseq_counts(write(tmp_path / "c.rda", counts()), whole=False)
    assert faults.empty and table.columns.tolist() == ["TCGA-A1-A0SB", "TCGA-A1-A0SC", "TCGA-A1-A0SD"]
    assert table.loc["TP53"].tolist() == [3, 4, 5] and (table.dtypes == np.int64).all()


def test_faults_of_counts(tmp_path: Path) -> None:
    frame = counts()
    frame.columns = [frame.columns[0], "TCGA-A1-A0SB-01B-11R", "TCGA-A1-A0SD-11A-11R"]
    frame.loc["BRCA1"], frame.loc["NBR1"], frame.loc["AATF"] = [1.5, 1, 1], [-1, 1, 1], [np.nan, 1, 1]
    doubled = frame.set_axis(["ERBB2", "TP53", "BRCA1", "NBR1", "TP53"])
    table, faults = read_rnaseq_counts(write(tmp_path / "c.rda", doubled.iloc[[0, 1, 2, 3, 1]]), whole=False)
    assert table.index.tolist() == ["ERBB2", "TP53"] and table.columns.tolist() == ["TCGA-A1-A0SB"]
    assert faults["reason"].tolist() == [
        "is a second sample of the patient", "is no primary tumour of a TCGA patient",
        "TCGA-A1-A0SB: 1.5 is not a count", "TCGA-A1-A0SB: -1 is not a count", "is there already",
    ]  # fmt: skip


def test_structure_of_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 2 genes of 3 samples, 730 of 736 are expected"):
        read_rnaseq_counts(write(tmp_path / "a.rda", counts()))
    with pytest.raises(DataError, match="x is not a data frame"):
        read_rnaseq_counts(write(tmp_path / "b.rda", np.arange(3.0)))
    normals = counts().rename(columns=lambda name: name.replace("-01A-", "-11A-"))
    with pytest.raises(DataError, match="holds no usable gene of a primary tumour"):
        read_rnaseq_counts(write(tmp_path / "c.rda", normals), whole=False)


def test_real_counts(mirror: Path) -> None:
    table, faults = read_rnaseq_counts(real(mirror, "rnaseq_chr17"))
    assert faults.empty and table.shape == (730, 736) and {"ERBB2", "TP53", "BRCA1"} <= set(table.index)
    assert table.to_numpy().min() == 0 and table.columns.is_unique
