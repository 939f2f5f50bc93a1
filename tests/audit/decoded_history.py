"""An oracle for what is read out of a journal natively: every entry decoded in Python, one by one, and plain lists of
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from statevec.engine.deciders import deciders
from statevec.engine.instance import Instance
from statevec.engine.plugin.decoding import decoder_for, tables_of
from statevec.engine.store import PluginStore
from statevec.journal.decode import EntryDecoder
from statevec.journal.entry_layout import COMMAND
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader


class DecodedHistory:
    """All entries of an instance's journal."""

    def __init__(self, instance: Instance) -> None:
        self.entries: list[Entry] = list(JournalReader(instance.journal_directory).entries())
        self._store = PluginStore(instance.directory)
        self._hashes = {each.ordinal: each.content_hash for each in deciders(instance)}
        self._decoders: dict[int, EntryDecoder] = {}

    def decoder(self, entry: Entry) -> EntryDecoder:
        """The decoder of the version that decided the entry."""
        number = entry.logic_version
        if number not in self._decoders:
            self._decoders[number] = decoder_for(self._store.load(self._hashes[number]))
        return self._decoders[number]

    @cached_property
    def decoded(self) -> list[dict[str, Any]]:
        """All entries as dictionaries."""
        return [self.decoder(entry).entry(entry) for entry in self.entries]

    def inputs(self, message: str) -> list[dict[str, Any]]:
        """The inputs of that message: sequence and fields."""
        return [
            {"sequence": entry.sequence, "outcome": entry.outcome, **decoded["input"]["fields"]}
            for entry, decoded in zip(self.entries, self.decoded, strict=True)
            if entry.kind == COMMAND and decoded["input"] and decoded["input"].get("message") == message
        ]

    def outputs(self, message: str) -> list[dict[str, Any]]:
        """The outputs of that message."""
        return [
            {"sequence": entry.sequence, "index": output["index"], **output["fields"]}
            for entry, decoded in zip(self.entries, self.decoded, strict=True)
            for output in decoded["outputs"]
            if output["message"] == message
        ]

    def changes(self, table: str) -> Iterator[dict[str, Any]]:
        """What happened to records of that table, in order."""
        for entry, decoded in zip(self.entries, self.decoded, strict=True):
            for change in decoded["changes"]:
                if change["table"] == table:
                    yield {"sequence": entry.sequence, **change}

    def key_of(self, entry: Entry, table: str) -> str:
        """Name of the key field of a table, as the version that decided the entry has it."""
        tables = tables_of(self._store.load(self._hashes[entry.logic_version]))
        return next(spec.indexes[0].field for spec in tables.values() if spec.name == table)
