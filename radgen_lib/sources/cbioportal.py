"""Studies of cBioPortal: the tarball of a study by its pinned address, verified, and unpacked with suspicion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from radgen_lib.core.errors import ConfigError
from radgen_lib.sources.download import fetch
from radgen_lib.sources.registry import UNKNOWN, Source, load_registry
from radgen_lib.sources.tar_archive import unpack_tar

ADDRESS = "https://cbioportal-datahub.s3.amazonaws.com/{study}.tar.gz"


def study_source(study: str, registry: Mapping[str, Source] | None = None) -> Source:
    """The registry's entry of a study, or one made from the address that the portal gives to all its tarballs.

    Of a study that the registry lacks no SHA-256 is known: it is recorded at the first download. Raises ConfigError
    for a name that no study has.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", study):
        raise ConfigError(f"omics.study = {study!r}: is not the name of a study, e.g. brca_tcga_pan_can_atlas_2018")
    known = load_registry() if registry is None else registry
    if study in known:
        return known[study]
    return Source(
        name=study,
        what=f"Study {study} of cBioPortal",
        url=ADDRESS.format(study=study),
        filename=f"{study}.tar.gz",
        bytes=None,
        sha256=UNKNOWN,
        licence="as stated by the study",
        citation="Cerami E et al. Cancer Discov 2012;2:401-404. doi:10.1158/2159-8290.CD-12-0095",
    )


def fetch_study(
    study: str,
    downloads: Path,
    folder: Path,
    *,
    mirror: Path | None,
    offline: bool,
    registry: Mapping[str, Source] | None = None,
    retries: int = 5,
    backoff: float = 1.0,
) -> Path:
    """Bring the tarball of ``study`` below ``downloads``, unpack its text files into ``folder``, and return that.

    A ``folder`` that already holds the study is kept. Raises DownloadError when the tarball cannot be had or is not
    the one of the registry, DataError when it cannot be unpacked.
    """
    if folder.is_dir() and any(folder.rglob("meta*.txt")):
        return folder
    source = study_source(study, registry)
    target = downloads / source.name / source.filename
    fetch(source, target, mirror=mirror, offline=offline, retries=retries, backoff=backoff)
    unpack_tar(target, folder, suffixes=(".txt",))
    return folder
