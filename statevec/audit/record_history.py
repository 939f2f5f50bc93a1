"""The versions of one record, newest first, each with what caused it: `RecordHistory(instance, table, key)`.

    the end ─► backward, natively, to the newest snapshot ─► the record's row in it ─► its last change
            ─► from change to change by "the sequence that changed it before", which each delta record says
            ─► before an insertion: backward, natively, to the deletion of the record that had the key before

Names count: each entry is read with tables and schema of the version that decided it, so a table may get another
number and other fields at a cutover.

Invariants
    Every entry shown was checked by its hash. What a change says of the one before is what that one was.
    What is not at hand is said (`ended`): segments that were taken away, versions that cannot be loaded.
    Where the journal is damaged on the way, `damage` says where: versions in and behind it are not known.

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from statevec.audit.entry_words import DecodedEntry, EntryReader
from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.instance import Instance
from statevec.engine.plugin.decoding import tables_of
from statevec.engine.version_lookup import UnreadableVersionError
from statevec.ipc.memory import MASK64
from statevec.journal.column_layout import CHANGES
from statevec.journal.entry_layout import DELETED, INSERTED
from statevec.journal.entry_view import Change, Entry
from statevec.journal.errors import SequenceNotFoundError
from statevec.journal.search import Needle, Needles, Search
from statevec.roles.snapshot import Snapshot, newest_snapshot
from statevec.state.arena import ArenaLayout
from statevec.state.arena_layout import ROW_HEADER_SIZE, ROW_LAST_CHANGED, ROW_STATUS, TABLE_NEVER_USED, USED
from statevec.state.records import TableSpec, field_kind

LIMIT = 20
"""How many versions are shown when nobody says otherwise."""


class UnknownRecordError(LookupError):
    """There is no such table, or never was a record of that key."""


@dataclass(frozen=True)
class RecordVersion:
    """What one entry did to the record. `fields` are after it; of a deletion, before it."""

    entry: DecodedEntry
    operation: str
    version: int
    row: int
    fields: dict[str, Any]
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """(before, after) by name; None for a side on which there is no record, or a version without that field."""
    before_known: bool = True

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.entry.to_dict(),
            "operation": self.operation,
            "version": self.version,
            "row": self.row,
            "fields": self.fields,
            "changed": {name: {"before": before, "after": after} for name, (before, after) in self.changed.items()},
            "before_known": self.before_known,
        }


@dataclass(frozen=True)
class Found:
    """A record's versions, newest first; `ended` says why there are no older ones, empty when older ones are not
    shown.
    """

    table: str
    key: int
    versions: list[RecordVersion]
    ended: str
    problems: list[str]
    damage: str
    """Where entries cannot be read that may have changed the record, with position and sequence; empty without."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        versions = [each.to_dict() for each in self.versions]
        return {**vars(self), "versions": versions}


