"""Comparing snapshots with a state that was executed: what `verify` does wherever the journal passes one.

A digest says that entries came out the same. It says nothing of a record that no entry has read since some memory
flipped a bit in it: that stands in the next snapshot, whose hashes are right, since they were made of it. Execution
again from an older start has the bytes that should be there.

    stops(instance, after, limit)             snapshots on the way, the first one first
    compare_snapshot(following, path)         the first record of the snapshot that is otherwise, or None

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from statevec.audit.difference import MISSING, FieldDifference
from statevec.audit.state_at_records import RecordNames
from statevec.engine.instance import Instance
from statevec.engine.snapshot_file import (
    CARRIED,
    SnapshotError,
    SnapshotHeader,
    list_snapshots,
    read_header,
    read_snapshot,
)
from statevec.ipc.memory import Region
from statevec.journal.decode import hex64
from statevec.roles.following import Following
from statevec.state.arena import TableLayout
from statevec.state.arena_layout import TABLE_SIZE
from statevec.state.reading import RecordView, read_row

BLOCK = 1 << 20


@dataclass(frozen=True)
class SnapshotDifference:
    """The first thing in a snapshot that execution does not give: `recorded` in its fields is the snapshot's value."""

    path: Path
    sequence: int
    place: str
    """`accounts[7]`, `accounts: index or free rows`, or a field of the header."""
    fields: list[FieldDifference]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path)}


def stops(instance: Instance, after: int, limit: int) -> Iterator[tuple[int, Path]]:
    """Position and path of this instance's snapshots behind the entry `after`, up to position `limit`.

    One that cannot be read is passed over: doctor says what is wrong with it, and recovery does not use it.
    """
    for path in reversed(list_snapshots(instance.snapshots_directory)):
        try:
            header = read_header(path)
        except (SnapshotError, OSError):
            continue
        if header.instance_id == instance.genesis.instance_id and header.sequence > after and header.position <= limit:
            yield header.position, path


def compare_snapshot(following: Following, path: Path) -> SnapshotDifference | None:
    """What differs in the snapshot from `following`, which is at its position. Raises `SnapshotError`, `OSError`."""
    header, image = read_snapshot(path)
    fields = [field for field in _header_fields(following, header) if field.recorded != field.executed]
    if fields:
        return SnapshotDifference(path, header.sequence, "header", fields[:1])
    at = _first_difference(image, following.execution.arena)
    if at is None:
        return None
    place, fields = _describe(following, image, at)
    return SnapshotDifference(path, header.sequence, place, fields)


def _header_fields(following: Following, header: SnapshotHeader) -> Iterator[FieldDifference]:
    execution = following.execution
    yield FieldDifference("sequence", header.sequence, execution.sequence)
    yield FieldDifference("digest", header.digest, hex64(execution.digest))
    yield FieldDifference("layout", header.layout_hash, execution.layout.hash)
    yield FieldDifference("deciders", header.deciders, following.versions.history.deciders)
    yield FieldDifference("sources", header.sources, following.history.sources)
    for name, offset in CARRIED.items():
        yield FieldDifference(name, header.execution[name], execution.block.load_i64(offset))


def _first_difference(image: Region, arena: Region) -> int | None:
    """Offset of the first byte that differs."""
    left, right = (np.frombuffer(each.view, np.uint8) for each in (image, arena))
    for start in range(0, len(left), BLOCK):
        differs = left[start : start + BLOCK] != right[start : start + BLOCK]
        if differs.any():
            return start + int(differs.argmax())
    return None


def _describe(following: Following, image: Region, at: int) -> tuple[str, list[FieldDifference]]:
    """The table and record that an offset of the arena lies in, and the fields that differ there."""
    execution = following.execution
    for number, table in enumerate(execution.layout.tables.values()):
        if not table.rows <= at < table.rows + table.spec.capacity * table.row_size:
            continue
        row = (at - table.rows) // table.row_size
        left, right = read_row(image, table, row), read_row(execution.arena, table, row)
        fields = _record_fields(following, number, left, right)
        record = right or left
        if fields and record is not None:
            names = RecordNames(following.versions.plugin)
            key = names.named(number, record.fields)[names.key_field(number)]
            return f"{table.spec.name}[{key}]", fields
        return f"{table.spec.name}: links or free rows", [_byte(image, execution.arena, at)]
    return _part_of(execution.layout.tables.values(), at), [_byte(image, execution.arena, at)]


def _part_of(tables: Any, at: int) -> str:
    """The table whose directory entry or index buckets an offset lies in, as far as that can be said."""
    before: list[TableLayout] = [table for table in tables if table.rows <= at]
    if before:
        return f"{before[-1].spec.name}: index"
    described = (table for table in tables if table.at <= at < table.at + TABLE_SIZE)
    return next((f"{table.spec.name}: counts" for table in described), "arena")


def _record_fields(
    following: Following, number: int, left: RecordView | None, right: RecordView | None
) -> list[FieldDifference]:
    names = RecordNames(following.versions.plugin)

    def shown(record: RecordView | None) -> dict[str, Any]:
        if record is None:
            return {}
        named = names.named(number, record.fields)
        return {**named, "version": record.version, "last changed": record.last_changed}

    before, after = shown(left), shown(right)
    pairs = [
        FieldDifference(name, before.get(name, MISSING), after.get(name, MISSING))
        for name in dict.fromkeys([*before, *after])
    ]
    return [pair for pair in pairs if pair.recorded != pair.executed]


def _byte(image: Region, arena: Region, at: int) -> FieldDifference:
    return FieldDifference(f"byte {at}", image.view[at], arena.view[at])
