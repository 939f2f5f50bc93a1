"""Reading an arena from Python: records as dictionaries, for tests, tools and people. Slow, and never in a loop's way.

Invariants
    Nothing is written. What is read between two transactions is consistent; a copy taken while one runs is not.
    Bounds are the layout's, not the arena's own words: damage gives wrong values, no endless loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from statevec.ipc.memory import Region
from statevec.state import arena_layout as layout
from statevec.state.arena import TableLayout
from statevec.state.records import RecordLayout


@dataclass(frozen=True)
class RecordView:
    """A record as it was read: row number, version, sequence that last changed it, fields by name."""

    number: int
    version: int
    last_changed: int
    fields: dict[str, Any]


def read_fields(record: RecordLayout, image: bytes | memoryview) -> dict[str, Any]:
    """The fields of a record from its bytes (an image of a delta, say); `char[n]` as bytes without trailing zeros."""
    values = np.frombuffer(image, record.dtype, count=1)[0].item()
    return dict(zip(record.by_name, values, strict=True))


def read_row(region: Region, table: TableLayout, number: int) -> RecordView | None:
    """The record at row number `number`; None when the row is free."""
    row = table.row(number)
    if region.load_i32(row + layout.ROW_STATUS) != layout.USED:
        return None
    start = row + layout.ROW_HEADER_SIZE
    return RecordView(
        number,
        region.load_i64(row + layout.ROW_VERSION),
        region.load_i64(row + layout.ROW_LAST_CHANGED),
        read_fields(table.spec.record, region.view[start : start + table.spec.record.size]),
    )


def read_rows(region: Region, table: TableLayout) -> Iterator[RecordView]:
    """The records of a table in row order."""
    never_used = region.load_i64(table.at + layout.TABLE_NEVER_USED)
    for number in range(min(table.spec.capacity, (never_used - table.rows) // table.row_size)):
        record = read_row(region, table, number)
        if record is not None:
            yield record


def statistics(region: Region, table: TableLayout) -> dict[str, int]:
    """Figures of a table: records, rows that were ever used, capacity, bytes of a row."""
    never_used = region.load_i64(table.at + layout.TABLE_NEVER_USED)
    return {
        "records": region.load_i64(table.at + layout.TABLE_ROW_COUNT),
        "rows_used_max": (never_used - table.rows) // table.row_size,
        "capacity": table.spec.capacity,
        "row_size_bytes": table.row_size,
    }
