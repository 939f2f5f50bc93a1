"""Tables, records and rows in the interpreted tier: Python objects over the same memory as compiled handlers.

Every change goes through the kernels of `operations`, so both tiers leave the same bytes. A record holds the arena's
buffer and an offset; a field is one `struct` call.

Invariants
    What compiled code refuses when it is compiled raises here when it is run: ReadOnly for an assignment to what was
    only read, AttributeError for an unknown field, TypeError for a wrong type or for comparing records.
    Objects are made for one transaction block and one arena; `interpreted_transaction` makes new ones for others.

A crash leaves nothing: records lie in the arena of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from numba import types

from statevec.codecs.accessors import HANDLER, BlockView, view_class
from statevec.codecs.field_codec import FieldCodec
from statevec.codecs.layout import FieldLayout
from statevec.engine.plugin import operations
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.operations import (
    assign_indexed,
    count_records,
    delete_record,
    edit_record,
    find_record,
    insert_record,
    read_record,
    rows_begin,
    rows_check,
    rows_first,
    rows_next,
    start_timer,
    stop_timer,
    take_id,
    unique_record,
)
from statevec.engine.plugin.output_kernels import append_entry, open_output, put_data
from statevec.ipc.faults import ReadOnly
from statevec.state.arena_layout import ROW_HEADER_SIZE

OPERATIONS: dict[Any, int] = {
    **dict.fromkeys((find_record, read_record, edit_record, insert_record, delete_record, start_timer), 3),
    **dict.fromkeys((count_records, rows_begin, stop_timer), 2),
    **dict.fromkeys((unique_record, rows_check), 4),
    **dict.fromkeys((assign_indexed, rows_first, rows_next), 5),
    take_id: 1,
    append_entry: 3,
    open_output: 4,
    put_data: 5,
}
"""Kernels that interpreted handlers call, with the number of their arguments."""


def prepare_operations() -> None:
    """Compile the kernels for int64s and for nothing else: a float argument must not make another version of one."""
    for operation, count in OPERATIONS.items():
        signature = (types.int64,) * count
        if signature not in operation.overloads:
            operation.compile(signature)
        operation.disable_compile()


def word(value: Any) -> int:
    """A key or value as int; TypeError for what is no integer."""
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"an integer is needed, got {type(value).__name__}")


class RecordView(BlockView):
    """What records have in common: neither truth nor equality, as in compiled code."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise TypeError("records are not compared: compare their keys")

    def __bool__(self) -> bool:
        raise TypeError("a record has no truth value: compare with None")

    __hash__ = None  # type: ignore[assignment]


def record_classes(record: RecordDeclaration, number: int, transaction: int) -> tuple[type, type]:
    """Classes of a record's views: to read, and to change."""
    read = view_class(record.name, record.fields, False, RecordView)
    edit = view_class(record.name, record.fields, True, RecordView)
    members: dict[str, Any] = {"__slots__": ()}
    for index, each in enumerate(record.table_spec().indexes):
        layout = next(field for field in record.fields if field.name == each.field)
        getter = getattr(read, each.field).fget
        setter = _refuse_key(layout) if index == 0 else _indexed_setter(layout, number, index, transaction)
        members[each.field] = property(getter, setter)
    return read, type(record.name, (edit,), members)


def _refuse_key(field: FieldLayout) -> Callable[[Any, Any], NoReturn]:
    def assign(view: Any, value: Any) -> NoReturn:
        raise ReadOnly(f"{field.name!r} is the key: it is set once, by .insert(key)")

    return assign


def _indexed_setter(field: FieldLayout, number: int, index: int, transaction: int) -> Callable[[Any, Any], None]:
    encode = FieldCodec(field, HANDLER).encode

    def assign(view: Any, value: Any) -> None:
        assign_indexed(transaction, number, view._offset - ROW_HEADER_SIZE, index, word(encode(value)))

    return assign


class Rows:
    """Rows of an index, to loop over."""

    __slots__ = ("_first", "_index", "_order", "_table", "_token")

    def __init__(self, table: Table, index: int, order: int, value: int) -> None:
        self._table = table
        self._index = index
        self._order = order
        self._token = rows_begin(table._transaction, table._number)
        self._first = rows_first(table._transaction, table._number, index, order, value)

    def __iter__(self) -> Iterator[Any]:
        table = self._table
        transaction, number, index, order = table._transaction, table._number, self._index, self._order
        make, arena = table._read, table._arena
        token, current, following = self._token, 0, self._first
        while True:
            token = rows_check(transaction, number, token, current)
            if following == 0:
                return
            current = following
            following = rows_next(transaction, number, index, order, current)
            yield make(arena, current + ROW_HEADER_SIZE)


class Table:
    """A table of the transaction, read-only as invariants get it."""

    __slots__ = ("_arena", "_edit", "_indexes", "_key_check", "_number", "_read", "_record", "_transaction")

    def __init__(self, record: RecordDeclaration, number: int, transaction: int, arena: Any) -> None:
        self._record = record
        self._number = number
        self._transaction = transaction
        self._arena = arena
        self._read, self._edit = record_classes(record, number, transaction)
        key = next(each for each in record.fields if each.name == record.key)
        self._key_check = FieldCodec(key, HANDLER).encode if key.enum is not None else None
        self._indexes = {each.field: place for place, each in enumerate(record.table_spec().indexes)}

    def __getitem__(self, key: Any) -> Any:
        row = read_record(self._transaction, self._number, key if key.__class__ is int else word(key))
        return self._read(self._arena, row + ROW_HEADER_SIZE)

    def __contains__(self, key: Any) -> bool:
        row = find_record(self._transaction, self._number, key if key.__class__ is int else word(key))
        return bool(row != 0)

    def __len__(self) -> int:
        return int(count_records(self._transaction, self._number))

    def __bool__(self) -> bool:
        raise TypeError("a table has no truth value: use len()")

    def __iter__(self) -> Iterator[Any]:
        return iter(Rows(self, 0, operations.ROW_ORDER, 0))

    def get(self, key: Any) -> Any:
        row = find_record(self._transaction, self._number, key if key.__class__ is int else word(key))
        return self._read(self._arena, row + ROW_HEADER_SIZE) if row != 0 else None

    def _number_of(self, field: str, kinds: tuple[str, ...]) -> int:
        if self._record.indexes.get(field) not in kinds:
            raise AttributeError(f"table {self._record.table} has no {kinds[0]} index {field!r}")
        return self._indexes[field]

    def find_unique(self, field: str, value: Any) -> Any:
        index = self._number_of(field, ("unique",))
        row = unique_record(self._transaction, self._number, index, word(value))
        return self._read(self._arena, row + ROW_HEADER_SIZE) if row != 0 else None

    def rows(self, field: str, kind: str, order: int, value: Any) -> Rows:
        return Rows(self, self._number_of(field, (kind,)), order, word(value))

    def edit(self, key: Any) -> Any:
        raise ReadOnly("an invariant only reads")

    insert = delete = edit


class WritableTable(Table):
    """A table as handlers get it."""

    __slots__ = ()

    def edit(self, key: Any) -> Any:
        row = edit_record(self._transaction, self._number, key if key.__class__ is int else word(key))
        return self._edit(self._arena, row + ROW_HEADER_SIZE)

    def insert(self, key: Any) -> Any:
        if self._key_check is not None:
            self._key_check(word(key))
        row = insert_record(self._transaction, self._number, key if key.__class__ is int else word(key))
        return self._edit(self._arena, row + ROW_HEADER_SIZE)

    def delete(self, key: Any) -> None:
        delete_record(self._transaction, self._number, key if key.__class__ is int else word(key))
