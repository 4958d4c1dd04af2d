"""A real Orthanc server with its DICOMweb plug-in, on this machine, for one test run."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import requests

PROGRAMS = ("Orthanc", "/usr/sbin/Orthanc")
PLUGINS = (Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"), Path("/usr/lib/orthanc/libOrthancDicomWeb.so"))


def orthanc_missing() -> str:
    """Why the server cannot be started here, or ""."""
    if not any(map(shutil.which, PROGRAMS)):
        return "needs Orthanc (Debian package orthanc)"
    return "" if any(path.exists() for path in PLUGINS) else "needs its DICOMweb plug-in (Debian: orthanc-dicomweb)"


def _ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """Start the server with an empty store below ``folder`` and yield its address; it ends with the block."""
    http, dicom = _ports()
    settings = {
        "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"), "HttpPort": http,
        "DicomPort": dicom, "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [str(next(path for path in PLUGINS if path.exists()))], "HttpThreadsCount": 4,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    program = next(found for found in map(shutil.which, PROGRAMS) if found)
    with open(folder / "orthanc.log", "wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{http}"
        _await(url, process, folder / "orthanc.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        try:
            if requests.get(f"{url}/system", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise RuntimeError(f"Orthanc does not answer: {log.read_text()[-2000:]}")
