"""One look for all figures: colour-blind safe, readable on a phone, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008, ordered so that neighbours differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8A8A8A")
PROTOCOL_COLOURS = {"as_published": COLOURS[1], "rigorous": COLOURS[0]}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FAINT = "#1c2430", "#c9d0d8"
WIDTH = 4.6  # inches; at 100 % on a phone 11 pt text stays above 9 px

_RC: Any = {
    "font.size": 11, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.grid": False, "grid.color": FAINT, "grid.linewidth": 0.6, "axes.titlesize": 12,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 10,
    "figure.facecolor": "white", "savefig.facecolor": "white", "svg.hashsalt": "radgen", "svg.fonttype": "path",
    "path.simplify": True,
}  # fmt: skip


@contextmanager
def styled(width: float = WIDTH, height: float = 3.4) -> Iterator[Figure]:
    """Yield an empty figure of the given size (inches) under the report's style, without touching pyplot's state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    defaults: Any = mpl.rcParamsDefault
    with mpl.rc_context({**defaults, **_RC, "backend": "agg"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def as_svg(figure: Figure) -> bytes:
    """SVG bytes without date; text becomes paths, so that the page looks the same on every machine."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "radgen"})
    return stream.getvalue()


def as_png(figure: Figure, dpi: int = 130) -> bytes:
    """PNG bytes without software stamp (pictures of pixels; curves are SVG)."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def nothing_to_show(reason: str) -> bytes:
    """A figure that says why it is empty."""
    with styled(height=1.2) as figure:
        figure.set_layout_engine("none")
        figure.text(0.5, 0.5, reason, ha="center", va="center", wrap=True, color="#5b6673")
        return as_svg(figure)
