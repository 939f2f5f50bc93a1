"""What a record's field may be: `i8 … i64 u8 … u64 bool f64 chars[n]`, enums of the schema, and the index marks.

    order_id: Key[u64]          the key: one for each record
    venue_id: Unique[u64]       another value that no two records share
    instrument: Index[u32]      records of one value, in the order they came to it
    deadline: Ordered[i64]      records in the order of the value

Editors and type checkers see `int`, `bool`, `float` and `bytes`; at run time the names are marks that `declare` reads.
Nothing here keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from statevec.engine.plugin.errors import PluginError


@dataclass(frozen=True)
class FieldMark:
    """A kind of field, by its name in `codecs.layout.PRIMITIVES`, with a length for text."""

    name: str
    length: int = 1


@dataclass(frozen=True)
class IndexMark:
    """A field that an index is on: kind `key`, `unique`, `group` or `ordered`."""

    index: str
    field: Any


class _IndexFactory:
    def __init__(self, index: str) -> None:
        self._index = index

    def __getitem__(self, field: Any) -> IndexMark:
        return IndexMark(self._index, field)


class _CharsFactory:
    def __getitem__(self, length: int) -> FieldMark:
        if not isinstance(length, int) or not 1 <= length <= 4096:
            raise PluginError(f"chars[n] takes 1 to 4096 bytes, not {length!r}")
        return FieldMark("char", length)


if TYPE_CHECKING:
    _T = TypeVar("_T")
    i8: TypeAlias = int
    i16: TypeAlias = int
    i32: TypeAlias = int
    i64: TypeAlias = int
    u8: TypeAlias = int
    u16: TypeAlias = int
    u32: TypeAlias = int
    u64: TypeAlias = int
    f64: TypeAlias = float
    chars: TypeAlias = Annotated[bytes, _T]
    Key: TypeAlias = Annotated[_T, "key"]
    Unique: TypeAlias = Annotated[_T, "unique"]
    Index: TypeAlias = Annotated[_T, "group"]
    Ordered: TypeAlias = Annotated[_T, "ordered"]
else:
    i8, i16, i32, i64 = (FieldMark(name) for name in ("i8", "i16", "i32", "i64"))
    u8, u16, u32, u64 = (FieldMark(name) for name in ("u8", "u16", "u32", "u64"))
    f64 = FieldMark("f64")
    chars = _CharsFactory()
    Key, Unique = _IndexFactory("key"), _IndexFactory("unique")
    Index, Ordered = _IndexFactory("group"), _IndexFactory("ordered")


def read_mark(name: str, annotation: Any) -> tuple[FieldMark | type[IntEnum], str]:
    """The kind of a field and its index (empty: none) from its annotation."""
    index = ""
    if isinstance(annotation, IndexMark):
        index, annotation = annotation.index, annotation.field
    if annotation is bool:
        return FieldMark("bool"), index
    if isinstance(annotation, FieldMark) or (isinstance(annotation, type) and issubclass(annotation, IntEnum)):
        return annotation, index
    wanted = "i8 … i64, u8 … u64, bool, f64, chars[n] or an enum of the schema"
    raise PluginError(f"field {name!r} is of no kind that a record can hold ({wanted})")
