"""`statevec history`: the versions of one record, newest first, and what caused each.

Reads only, without a lock. As JSON it prints one object. Exit status 1 where the journal is damaged on the way: then
versions may be missing, and it says where.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo, echo_json

if TYPE_CHECKING:
    from statevec.audit.record_history import Found, RecordVersion


@click.command()
@click.argument("table")
@click.argument("key")
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many versions to show.")
@click.option(
    "--cold", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Directory with the cold segments."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def history(
    context: click.Context, table: str, key: str, directory: Path, limit: int, cold: Path | None, form: str
) -> None:
    """Show the versions of record KEY in TABLE, newest first: when, who decided, what arrived, what changed."""

    from statevec.audit.record_history import RecordHistory
    from statevec.engine.instance import open_instance

    found = RecordHistory(open_instance(directory), table, _number(key), cold).find(limit)
    if form == "json":
        echo_json(found.to_dict())
    else:
        for line in _lines(found, limit, directory):
            echo(line)
        for problem in found.problems:
            echo(f"warning: {problem}", err=True)
    if found.damage:
        echo(f"error: versions may be missing here: {found.damage}", err=True)
        context.exit(1)


def _number(key: str) -> int:
    try:
        return int(key, 0)
    except ValueError:
        raise click.BadParameter(f"a key is a number, decimal or 0x…: {key!r}", param_hint="KEY") from None


def _lines(found: Found, limit: int, directory: Path) -> Iterator[str]:
    yield f"{found.table} {found.key}: the last {len(found.versions)} versions, newest first"
    for version in found.versions:
        yield ""
        yield from _version_lines(version)
    yield ""
    if found.ended:
        yield f"that is all: {found.ended}"
    elif len(found.versions) == limit:
        yield f"there are older ones: --limit {10 * limit}"
    if found.versions:
        yield f"all of a decision: statevec explain {found.versions[0].entry.sequence} --instance {directory}"


def _version_lines(version: RecordVersion) -> Iterator[str]:
    entry = version.entry
    yield f"version {version.version}  {version.operation} at sequence {entry.sequence}  {entry.time}"
    yield f"    decided by  {entry.decided_by}"
    yield f"    because of  {entry.cause}"
    if not version.before_known:
        yield "    what it was before is not at hand; after it:"
        yield from (f"    {name:<20} {_side(value)}" for name, value in version.fields.items())
    for name, (before, after) in version.changed.items():
        yield f"    {name:<20} {_side(before)} → {_side(after)}"


def _side(value: Any) -> str:
    from statevec.audit.entry_words import one_line

    return "-" if value is None else one_line(value)
