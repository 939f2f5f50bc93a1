"""Pictures of a backtest: profit and exposure over time of a few runs, and a figure against each parameter.

Invariant: what is drawn comes out of the results alone; the table has all runs, a picture over time only those at the
ends of the order in which they are given.

Values only; nothing is written or kept.
"""

from __future__ import annotations

import numpy as np

from statevec.audit.plots_figures import Line, Panel, Picture, number
from statevec.demo.backtest_task import Result

LINES_EACH_END = 2
"""Runs drawn over time from either end: more lines cannot be told apart."""
FIGURE = "profit"


def pictures(results: list[Result], by: str | None) -> list[Picture]:
    """One picture with all panels; `by` is the figure against the parameters, `profit` without one."""
    figure = by or FIGURE
    shown = results if len(results) <= 2 * LINES_EACH_END else [*results[:LINES_EACH_END], *results[-LINES_EACH_END:]]
    currency = results[0].figures.get("currency", "")
    panels = [
        _over_time("Profit, with the position at the mid", f"profit, {currency}", shown, "profit"),
        _over_time("Position", "lots", shown, "position"),
        _worst(shown),
        *_against(results, figure),
    ]
    rows = [(_name(each, results), number(each.value(figure))) for each in results]
    part = "" if len(shown) == len(results) else f", {len(shown)} of them over time"
    return [Picture("backtest", f"Backtest: {len(results)} runs{part}", panels, rows)]


def _name(result: Result, results: list[Result]) -> str:
    """What tells a run from the others."""
    parts = [result.plugin] if len({each.plugin for each in results}) > 1 else []
    for name, value in result.settings.items():
        if len({each.settings[name] for each in results}) > 1:
            parts.append(f"{name}={value}")
    return f"run {result.number}" + (f": {', '.join(parts)}" if parts else "")


def _over_time(title: str, y_label: str, shown: list[Result], column: str) -> Panel:
    lines = [
        Line(np.array(each.series["seconds"]) / 60, np.array(each.series[column]), _name(each, shown), step=True)
        for each in shown
    ]
    return Panel(title, "minutes since the first quote", y_label, lines)


def _worst(shown: list[Result]) -> Panel:
    """How much of its limit each run used, at worst."""
    lines = []
    for each in shown:
        highest, lowest = np.array(each.series["highest"]), np.array(each.series["lowest"])
        limit = np.maximum(np.array(each.series["limit"]), 1)
        used = 100 * np.maximum(highest, -lowest) / limit
        lines.append(Line(np.array(each.series["seconds"]) / 60, used, _name(each, shown), step=True))
    return Panel("Worst case against the position limit", "minutes since the first quote", "% of the limit", lines)


def _against(results: list[Result], figure: str) -> list[Panel]:
    """The figure against each parameter that has several numbers; a line joins the means."""
    panels = []
    for name in results[0].settings:
        values = [each.settings[name] for each in results]
        if len(set(values)) < 2 or not all(isinstance(each, int | float) for each in values):
            continue
        x = np.array(values, np.float64)
        y = np.array([float(each.value(figure) or 0) for each in results])
        at = np.unique(x)
        means = np.array([y[x == each].mean() for each in at])
        lines = [Line(x, y, "runs", dots=True), Line(at, means, "mean")]
        panels.append(Panel(f"{figure} against {name}", name, figure, lines))
    return panels
