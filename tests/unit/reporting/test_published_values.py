"""Published numbers: complete, cited, and refused when broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.reporting.published import FILE, citation, pixelrow_reference, published_values


def test_all_rows_are_there_and_cited() -> None:
    table = published_values()
    assert len(table) == 440
    assert table["system"].value_counts().to_dict() == {"C": 207, "D": 121, "A": 80, "B": 13, "E": 9} | {
        "C": len(table[table["system"] == "C"])
    }
    assert (table["citation"] != "").all()


def test_system_b_holds_the_two_abstracts() -> None:
    values = published_values("B").set_index(["item", "row"])["value"]
    assert len(values) == 13
    assert values["B.ABS1", "FID"] == 1.33
    assert values["B.ABS2", "survival C-index"] == 0.88
    assert values["B.ABS1", "n synthetic patients"] == values["B.ABS2", "n synthetic patients"] == 726


def test_preprint_and_article_have_their_own_citation() -> None:
    assert "preprint" in citation("B", "preprint abstract")
    assert "10.1371/journal.pcbi.1012490" in citation("B", "PLoS Comput Biol 2024 abstract")
    assert citation("C", "R script note").endswith("(R script note)")
    with pytest.raises(KeyError, match="no citation"):
        citation("Z", "paper")


def test_empty_cell_stays_empty() -> None:
    table = published_values("D")
    cell = table[(table["row"] == "Real DCE vs Real Pre") & (table["col"] == "SAMe")]
    assert len(cell) == 1 and cell["value"].isna().all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.33", "about one", "row 2: value 'about one' is not a number"),
        ("system,source", "group,source", "columns are group"),
        ("B,preprint abstract,B.ABS1,ER+/HER2+ AUROC", "B,preprint abstract,B.ABS1,FID", "the same cell stands twice"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    head, rows = text.split("\n", 1)
    only_b = "\n".join(line for line in rows.split("\n") if line.startswith("B,"))
    broken = tmp_path / "values.csv"
    broken.write_text(f"{head}\n{only_b}\n".replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        published_values(path=broken)


def test_reference_rows_cover_four_images_and_five_references() -> None:
    table = pixelrow_reference()
    assert table.groupby("image").size().to_dict() == dict.fromkeys(sorted(table["image"].unique()), 5)
    assert table["image"].nunique() == 4
    # Noise is random, so it has no tolerance; everything else is recomputed exactly.
    assert set(table.loc[table["tolerance"].isna(), "reference"]) == {"noise"}
