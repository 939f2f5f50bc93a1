"""`statevec why`: what caused an output, where it is now, and what came back for it.

Reads only, without a lock. As JSON it prints one object.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo, echo_json

if TYPE_CHECKING:
    from statevec.audit.why import Why


@click.command()
@click.argument("output")
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--field", help="The outputs' field that OUTPUT is a value of; by default the id of all outputs.")
@click.option(
    "--cold", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Directory with the cold segments."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def why(output: str, directory: Path, field: str | None, cold: Path | None, form: str) -> None:
    """Show what caused OUTPUT, an order id say, or epoch:sequence:index."""

    from statevec.audit.why import OutputHistory
    from statevec.engine.instance import open_instance

    found = OutputHistory(open_instance(directory), cold).why(output, field)
    if form == "json":
        echo_json(found.to_dict())
        return
    for line in _lines(found, directory):
        echo(line)
    for problem in found.problems:
        echo(f"warning: {problem}", err=True)


def _lines(found: Why, directory: Path) -> Iterator[str]:
    from statevec.audit.entry_words import message_text, time_text

    entry = found.entry
    yield f"output {found.identity}  {message_text(found.output)}"
    if found.output["expires_ns"]:
        yield f"    expires     {time_text(found.output['expires_ns'])}"
    yield f"    {found.released}" + "".join(f"; gateway {name}: {said}" for name, said in found.gateways.items())
    yield f"because of sequence {entry.sequence}  {entry.time}  {entry.outcome}"
    yield f"    what came   {entry.cause}" + (f" (source {entry.source})" if entry.source else "")
    yield f"    decided by  {entry.decided_by}"
    for change in found.changes:
        yield f"    {change['operation']:<11} {_record(change)}"
    for other in found.others:
        yield f"    also sent   {message_text(other)}"
    if found.later:
        yield f"what came after it with the same {found.field}"
    for event in found.later:
        outcome = "" if event.what == "output" or event.entry.outcome == "COMMITTED" else f"  {event.entry.outcome}"
        what = f"{event.what:<7} {message_text(event.message)}{outcome}"
        yield f"    {event.entry.sequence:>10}  {event.entry.time}  {what}"
    if not found.complete:
        yield f"    and more: only the first {len(found.later)} are shown"
    yield f"all of the decision: statevec explain {entry.sequence} --instance {directory}"


def _record(change: dict[str, Any]) -> str:
    from statevec.audit.entry_words import fields_text

    what = fields_text(change["fields"]) if "fields" in change else f"bytes={change['bytes']} ({change['reason']})"
    return f"{change['table']} version={change['version']} {what}"
