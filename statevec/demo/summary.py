"""What people see of a demonstration: a progress display while it runs, a table at its end.

The progress display goes to standard error and draws only on a terminal; elsewhere each phase is one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from statevec.demo.review import Review
from statevec.demo.scenario import Watch

PHASES = {
    "engine": "starting the engine (a first start compiles)",
    "upgrade": "adding hedge version 2 and starting its shadow (a first time compiles)",
    "standby": "starting a standby",
    "participants": "starting feed, desk and venue",
    "market": "playing the market",
    "cutover": "waiting for the cutover",
    "stop": "stopping",
    "verify": "executing the journal again",
}


@contextmanager
def progress_display() -> Iterator[Watch]:
    """A function to call with a phase and the venue's counts; see `scenario.Watch`."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, counts="")
        shown = ""

        def watch(phase: str, counts: dict[str, Any]) -> None:
            nonlocal shown
            if phase != shown and not console.is_terminal:
                console.print(PHASES[phase], highlight=False)
            shown = phase
            progress.update(task, description=PHASES[phase])
            if "orders" in counts:
                told = f"{counts['orders']} orders, {counts['fills']} fills, position {counts['position']:+}"
                progress.update(task, total=counts["total"], completed=counts["sent"], counts=told)

        yield watch


def nanoseconds(value: int) -> str:
    """A duration with a unit that people read easily."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value} ns"


def summary_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the table: what, and how much."""
    latency = figures["latency_ns"]
    return [
        ("market", f"{figures['instrument']}, {figures['ticks']:,} ticks"),
        ("log", f"{figures['entries']:,} entries"),
        ("inputs rejected, faulted", f"{figures['inputs_rejected']:,}, {figures['inputs_faulted']:,}"),
        (
            "orders placed",
            f"{figures['orders_placed']:,}: {figures['orders_filled']:,} filled, "
            f"{figures['orders_cancelled']:,} cancelled, {figures['orders_rejected']:,} rejected",
        ),
        (
            "lots ordered, filled",
            f"{figures['ordered_lots']:,}, {figures['filled_lots']:,} (fill ratio {figures['fill_ratio']:.1%})",
        ),
        ("slippage against mid", f"{figures['slippage_ticks']:+.2f} ticks a lot (positive is a cost)"),
        ("profit and loss", f"{Decimal(figures['profit']):,.2f} {figures['currency']}"),
        (
            "position",
            f"{figures['position']:+,} lots, was {figures['position_lowest']:+,} to {figures['position_highest']:+,}",
        ),
        (
            "exposure, worst case",
            f"{figures['exposure_highest']:,} of {figures['position_limit']:,} lots, "
            f"{figures['limit_breaches']} limit breaches",
        ),
        (
            "venue's answers",
            f"{figures['answers_dropped']:,} lost at first, {figures['answers_doubled']:,} doubled",
        ),
        ("offer to transaction", ", ".join(f"{name} {nanoseconds(value)}" for name, value in latency.items())),
        *upgrade_rows(figures["upgrade"]),
        *failover_rows(figures["failover"]),
        ("lost, duplicated", f"{figures['lost']}, {figures['duplicated']}"),
        ("verified by re-execution", f"{'yes' if figures['verified'] else 'NO'}, digest {figures['digest']}"),
    ]


def upgrade_rows(figures: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The lines about the change of logic; none without one."""
    if figures is None:
        return []
    old, new = figures["from"], figures["to"]
    return [
        (
            f"shadow of {new}",
            f"{figures['compared']:,} entries compared: {figures['same']:,} the same, "
            f"{figures['expected']:,} expected, {figures['unexpected']:,} unexpected",
        ),
        (
            "cutover",
            f"entry {figures['sequence']:,}: {old} decided {figures['decided'][old]:,} entries, "
            f"{new} {figures['decided'].get(new, 0):,}; {figures['orders_ahead_of_queue']:,} orders ahead of the queue",
        ),
    ]


def failover_rows(figures: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The line about the leader's death; none without one."""
    if figures is None:
        return []
    return [
        (
            "leader killed",
            f"a standby took the next input {figures['takeover_ms']:,.1f} ms later, "
            f"epoch {figures['epochs']} from entry {figures['sequence']:,}",
        )
    ]


def print_summary(made: Review) -> None:
    """Print the table on standard output."""
    table = Table(show_header=False, title="statevec demo")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in summary_rows(made.figures):
        table.add_row(name, value)
    table.add_row("result", "[red]not as it should be[/red]" if made.problems else "[green]as it should be[/green]")
    Console(highlight=False).print(table)
