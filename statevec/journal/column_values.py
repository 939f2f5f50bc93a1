"""`Column`: the values of one field in many rows, from the bytes that `column_kernels` gathered, without a loop in
Python.

    integer, float, bool   an array of the field's own type, in the machine's byte order
    enum, set              an array of the encoding's integers; `names` has the texts of an enum
    text                   an array of bytes ("S8"), cut at the first NUL as NumPy does
    array                  an array of two dimensions

    message_columns(layout, rows)     the fields of a message, composites as `price.mantissa`
    record_columns(spec, rows)        the fields of a record
    entry_columns(rows, names)        fields of the entries' headers
    part_columns(kind, rows)          what stands between header and body: index and expiry, or version and operation

Invariants
    `null` is True where a message is older than the field, and where an optional field holds its null; the values there
    are null as encoded (NaN for floats, zeros for text). It is None where no row is null.
    Of a message only rows are used whose block has all fields that its version must have (`whole_messages`).

Arrays are copies: the rows' memory may be used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from statevec.codecs.columns import column_type, leaves
from statevec.codecs.evolution import acting_version
from statevec.codecs.layout import FieldLayout, MessageLayout, minimum_block_length
from statevec.codecs.reader_fields import null_image
from statevec.journal import column_layout as layout
from statevec.journal import entry_layout as entries
from statevec.state.records import TableSpec

ColumnKind = Literal["integer", "float", "bool", "text", "enum", "set", "array"]

ENTRY_FIELDS = {
    "kind": (entries.KIND, "<i4"),
    "position": (entries.POSITION, "<i8"),
    "sequence": (entries.SEQUENCE, "<i8"),
    "epoch": (entries.EPOCH, "<i8"),
    "timestamp_ns": (entries.TIMESTAMP_NS, "<i8"),
    "source": (entries.SOURCE, "<i4"),
    "source_sequence": (entries.SOURCE_SEQUENCE, "<i8"),
    "source_position": (entries.SOURCE_POSITION, "<i8"),
    "sent_ns": (entries.SENT_NS, "<i8"),
    "logic_version": (entries.LOGIC_VERSION, "<i4"),
    "outcome": (entries.OUTCOME, "<i4"),
    "length": (entries.LENGTH, "<i4"),
    "input_length": (entries.INPUT_LENGTH, "<i4"),
    "outputs_length": (entries.OUTPUTS_LENGTH, "<i4"),
    "delta_length": (entries.DELTA_LENGTH, "<i4"),
    "flags": (entries.FLAGS, "<i4"),
    "digest": (entries.DIGEST, "<i8"),
}
"""Fields of an entry's header that can be columns: offset and type of each."""
INPUT_FIELDS = ("sequence", "timestamp_ns", "sent_ns", "source", "epoch", "outcome")
OUTPUT_FIELDS = ("sequence", "timestamp_ns", "epoch")
CHANGE_FIELDS = ("sequence", "timestamp_ns")

OUTPUT_PART_FIELDS = {"index": (layout.ROW_INDEX, "<i8"), "expires_ns": (layout.ROW_EXPIRES_NS, "<i8")}
CHANGE_PART_FIELDS = {
    "version": (layout.ROW_PART + entries.DELTA_VERSION, "<i8"),
    "operation": (layout.ROW_PART + entries.DELTA_OPERATION, "<i4"),
    "row": (layout.ROW_PART + entries.DELTA_ROW, "<i4"),
    "previous_sequence": (layout.ROW_PART + entries.DELTA_PREVIOUS_SEQUENCE, "<i8"),
}
OPERATIONS = {entries.INSERTED: "inserted", entries.UPDATED: "updated", entries.DELETED: "deleted"}
TIME = "time"
"""The column that Arrow tables have beside `timestamp_ns`."""
ENUMS_OF_FIELDS: dict[str, Mapping[int, str]] = {"kind": entries.ENTRY_KINDS, "operation": OPERATIONS}


@dataclass(frozen=True)
class Column:
    """One field of all rows (see the module's docstring)."""

    name: str
    kind: ColumnKind
    values: Any
    null: Any = None
    names: Mapping[int, str] | None = None
    is_constant: bool = False
    """Whether it is a constant of the schema, which no message holds."""


def beside(own: list[Column], fields: list[Column]) -> list[Column]:
    """Columns of an entry's own, then a plugin's fields; a field whose name is taken is called `field_NAME`."""
    taken = {TIME, *(column.name for column in own)}
    return [*own, *(replace(each, name=f"field_{each.name}") if each.name in taken else each for each in fields)]


