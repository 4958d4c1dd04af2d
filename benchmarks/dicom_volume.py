"""A DICOM series to a normalised 32 x 128 x 128 volume: ours, SimpleITK's series reader, and dcm2niix.

Each path starts from folders with one file a slice and ends with the same arrays: canonical orientation, linear grid,
divided by its 99.5th percentile. All run on one thread, taking turns. Then one shard of several studies through
ingestion with one process and with all cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import Result, alternate, parser, pin, report

GRID = (32, 128, 128)
PEERS = {"sitk": "SimpleITK series reader", "dcm2niix": "dcm2niix + nibabel"}


def write_series(folder: Path, shape: tuple[int, int, int], *, patient: str, phase: int) -> dict[str, object]:
    """One sagittal phase as DICOM files below ``folder``; its row of the ledger."""
    import numpy as np
    import pandas as pd
    from scipy.ndimage import zoom

    from radgen_lib.sources.phantom.dicom import Geometry, encode, images, study_header, uid

    rng = np.random.default_rng(phase)
    coarse = rng.gamma(2.0, 200.0, size=[max(2, n // 8) for n in shape])
    values = zoom(coarse, np.array(shape) / coarse.shape, order=1) + rng.gamma(2.0, 10.0, size=shape)
    facts = {"patient": patient, "manufacturer": "GE", "scanner": "GE Signa 1.5T", "field_strength": 1.5, "age": 50.0}
    header = study_header(pd.Series({**facts, "site": "S1"}), study=1, seed=0)
    header.SeriesInstanceUID, header.SeriesNumber, header.InstanceNumber = uid(0, patient, phase), str(phase + 1), "1"
    header.AcquisitionTime, header.ImageType = f"0910{phase:02d}.000000", ["ORIGINAL", "PRIMARY", "OTHER"]
    header.RepetitionTime, header.EchoTime, header.FlipAngle = "6.3", "3.1", "10"
    header.SeriesDescription, header.AcquisitionNumber = "SAG DYN", str(phase + 1)
    header.ScanningSequence, header.SequenceVariant, header.ScanOptions, header.MRAcquisitionType = "GR", "SP", "", "3D"
    if phase:
        header.ContrastBolusAgent = "GADOLINIUM"
    geometry = Geometry((-80.0, -100.0, 90.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (2.5, 0.0, 0.0), 0.78, 0.78, 2.5)
    folder.mkdir(parents=True)
    for image in images(header, np.clip(values, 0, 60000).astype(np.uint16), geometry, name="bench", seed=0):
        (folder / f"{int(image.InstanceNumber):04d}.dcm").write_bytes(encode(image))
    return {
        "patient": patient, "study": str(header.StudyInstanceUID), "series": str(header.SeriesInstanceUID),
        "status": "ok", "reason": "",
    }  # fmt: skip


def write_store(root: Path, shape: tuple[int, int, int], *, studies: int, phases: int) -> Any:
    """A store of ``studies`` patients with ``phases`` series each; its ledger."""
    import pandas as pd

    rows = []
    for study in range(studies):
        patient = f"PHAN-S1-{study + 1:04d}"
        for phase in range(phases):
            folder = f"dicom/{patient}/{phase}"
            rows.append({"folder": folder, **write_series(root / folder, shape, patient=patient, phase=phase)})
    return pd.DataFrame(rows)


def normalised(grid: Any) -> Any:
    """``grid`` divided by its 99.5th percentile."""
    import numpy as np

    return grid / np.float32(np.percentile(grid, 99.5))


def ours(root: Path, ledger: Any) -> list[Any]:
    """Headers, phases, volumes, canonical orientation and grid, as ingestion does it; one array a series."""
    from radgen_lib.imaging.dicom.phases import find_phases
    from radgen_lib.imaging.dicom.read import read_volume
    from radgen_lib.imaging.dicom.scan import scan
    from radgen_lib.imaging.resample import canonical, to_grid

    _, members, _ = find_phases(scan(root, ledger, jobs=1).instances)
    return [normalised(to_grid(canonical(read_volume(rows, root)), GRID)) for rows in members.values()]


def by_sitk(folder: Path) -> Any:
    """SimpleITK (GDCM): series reader, orientation, resampling."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    # First axis back, second down, third to the right: the canonical order of a sagittal volume.
    return normalised(_on_grid(sitk.DICOMOrient(reader.Execute(), "PIR")))


