"""The journal of a finished run, decoded for the review: each entry with the schema of the version that decided it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statevec.codecs.errors import SbeError
from statevec.codecs.schema import Schema
from statevec.demo.logged import LoggedEntry, Message
from statevec.engine.instance import open_instance
from statevec.engine.store import PluginStore
from statevec.engine.versions import decider_of
from statevec.journal import admin_layout, entry_layout
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader


@dataclass(frozen=True)
class Deciding:
    """A version that decided."""

    version: str
    schema: Schema


def read_log(instance: Path) -> list[LoggedEntry]:
    """Every entry of the journal, in order, with inputs and outputs decoded."""
    opened = open_instance(instance)
    store = PluginStore(opened.directory)
    deciders: dict[int, Deciding] = {}
    rings: dict[int, str] = {}
    entries = []
    for entry in JournalReader(opened.journal_directory, opened.genesis.unit).entries():
        if entry.kind == entry_layout.RING_ATTACH:
            _, source, name = admin_layout.RING_ATTACH_FORMAT.unpack_from(entry.input, admin_layout.BLOCK)
            rings[source] = name.rstrip(b"\0").decode()
        said = decider_of(entry)
        if said is not None:
            deciders[said.logic_version] = Deciding(said.version, store.load(said.content_hash).schema)
        entries.append(_logged(entry, deciders[entry.logic_version], rings))
    return entries


def _logged(entry: Entry, decider: Deciding, rings: dict[int, str]) -> LoggedEntry:
    schema = decider.schema
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
        version=decider.version,
    )


def _message(schema: Schema, encoded: bytes) -> Message | None:
    """The message, None when it is none of the schema (the entry's outcome says so)."""
    try:
        view = schema.decode(encoded)
    except SbeError:
        return None
    return Message(view.layout.name, view.to_dict())
