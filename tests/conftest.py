"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder with the real released files, or skip."""
    folder = os.environ.get("RADGEN_MIRROR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real released files: set RADGEN_MIRROR to a folder that holds them")
    return Path(folder)
