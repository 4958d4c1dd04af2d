"""A whole study, from folder or tarball to files; and the phantom's study with every trouble of its tables."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import DataError
from radgen_lib.omics.study.decisions import DECISION_COLUMNS, Choices, Decisions
from radgen_lib.omics.study.meta import read_profiles, sequenced_samples, study_root
from radgen_lib.omics.study.read import read_study
from radgen_lib.omics.study.write import FILES, write_omics
from radgen_lib.omics.tensor_table import OmicMatrix, open_tensor, tensor_axes, write_tensor

A, B, C = "TCGA-A1-A0SB", "TCGA-BH-A18V", "TCGA-E2-A1BD"
SMALL = {
    "meta_study.txt": "cancer_study_identifier: small\nname: Small\n",
    "meta_x.txt": "genetic_alteration_type: MRNA_EXPRESSION\ndatatype: CONTINUOUS\nstable_id: rna_seq_v2_mrna\n"
    "data_filename: one.txt\n",
    "one.txt": f"Hugo_Symbol\tEntrez_Gene_Id\t{A}-01\t{A}-06\t{B}-01\t{B}-11\n"
    "TP53\t7157\t1023\t1\t3\t9\nMLL2\t8085\t7\t1\t63\t9\nERBB2\t2064\t0\t1\tNA\t9\n",
    "meta_y.txt": "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: LOG2-VALUE\nstable_id: log2CNA\n"
    "data_filename: two.txt\n",
    "two.txt": f"Hugo_Symbol\t{B}-01\t{C}-01\nKMT2D\t-0.5\t0.25\nTP53\t0.1\t0.2\nMYC\t1\t2\n",
    "meta_z.txt": "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: DISCRETE\nstable_id: gistic\n"
    "data_filename: three.txt\n",
    "three.txt": f"Hugo_Symbol\t{B}-01\t{C}-01\nKMT2D\t-1\t0\nTP53\t2\t1\n",
    "meta_c.txt": "genetic_alteration_type: CLINICAL\ndatatype: PATIENT_ATTRIBUTES\ndata_filename: c.txt\n",
    "c.txt": f"PATIENT_ID\tAGE\tOS_MONTHS\tOS_STATUS\n{A}\t60\t12\t1:DECEASED\n{B}\t50\t24\t0:LIVING\n",
    "meta_m.txt": "genetic_alteration_type: MUTATION_EXTENDED\ndatatype: MAF\nstable_id: mutations\n"
    "data_filename: m.txt\n",
    "m.txt": f"Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\nTP53\tMissense_Mutation\t{A}-01\n",
    "case_lists/cases_sequenced.txt": f"stable_id: small_sequenced\ncase_list_ids: {A}-01\t{B}-01\n",
}
TROUBLES = (
    "clinical_without_headers", "mutations_unknown_columns", "windows_line_ends", "not_utf8", "gene_rows_twice",
    "sample_in_one_omic", "empty_matrix", "duplicated_matrix", "sample_swap",
)  # fmt: skip


def make(folder: Path, **changes: str | None) -> Path:
    """Write the small study; keywords replace a file by its name without ending, None removes it."""
    stems = {Path(name).stem: name for name in SMALL}
    files = {**SMALL, **{stems.get(key, f"{key}.txt"): text for key, text in changes.items()}}
    for name, text in files.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def log_of(study, step: str) -> pd.DataFrame:
    return study.decisions[(study.decisions["step"] == step) & (study.decisions["count"] > 0)]


class TestSmallStudy:
    def test_matrices_are_on_the_scale_of_the_analyses(self, tmp_path):
        study = read_study(make(tmp_path), drivers=["TP53"])
        expression, copies = study.matrices
        assert (expression.omic, expression.patients, expression.genes) == (
            "expression",
            (A, B),
            ("TP53", "KMT2D", "ERBB2"),
        )
        np.testing.assert_allclose(expression.values, [[10, 3, 0], [2, 6, np.nan]], atol=1e-5)
        assert (copies.omic, copies.patients, copies.genes) == ("copy_number", (B, C), ("KMT2D", "TP53", "MYC"))

    def test_tables_hold_all_patients(self, tmp_path):
        study = read_study(make(tmp_path), drivers=["TP53"])
        assert study.clinical["patient"].tolist() == study.mutated["patient"].tolist() == [A, B, C]
        np.testing.assert_array_equal(study.mutated["mut_TP53"], [1, 0, np.nan])
        assert study.clinical["sample_expression"].tolist() == [f"{A}-01", f"{B}-01", ""]
        assert study.clinical["sample_mutations"].tolist() == [f"{A}-01", f"{B}-01", ""]
        assert np.isnan(study.clinical["age"].iloc[2])
        assert log_of(study, "patient")["reason"].tolist() == [
            "has expression only",
            "has copy_number only",
            "no clinical row",
        ]

    def test_written_files(self, tmp_path):
        write_omics(read_study(make(tmp_path / "in"), drivers=["TP53"]), tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
        tensor = open_tensor(tmp_path / "out")
        assert (tensor.patients, tensor.genes, tensor.omics) == (
            (A, B, C),
            ("KMT2D", "TP53"),
            ("expression", "copy_number"),
        )
        nan = np.nan
        np.testing.assert_allclose(
            tensor.values, [[[3, nan], [10, nan]], [[6, -0.5], [2, 0.1]], [[nan, 0.25], [nan, 0.2]]], atol=1e-5
        )
        decisions = pd.read_parquet(tmp_path / "out" / "decisions.parquet")
        assert list(decisions.columns) == list(DECISION_COLUMNS)
        assert (
            not decisions.astype(str)
            .apply(lambda column: column.str.contains(str(tmp_path), regex=False))
            .any(axis=None)
        )

    def test_union_of_genes_and_discrete_copy_number(self, tmp_path):
        choices = Choices(genes="union", copy_number="discrete")
        study = read_study(make(tmp_path / "in"), drivers=[], choices=choices)
        write_omics(study, tmp_path / "out")
        tensor = open_tensor(tmp_path / "out")
        assert tensor.genes == ("ERBB2", "KMT2D", "TP53")
        np.testing.assert_array_equal(tensor.values[1, :, 1], [np.nan, -1, 2])

    def test_same_bytes_twice(self, tmp_path):
        for name in ("a", "b"):
            write_omics(read_study(make(tmp_path / f"in-{name}"), drivers=["TP53"]), tmp_path / name)
        for name in FILES:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    @pytest.mark.parametrize("suffix", [".tar.gz", ".tar"])
    def test_tarball(self, tmp_path, suffix):
        make(tmp_path / "in")
        archive = tmp_path / f"small{suffix}"
        with tarfile.open(archive, "w:gz" if suffix == ".tar.gz" else "w") as tar:
            tar.add(tmp_path / "in", arcname="small")
        study = read_study(archive, drivers=["TP53"])
        pd.testing.assert_frame_equal(study.clinical, read_study(tmp_path / "in", drivers=["TP53"]).clinical)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", archive.name]

    def test_half_a_tarball(self, tmp_path):
        make(tmp_path / "in")
        archive = tmp_path / "small.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "in", arcname="small")
        archive.write_bytes(archive.read_bytes()[:400])
        with pytest.raises(DataError, match=r"small.tar.gz: is not a whole tar file"):
            read_study(archive, drivers=[])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "small.tar.gz"]


class TestFaults:
    @pytest.mark.parametrize(
        ("change", "step", "words"),
        [
            ({"one": None}, "meta", "names a file that is not there"),
            ({"one": f"Hugo_Symbol\t{A}-01\n"}, "expression", "holds a header and no rows"),
            ({"one": f"Hugo_Symbol\t{A}-11\nTP53\t1\n"}, "expression", "no column is a tumour sample"),
            ({"one": f"Hugo_Symbol\t{A}-01\n\t1\n"}, "expression", "holds no row of a gene"),
            ({"one": f"Hugo_Symbol\t{A}-01\nTP53\tNA\n"}, "expression", "no gene has enough values"),
            ({"m": "Hugo_Symbol\tVariant\nTP53\tx\n"}, "mutations", "no column Variant_Classification"),
            ({"c": "WHO\tAGE\nx\t1\n"}, "clinical_patient", "no column of patients"),
            ({"meta_x": SMALL["meta_x.txt"].replace("one.txt", "../../etc/passwd")}, "meta", "outside the study"),
            ({"meta_x": SMALL["meta_x.txt"].replace("data_filename: one.txt\n", "")}, "meta", "names no data file"),
        ],
    )
    def test_one_bad_table_is_one_row_and_the_rest_goes_on(self, tmp_path, change, step, words):
        study = read_study(make(tmp_path, **change), drivers=["TP53"])
        rows = log_of(study, step).query("decision == 'left out'")
        assert len(rows) == 1
        assert words in rows["reason"].iloc[0]
        assert "copy_number" in [matrix.omic for matrix in study.matrices]

    def test_nothing_left_raises_the_first_fault(self, tmp_path):
        folder = make(tmp_path, one="x\ty\n", two="", three="", c="")
        with pytest.raises(DataError, match=r"neither a matrix nor a clinical table can be read. First fault: c.txt"):
            read_study(folder, drivers=[])

    def test_no_study(self, tmp_path):
        with pytest.raises(DataError, match="no meta file"):
            read_study(tmp_path, drivers=[])
        with pytest.raises(DataError, match="is not a folder"):
            study_root(tmp_path / "nothing")

    def test_next_profile_serves_when_the_best_is_broken(self, tmp_path):
        study = read_study(make(tmp_path, two="Hugo_Symbol\n"), drivers=[])
        assert study.matrices[1].values.tolist() == [[-1, 2], [0, 1]]

    def test_no_gene_in_common(self, tmp_path):
        study = read_study(make(tmp_path / "in", two=f"Hugo_Symbol\t{B}-01\nMYC\t1\n"), drivers=[])
        with pytest.raises(DataError, match="no gene is common"):
            write_omics(study, tmp_path / "out")
        assert not (tmp_path / "out" / "tensor.npy").exists()

    def test_profiles_are_ranked_by_meta_not_by_name(self, tmp_path):
        make(
            tmp_path,
            meta_a=SMALL["meta_x.txt"].replace("rna_seq_v2_mrna", "mrna").replace("one.txt", "a.txt"),
            meta_b=SMALL["meta_x.txt"].replace("CONTINUOUS", "Z-SCORE"),
            a="Hugo_Symbol\ts\nTP53\t1\n",
        )
        log = Decisions()
        found = [p.stable_id for p in read_profiles(tmp_path, Choices(), log) if p.kind == "expression"]
        assert found == ["rna_seq_v2_mrna", "mrna"]
        assert "MRNA_EXPRESSION Z-SCORE" in log.frame()["reason"].tolist()
        assert sequenced_samples(tmp_path, log) == [f"{A}-01", f"{B}-01"]
        (tmp_path / "case_lists" / "cases_sequenced.txt").unlink()
        assert sequenced_samples(tmp_path, log) is None


class TestTensor:
    def test_axes_and_contract(self, tmp_path):
        a = OmicMatrix("a", ("p2", "p1"), ("y", "x"), np.array([[1, 2], [3, 4]], np.float32))
        b = OmicMatrix("b", ("p3",), ("z", "x"), np.array([[5, 6]], np.float32))
        assert tensor_axes([a, b]) == (("p1", "p2", "p3"), ("x",))
        assert tensor_axes([a, b], "union")[1] == ("x", "y", "z")
        tensor = write_tensor([a, b], tmp_path, genes="union")
        assert tensor.values.dtype == np.float32
        assert isinstance(tensor.values, np.memmap)
        assert tensor.values[0, :2, 0].tolist() == [4, 3]
        assert tensor.values[2, ::2, 1].tolist() == [6, 5]
        assert np.isnan(tensor.values).sum() == 18 - 6

    def test_refusals(self, tmp_path):
        with pytest.raises(ValueError, match="stands twice"):
            OmicMatrix("a", ("p", "p"), ("x",), np.zeros((2, 1), np.float32))
        with pytest.raises(ValueError, match="for 1 x 2"):
            OmicMatrix("a", ("p",), ("x", "y"), np.zeros((2, 1), np.float32))
        with pytest.raises(DataError, match="no omics matrix"):
            tensor_axes([])
        with pytest.raises(DataError, match="is not there"):
            open_tensor(tmp_path)
        one = OmicMatrix("a", ("p",), ("x",), np.zeros((1, 1), np.float32))
        write_tensor([one], tmp_path)
        np.save(tmp_path / "tensor.npy", np.zeros((2, 1, 1), np.float32))
        with pytest.raises(DataError, match="its axes have"):
            open_tensor(tmp_path)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_every_cell_is_where_it_belongs(self, tmp_path_factory, data):
        names = st.lists(st.sampled_from([f"n{i}" for i in range(9)]), min_size=1, unique=True)
        matrices = []
        for omic in ("a", "b", "c"):
            patients, genes = data.draw(names), data.draw(names)
            cells = [[zlib.crc32(f"{omic}{p}{g}".encode()) % 997 for g in genes] for p in patients]
            matrices.append(OmicMatrix(omic, tuple(patients), tuple(genes), np.array(cells, np.float32)))
        tensor = write_tensor(matrices, tmp_path_factory.mktemp("t"), genes="union")
        for k, matrix in enumerate(matrices):
            for i, patient in enumerate(tensor.patients):
                for j, gene in enumerate(tensor.genes):
                    there = patient in matrix.patients and gene in matrix.genes
                    expected = zlib.crc32(f"{matrix.omic}{patient}{gene}".encode()) % 997 if there else np.nan
                    np.testing.assert_equal(float(tensor.values[i, j, k]), expected)


@pytest.fixture(scope="module")
def phantom():
    from radgen_lib.sources.phantom.molecular import omics_matrices
    from radgen_lib.sources.phantom.truth import draw_truth

    spec = Phantom()
    truth = draw_truth(spec, 7)
    return truth, omics_matrices(truth, spec, 7)


def phantom_study(phantom, folder: Path, troubles: tuple[str, ...] = ()):
    from radgen_lib.sources.phantom.study import write_study
    from radgen_lib.sources.phantom.table_troubles import plant_table_troubles

    write_study(*phantom, folder, seed=7)
    planted = plant_table_troubles(folder, troubles, 7).set_index("trouble")
    study = read_study(folder, drivers=["TP53", "PIK3CA", "CDH1"])
    write_omics(study, folder / "out")
    return study, planted, pd.read_parquet(folder / "out" / "quality.parquet")


class TestPhantom:
    def test_what_was_drawn_is_what_is_read(self, phantom, tmp_path):
        truth, matrices = phantom
        study, _, quality = phantom_study(phantom, tmp_path)
        assert [matrix.omic for matrix in study.matrices] == ["expression", "copy_number", "methylation"]
        for matrix, atol in zip(study.matrices[:2], (1e-3, 1e-3), strict=True):
            drawn = matrices[matrix.omic]
            samples = study.clinical.set_index("patient").loc[list(matrix.patients), f"sample_{matrix.omic}"]
            np.testing.assert_allclose(matrix.values.T, drawn.loc[list(matrix.genes), samples].to_numpy(), atol=atol)
        people = truth.patients.set_index("patient").loc[study.clinical["patient"]]
        for column in ("er", "pr", "her2"):
            known = study.clinical[column].notna().to_numpy()
            assert known.mean() > 0.6
            np.testing.assert_array_equal(study.clinical.loc[known, column], people.loc[known, column])
        known = study.clinical["os_days"].notna().to_numpy()
        np.testing.assert_allclose(study.clinical.loc[known, "os_days"], people.loc[known, "os_days"], atol=0.6)
        for gene in ("TP53", "PIK3CA", "CDH1"):
            known = study.mutated[f"mut_{gene}"].notna().to_numpy()
            np.testing.assert_array_equal(study.mutated.loc[known, f"mut_{gene}"], people.loc[known, f"mut_{gene}"])
        assert not quality["flag"].any()

    def test_all_troubles_at_once(self, phantom, tmp_path):
        study, planted, quality = phantom_study(phantom, tmp_path, TROUBLES)
        assert set(planted.index) == set(TROUBLES)
        gene = planted.loc["gene_rows_twice", "where"].partition(":")[0]
        assert log_of(study, "gene rows twice")["item"].tolist() == [gene]
        assert "is not UTF-8 text" in log_of(study, "text")["reason"].tolist()
        assert "holds a header and no rows" in log_of(study, "methylation")["reason"].iloc[0]
        assert any(reason == "has copy_number only" for reason in log_of(study, "patient")["reason"])
        twice = quality.query("check == 'matrix twice' and flag")
        assert twice["item"].tolist() == [planted.loc["duplicated_matrix", "file"]]
        swapped = quality.query("check == 'sample swap'")["item"].tolist()
        assert sorted(swapped) == sorted(name[:12] for name in planted.loc["sample_swap", "where"].split(" and "))
        assert study.mutated["mut_TP53"].sum() > 10

    def test_exchange_in_methylation(self, phantom, tmp_path):
        _, planted, quality = phantom_study(phantom, tmp_path, ("sample_swap",))
        names = sorted(name[:12] for name in planted.loc["sample_swap", "where"].split(" and "))
        found = quality.query("check == 'sample swap'")
        assert sorted(found.query("omic == 'expression, methylation'")["item"]) == names
        assert "expression, copy_number" not in set(found["omic"])
