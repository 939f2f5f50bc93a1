"""A picture as PNG: the only module that knows matplotlib, without a display (Agg).

Nothing here keeps state; a figure is closed when its bytes are there.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from statevec.audit.plots_figures import Panel, Picture

WIDTH_INCHES, PANEL_INCHES, DOTS_PER_INCH = 9.0, 3.2, 110
COLOURS = ("#2f6db3", "#d4691e", "#c0322b", "#5b6875", "#5b6875")
MARK_COLOUR, GRID_COLOUR = "#8a5a00", "#e3e7eb"


def png(picture: Picture) -> bytes:
    """The picture's panels, one below the other."""
    figure = Figure(figsize=(WIDTH_INCHES, 0.4 + PANEL_INCHES * len(picture.panels)), dpi=DOTS_PER_INCH)
    axes = figure.subplots(len(picture.panels), 1, squeeze=False)
    figure.suptitle(picture.title, fontsize=12, fontweight="bold")
    for axis, panel in zip(axes[:, 0], picture.panels, strict=True):
        _draw(axis, panel)
    figure.tight_layout()
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _draw(axis: Any, panel: Panel) -> None:
    axis.set_title(panel.title, fontsize=10, loc="left")
    axis.set_xlabel(panel.x_label, fontsize=9)
    axis.set_ylabel(panel.y_label, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(True, color=GRID_COLOUR, linewidth=0.8)
    axis.set_axisbelow(True)
    if panel.log_x:
        axis.set_xscale("log")
    if panel.log_y:
        axis.set_yscale("log")
    for bars in panel.bars:
        widths = bars.edges[1:] - bars.edges[:-1]
        axis.bar(bars.edges[:-1], bars.heights, widths, align="edge", color=COLOURS[0], label=bars.label)
    for line, colour in zip(panel.lines, COLOURS, strict=False):
        axis.plot(
            line.x,
            line.y,
            color=colour,
            label=line.label or None,
            linewidth=0 if line.dots else 1.2,
            linestyle="--" if line.dashed else "-",
            marker="." if line.dots else "",
            markersize=2,
            drawstyle="steps-post" if line.step else "default",
        )
    for mark in panel.marks:
        axis.axvline(mark.x, color=MARK_COLOUR, linewidth=0.9, linestyle=":")
        axis.annotate(
            mark.label, (mark.x, 1), (2, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
            rotation=90, va="top", fontsize=7, color=MARK_COLOUR,
        )  # fmt: skip
    if len(panel.lines) > 1:
        axis.legend(fontsize=8, frameon=False)