def by_dcm2niix(folder: Path) -> Any:
    """dcm2niix to an uncompressed NIfTI file on a disk in memory where there is one, then nibabel and SimpleITK."""
    import nibabel as nib
    import numpy as np
    import SimpleITK as sitk

    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as made:
        command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "volume", "-o", made, str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        image = nib.load(next(Path(made).glob("*.nii")))
        turned = image.as_reoriented(
            nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("PIR"))
        )
        plain = sitk.GetImageFromArray(np.asarray(turned.dataobj).transpose(2, 1, 0))
    return normalised(_on_grid(plain))


def _on_grid(image: Any) -> Any:
    """Linear resampling over the whole field of view, corner to corner."""
    import numpy as np
    import SimpleITK as sitk

    size = list(reversed(GRID))
    spacing = [(n - 1) * s / (m - 1) for n, s, m in zip(image.GetSize(), image.GetSpacing(), size, strict=True)]
    frame = (image.GetOrigin(), spacing, image.GetDirection(), 0.0, sitk.sitkFloat32)
    filter_args = (size, sitk.Transform(), sitk.sitkLinear, *frame)
    return np.asarray(sitk.GetArrayFromImage(sitk.Resample(image, *filter_args)))


def versions() -> dict[str, str]:
    """Versions of the peers; dcm2niix is "" where it is not installed."""
    import SimpleITK as sitk

    found = {"sitk": str(sitk.Version().VersionString()), "dcm2niix": ""}
    if shutil.which("dcm2niix"):
        told = subprocess.run(["dcm2niix", "-v"], capture_output=True, text=True, check=False).stdout.split()
        found["dcm2niix"] = next((word for word in reversed(told) if word.startswith("v1.")), "unknown version")
    return found


def agreement(mine: list[Any], theirs: list[Any]) -> float:
    """Largest difference of a peer's volumes from ours, in units of the scale."""
    import numpy as np

    # The last place of an axis may fall just outside the image for SimpleITK, which then writes zero.
    inner = (slice(0, -1),) * 3
    return float(max(np.abs(one[inner] - other[inner]).max() for one, other in zip(mine, theirs, strict=True)))


def one_study(shape: tuple[int, int, int], *, series: int, repeats: int) -> list[Result]:
    """One core: our path against each peer, seconds a series of a study of ``series`` series."""
    found = versions()
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        ledger = write_store(root, shape, studies=1, phases=series)
        folders = [root / str(folder) for folder in ledger["folder"]]
        paths: dict[str, Callable[[], list[Any]]] = {"sitk": lambda: [by_sitk(folder) for folder in folders]}
        if found["dcm2niix"]:
            paths["dcm2niix"] = lambda: [by_dcm2niix(folder) for folder in folders]
        else:
            print("dcm2niix is not installed: not compared")
        mine = ours(root, ledger)
        apart = {name: agreement(mine, path()) for name, path in paths.items()}
        first, *others = alternate([lambda: ours(root, ledger), *paths.values()], repeats=repeats)
    size = f"{series} series of {' x '.join(map(str, shape))}"
    return [
        Result(
            "dicom_volume", size, first / series, PEERS[name], found[name], value / series, "s a series",
            f"largest difference {apart[name]:.2g}",
        )
        for name, value in zip(paths, others, strict=True)
    ]  # fmt: skip


def scaling(shape: tuple[int, int, int], *, studies: int, phases: int) -> Result:
    """Seconds a series of a whole shard, with one process and with all cores."""
    from radgen_lib.core.config.cohort import Imaging
    from radgen_lib.imaging.ingest import ingest_shard

    cores, seconds = os.cpu_count() or 1, []
    imaging = Imaging(source="folder", volume=list(GRID))
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        ledger = write_store(root, shape, studies=studies, phases=phases)
        for jobs in (cores, cores, 1):  # the first starts the processes and is not counted
            started = time.perf_counter()
            ingest_shard(ledger, root, root / f"out-{jobs}", imaging=imaging, names=None, jobs=jobs)
            seconds.append((time.perf_counter() - started) / len(ledger))
    size = f"{len(ledger)} series of {' x '.join(map(str, shape))}"
    return Result(
        "dicom_shard", size, seconds[1], "the same, one process", "", seconds[2], "s a series", f"{cores} processes"
    )


def main() -> None:
    """Measure and report."""
    made = parser(str(__doc__))
    options = made.parse_args()
    pin()
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    shape = (6, 32, 32) if options.quick else (60, 256, 256)
    results = [
        result for series in (1, 5) for result in one_study(shape, series=series, repeats=1 if options.quick else 9)
    ]
    results.append(scaling(shape, studies=2 if options.quick else 8, phases=2))
    report(results, options.out)


if __name__ == "__main__":
    main()
