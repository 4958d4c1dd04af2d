"""The page as a browser shows it, wide and on a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workflow.conftest import Finished

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium, chromium-browser or google-chrome on the PATH"),
]
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions",
    "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage", "--proxy-server=127.0.0.1:9",
)  # fmt: skip
# The page in a frame of a phone's width; the width that its content takes is written into the outer page.
FRAME = """<!doctype html><body><iframe id="f" src="{page}" style="width:{width}px;height:2000px;border:0"></iframe>
<script>document.getElementById("f").onload = function () {{
  var inner = this.contentDocument.documentElement;
  document.body.setAttribute("data-width", inner.scrollWidth + " of " + inner.clientWidth);
}};</script></body>"""


def browse(folder: Path, *words: str) -> str:
    """Run the browser on a profile of its own; what it prints."""
    assert BROWSER is not None
    command = [BROWSER, *QUIET, f"--user-data-dir={folder / 'profile'}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=folder)
    return done.stdout


@pytest.mark.parametrize("width", [1200, 390])
def test_page_shows_something(finished: Finished, tmp_path: Path, width: int) -> None:
    page = (finished.results / "report/index.html").as_uri()
    browse(tmp_path, f"--window-size={width},2000", f"--screenshot={tmp_path / 'shot.png'}", page)
    pixels = np.asarray(Image.open(tmp_path / "shot.png").convert("L"))
    assert pixels.shape[0] >= 1500
    rows = pixels.std(axis=1) > 2
    assert rows.mean() > 0.2, "most of the page is blank"
    assert len(np.unique(pixels)) > 16


@pytest.mark.parametrize("width", [1200, 390])
def test_page_is_not_wider_than_the_screen(finished: Finished, tmp_path: Path, width: int) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=(finished.results / "report/index.html").as_uri(), width=width))
    words = ("--allow-file-access-from-files", "--virtual-time-budget=10000", "--window-size=1300,2100", "--dump-dom")
    found = re.search(r'data-width="(\d+) of (\d+)"', browse(tmp_path, *words, frame.as_uri()))
    assert found is not None, "the frame could not be measured"
    assert int(found[2]) == width and int(found[1]) <= width