class RecordHistory:
    """See the module's docstring. `cold` is the directory of archived segments."""

    def __init__(self, instance: Instance, table: str, key: int, cold: Path | None = None) -> None:
        self._instance = instance
        self._entries = EntryReader(instance, cold)
        self._table = table
        self._key = key
        self._search = Search(self._entries.reader, self._needles, room=1)
        self._ended = ""
        self.problems: list[str] = []

    def find(self, limit: int = LIMIT) -> Found:
        """The newest `limit` versions. Raises `UnknownRecordError`, and what reading the journal raises."""
        self._check_table()
        changes = []
        for found in self._walk():
            changes.append(found)
            if len(changes) > limit:
                break
        damage = self._search.damage or self._entries.damage
        if not changes and damage is not None:
            raise damage
        if not changes:
            known = "; ".join(dict.fromkeys([*self.problems, self._some_keys()]))
            raise UnknownRecordError(
                f"no record of that key was ever changed here: table={self._table} key={self._key}; {known}"
            )
        versions = [
            self._version(entry, change, changes[number + 1] if number + 1 < len(changes) else None)
            for number, (entry, change) in enumerate(changes[:limit])
        ]
        ended = self._ended if len(changes) <= limit else ""
        return Found(self._table, self._key, versions, ended, self.problems, str(damage) if damage is not None else "")

    def _check_table(self) -> None:
        """Raise `UnknownRecordError` when the version that decided last has no such table, and no earlier one had."""
        last = self._entries.last()
        if last is None:
            raise UnknownRecordError(f"the journal has no entries: {self._instance.journal_directory}")
        names: dict[str, None] = {}
        for number in {last.logic_version, *self._entries.versions.numbers()}:
            try:
                tables = tables_of(self._entries.versions.plugin(number))
            except UnreadableVersionError:
                continue  # it is said where its entries come
            names |= dict.fromkeys(spec.name for spec in tables.values() if spec.in_delta)
        if names and self._table not in names:
            raise UnknownRecordError(f"there is no table {self._table!r}; there are: {', '.join(sorted(names))}")

    def _spec(self, logic_version: int) -> tuple[int, TableSpec] | None:
        """The table's number and description in a version, None where it has none; UnreadableVersionError."""
        tables = tables_of(self._entries.versions.plugin(logic_version))
        return next(((number, spec) for number, spec in tables.items() if spec.name == self._table), None)

    def _needles(self, logic_version: int) -> Needles:
        try:
            found = self._spec(logic_version)
        except UnreadableVersionError as error:
            self.problems.append(str(error))
            return Needles(None, [])
        if found is None:
            return Needles(None, [])
        number, spec = found
        key = spec.record.field(spec.indexes[0].field)
        content = (self._key & MASK64).to_bytes(8, "little")[: key.size]
        if not _holds(key.kind, self._key):
            return Needles(None, [])
        return Needles(None, [Needle(CHANGES, number, key.offset, content)])

    def _walk(self) -> Iterator[tuple[Entry, Change]]:
        """The record's changes, newest first, those of earlier records of that key behind its insertion."""
        entry = self._newest()
        while entry is not None:
            change = None
            for change in reversed(self._changes(entry)):
                yield entry, change
            if change is None:
                return
            if change.previous_sequence > 0 and change.operation != INSERTED:
                entry = self._at(change.previous_sequence)
            elif change.operation == INSERTED:
                entry = self._before(entry.position)
            else:
                self._ended = "made when the instance began"
                return

    def _newest(self) -> Entry | None:
        """The entry that changed the record last."""
        last = self._entries.last()
        if last is None:
            return None
        snapshot = newest_snapshot(self._instance)
        down_to = snapshot.header.position if snapshot is not None else 0
        found = self._search.backward(last.end_position, min(down_to, last.end_position))
        if found is not None:
            return self._entries.read(found.position)
        if snapshot is None:
            self._ended = "the journal begins here"
            return None
        sequence = self._in_snapshot(snapshot)
        return self._at(sequence) if sequence else self._before(down_to)

    def _in_snapshot(self, snapshot: Snapshot) -> int:
        """The sequence that changed the record last, by its row in a snapshot; 0 when it is not there."""
        rows = _rows_in(snapshot, self._table)
        if rows is None:
            return 0
        key = np.uint64(self._key & MASK64) if rows["key"].dtype == np.uint64 else self._key
        found = rows[rows["key"] == key]
        return int(found["last_changed"][0]) if len(found) else 0

    def _before(self, position: int) -> Entry | None:
        """The last entry before `position` that changed a record of the key."""
        found = self._search.backward(position)
        if found is None:
            first = self._entries.first_sequence()
            self._ended = "no record of that key was there before" if first == 1 else self._cut_away(first)
            return None
        return self._entries.read(found.position)

    def _at(self, sequence: int) -> Entry | None:
        try:
            return self._entries.at(sequence)
        except SequenceNotFoundError:
            self._ended = self._cut_away(sequence)
            return None

    @staticmethod
    def _cut_away(sequence: int) -> str:
        return (
            f"what came before is in segments that were taken away: sequence={sequence}; "
            f"give the directory of the cold segments with --cold"
        )

    def _changes(self, entry: Entry) -> list[Change]:
        """What the entry did to records of the key: usually one thing."""
        try:
            found = self._spec(entry.logic_version)
        except UnreadableVersionError as error:
            self.problems.append(str(error))
            self._ended = f"the version that decided sequence={entry.sequence} cannot be loaded"
            return []
        if found is None:
            return []
        number, spec = found
        key = spec.record.field(spec.indexes[0].field)
        content = (self._key & MASK64).to_bytes(8, "little")[: key.size]
        return [
            change
            for change in entry.changes()
            if change.table == number and change.image[key.offset : key.offset + key.size] == content
        ]

    def _version(self, entry: Entry, change: Change, older: tuple[Entry, Change] | None) -> RecordVersion:
        """The change in words, compared with the one before it."""
        fields = self._fields(entry, change)
        before: dict[str, Any] | None = None
        known = True
        if change.operation == DELETED:
            changed = {name: (value, None) for name, value in fields.items()}
        elif change.operation == INSERTED:
            changed = {name: (None, value) for name, value in fields.items()}
        else:
            known = older is not None and older[1].operation != DELETED
            before = self._fields(*older) if older is not None and known else {}
            changed = {name: (before.get(name), value) for name, value in fields.items() if before.get(name) != value}
            if not known:
                changed = {}
        operation = change.operation_name
        return RecordVersion(
            self._entries.decoded(entry), operation, change.version, change.row, fields, changed, known
        )

    def _fields(self, entry: Entry, change: Change) -> dict[str, Any]:
        fields: dict[str, Any] = self._entries.decoder(entry).change(change).get("fields", {})
        return fields

    def _some_keys(self) -> str:
        """A few keys that there are now, as the newest snapshot has them."""
        snapshot = newest_snapshot(self._instance)
        if snapshot is None:
            return f"statevec sql shows the keys: SELECT * FROM rec_{self._table}"
        rows = _rows_in(snapshot, self._table)
        keys = ", ".join(str(key) for key in rows["key"][:10].tolist()) if rows is not None else ""
        return f"keys at sequence {snapshot.header.sequence}: {keys or 'none'}"


def _rows_in(snapshot: Snapshot, name: str) -> Any:
    """Key and last change of each record that a table has in a snapshot; None when it has no such table."""
    tables = ArenaLayout([*ENGINE_TABLES, *snapshot.plugin.table_specs]).tables
    table = tables.get(name)
    if table is None:
        return None
    key = table.spec.record.field(table.spec.indexes[0].field)
    kind = np.dtype(
        {
            "names": ["last_changed", "status", "key"],
            "formats": ["<i8", "<i4", field_kind(key.kind).dtype],
            "offsets": [ROW_LAST_CHANGED, ROW_STATUS, ROW_HEADER_SIZE + key.offset],
            "itemsize": table.row_size,
        }
    )
    never_used = snapshot.image.load_i64(table.at + TABLE_NEVER_USED)
    count = min(table.spec.capacity, (never_used - table.rows) // table.row_size)
    rows = np.frombuffer(snapshot.image.view, kind, count, table.rows)
    return rows[rows["status"] == USED]


def _holds(kind: str, key: int) -> bool:
    """Whether a field of that kind can hold the key: another value cannot be a record's key."""
    bits = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "u8": 8, "u16": 16, "u32": 32, "u64": 64, "bool": 1}[kind]
    low = -(1 << (bits - 1)) if kind.startswith("i") else 0
    return low <= key < (1 << (bits - 1) if kind.startswith("i") else 1 << bits)
