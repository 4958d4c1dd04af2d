"""The registry of downloads: what is shipped, and what a custom file may not say."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from radgen_lib.core.digest import file_sha256
from radgen_lib.core.errors import ConfigError
from radgen_lib.sources.registry import SHIPPED, load_registry

# What the portal gives to the tarballs of all its studies.
PORTAL = "https://cbioportal-datahub.s3.amazonaws.com/{study}.tar.gz"
ENTRY = {
    "what": "a table", "url": "https://example.org/a.csv", "filename": "a.csv", "bytes": 3, "sha256": "0" * 64,
    "licence": "MIT", "citation": "Nobody 2020", "mirror_path": "some/a.csv",
}  # fmt: skip


def write(folder: Path, **changes: object) -> Path:
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value != "LEAVE OUT"}
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"sources": {"table": entry}}))
    return path


def test_shipped_registry_names_what_the_rules_ask_for() -> None:
    registry = load_registry()
    cohort = {
        "btf_features", "side_view_index", "side_png", "gene_expression", "mutations", "receptors", "subgroups",
        "survival_a", "survival_b", "clinical",
    }  # fmt: skip
    assert cohort | {"vgg16", "resnet50", "inception", "radimagenet"} <= set(registry)
    assert all(source.name == name for name, source in registry.items())


def test_shipped_addresses_are_pinned_to_a_commit_and_name_the_file() -> None:
    for source in load_registry().values():
        if source.url is None:
            assert source.ask.startswith("Ask ")
        elif source.sum_known:
            owner, repository, commit, *path = source.url.removeprefix("https://raw.githubusercontent.com/").split("/")
            assert len(commit) == 40 and int(commit, 16)
            assert unquote(path[-1]) == source.filename
            folder, _, inside = str(source.mirror_path).partition("/")
            assert folder in (f"{owner}_{repository}", f"{owner}_{repository}@{commit[:7]}")
            assert inside == unquote("/".join(path))
        elif source.name == "brca_tcga_pan_can_atlas_2018":
            assert source.url == PORTAL.format(study=source.name)
        else:
            assert source.sha256_prefix and source.sha256_prefix in source.filename
            assert source.url == f"https://download.pytorch.org/models/{source.filename}"


def test_plus_signs_are_encoded_in_addresses_alone() -> None:
    subgroups = load_registry()["subgroups"]
    assert subgroups.url is not None and subgroups.url.endswith("/TCGABRCA_HER2%2BER%2B_subtypes.csv")
    assert subgroups.filename == "TCGABRCA_HER2+ER+_subtypes.csv"


def test_survival_tables_are_the_ones_the_cohort_expects(mirror: Path) -> None:
    registry = load_registry()
    paths = {name: mirror / str(registry[name].mirror_path) for name in ("survival_a", "survival_b")}
    heads = {name: path.read_text().splitlines()[0] for name, path in paths.items()}
    assert "OS_MONTHS" in heads["survival_a"]
    assert "time" in heads["survival_b"]


def test_shipped_sums_are_those_of_the_real_files(mirror: Path) -> None:
    known = [source for source in load_registry().values() if source.sum_known]
    assert len(known) == 40
    for source in known:
        path = mirror / str(source.mirror_path)
        assert (path.stat().st_size, file_sha256(path)) == (source.bytes, source.sha256), source.name


def test_a_registry_of_ones_own(tmp_path: Path) -> None:
    table = load_registry(write(tmp_path))["table"]
    assert (table.name, table.bytes, table.sum_known) == ("table", 3, True)
    assert not load_registry(str(write(tmp_path, sha256="unknown", bytes=None)))["table"].sum_known


def test_changing_the_loaded_registry_does_not_change_the_next_one() -> None:
    load_registry().clear()
    assert load_registry()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sha256": "abc"}, "sources.table.sha256 = 'abc'"),
        ({"sha256": "A" * 64}, "sources.table.sha256"),
        ({"sha256": "LEAVE OUT"}, "sources.table.sha256"),
        ({"bytes": "3"}, "sources.table.bytes = '3'"),
        ({"bytes": -1}, "sources.table.bytes = -1"),
        ({"url": "ftp://example.org/a"}, "sources.table.url = 'ftp://example.org/a'"),
        ({"url": "file:///etc/passwd"}, "sources.table.url"),
        ({"url": None}, "`ask` must say where"),
        ({"filename": "../a.csv"}, "sources.table.filename = '../a.csv'"),
        ({"filename": ".."}, "not the name of a file"),
        ({"mirror_path": "/etc/passwd"}, "must stay below the mirror"),
        ({"mirror_path": "a/../../b"}, "must stay below the mirror"),
        ({"licence": ""}, "sources.table.licence = ''"),
        ({"colour": "red"}, "sources.table.colour: unknown key"),
        ({"sha256_prefix": "11"}, "sources.table.sha256_prefix"),
        ({"sha256_prefix": "1111"}, "is not the beginning of sha256"),
        ({"name": "chair"}, "the key is the name"),
    ],
)
def test_schema_faults_are_one_line_with_key_and_value(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        load_registry(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sources: [1, 2]", "one block of keys per name"),
        ("- a", "one block of keys per name"),
        ("", "one block of keys per name"),
        ("sources: {a: 3}", "one block of keys per name"),
        ("sources: {}", "sources"),
        ("sources: {a: {b: 1}}\nmore: 2", "more: unknown key"),
        ("sources: {a: {}, a: {}}", "'a' stands twice in the block that begins at line 1"),
        ("sources: {a: {? [1, 2] : 3}}", "cannot be read"),
        ("a: [", "cannot be read"),
        ("!!python/object/apply:os.getcwd []", "cannot be read"),
        ("sources: {'a/b': {}}", "sources.a/b"),
    ],
)
def test_files_that_are_no_registry(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"registry\.yaml") as caught:
        load_registry(path)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_registry(tmp_path / "none.yaml")


@given(name=st.text(min_size=1, max_size=12))
def test_any_name_is_either_a_plain_folder_name_or_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("r") / "registry.yaml"
    path.write_text(yaml.safe_dump({"sources": {name: ENTRY}}, allow_unicode=True), encoding="utf-8")
    try:
        registry = load_registry(path)
    except ConfigError:
        return
    assert list(registry) == [name]
    assert name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()


def test_shipped_file_is_where_the_package_looks() -> None:
    assert SHIPPED.is_file() and SHIPPED.parent.name == "sources"
