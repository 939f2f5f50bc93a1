"""Writing results: one JSON file for each module, one Markdown table of all, one plot of the ratios.

bench/results/NAME.json   machine, figures with all samples
bench/results/README.md   the table
bench/results/ratios.png  medians and spreads of the ratios to peers (where matplotlib is installed)
"""

from __future__ import annotations

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.figure import Comparison

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "numba": metadata.version("numba"),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(name: str, comparisons: list[Comparison]) -> None:
    """Replace the results of one module."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "figures": [comparison.as_dict() for comparison in comparisons]}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _row(figure: dict[str, Any]) -> str:
    peers = [
        f"{peer} × {ratio['median']:.2f} ({ratio['lowest']:.2f}–{ratio['highest']:.2f})"
        for peer, ratio in figure["ratios"].items()
    ]
    peers += [f"{peer}: not there" for peer in figure["missing"]]
    met = {True: "yes", False: "**no**", None: "–"}[figure["met"]]
    ours = f"{_number(figure['median'])} {figure['unit']}"
    return f"| {figure['name']} | {ours} | {'; '.join(peers) or '–'} | {figure['target']} | {met} |"


def write_table() -> Path:
    """Write the Markdown table of all results that are there; its path."""
    lines = [
        "# Figures",
        "",
        "Made by `make bench`. A ratio says how many times better statevec is than the peer in the same run: median",
        "(lowest–highest) over the rounds. The JSON files beside this page have every sample.",
        "",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text())
        facts = content["machine"]
        lines += [
            f"## {path.stem}",
            "",
            f"{facts['cpu']}, {facts['cores']} cores, kernel {facts['kernel']}, Python {facts['python']}, "
            f"Numba {facts['numba']}, {facts['date']}",
            "",
            "| figure | statevec | against peers | target | met |",
            "| --- | --- | --- | --- | --- |",
            *(_row(figure) for figure in content["figures"]),
            "",
        ]
        for figure in content["figures"]:
            if figure["excludes"]:
                lines.append(f"- {figure['name']}: excludes {figure['excludes']}")
            lines += [f"- {figure['name']}: {peer} is not there: {why}" for peer, why in figure["missing"].items()]
        lines.append("")
    path = RESULTS / "README.md"
    path.write_text("\n".join(lines).rstrip() + "\n")
    return path


def plot_ratios() -> Path | None:
    """Draw the ratios of all results; None without matplotlib or without a ratio."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [
        (f"{figure['name']} / {peer}", ratio["median"], ratio["lowest"], ratio["highest"])
        for path in sorted(RESULTS.glob("*.json"))
        for figure in json.loads(path.read_text())["figures"]
        for peer, ratio in figure["ratios"].items()
    ]
    if not rows:
        return None
    drawing, axes = pyplot.subplots(figsize=(9, 0.4 * len(rows) + 1.2))
    places = list(range(len(rows)))
    middles = [row[1] for row in rows]
    errors = [[row[1] - row[2] for row in rows], [row[3] - row[1] for row in rows]]
    axes.barh(places, middles, xerr=errors, color="#4c78a8", ecolor="#333333")
    axes.set_yticks(places, [row[0] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel("times better than the peer (median, lowest to highest round)")
    drawing.tight_layout()
    path = RESULTS / "ratios.png"
    drawing.savefig(path, dpi=110)
    pyplot.close(drawing)
    return path
