"""Numba's types of what a compiled handler holds: transaction, tables, records, rows to loop over.

    transaction   int64, address of the transaction block
    table         int64, the same address; number and fields are in the type
    record        {address of the fields, address of the transaction block}
    rows          {transaction, token, first row}; an iterator has {token, current row, row behind it} in memory

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
from statevec.codecs.native import FieldTypeError, StructType, live_type
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.native_arithmetic import PluginTypeError
from statevec.engine.plugin.output_parts import OutputLevel, OutputPart

I64 = ir.IntType(64)


@dataclass(frozen=True)
class Output:
    """An output message: its layout, the whole empty message as bytes, and its parts."""

    layout: MessageLayout
    image: bytes
    header_size: int
    level: OutputLevel


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


class OutputLevelType(types.Type):
    """An output with groups or variable data, or an entry in it, to be written. `key` as in `StructType`."""

    def __init__(self, key: str, level: OutputLevel) -> None:
        self.level = level
        self.layout_key = key
        self.fields = {each.attribute: each for each in level.fields}
        super().__init__(f"OutputLevel({level.path}, {key})")

    @property
    def words(self) -> str:
        return f"an output {self.level.path}"

    def attribute_type(self, name: str) -> Any:
        """The Numba type of attribute `name`."""
        part = self.level.parts.get(name)
        if part is None:
            field = self.field(name)
            if field.composite is None:
                return live_type(field)
            return StructType(f"{self.level.path}.{name}", self.layout_key, field.composite.fields, True)
        if part.entry is None:
            raise PluginTypeError(f"{name!r} of {self.level.path} is variable data: an output's is assigned, not read")
        return OutputGroupType(self, part)

    def field(self, name: str) -> FieldLayout:
        """The field of the block of that name; `FieldTypeError` names what exists."""
        found = self.fields.get(name)
        if found is None:
            known = ", ".join([*self.fields, *self.level.parts])
            raise FieldTypeError(f"{self.level.path} has no field '{name}' (fields: {known})")
        return found

    def assignable(self, name: str) -> FieldLayout | OutputPart:
        """The field or data that a handler may assign."""
        part = self.level.parts.get(name)
        if part is not None:
            if part.entry is not None:
                raise PluginTypeError(f"{name!r} of {self.level.path} is a group: use .append()")
            return part
        return StructType(self.level.path, self.layout_key, self.level.fields, True).check_writable(name)


class OutputGroupType(types.Type):
    """A group of an output, to append entries to."""

    def __init__(self, owner: OutputLevelType, part: OutputPart) -> None:
        assert part.entry is not None
        self.part = part
        self.entry = OutputLevelType(owner.layout_key, part.entry)
        super().__init__(f"OutputGroup({part.entry.path}, {owner.layout_key})")

    @property
    def words(self) -> str:
        return f"a group {self.entry.level.path} of an output"


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

    def output_type(self, name: str) -> StructType | OutputLevelType:
        """The writable view of an output message."""
        output = self.outputs[name]
        key = f"{self.content_key} output"
        if not output.layout.is_flat:
            return OutputLevelType(key, output.level)
        return StructType(output.layout.name, key, output.layout.fields, True)


for _kind in (TableType, EmitType, TransactionType):
    register_model(_kind)(WordModel)


@register_model(OutputLevelType)
@register_model(OutputGroupType)
@register_model(RecordType)
class _PlacedModel(models.StructModel):
    """An address, and the transaction in which something stands there: of a group, its level's block."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("transaction", types.int64)])


@register_model(RowsType)
class _RowsModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [(name, types.int64) for name in ("transaction", "token", "first")])


@register_model(RowsIteratorType)
class _RowsIteratorModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        pointer = types.EphemeralPointer(types.int64)
        members = [("transaction", types.int64), ("token", pointer), ("current", pointer), ("following", pointer)]
        super().__init__(manager, kind, members)
