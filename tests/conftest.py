"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Words, joined by commas; a test that is skipped for a reason with one of them fails instead. "all": every skip.
NO_SKIPS = "RADGEN_NO_SKIPS"


def _forbidden(reason: str) -> bool:
    words = [word.strip().lower() for word in os.environ.get(NO_SKIPS, "").split(",") if word.strip()]
    return "all" in words or any(word in reason.lower() for word in words)


def _failed(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that must not be into a failure; an expected failure (xfail) is none."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if _forbidden(reason):
        report.outcome = "failed"
        report.longrepr = f"{reason} ({NO_SKIPS} forbids this skip)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail tests whose skip is forbidden."""
    report = yield
    _failed(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail files whose skip is forbidden."""
    report = yield
    _failed(report)
    return report


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder with the real released files, or skip."""
    folder = os.environ.get("RADGEN_MIRROR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real released files: set RADGEN_MIRROR to a folder that holds them")
    return Path(folder)
