"""The results of a backtest as a table for people, as JSON, as CSV: a row for each run.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from statevec.audit.backtest_journal import NOTICE
from statevec.cli.echo import marked
from statevec.demo.backtest_task import Result
from statevec.journal.plain_text import json_text

LESS_IS_BETTER = frozenset(
    {"slippage_ticks", "exposure_highest", "limit_breaches", "rejected", "faulted", "orders_rejected", "seconds"}
    | {"decided_otherwise", "unknown_ids", "timers_left_out", "timers_added"}
)
COUNTS = ("entries", "timers", "committed", "rejected", "faulted")
OVER_TICKS = {
    "profit": "profit",
    "orders_placed": "placed",
    "orders_filled": "filled",
    "orders_cancelled": "cancelled",
    "filled_lots": "lots filled",
    "fill_ratio": "fill ratio",
    "slippage_ticks": "slippage ticks",
    "exposure_highest": "highest exposure",
    "position_limit": "position limit",
    "limit_breaches": "limit breaches",
    "rejected": "rejected",
    "faulted": "faulted",
    "entries": "entries",
    "entries_per_second": "entries /s",
}
"""Figures in the table over ticks, and what stands over them."""
OVER_JOURNAL = {
    "entries": "entries",
    "committed": "committed",
    "rejected": "rejected",
    "faulted": "faulted",
    "outputs": "outputs",
    "inputs_changed": "inputs changed",
    "decided_otherwise": "decided otherwise",
    "first_different": "first at",
    "unknown_ids": "unknown ids",
    "timers_left_out": "timers left out",
    "timers_added": "timers added",
    "reproduced": "as recorded",
    "entries_per_second": "entries /s",
}
DIGEST_SHOWN = 8
WIDTH = 160
ONLY_IF_ANY = ("rejected", "faulted")
"""Columns that are left out where every run has 0."""


def figure_names(results: list[Result]) -> list[str]:
    """What runs can be sorted by: every count and figure that is a number."""
    first = results[0]
    numbers = [name for name, value in first.figures.items() if isinstance(value, int | float)]
    return [*COUNTS, "outputs", "seconds", "entries_per_second", *numbers]


def goodness(name: str, value: Any) -> float:
    """A number that is greater the better the value is."""
    number = float(value or 0)
    return -number if name in LESS_IS_BETTER else number


def differing(results: list[Result]) -> list[str]:
    """The parameters that have more than one value among the runs."""
    names = list(results[0].settings)
    return [name for name in names if len({each.settings[name] for each in results}) > 1]


def text(value: Any) -> str:
    """A value for a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 10 else f"{value:,.3f}"
    return "none" if value is None else str(value)


def print_table(results: list[Result], by: str | None) -> None:
    """Runs as rows, what was the same for all above them, rejections and breaches below."""
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else WIDTH
    over_ticks = "ticks" in results[0].figures
    console.print(_table(results, by, OVER_TICKS if over_ticks else OVER_JOURNAL))
    for line in _notes(results):
        console.print(marked(line), soft_wrap=True)
    if not over_ticks:
        console.print(marked(f"Inputs are {NOTICE}."), soft_wrap=True)


def _table(results: list[Result], by: str | None, figures: dict[str, str]) -> Table:
    varied = differing(results)
    several = len({each.plugin for each in results}) > 1
    silent = {name for name in ONLY_IF_ANY if not any(each.value(name) for each in results)} - {by}
    columns = [name for name in dict.fromkeys([by, *figures] if by else figures) if name not in silent]
    table = Table(title=marked(_title(results)), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", justify="right")
    if several:
        table.add_column("plugin", overflow="fold")
    for name in varied:
        table.add_column(_heading(name), justify="right", overflow="fold")
    for name in columns:
        table.add_column(_heading(figures.get(name, name)), justify="right", overflow="fold")
    table.add_column("digest", no_wrap=True)
    marks = _marks(results, by)
    for result in results:
        run = f"{marks.get(result.number, '')}{result.number}"
        plugin = [marked(result.plugin)] if several else []
        settings = [marked(text(result.settings[name])) for name in varied]
        values = [text(result.value(name)) for name in columns]
        table.add_row(run, *plugin, *settings, *values, result.digest[:DIGEST_SHOWN])
    return table


def _heading(name: str) -> str:
    """A name with each of its words on a line of its own: columns stay as narrow as their values."""
    return marked(name.replace(".", " ").replace("_", " ").replace(" ", "\n"))


def _title(results: list[Result]) -> str:
    first = results[0]
    varied = differing(results)
    same = [f"{name}={text(value)}" for name, value in first.settings.items() if name not in varied]
    plugin = f" of {first.plugin}" if len({each.plugin for each in results}) == 1 else ""
    runs = "1 run" if len(results) == 1 else f"{len(results)} runs"
    currency = f", money in {first.figures['currency']}" if "currency" in first.figures else ""
    return " ".join([f"Backtest, {runs}{plugin}{currency}", *same])


def _marks(results: list[Result], by: str | None) -> dict[int, str]:
    """`best` and `worst` by the run's number, where there is a difference."""
    if by is None:
        return {}
    values = {each.number: goodness(by, each.value(by)) for each in results}
    best, worst = max(values.values()), min(values.values())
    if best == worst:
        return {}
    words = {best: "best ", worst: "worst "}
    return {number: words[value] for number, value in values.items() if value in words}


def _notes(results: list[Result]) -> Iterator[str]:
    """Rejections by code, faults, and breaches, run by run."""
    for result in results:
        told = [f"{count:,} × {code} ({result.rejections[code]})" for code, count in result.rejected.items()]
        told += [f"{count:,} × {name}" for name, count in result.faulted.items()]
        if told:
            yield f"run {result.number} refused {'; '.join(told)}"
        for breach in result.breaches:
            yield f"run {result.number} broke a limit: {breach}"


def as_json(results: list[Result]) -> str:
    """All runs with all their figures, without the columns of pictures."""
    return json_text(msgspec.json.encode({"runs": [_flat(each) for each in results]}).decode())


def _flat(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(result)
    del found["series"]
    return found


def as_csv(results: list[Result]) -> str:
    """A row for each run: parameters, counts, figures; the file's first line names them."""
    parameters = list(results[0].settings)
    counts = [*COUNTS, "outputs"]
    figures = list(results[0].figures)
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["run", "plugin", *parameters, *counts, *figures, "seconds", "entries_per_second", "digest"])
    for each in results:
        settings = [each.settings[name] for name in parameters]
        values = [each.value(name) for name in (*counts, *figures)]
        writer.writerow(
            [each.number, each.plugin, *settings, *values, each.seconds, each.entries_per_second, each.digest]
        )
    return written.getvalue()
