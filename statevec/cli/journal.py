"""`statevec journal` and `statevec verify`: what an instance's journal holds, and whether it comes out the same again.

Both only read, without a lock: a live instance goes on undisturbed. As JSON, `journal` prints one object a line and
`verify` one object.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from statevec.audit.entry_words import fields_text, message_text
from statevec.audit.verify import Verification, verify_instance
from statevec.cli.echo import echo, echo_json
from statevec.cli.parameters import SEQUENCE
from statevec.engine.deciders import deciders
from statevec.engine.instance import Instance, open_instance
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.store import PluginStore, StoreError
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.decode import EntryDecoder, hex64
from statevec.journal.entry_layout import ENTRY_KINDS, PADDING
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader
from statevec.journal.segments import contiguous_segments

INSTANCE = click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
COLD = click.option(
    "--cold", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Directory with the cold segments."
)
FORMAT = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
KINDS = [name for kind, name in ENTRY_KINDS.items() if kind != PADDING]


@click.command()
@INSTANCE
@click.option("--from", "first", type=SEQUENCE, help="First sequence; by default the first there is.")
@click.option("--to", "last", type=SEQUENCE, help="Last sequence; by default the last there is.")
@click.option("--last", "count", type=SEQUENCE, help="Only that many entries, the last ones.")
@click.option("--kind", type=click.Choice(KINDS), help="Only entries of this kind.")
@COLD
@FORMAT
def journal(
    directory: Path,
    first: int | None,
    last: int | None,
    count: int | None,
    kind: str | None,
    cold: Path | None,
    form: str,
) -> None:
    """List the entries of an instance's journal: inputs, outputs and changes, decoded."""
    if count is not None and (first is not None or last is not None):
        raise click.UsageError("--last goes with neither --from nor --to")
    instance = open_instance(directory)
    segments, problem = contiguous_segments(instance.journal_directory, instance.genesis.unit)
    archived = list_cold_segments(cold, instance.instance_id) if cold is not None else []
    reader = JournalReader(instance.journal_directory, instance.genesis.unit, join_segments(archived, segments))
    if problem is not None and not reader.segments:
        raise problem
    decoders = _Decoders(instance)
    if count is not None:
        first = max(1, reader.last_sequence() - count + 1)
    if form == "table":
        echo(f"{'SEQUENCE':>10}  {'TIME (UTC)':<29}  {'KIND':<15}  {'SOURCE':>6}  {'OUTCOME':<22}  DIGEST")
    for entry in _selected(reader, first, last, kind):
        if form == "json":
            echo_json(decoders.of(entry).entry(entry))
        else:
            for line in _lines(entry, decoders.of(entry).entry(entry)):
                echo(line)


class _Decoders:
    """A decoder for each version that decided; entries of one that is not in the store are shown with their bytes."""

    def __init__(self, instance: Instance) -> None:
        self._store = PluginStore(instance.directory)
        self._hashes = {each.ordinal: each.content_hash for each in deciders(instance)}
        self._made: dict[int, EntryDecoder] = {}

    def of(self, entry: Entry) -> EntryDecoder:
        """The decoder with the schema and records of the version that decided the entry."""
        if entry.logic_version not in self._made:
            self._made[entry.logic_version] = self._make(self._hashes.get(entry.logic_version, ""))
        return self._made[entry.logic_version]

    def _make(self, content_hash: str) -> EntryDecoder:
        try:
            return decoder_for(self._store.load(content_hash))
        except StoreError as error:
            echo(f"warning: {error}; messages and records are shown as bytes", err=True)
            return EntryDecoder()


def _selected(reader: JournalReader, first: int | None, last: int | None, kind: str | None) -> Iterator[Entry]:
    if not reader.segments:
        return
    if first is not None and first > reader.last_sequence():
        reader.judge(reader.last_cursor())  # nothing behind the last whole entry, unless that is where damage begins
        return
    for entry in reader.entries(sequence=first):
        if last is not None and entry.sequence > last:
            return
        if kind is None or entry.kind_name == kind:
            yield entry


def _time(timestamp_ns: int) -> str:
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}"


def _lines(entry: Entry, decoded: dict[str, Any]) -> Iterator[str]:
    outcome = decoded["outcome"] + (" (gap before)" if entry.gap else "")
    yield (
        f"{entry.sequence:>10}  {_time(entry.timestamp_ns)}  {entry.kind_name:<15}  {entry.source:>6}  "
        f"{outcome:<22}  {hex64(entry.digest)}"
    )
    because = decoded.get("rejection", decoded.get("fault"))
    if because is not None:
        yield _line("because", because)
    if decoded["input"] is not None:
        yield _line("input", message_text(decoded["input"]))
    for output in decoded["outputs"]:
        yield _line("output", message_text(output))
    for change in decoded["changes"]:
        what = fields_text(change["fields"]) if "fields" in change else f"bytes={change['bytes']}"
        yield _line(change["operation"], f"{change['table']}[{change['row']}] version={change['version']} {what}")


def _line(label: str, text: str) -> str:
    return f"{'':>12}{label:<9} {text}"


@click.command()
@INSTANCE
@click.option("--tier", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True)
@click.option(
    "--from-snapshot",
    "from_snapshot",
    type=click.Choice(["newest", "oldest"]),
    help="Begin at a snapshot instead of genesis.",
)
@COLD
@FORMAT
@click.pass_context
def verify(
    context: click.Context,
    directory: Path,
    tier: Literal["compiled", "interpreted"],
    from_snapshot: Literal["newest", "oldest"] | None,
    cold: Path | None,
    form: str,
) -> None:
    """Execute an instance's journal again and compare every digest; exit status 1 where it differs or is damaged.

    Snapshots that it passes are compared with the state that it has there, byte for byte.

    Where the journal's first segments were taken away, it begins at the oldest snapshot, and says so; with `--cold` it
    reads and executes the cold segments first, and shows the hash of the last one, to compare with one kept elsewhere.
    """
    found = verify_instance(directory, tier, from_snapshot, cold)
    if found.started_at and from_snapshot is None:
        echo(f"warning: the journal does not reach back to genesis; begun after {found.started_at}", err=True)
    if form == "json":
        echo_json(found.to_dict())
    else:
        _print_verification(found)
    if not found.verified:
        context.exit(1)


def _print_verification(found: Verification) -> None:
    for name, value in found.to_dict().items():
        if name not in ("difference", "damage", "snapshot_difference"):
            echo(f"{name:<10} {value}")
    if found.difference is not None:
        difference = found.difference
        echo(f"first difference at sequence={difference.sequence} position={difference.position}:")
        for field in difference.fields:
            echo(f"    {field.path}: recorded={field.recorded} executed={field.executed}")
    if found.snapshot_difference is not None:
        otherwise = found.snapshot_difference
        echo(f"the snapshot at sequence={otherwise.sequence} holds something else: {otherwise.place}")
        for field in otherwise.fields:
            echo(f"    {field.path}: snapshot={field.recorded} executed={field.executed}")
        echo(f"do not start from it: mv {otherwise.path} elsewhere")
    if found.damage is not None:
        echo(str(found.damage))
