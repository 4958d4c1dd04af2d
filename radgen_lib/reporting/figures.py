"""Figures of the report, as bytes of SVG: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from radgen_lib.reporting.diagram import cohort_flow
from radgen_lib.reporting.labels import label, rank
from radgen_lib.reporting.pictures import image_grid, nearest_pairs
from radgen_lib.reporting.ranges import range_kind
from radgen_lib.reporting.style import (
    COLOURS,
    INK,
    MARKERS,
    PROTOCOL_COLOURS,
    WIDTH,
    as_svg,
    nothing_to_show,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "auroc_forest", "cohort_flow", "frechet_reference", "image_grid", "kaplan_meier_figure", "nearest_pairs",
    "subgroup_pca", "training_curves",
]  # fmt: skip


def training_curves(log: pd.DataFrame) -> bytes:
    """Training loss against step: one panel per protocol and generator, one line per condition and fold.

    log: columns protocol, generator, step, loss, and where known condition and fold (the CSV logs of the training
    jobs). Losses are smoothed by the median of 1 % of the steps and drawn on a log axis.
    """
    log = log.dropna(subset=["step", "loss"]) if len(log) else log
    if not len(log):
        return nothing_to_show("no generator of this run is trained step by step")
    keys = [column for column in ("protocol", "generator") if column in log]
    lines = [column for column in ("condition", "fold") if column in log]
    panels = list(log.groupby(keys, sort=True))
    with styled(height=2.0 * len(panels) + 0.3) as figure:
        for axes, (name, part) in zip(figure.subplots(len(panels), 1, squeeze=False).flat, panels, strict=True):
            named = dict(zip(keys, name, strict=True))
            runs = list(part.groupby(lines, sort=True)) if lines else [(("",), part)]
            colour = PROTOCOL_COLOURS.get(str(named.get("protocol")), COLOURS[2])
            for _, run in runs:
                run = run.sort_values("step")
                smooth = run["loss"].rolling(max(1, len(run) // 100), min_periods=1).median()
                axes.plot(run["step"], smooth, color=colour, lw=1, alpha=max(0.25, 1 / len(runs) ** 0.5))
            axes.set_title(", ".join(label(k, str(v)) for k, v in named.items()) + f" ({len(runs)} runs)", fontsize=10)
            if (part["loss"] > 0).all():
                axes.set_yscale("log")
            axes.set_ylabel("loss")
            axes.grid(True, axis="y")
        axes.set_xlabel("training step")
        return as_svg(figure)


def kaplan_meier_figure(
    curves: Mapping[str, pd.DataFrame], *, title: str = "", note: str = "", times: Sequence[float] | None = None
) -> bytes:
    """Kaplan-Meier curves with 95 % bands and the number at risk below (B.F2).

    curves: group -> table with time (days), survival, low, high, at_risk (as ``metrics.survival.kaplan_meier``
    gives). times: days at which the number at risk is printed (default: each two years).
    """
    if not curves:
        return nothing_to_show("no risk groups: survival was not analysed")
    last = max(float(table["time"].max()) for table in curves.values())
    times = list(times) if times is not None else [365.25 * year for year in range(0, int(last / 365.25) + 1, 2)]
    with styled(height=3.5 + 0.25 * len(curves)) as figure:
        axes, below = figure.subplots(2, 1, height_ratios=[6, 0.6 * len(curves) + 0.6])
        for i, (name, table) in enumerate(curves.items()):
            years = table["time"] / 365.25
            axes.step(
                years, table["survival"], where="post", color=COLOURS[i], lw=2, label=name, ls=("-", "--", ":")[i % 3]
            )
            axes.fill_between(years, table["low"], table["high"], step="post", color=COLOURS[i], alpha=0.15, lw=0)
        axes.set(ylim=(0, 1.02), xlim=(0, last / 365.25), ylabel="surviving", xlabel="years")
        axes.set_title(title)
        axes.legend(loc="lower left", title=note or None, title_fontsize=9, alignment="left")
        _at_risk(below, curves, times, last)
        return as_svg(figure)


def _at_risk(axes: Any, curves: Mapping[str, pd.DataFrame], times: Sequence[float], last: float) -> None:
    axes.set(xlim=(0, last / 365.25), ylim=(len(curves) - 0.4, -0.6), yticks=range(len(curves)))
    axes.set_yticklabels(list(curves), fontsize=9)
    axes.set_title("number at risk", fontsize=9, fontweight="normal")
    axes.tick_params(left=False, bottom=False, labelbottom=False, pad=14)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for i, (colour, table) in enumerate(zip(COLOURS, curves.values(), strict=False)):
        for time in times:
            later = table[table["time"] >= time]
            count = int(later["at_risk"].iloc[0]) if len(later) else 0
            axes.text(time / 365.25, i, str(count), ha="center", va="center", fontsize=9, color=colour)


def subgroup_pca(points: pd.DataFrame, *, explained: Sequence[float] = (), what: str = "synthetic images") -> bytes:
    """Scatter of the first two principal components by subgroup (B.F2).

    points: columns pc1, pc2, group (text), one row a patient; explained: share of variance of each component.
    """
    if not len(points):
        return nothing_to_show("no patient has both a subgroup label and a synthetic image")
    with styled(height=3.6) as figure:
        axes = figure.subplots()
        for i, (name, part) in enumerate(points.groupby("group", sort=True)):
            text = f"{name} (n = {len(part)})"
            axes.scatter(
                part["pc1"],
                part["pc2"],
                s=26,
                color=COLOURS[i % 8],
                marker=MARKERS[i % 8],
                alpha=0.75,
                lw=0,
                label=text,
            )
        shares = [f" ({share:.0%} of variance)" for share in explained] + ["", ""]
        axes.set(xlabel=f"component 1{shares[0]}", ylabel=f"component 2{shares[1]}")
        axes.set_title(f"Features of {what}")
        figure.legend(loc="outside lower center", ncols=2)
        axes.grid(True)
        return as_svg(figure)


def auroc_forest(rows: pd.DataFrame, *, title: str = "") -> bytes:
    """Forest plot of AUROC by arm, a colour and marker per protocol; the line at 0.5 is chance.

    Lines are the rows' ranges; the legend says of which kind (an interval over patients, or a spread over tests).

    rows: result rows (metric auroc; arm, generator, design, protocol, value, low, high, interval, n) of one task,
    extractor and classifier. Rows without a number are left out.
    """
    rows = rows[(rows["metric"] == "auroc") & rows["value"].notna()] if len(rows) else rows
    if not len(rows):
        return nothing_to_show("no AUROC could be computed")
    order = sorted(
        rows.to_dict("records"), key=lambda r: (rank("arm", r["arm"]), rank("generator", r["generator"]), r["protocol"])
    )
    tested = {str(row.get("design", "")).partition(":")[2] for row in order}
    on = label("design", tested.pop()) if len(tested) == 1 else ""
    with styled(WIDTH + 0.6, 0.36 * len(order) + 1.3) as figure:
        axes = figure.subplots()
        seen: set[str] = set()
        for i, row in enumerate(order):
            name = str(row["protocol"])
            place = 0 if name == "as_published" else 1
            colour = PROTOCOL_COLOURS.get(name, COLOURS[2])
            axes.plot([row["low"], row["high"]], [i, i], color=colour, lw=2)
            kind = range_kind(row.get("interval", ""))
            told = f"{label('protocol', name)}: {kind}" if kind else label("protocol", name)
            text = None if told in seen else told
            axes.plot(row["value"], i, MARKERS[place], color=colour, ms=7, label=text, ls="none")
            axes.text(
                1.02,
                i,
                f"{row['value']:.2f}  n {row['n']:.0f}",
                va="center",
                fontsize=9,
                transform=axes.get_yaxis_transform(),
            )
            seen.add(told)
        axes.axvline(0.5, color=INK, lw=0.8, ls="--")
        axes.set(
            yticks=range(len(order)),
            ylim=(len(order) - 0.4, -0.6),
            xlim=(0, 1),
            xlabel=f"AUROC, tested {on}" if on else "AUROC",
        )
        axes.set_yticklabels([_arm_name(row, several=not on) for row in order], fontsize=9)
        axes.set_title(title)
        axes.grid(True, axis="x")
        figure.legend(loc="outside lower center", ncols=1)
        return as_svg(figure)


def _arm_name(row: Mapping[str, Any], *, several: bool) -> str:
    made_by_it = row["generator"] and row["arm"] in ("synthetic", "both", "shuffled")
    generator = f", {label('generator', row['generator'])}" if made_by_it else ""
    tested = label("design", str(row.get("design", "")).partition(":")[2]) if several else ""
    return label("arm", row["arm"]) + generator + (f" ({tested})" if tested else "")


def frechet_reference(bars: pd.DataFrame, *, title: str = "Pixel-row Fréchet distance") -> bytes:
    """Bars of the pixel-row Frechet distance: references (copy, other patient, mean, noise) beside models.

    bars: columns name, value, kind (``reference``, ``model`` or ``published``); log axis, smaller is closer.
    """
    bars = bars[bars["value"] > 0].sort_values(["value", "name"]) if len(bars) else bars
    if not len(bars):
        return nothing_to_show("no pixel-row Fréchet distance could be computed")
    colours = {"reference": "#8A8A8A", "model": COLOURS[0], "published": COLOURS[1]}
    hatches = {"reference": "", "model": "", "published": "///"}
    with styled(height=0.34 * len(bars) + 1.3) as figure:
        axes = figure.subplots()
        for i, bar in enumerate(bars.itertuples()):
            axes.barh(i, bar.value, color=colours[bar.kind], hatch=hatches[bar.kind], edgecolor="white", height=0.72)
            axes.text(bar.value * 1.08, i, f"{bar.value:.3g}", va="center", fontsize=9)
        axes.set_xscale("log")
        axes.set(yticks=range(len(bars)), ylim=(len(bars) - 0.4, -0.6), xlabel="distance, log scale")
        axes.set_xlim(right=float(bars["value"].max()) * 2.5)
        axes.set_yticklabels(bars["name"], fontsize=9)
        # Long names leave the axes narrow: the title stands over the whole figure.
        figure.suptitle(title, fontsize=11, fontweight="bold")
        kinds = [kind for kind in colours if kind in set(bars["kind"])]
        handles = [axes.barh([0], [0], color=colours[k], hatch=hatches[k], edgecolor="white", label=k) for k in kinds]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        return as_svg(figure)
