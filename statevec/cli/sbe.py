"""`statevec sbe`: check and show a schema, decode and encode files of messages, compare two versions of a schema.

Works without an instance and without any other part of statevec. Messages in a file stand one after the other, bare or
each in a frame (`codecs/framing.py`); as JSON there is one object a line:

    {"message": "Quote", "version": 1, "fields": {"price": 5, "side": "BUY"}}

Exit status: 0 all is well, 1 a schema or message is wrong or a change breaks readers, 2 the command line is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from statevec.cli.echo import echo
from statevec.codecs.errors import SbeError, ValueTypeError
from statevec.codecs.framing import FRAMINGS
from statevec.codecs.json_form import parse_json, to_plain, values_of_json
from statevec.codecs.message_file import MessageFile
from statevec.codecs.message_view import MessageView
from statevec.codecs.schema import Schema
from statevec.codecs.schema_diff import differences
from statevec.codecs.schema_table import TableRow, schema_rows
from statevec.journal.plain_text import json_text

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
SCHEMA = click.argument("schema", type=FILE)
BARE = "none"
FRAMING = click.option(
    "--framing",
    type=click.Choice([BARE, *FRAMINGS]),
    default=BARE,
    show_default=True,
    help="What stands before each message.",
)
FORM = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group()
def sbe() -> None:
    """Check schemas of Simple Binary Encoding, read and write messages, compare versions."""


@sbe.command()
@click.argument("schemas", type=FILE, nargs=-1, required=True)
def check(schemas: tuple[Path, ...]) -> int:
    """Say whether schemas are valid: file, line and rule of what is wrong, and warnings."""
    status = 0
    for path in schemas:
        try:
            schema = Schema.load(path)
        except SbeError as error:
            echo(f"error: {error}", err=True)
            status = 1
            continue
        for warning in schema.warnings:
            echo(f"warning: {warning}")
        echo(
            f"{path}: valid: package={schema.package} id={schema.id} version={schema.version} "
            f"byteOrder={schema.byte_order}Endian messages={len(schema.messages)} types={len(schema.types)}"
        )
    return status


@sbe.command()
@SCHEMA
@click.option("--message", "name", help="Only this message.")
@FORM
def layout(schema: Path, name: str | None, form: str) -> None:
    """Show where everything lies: offsets, sizes, types, versions."""
    loaded = Schema.load(schema)
    names = list(loaded.messages) if name is None else [loaded.layout(name).name]
    rows = [row for each in names for row in schema_rows(loaded, each)]
    if form == "json":
        click.echo(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    for line in _table(rows):
        echo(line)


def _table(rows: list[TableRow]) -> Iterator[str]:
    cells = [TableRow.HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(TableRow.HEADINGS))]
    for row in cells:
        numbers = [row[column].rjust(widths[column]) for column in range(2)]
        texts = [row[column].ljust(widths[column]) for column in range(2, len(widths))]
        yield "  ".join([*numbers, *texts]).rstrip()


@sbe.command()
@SCHEMA
@click.argument("file", type=FILE)
@FRAMING
def decode(schema: Path, file: Path, framing: str) -> None:
    """Print the messages of a file as JSON, one a line."""
    loaded = Schema.load(schema)
    for view in _views(loaded, file, framing):
        fields = to_plain(view.to_dict())
        found = {"message": view.layout.name, "version": view.version, "fields": fields}
        click.echo(json_text(json.dumps(found, ensure_ascii=False, allow_nan=False)))


def _views(schema: Schema, file: Path, framing: str) -> Iterator[MessageView]:
    if framing != BARE:
        with MessageFile(schema, file, FRAMINGS[framing]) as messages:
            yield from messages
        return
    content, at = file.read_bytes(), 0
    while at < len(content):
        view = schema.decode(content, at)
        yield view
        at += view.decoded_length


@sbe.command()
@SCHEMA
@click.argument("file", type=click.File("rb"))
@click.option("--output", "-o", type=click.File("wb"), required=True, help="The file to write; - is standard output.")
@FRAMING
def encode(schema: Path, file: Any, output: Any, framing: str) -> None:
    """Write messages from JSON, one object a line as `decode` prints them; FILE may be - for standard input."""
    loaded = Schema.load(schema)
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            message = _encoded(loaded, line)
        except SbeError as error:
            raise click.ClickException(f"line {number}: {error}") from error
        output.write(message if framing == BARE else FRAMINGS[framing].wrap(message))


def _encoded(schema: Schema, line: bytes) -> bytes:
    found = parse_json(line)
    if not isinstance(found, dict) or not isinstance(found.get("message"), str) or "fields" not in found:
        raise ValueTypeError('not an object {"message": …, "fields": …}')
    version = found.get("version", schema.version)
    if version != schema.version:
        raise ValueTypeError(f"version {version} is not the schema's, {schema.version}: it cannot be written")
    name = found["message"]
    return schema.encode(name, values_of_json(schema.layout(name), found["fields"]))


@sbe.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@FORM
def diff(old: Path, new: Path, form: str) -> int:
    """Compare two versions of a schema: what readers of the old one can skip, what they notice, what breaks."""
    changes = differences(Schema.load(old), Schema.load(new))
    if form == "json":
        click.echo(json_text(json.dumps([vars(each) for each in changes], indent=2, ensure_ascii=False)))
    else:
        width = max((len(each.path) for each in changes), default=0)
        for each in changes:
            echo(f"{each.verdict:<8}  {each.path:<{width}}  {each.text}")
        if not changes:
            echo("no change")
    return 1 if any(each.verdict == "breaks" for each in changes) else 0
