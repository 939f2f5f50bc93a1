"""Numba's types of what a compiled handler holds: transaction, tables, records, rows to loop over.

    transaction   int64, address of the transaction block
    table         int64, the same address; number and fields are in the type
    record        {address of the fields, address of the transaction block}
    rows          {transaction, first row}; an iterator adds {token, current row, row behind it} in memory

Invariants
    Numba interns types by name, so every name holds the plugin's content hash: two versions side by side keep apart.
    A record that may be changed converts into one that may be read, so that both meet in one variable; never back.

Values live in registers: a crash leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typeconv import Conversion
from numba.extending import models, register_model

from statevec.codecs.layout import FieldLayout, MessageLayout
from statevec.codecs.native import StructType
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.native_arithmetic import PluginTypeError

I64 = ir.IntType(64)


@dataclass(frozen=True)
class Output:
    """An output message: its layout, and header and empty block as bytes."""

    layout: MessageLayout
    image: bytes
    header_size: int


class WordModel(models.PrimitiveModel):
    """A value of one int64."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


class RecordType(types.Type):
    """A record of a table, to read or to change."""

    def __init__(self, key: str, record: RecordDeclaration, number: int, writable: bool) -> None:
        self.record = record
        self.number = number
        self.writable = writable
        self.content_key = key
        self.fields: dict[str, FieldLayout] = {each.name: each for each in record.fields}
        spec = record.table_spec()
        self.index_numbers = {each.field: n for n, each in enumerate(spec.indexes)}
        super().__init__(f"{'Edited' if writable else 'Read'}({record.name}, {number}, {key})")

    @property
    def words(self) -> str:
        return f"a record {self.record.name}"

    def can_convert_to(self, typing_context: Any, other: Any) -> Any:
        same = isinstance(other, RecordType) and (other.number, other.content_key) == (self.number, self.content_key)
        return Conversion.safe if same and self.writable and not other.writable else None

    def field(self, name: str) -> FieldLayout:
        """The field of that name; PluginTypeError names those that exist."""
        found = self.fields.get(name)
        if found is None:
            raise PluginTypeError(f"record {self.record.name} has no field {name!r} (fields: {', '.join(self.fields)})")
        return found

    def assignable(self, name: str) -> FieldLayout:
        """The field, if a handler may assign it."""
        found = self.field(name)
        if not self.writable:
            raise PluginTypeError(
                f"a record {self.record.name} was only read, so {name!r} cannot be assigned; take it with .edit(key)"
            )
        if name == self.record.key:
            raise PluginTypeError(f"{name!r} is the key of {self.record.name}: it is set once, by .insert(key)")
        return found


class RowsIteratorType(types.SimpleIteratorType):
    """Iterator over records, in the order that `order` and `index` say."""

    def __init__(self, record: RecordType, index: int, order: int) -> None:
        self.record_type = record
        self.index = index
        self.order = order
        super().__init__(f"RowsIterator({record.name}, {index}, {order})", record)


class RowsType(types.SimpleIterableType):
    """Rows of one value of an index, or from one value on."""

    def __init__(self, record: RecordType, index: int, order: int) -> None:
        self.record_type = record
        self.index = index
        self.order = order
        super().__init__(f"Rows({record.name}, {index}, {order})", RowsIteratorType(record, index, order))

    @property
    def words(self) -> str:
        return f"rows of {self.record_type.record.name}"


class TableType(types.SimpleIterableType):
    """A table; `writable` is False for what invariants get."""

    def __init__(self, key: str, record: RecordDeclaration, number: int, writable: bool) -> None:
        self.record = record
        self.number = number
        self.writable = writable
        self.read = RecordType(key, record, number, False)
        self.edit = RecordType(key, record, number, True)
        name = f"Table({record.table}, {number}, {'write' if writable else 'read'}, {key})"
        super().__init__(name, RowsIteratorType(self.read, 0, 0))

    @property
    def words(self) -> str:
        return f"the table {self.record.table}"

    def check_writable(self, method: str) -> None:
        if not self.writable:
            raise PluginTypeError(f"an invariant only reads: .{method} is for handlers")

    def index(self, method: str, field: str, kinds: tuple[str, ...]) -> int:
        """Number of the index that `method` walks; PluginTypeError names those that exist."""
        kind = self.record.indexes.get(field)
        if kind not in kinds:
            known = [name for name, each in self.record.indexes.items() if each in kinds]
            listed = ", ".join(known) if known else "none"
            raise PluginTypeError(f"table {self.record.table} has no field {field!r} for .{method} (fields: {listed})")
        return self.read.index_numbers[field]


class EmitType(types.Type):
    """`tx.emit`: exists so that its use without a call is an error in our words."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Emit({key})")

    @property
    def words(self) -> str:
        return "tx.emit"


class TransactionType(types.Type):
    """What a handler calls `tx`."""

    def __init__(self, key: str, tables: dict[str, TableType], outputs: dict[str, Output], writable: bool) -> None:
        self.content_key = key
        self.tables = tables
        self.outputs = outputs
        self.writable = writable
        super().__init__(f"Transaction({key}, {'write' if writable else 'read'})")

    @property
    def words(self) -> str:
        return "the transaction"

    def check_writable(self, what: str) -> None:
        if not self.writable:
            raise PluginTypeError(f"an invariant only reads: tx.{what} is for handlers")

    def output_type(self, name: str) -> StructType:
        """The writable view of an output message."""
        layout = self.outputs[name].layout
        return StructType(layout.name, f"{self.content_key} output", layout.fields, True)


for _kind in (TableType, EmitType, TransactionType):
    register_model(_kind)(WordModel)


@register_model(RecordType)
class _RecordModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("transaction", types.int64)])


@register_model(RowsType)
class _RowsModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("transaction", types.int64), ("first", types.int64)])


@register_model(RowsIteratorType)
class _RowsIteratorModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        pointer = types.EphemeralPointer(types.int64)
        members = [("transaction", types.int64), ("token", pointer), ("current", pointer), ("following", pointer)]
        super().__init__(manager, kind, members)
