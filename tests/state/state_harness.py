"""What the tests of state share: an arena with a transaction block, kernels in one of their forms, deltas as tuples."""

from __future__ import annotations

import struct
from typing import Any

from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.state import delta_layout, iteration, tables, transaction
from statevec.state import transaction_layout as layout
from statevec.state.arena import ArenaLayout, TableLayout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.reading import read_fields
from statevec.state.records import IndexSpec, RecordLayout, TableSpec

KERNELS = (
    *(getattr(tables, name) for name in tables.__all__),
    transaction.begin,
    transaction.commit,
    transaction.preview,
    transaction.rollback,
    transaction.savepoint,
    transaction.link_inserted,
    iteration.note_change,
)
FORMS = ("compiled", "plain")

ORDER = RecordLayout.of(
    "order", order_id="u64", side="u8", instrument="u32", ticket="i16", price="i64", quantity="i64", note="char[5]"
)
MARK = RecordLayout.of("mark", name="i8", level="i32", active="bool")
ORDERS, MARKS, NOTES = 0, 1, 2


def small_tables(capacity: int = 9) -> list[TableSpec]:
    """Three tables that run full quickly: all kinds of index, narrow fields, one outside of deltas."""
    return [
        TableSpec(
            "orders",
            ORDER,
            capacity,
            [
                IndexSpec("key", "order_id"),
                IndexSpec("group", "instrument"),
                IndexSpec("ordered", "price"),
                IndexSpec("unique", "ticket"),
                IndexSpec("group", "side"),
            ],
        ),
        TableSpec("marks", MARK, 5, [IndexSpec("key", "name"), IndexSpec("ordered", "level")]),
        TableSpec("notes", MARK, 4, [IndexSpec("key", "name"), IndexSpec("group", "level")], in_delta=False),
    ]


class Store:
    """An arena, the memory of a transaction, and the kernels as methods without their first argument."""

    def __init__(
        self,
        specifications: list[TableSpec],
        form: str = "compiled",
        undo_size: int = 1 << 16,
        touched_capacity: int = 64,
        entry_size: int = 1 << 14,
    ) -> None:
        self.layout = ArenaLayout(specifications)
        self.tables: list[TableLayout] = list(self.layout.tables.values())
        self.arena = Region.allocate(self.layout.size)
        self.layout.format(self.arena)
        self.undo = Region.allocate(undo_size)
        self.touched = Region.allocate(touched_capacity * layout.TOUCHED_ENTRY_SIZE)
        self.entry = Region.allocate(entry_size)
        self.tx = Region.allocate(layout.TRANSACTION_SIZE)
        for offset, value in (
            (layout.ARENA_ADDRESS, self.arena.address),
            (layout.ARENA_SIZE, self.arena.size),
            (layout.UNDO_ADDRESS, self.undo.address),
            (layout.UNDO_SIZE, undo_size),
            (layout.TOUCHED_ADDRESS, self.touched.address),
            (layout.TOUCHED_CAPACITY, touched_capacity),
        ):
            self.tx.store_i64(offset, value)
        memo: dict[Any, Any] = {}
        for each in KERNELS:
            setattr(self, f"_{each.__name__}", plain(each, memo) if form == "plain" else each)

    def __getattr__(self, name: str) -> Any:
        kernel = self.__dict__.get(f"_{name}")
        if kernel is None:
            raise AttributeError(name)
        return lambda *arguments: kernel(self.tx, *arguments)

    def begin(self, sequence: int = 1) -> None:
        self.tx.store_i64(layout.SEQUENCE, sequence)
        self.tx.store_i64(layout.SPACE_EXHAUSTED, 0)
        self._begin(self.tx)

    def commit(self, limit: int | None = None) -> int:
        return int(self._commit(self.tx, self.entry, 0, self.entry.size if limit is None else limit))

    def preview(self, limit: int) -> int:
        return int(self._preview(self.tx, self.entry, 0, limit))

    def image(self) -> bytes:
        return bytes(self.arena.view)

    def number(self, table: int, row: int) -> int | None:
        """The row number of a row, None for none."""
        if row == 0:
            return None
        number, rest = divmod(row - self.tables[table].rows, self.tables[table].row_size)
        assert rest == 0
        return number

    def row(self, table: int, number: int) -> int:
        return self.tables[table].row(number)

    def index(self, table: int, name: str) -> int:
        """The number of the index (not the key's) on a field."""
        return next(index.number for index in self.tables[table].indexes[1:] if index.field_name == name)

    def store_field(self, table: int, row: int, name: str, value: Any) -> None:
        """What a view of a record does after `edit_row`."""
        field = self.tables[table].spec.record.field(name)
        place = row + ROW_HEADER_SIZE + field.offset
        if isinstance(value, bytes):
            self.arena.view[place : place + field.size] = value.ljust(field.size, b"\0")
        else:
            self.arena.view[place : place + field.size] = (value & (1 << 8 * field.size) - 1).to_bytes(
                field.size, "little"
            )

    def fields(self, table: int, image: bytes) -> dict[str, Any]:
        """The fields in an image, `u64` as words: signed."""
        record = self.tables[table].spec.record
        found = read_fields(record, image)
        for field in record.fields:
            if field.kind == "u64" and found[field.name] >> 63:
                found[field.name] -= 1 << 64
        return found

    def delta(self, length: int) -> list[tuple]:
        """The delta that a commit wrote, as the oracle gives it."""
        found, place = [], 0
        while place < length:
            size, table, row, operation, version, previous = struct.unpack_from("<iiiiqq", self.entry.view, place)
            image = bytes(self.entry.view[place + delta_layout.DELTA_IMAGE : place + size])
            found.append((table, row, operation, version, previous, self.fields(table, image)))
            place += size
        assert place == length
        return found