def strided(rows: Any, offset: int, kind: np.dtype[Any]) -> Any:
    """A copy of the field at `offset` of each row."""
    single, shape = kind.base, kind.shape
    if len(rows) == 0:
        return np.empty((0, *shape), single.newbyteorder("="))
    view = np.ndarray((len(rows), *shape), single, rows, offset, (rows.shape[1], *(single.itemsize for _ in shape)))
    return view.astype(single.newbyteorder("="), copy=True)


def plain_columns(rows: Any, fields: Mapping[str, tuple[int, str]]) -> list[Column]:
    """Columns of integers at fixed offsets of the rows."""
    return [
        Column(
            name,
            "enum" if name in ENUMS_OF_FIELDS else "integer",
            strided(rows, offset, np.dtype(kind)),
            names=ENUMS_OF_FIELDS.get(name),
        )
        for name, (offset, kind) in fields.items()
    ]


def entry_columns(rows: Any, names: tuple[str, ...] = tuple(ENTRY_FIELDS)) -> list[Column]:
    """Fields of the headers of the rows' entries."""
    return plain_columns(rows, {name: ENTRY_FIELDS[name] for name in names})


def whole_messages(message: MessageLayout, rows: Any) -> Any:
    """The rows whose block is as long as their version says it must be; usually that is all of them, not copied."""
    versions = strided(rows, layout.ROW_SCHEMA_VERSION, np.dtype("<i8"))
    lengths = strided(rows, layout.ROW_BLOCK_LENGTH, np.dtype("<i8"))
    whole = np.ones(len(rows), bool)
    for version in np.unique(versions):
        minimum = minimum_block_length(message.fields, acting_version(message, int(version)))
        whole &= (versions != version) | (lengths >= minimum)
    return rows if whole.all() else rows[whole]


def message_columns(message: MessageLayout, rows: Any) -> list[Column]:
    """The fields of `message` in rows that are all `whole_messages`; groups and data are left out."""
    versions = strided(rows, layout.ROW_SCHEMA_VERSION, np.dtype("<i8"))
    return [
        _message_column(name, field, offset, versions >= since, rows)
        for name, (field, offset, since) in leaves(message.fields, 0, "", 0).items()
    ]


def _message_column(name: str, field: FieldLayout, offset: int, present: Any, rows: Any) -> Column:
    # a leaf is no composite
    kind: ColumnKind = "text" if field.kind == "chars" or field.kind == "composite" else field.kind
    names = {value: text for text, value in field.enum.values} if field.enum is not None else None
    if field.presence == "constant":
        return Column(name, kind, np.full(len(rows), _constant(field)), names=names, is_constant=True)
    if not field.size:
        return Column(name, "text", np.zeros(len(rows), "S1"))
    made = column_type(field)
    values = strided(rows, layout.ROW_BODY + offset, made)
    null = None if present.all() else ~present
    if null is not None:
        values[null] = np.frombuffer(null_image(field), made)[0]
    if field.presence == "optional" and kind in ("integer", "enum", "float") and field.null is not None:
        is_null = np.isnan(values) if kind == "float" and field.null != field.null else values == field.null
        if is_null.any():
            null = is_null if null is None else null | is_null
    return Column(name, kind, values, null, names)


def _constant(field: FieldLayout) -> Any:
    return field.constant.encode() if isinstance(field.constant, str) else field.constant


def record_columns(spec: TableSpec, rows: Any, enums: Mapping[tuple[str, str], Any]) -> list[Column]:
    """The fields of a table's records; `enums` are the enum classes by (table, field)."""
    found = []
    for field in spec.record.fields:
        kind = spec.record.dtype.fields[field.name][0]  # type: ignore[index]  # it is a structured type
        values = strided(rows, layout.ROW_BODY + field.offset, kind)
        enum = enums.get((spec.name, field.name))
        names = {int(each): each.name for each in enum} if enum is not None else None
        found.append(Column(field.name, _record_kind(field.kind, names), values, names=names))
    return found


def _record_kind(kind: str, names: Mapping[int, str] | None) -> ColumnKind:
    if names is not None:
        return "enum"
    if kind.startswith("char"):
        return "text"
    return "bool" if kind == "bool" else "float" if kind.startswith("f") else "integer"
