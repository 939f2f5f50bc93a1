"""What a table holds, as Python says it: record layouts, indexes, table specifications.

A record's fields lie in declared order, each naturally aligned (`char[n]` at any byte), the whole padded to 8 bytes:

    fields   | field | field | padding | field | ... | padding to 8 |

Invariants
    Two record layouts with equal hashes give the same bytes for the same values.
    A table has one key; its index stands first, so that an index's number is its place in `TableSpec.indexes`.

Made by whoever declares tables (engine, plugin loader); immutable; nothing here lies in shared memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from statevec.state.words import BOOL, I8, I16, I32, I64, U8, U16, U32, U64


@dataclass(frozen=True)
class FieldKind:
    """One kind of field: its code in the arena (0: cannot be indexed), its size in bytes, its NumPy type."""

    code: int
    size: int
    dtype: str


FIELD_KINDS = {
    "i8": FieldKind(I8, 1, "<i1"),
    "i16": FieldKind(I16, 2, "<i2"),
    "i32": FieldKind(I32, 4, "<i4"),
    "i64": FieldKind(I64, 8, "<i8"),
    "u8": FieldKind(U8, 1, "<u1"),
    "u16": FieldKind(U16, 2, "<u2"),
    "u32": FieldKind(U32, 4, "<u4"),
    "u64": FieldKind(U64, 8, "<u8"),
    "bool": FieldKind(BOOL, 1, "?"),
    "f32": FieldKind(0, 4, "<f4"),
    "f64": FieldKind(0, 8, "<f8"),
}
CHAR_KIND = re.compile(r"char\[([1-9][0-9]*)\]")
INDEX_KINDS = ("key", "unique", "group", "ordered")
MAX_FIELDS_SIZE = 65_536


class SpecificationError(ValueError):
    """A record or table cannot be laid out as it was declared."""


def align(value: int, alignment: int) -> int:
    """The least multiple of `alignment` (a power of two) that is not below `value`."""
    return (value + alignment - 1) & -alignment


def field_kind(kind: str) -> FieldKind:
    """The kind named `kind`, such as `i64` or `char[12]`."""
    match = CHAR_KIND.fullmatch(kind)
    if match:
        return FieldKind(0, int(match[1]), f"S{match[1]}")
    if kind not in FIELD_KINDS:
        raise SpecificationError(f"unknown field kind: kind={kind!r} known={', '.join(FIELD_KINDS)}, char[n]")
    return FIELD_KINDS[kind]


@dataclass(frozen=True)
class RecordField:
    """A field: name, kind, offset from the record's first field, size in bytes."""

    name: str
    kind: str
    offset: int
    size: int

    @property
    def code(self) -> int:
        """The kind's code in the arena; 0 when such a field cannot be indexed."""
        return field_kind(self.kind).code


@dataclass(frozen=True)
class RecordLayout:
    """A record's fields and their places; build one with `RecordLayout.of`."""

    name: str
    fields: tuple[RecordField, ...]
    size: int

    @classmethod
    def of(cls, record_name: str, /, **kinds: str) -> RecordLayout:
        """The layout of a record whose fields are `kinds` (name=kind), in this order."""
        return cls.build(record_name, list(kinds.items()))

    @classmethod
    def build(cls, name: str, kinds: Sequence[tuple[str, str]]) -> RecordLayout:
        """The layout of a record with fields (name, kind), in this order."""
        fields: list[RecordField] = []
        place = 0
        for field_name, kind in kinds:
            made = field_kind(kind)
            place = align(place, 1 if kind.startswith("char") else made.size)
            fields.append(RecordField(field_name, kind, place, made.size))
            place += made.size
        if not fields:
            raise SpecificationError(f"record without fields: record={name!r}")
        if len({field.name for field in fields}) != len(fields):
            raise SpecificationError(f"two fields of one name: record={name!r}")
        if place > MAX_FIELDS_SIZE:
            raise SpecificationError(f"record too large: record={name!r} size={place} max={MAX_FIELDS_SIZE}")
        return cls(name, tuple(fields), align(place, 8))

    @cached_property
    def by_name(self) -> dict[str, RecordField]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    def field(self, name: str) -> RecordField:
        """The field named `name`."""
        if name not in self.by_name:
            known = ", ".join(self.by_name)
            raise SpecificationError(f"no such field: record={self.name!r} field={name!r} known={known}")
        return self.by_name[name]

    def offset(self, name: str) -> int:
        """Offset of a field from the record's first field, bytes."""
        return self.field(name).offset

    @cached_property
    def hash(self) -> str:
        """Hash (hex) of name, fields, kinds and places."""
        text = repr((self.name, [(each.name, each.kind, each.offset) for each in self.fields], self.size))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of the same bytes."""
        return np.dtype(
            {
                "names": [field.name for field in self.fields],
                "formats": [field_kind(field.kind).dtype for field in self.fields],
                "offsets": [field.offset for field in self.fields],
                "itemsize": self.size,
            }
        )


@dataclass(frozen=True)
class IndexSpec:
    """An index: kind `key`, `unique`, `group` or `ordered`, on one field."""

    kind: str
    field: str


@dataclass(frozen=True)
class TableSpec:
    """A table: at most `capacity` records; its key index, then the others; not `in_delta`: no delta tells of it."""

    name: str
    record: RecordLayout
    capacity: int
    indexes: Sequence[IndexSpec]
    in_delta: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "indexes", tuple(self.indexes))
        if self.capacity < 1:
            raise SpecificationError(f"capacity must be at least 1: table={self.name!r} capacity={self.capacity}")
        if [index.kind for index in self.indexes].count("key") != 1 or self.indexes[0].kind != "key":
            raise SpecificationError(f"a table has one key, and its index stands first: table={self.name!r}")
        if len({(index.kind, index.field) for index in self.indexes}) != len(self.indexes):
            raise SpecificationError(f"the same index twice: table={self.name!r}")
        for index in self.indexes:
            self._check_index(index)

    def _check_index(self, index: IndexSpec) -> None:
        where = f"table={self.name!r} index={index.kind}({index.field})"
        if index.kind not in INDEX_KINDS:
            raise SpecificationError(f"unknown kind of index: {where} known={', '.join(INDEX_KINDS)}")
        field = self.record.field(index.field)
        if field.code == 0:
            raise SpecificationError(f"only integer and bool fields can be indexed: {where} kind={field.kind}")
        if index.kind == "ordered" and field.kind == "u64":
            raise SpecificationError(f"u64 values are opaque and have no order: {where}")
        if index.kind != "key" and index.field == self.indexes[0].field:
            raise SpecificationError(f"the key needs no second index: {where}")

    def index_number(self, kind: str, field: str) -> int:
        """The number of an index, as the kernels take it: its place in `indexes`."""
        for number, index in enumerate(self.indexes):
            if (index.kind, index.field) == (kind, field):
                return number
        raise SpecificationError(f"no such index: table={self.name!r} index={kind}({field})")
