"""`statevec what-if`: one entry run again with another input, state or version, and what is different then.

It only reads, without a lock: a live instance goes on undisturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from statevec.cli.echo import echo_json
from statevec.cli.explain import COLD, FORMAT, INSTANCE
from statevec.cli.explain_format import Page, console, progress_line, value_text
from statevec.cli.parameters import STATE_SEQUENCE

if TYPE_CHECKING:
    from statevec.audit.what_if import LineDifference, Outcome, WhatIf

MARKS = {"recorded": "-", "changed": "+", "both": " "}
STYLES = {"recorded": "red", "changed": "green", "both": ""}
NOTES_AT = 12
"""Column of what does not fit behind a line."""


@click.command("what-if")
@click.argument("sequence", type=STATE_SEQUENCE)
@click.option("--input", "inputs", multiple=True, metavar="FIELD=VALUE", help="Another value of an input's field.")
@click.option(
    "--state", "states", multiple=True, metavar="TABLE[KEY].FIELD=VALUE", help="Another value in the state before it."
)
@click.option("--version", metavar="NAME@VERSION|HASH|DIRECTORY", help="Another version decides.")
@INSTANCE
@COLD
@FORMAT
def what_if(
    sequence: int,
    inputs: tuple[str, ...],
    states: tuple[str, ...],
    version: str | None,
    directory: Path,
    cold: Path | None,
    form: str,
) -> None:
    """Run entry SEQUENCE again on the state before it with something changed, and show what would have been different.

    It judges this one entry alone.
    """

    from statevec.audit.state_at import StateWalker
    from statevec.audit.what_if import what_if as run_again
    from statevec.engine.instance import open_instance

    with progress_line() as progress:
        walker = StateWalker(open_instance(directory), cold, progress)
        found = run_again(walker, sequence, list(inputs), list(states), version)
    if form == "json":
        echo_json(found.to_dict())
    else:
        _print(found, Page(console()))


def _print(found: WhatIf, page: Page) -> None:
    page.line(f"Entry {found.sequence}, if", "bold")
    for each in found.asked:
        page.line(f"  {each}")
    page.heading("Outcome")
    _outcome("recorded", found.recorded, page)
    _outcome("changed", found.changed, page)
    page.heading("Differences: recorded -> changed")
    for difference in found.differences:
        name = difference.path.rpartition(".")[2]
        was, now = value_text(name, difference.recorded), value_text(name, difference.executed)
        page.line(f"  {difference.path}: {was} -> {now}")
    if not found.differences:
        page.line("  none: outcome, changes and outputs are the same")
    if found.lines:
        page.heading("Lines that ran otherwise (- recorded, + changed)")
        for number, group in enumerate(found.lines):
            if number:
                page.line("         …")
            for line in group:
                _line(line, page)
    page.heading(found.note)


def _line(line: LineDifference, page: Page) -> None:
    notes = [f"> {name}={value_text(str(name), value)}" for name, value in line.values]
    text, style = f"{MARKS[line.run]} {line.line:>5}  {line.text}", STYLES[line.run]
    whole = "  ".join([text, *notes])
    if len(whole) <= page.width:
        page.line(whole, style)
        return
    page.line(text, style, NOTES_AT)
    page.parts(notes, NOTES_AT, style)


def _outcome(name: str, outcome: Outcome, page: Page) -> None:
    reason = f": {outcome.refusal.text}" if outcome.refusal is not None else ""
    counts = f"{_count(outcome.changes, 'record')} changed, {_count(outcome.outputs, 'output')}"
    page.line(f"  {name:<9} {outcome.outcome}{reason}; {counts}; {outcome.version}")


def _count(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
