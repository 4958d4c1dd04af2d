"""The checks of ``radgen doctor``: each returns rows of what was found and what to do about it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from radgen_lib.core.digest import LIBRARY
from radgen_lib.core.machine import available_memory

if TYPE_CHECKING:
    from radgen_lib.core.config.model import Config
    from radgen_lib.sources.registry import Source

ROOT = LIBRARY.parent
GB = 1 << 30
# Gigabytes below which a run gets tight, and below which it cannot work: the demo is held under 4 GB of memory, and
# the `paper` preset keeps samples and weights of every fold.
DISK = {"paper": (20.0, 2.0)}
DISK_SMALL = (2.0, 0.5)
MEMORY = (4.0, 1.0)
NAMED = 5


class Check(NamedTuple):
    """One row: OK, WARN or FAIL, what was checked, what was found, what to do."""

    status: Literal["OK", "WARN", "FAIL"]
    what: str
    found: str
    todo: str = ""


def check_python() -> Check:
    """Python must be the version that the packages are pinned for."""
    found = platform.python_version()
    if sys.version_info[:2] != (3, 11):
        return Check("FAIL", "python", found, "Install Python 3.11 and run `make setup PYTHON=python3.11`")
    return Check("OK", "python", found)


def check_packages(root: Path = ROOT) -> Check:
    """Installed packages against the requirements, and against ``constraints.txt`` where it stands in ``root``."""
    todo = "Run `make setup`, or `pip install -c constraints.txt -e .` in the project folder"
    absent = sorted(name for name in _required(root) if _installed(name) is None)
    if absent:
        return Check("FAIL", "packages", f"not installed: {', '.join(absent)}", todo)
    pins = _pins(root / "constraints.txt")
    if not pins:
        return Check("OK", "packages", "all requirements installed (no constraints.txt here to compare with)")
    # A build label (2.13.0+cpu) names the same release.
    found = {name: version.split("+")[0] for name in pins if (version := _installed(name))}
    other = [f"{name} {found[name]} (pinned {pins[name]})" for name in found if found[name] != pins[name]]
    if other:
        more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
        return Check("WARN", "packages", "; ".join(other[:NAMED]) + more, todo)
    return Check("OK", "packages", f"{len(found)} installed, each as pinned in constraints.txt")


def _pins(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {found[1]: found[2] for line in lines if (found := re.match(r"([\w.-]+)==([^\s;#]+)", line))}


def _required(root: Path) -> list[str]:
    project = root / "pyproject.toml"
    if project.is_file():
        needs = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        needs = [text for text in metadata.requires("radgen") or [] if "extra ==" not in text]
    return [found[0] for text in needs if (found := re.match(r"[\w.-]+", text))]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_radiomics() -> Check:
    """Compute one feature with pyradiomics, its compiled part included."""
    import numpy as np

    todo = "Install a C compiler, then `pip install --no-deps --no-build-isolation pyradiomics==3.0.1`"
    try:
        import SimpleITK as sitk
        from radiomics.glcm import RadiomicsGLCM

        image = sitk.GetImageFromArray(np.arange(64, dtype=np.float64).reshape(1, 8, 8))
        mask = sitk.GetImageFromArray(np.ones((1, 8, 8), dtype=np.uint8))
        glcm = RadiomicsGLCM(image, mask, binCount=8)
        glcm.enableFeatureByName("Contrast")
        contrast = float(glcm.execute()["Contrast"])
    except (ImportError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        return Check("FAIL", "pyradiomics", f"{type(error).__name__}: {' '.join(str(error).split())}", todo)
    if not contrast > 0:
        return Check("FAIL", "pyradiomics", f"texture contrast of a ramp is {contrast}, must be above 0", todo)
    return Check("OK", "pyradiomics", f"{metadata.version('pyradiomics')}, a texture feature computes")


def check_device(config: Config) -> Check:
    """The device that torch sees, against ``device:`` of the configuration."""
    import torch

    found = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        return Check("OK", "device", f"{found}, {torch.cuda.get_device_name()}")
    if config.device == "cuda":
        todo = "Install a torch build for your accelerator (see README), or set `device: auto`"
        return Check("FAIL", "device", f"{found} sees no accelerator, and the configuration says device: cuda", todo)
    if config.device == "auto" and config.preset == "paper":
        return Check("WARN", "device", f"{found}, no accelerator", "The paper preset takes days without one")
    return Check("OK", "device", f"{found}, processor ({os.cpu_count()} cores)")


def check_disk(config: Config) -> Check:
    """Free space where the results go."""
    place = standing(Path(config.results))
    free = shutil.disk_usage(place).free / GB
    return _amount("disk", free, DISK.get(config.preset, DISK_SMALL), "results:", "Free space, or set `results:`")


def check_memory(info: Path = Path("/proc/meminfo"), control: Path = Path("/sys/fs/cgroup")) -> Check:
    """Memory available to this process, with the limit of its control group where there is one."""
    free = available_memory(info, control)
    if free is None:
        return Check("WARN", "memory", "cannot be read on this system", f"See that {MEMORY[0]:g} GB are free")
    return _amount("memory", free / GB, MEMORY, "available:", "Close other programs, or use a larger machine")


def _amount(what: str, found: float, bounds: tuple[float, float], label: str, todo: str) -> Check:
    tight, least = bounds
    text = f"{label} {found:.1f} GB free"
    if found < least:
        return Check("FAIL", what, f"{text}, at least {least:g} GB needed", todo)
    if found < tight:
        return Check("WARN", what, f"{text}, {tight:g} GB advised", todo)
    return Check("OK", what, text)


def check_folders(config: Config) -> Iterator[Check]:
    """Every folder that is written must be writable, or be possible to make; none is made here."""
    for key in ("results", "downloads", "resume"):
        place = standing(Path(getattr(config, key)))
        try:
            with tempfile.TemporaryFile(dir=place):
                yield Check("OK", f"folder {key}", str(getattr(config, key)))
        except OSError as error:
            found = f"{place}: {error.strerror}"
            yield Check("FAIL", f"folder {key}", found, f"Make it writable, or set `{key}:` to another folder")


def standing(path: Path) -> Path:
    """``path`` or the nearest folder above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def check_sources(config: Config, registry: Mapping[str, Source], cohort: str, mirror: Path | None) -> Check:
    """The files of a released cohort, those of its factors too: in the downloads, in the mirror, or reachable."""
    from radgen_lib.cohort.released import FILES
    from radgen_lib.core.factor_layout import GENE_SETS, RELEASED_RECEPTORS, RELEASED_TENSOR

    names = (*FILES, *RELEASED_TENSOR, GENE_SETS, RELEASED_RECEPTORS)
    return check_files(config, registry, names, f"files of {cohort}", mirror)


