"""A skip that is forbidden fails: a check that is absent does not pass for one that was made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TESTS = """
import pytest

def test_with_a_program():
    pytest.skip("needs dciodvfy (Debian package dicom3tools)")

@pytest.mark.skipif(True, reason="no CUDA device")
def test_with_a_device():
    raise AssertionError

@pytest.mark.xfail(reason="dciodvfy is expected to complain")
def test_expected():
    raise AssertionError

def test_made():
    pass
"""
ABSENT = "import pytest\npytest.importorskip('no_such_package')\n\ndef test_it():\n    pass\n"


def outcome(folder: Path, forbidden: str | None) -> str:
    """Last line of pytest on two small files, under the hooks of this suite."""
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_absent.py").write_text(ABSENT)
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if name != "RADGEN_NO_SKIPS"}
    environment = kept if forbidden is None else {**kept, "RADGEN_NO_SKIPS": forbidden}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--continue-on-collection-errors",
    ]
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return told.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("forbidden", "counts"),
    [
        (None, "1 passed, 3 skipped, 1 xfailed"),
        ("", "1 passed, 3 skipped, 1 xfailed"),
        ("Dciodvfy, Orthanc", "1 failed, 1 passed, 2 skipped, 1 xfailed"),
        ("no_such_package", "1 passed, 2 skipped, 1 xfailed, 1 error"),
        ("all", "1 failed, 1 passed, 1 xfailed, 2 errors"),
    ],
)
def test_forbidden_skips_fail_and_the_others_stay(tmp_path: Path, forbidden: str | None, counts: str) -> None:
    assert counts in outcome(tmp_path, forbidden)
