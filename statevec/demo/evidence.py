"""The journal of a finished run, decoded for the review."""

from __future__ import annotations

from pathlib import Path

from statevec.codecs.errors import SbeError
from statevec.codecs.schema import Schema
from statevec.demo.logged import LoggedEntry, Message
from statevec.demo.participant import hedge_schema
from statevec.engine.instance import open_instance
from statevec.journal import admin_layout, entry_layout
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader


def read_log(instance: Path) -> list[LoggedEntry]:
    """Every entry of the journal, in order, with inputs and outputs decoded."""
    opened = open_instance(instance)
    schema = hedge_schema()
    rings: dict[int, str] = {}
    entries = []
    for entry in JournalReader(opened.journal_directory, opened.genesis.unit).entries():
        if entry.kind == entry_layout.RING_ATTACH:
            _, source, name = admin_layout.RING_ATTACH_FORMAT.unpack_from(entry.input, admin_layout.BLOCK)
            rings[source] = name.rstrip(b"\0").decode()
        entries.append(_logged(entry, schema, rings))
    return entries


def _logged(entry: Entry, schema: Schema, rings: dict[int, str]) -> LoggedEntry:
    command = entry.kind == entry_layout.COMMAND
    return LoggedEntry(
        sequence=entry.sequence,
        epoch=entry.epoch,
        ring=rings.get(entry.source, f"source {entry.source}") if command else "",
        ring_sequence=entry.source_sequence,
        timestamp_ns=entry.timestamp_ns,
        sent_ns=entry.sent_ns,
        outcome=entry.outcome,
        message=_message(schema, entry.input) if command else None,
        outputs=[message for output in entry.outputs() if (message := _message(schema, output.message)) is not None],
    )


def _message(schema: Schema, encoded: bytes) -> Message | None:
    """The message, None when it is none of the schema (the entry's outcome says so)."""
    try:
        view = schema.decode(encoded)
    except SbeError:
        return None
    return Message(view.layout.name, view.to_dict())