def check_files(
    config: Config, registry: Mapping[str, Source], names: Iterable[str], what: str, mirror: Path | None
) -> Check:
    """Files of the registry: in the downloads, in the mirror, or reachable."""
    from radgen_lib.sources.status import source_status

    names = list(names)
    unknown = [name for name in names if name not in registry]
    if unknown:
        return Check("FAIL", what, f"not in the registry: {', '.join(unknown)}", "Add them to the file of `registry:`")
    needed = {name: registry[name] for name in names}
    downloads = Path(config.downloads)
    here = source_status(needed, downloads=downloads, mirror=mirror, check_network=False)
    wrong = here[here["verified"].str.startswith("no")]
    if len(wrong):
        found = f"{wrong['file'].iloc[0]} in {wrong['where'].iloc[0]}: {wrong['verified'].iloc[0]}"
        return Check("FAIL", what, found, "Remove the wrong file (see `radgen sources`) and fetch it again")
    away = {name: needed[name] for name in here.loc[here["where"] == "none", "name"]}
    if not away:
        return Check("OK", what, f"{len(needed)} of {len(needed)} here and verified")
    missing = f"{len(away)} of {len(needed)} files not here"
    if config.offline:
        return Check("FAIL", what, f"{missing}, offline: true", "Set `mirror:` to a folder that has them")
    asked = source_status(away, downloads=downloads, mirror=mirror, check_network=True)
    refused = asked[asked["reachable"] != "yes"]
    if len(refused):
        found = f"{missing}, {len(refused)} not reachable ({refused['reachable'].iloc[0]})"
        return Check("FAIL", what, found, "Check network and proxy, or set `mirror:` or RADGEN_MIRROR")
    return Check("OK", what, f"{missing}, all reachable")


def check_weights(config: Config, registry: Mapping[str, Source]) -> Iterator[Check]:
    """The weights of each feature space, in the folder ``cpdm.weights``."""
    from radgen_lib.sources.checksums import fault_of

    folder = Path(config.cpdm.weights) if config.cpdm.weights else None
    for encoder in config.cpdm.encoders:
        what, source = f"weights {encoder}", registry.get(encoder)
        if source is None:
            yield Check("WARN", what, "not in the registry", "Tables will say that the weights are not present")
            continue
        path = folder / source.filename if folder else None
        if path is None or not path.is_file():
            origin = source.ask or f"Fetch {source.url}"
            place = folder or "a folder, named in `cpdm.weights`"
            yield Check("WARN", what, "not present, tables will say so", f"{origin} into {place}")
            continue
        fault = fault_of(source, path)[1]
        yield Check("FAIL", what, fault, f"Fetch {source.url} again") if fault else Check("OK", what, str(path))
