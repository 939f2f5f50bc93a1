"""A shadow report as tables for the terminal.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.table import Table

from statevec.cli.echo import marked
from statevec.roles.shadow_report import Example, ShadowReport

DIFFERENCES_MAX = 20


def tables(found: ShadowReport) -> Iterator[Table]:
    """The report's tables, from the summary to the examples."""
    yield _summary(found)
    if found.times:
        yield _times(found)
    if found.rules:
        rules = _table("Expected, by rule", "rule", "entries")
        for name, count in found.rules.items():
            rules.add_row(marked(name), f"{count:,}")
        yield rules
    if found.unexpected_places:
        places = _table("Unexpected, by place", "place", "differences")
        for name, count in found.unexpected_places.items():
            places.add_row(marked(name), f"{count:,}")
        yield places
    if found.first_unexpected:
        yield example_table("First unexpected difference", found.first_unexpected[0])
    worst = found.worst_unexpected
    if worst is not None and worst.sequence != found.first_unexpected[0].sequence:
        yield example_table("Worst unexpected difference", worst)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _summary(found: ShadowReport) -> Table:
    table = Table(title="Shadow", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    rows = (
        ("candidate", f"{found.candidate_name}@{found.candidate_version}  {found.candidate_hash[:16]}"),
        ("decides", f"{found.decider_name}@{found.decider_version}  {found.decider_hash[:16]}"),
        ("mode", found.mode),
        ("sequences", f"{found.from_sequence:,} to {found.to_sequence:,} (the shadow {found.reach})"),
        ("compared", f"{found.compared:,} in {found.seconds:.1f} s"),
        ("same", f"{found.same:,}"),
        ("expected", f"{found.expected:,}"),
        ("unexpected", f"{found.unexpected:,}"),
        ("migration", found.migration_problem or "; ".join(found.migration_changes) or "none"),
        ("rollback", "possible" if found.rollback_possible else found.rollback_problem or "not possible"),
    )
    for name, value in rows:
        table.add_row(name, marked(value))
    return table


def _times(found: ShadowReport) -> Table:
    names = ("count", "mean", "p50", "p90", "p99", "p999", "max")
    table = _table("Time per transaction, ns", "version", *names)
    for version, times in found.times.items():
        figures = [getattr(times, name) for name in names]
        table.add_row(marked(version), *(f"{each:,}" if isinstance(each, int) else f"{each:,.1f}" for each in figures))
    return table


def example_table(title: str, example: Example) -> Table:
    """Both versions side by side for one entry, with the input that led to it."""
    heading = f"{title}: sequence {example.sequence:,}, {marked(example.kind)}\n{marked(_input(example.input))}"
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("where", "decided", "candidate", "rule"):
        table.add_column(name, overflow="fold")
    for each in example.differences[:DIFFERENCES_MAX]:
        table.add_row(
            *(marked(text) for text in (each.path, _value(each.decided), _value(each.candidate), each.rule or ""))
        )
    left = len(example.differences) - DIFFERENCES_MAX
    if left > 0:
        table.add_row(f"and {left} more", "", "", "")
    return table


def _input(message: dict[str, Any] | None) -> str:
    if message is None:
        return "no input"
    if "message" not in message:
        return f"input of {len(message.get('bytes', '')) // 2} bytes: {message.get('reason')}"
    return f"{message['message']} {_value(message['fields'])}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return str(value)
