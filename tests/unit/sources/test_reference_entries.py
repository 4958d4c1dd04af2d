"""Registry, readers and page belong together."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from radgen_lib.core.digest import LIBRARY
from radgen_lib.core.errors import ConfigError, DataError
from radgen_lib.sources.reference.catalogue import READERS, read_reference, schemas
from radgen_lib.sources.reference.page import PAGE, data_page, write_page
from radgen_lib.sources.registry import load_registry

STUDY = "brca_tcga_pan_can_atlas_2018"


def test_every_reference_table_has_an_entry_with_a_known_sum() -> None:
    registry = load_registry()
    assert set(READERS) <= set(registry) and len(READERS) == 27
    assert all(registry[entry].sum_known for entry in READERS)
    assert set(schemas()) <= set(READERS)


def test_addresses_are_pinned_and_name_the_file() -> None:
    registry = load_registry()
    for source in (registry[entry] for entry in READERS):
        if source.url is None:
            assert source.name == "rnaseq_chr17" and source.ask.startswith("Ask ")
            continue
        owner, repository, commit, *path = source.url.removeprefix("https://raw.githubusercontent.com/").split("/")
        assert len(commit) == 40 and int(commit, 16) and unquote(path[-1]) == source.filename
        folder, _, inside = str(source.mirror_path).partition("/")
        assert folder in (f"{owner}_{repository}", f"{owner}_{repository}@{commit[:7]}")
        assert inside == unquote("/".join(path))


def test_two_versions_of_a_file_are_two_entries() -> None:
    registry = load_registry()
    first, second = registry["tcga2012_chr17"], registry["tcga2012_chr21"]
    assert first.filename == second.filename and first.sha256 != second.sha256 and first.url != second.url


def test_the_study_of_the_cohort_is_that_of_the_portal() -> None:
    source = load_registry()[STUDY]
    assert source.url is not None and source.url.endswith(f"/{STUDY}.tar.gz")
    assert source.bytes is None and not source.sum_known and "Hoadley" in source.citation


@pytest.mark.parametrize("entry", [entry for entry in READERS if not entry.startswith(("tcga2012", "cibersort"))])
def test_real_files_through_the_catalogue(mirror: Path, entry: str) -> None:
    source = load_registry()[entry]
    table, faults = read_reference(entry, mirror / str(source.mirror_path))
    assert len(table) and faults["kept"].all()
    if entry in schemas():
        schema = schemas()[entry]
        assert len(table) == schema.rows and list(table) == [column.to for column in schema.columns]
        assert not table.duplicated(list(schema.key)).any()


def test_a_file_of_another_entry_is_refused(mirror: Path) -> None:
    registry = load_registry()
    with pytest.raises(DataError, match="no column"):
        read_reference("timer", mirror / str(registry["pam50_receptors"].mirror_path))
    with pytest.raises(DataError, match="cannot be read as R data"):
        read_reference("cibersort", mirror / str(registry["timer"].mirror_path))


def test_an_entry_that_is_no_reference_table() -> None:
    with pytest.raises(ConfigError, match=r"vgg16: is no reference table\. Known: kegg_gene_sets"):
        read_reference("vgg16", Path("vgg16.pth"))


def test_the_page_is_that_of_the_registry() -> None:
    assert (LIBRARY.parent / PAGE).read_text(encoding="utf-8") == data_page(), (
        "bring it up to date with: python -m radgen_lib.sources.reference"
    )


def test_the_page_names_every_entry_and_column() -> None:
    page = data_page()
    for name, source in load_registry().items():
        assert f"| `{name}` | " in page and source.licence in page
    for entry, schema in schemas().items():
        assert f"- `{entry}`: " in page
        assert all(f"| `{column.to}` | " in page for column in schema.columns)


def test_writing_the_page(tmp_path: Path) -> None:
    assert write_page(tmp_path) == [PAGE] and write_page(tmp_path) == []
    (tmp_path / PAGE).write_text("drifted", encoding="utf-8")
    assert write_page(tmp_path) == [PAGE]
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == data_page()


def test_a_page_of_other_entries() -> None:
    registry = load_registry()
    page = data_page({name: registry[name] for name in ("timer", "radimagenet")})
    assert "### read_timer" in page and "### read_genefu" not in page
    assert "| unknown |" in page and registry["radimagenet"].ask in page
