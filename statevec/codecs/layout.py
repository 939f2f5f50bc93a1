"""Where each field of a block lies, what it means and what it may hold: the layout tree of messages and records.

Everything that reads or writes a block (`flyweight`, `accessors`, `native`) is generated from these frozen objects.
A schema makes them of its XML (`schema_layout`); the plugin contract makes them of record classes.

Invariants
    A field ends inside its block; fields do not overlap; a constant takes no bytes.
    Objects are immutable, hashable, and equal when layout and meaning are equal: descriptions do not count.
    Equal `EnumLayout`s share one `IntEnum` class, equal `SetLayout`s one `Choices` class, so two loads of one schema
    agree about the types of their values.

Memory layout of a message
    header (a composite, members found by name) | block (`block_length` bytes, fields at their offsets, zero padding)
    | groups: dimensions, then per entry its block, groups and data | data: length, bytes

Nobody writes these objects after construction; any thread may read them.
"""

from __future__ import annotations

import hashlib
import keyword
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache
from typing import Any, Literal

Kind = Literal["integer", "float", "bool", "chars", "array", "enum", "set", "composite"]
Presence = Literal["required", "optional", "constant"]
ByteOrder = Literal["little", "big"]
Number = int | float
LAST_VERSION = (1 << 63) - 1
"""Above every version: nothing is absent in it."""


def attribute_name(name: str, taken: frozenset[str] = frozenset()) -> str:
    """A name of a schema as an attribute in Python.

    Keywords and names `taken` by the object itself get an underscore behind them; names that begin with an underscore,
    which objects keep for themselves, get "field" before it.
    """
    if name.startswith("_"):
        return f"field{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


@dataclass(frozen=True)
class Primitive:
    """A type of one machine word or less. `null`, `sbe_minimum` and `sbe_maximum` are SBE's defaults."""

    name: str
    size: int
    code: str
    kind: Literal["integer", "float", "bool", "chars"]
    signed: bool = False
    null: Number = 0
    sbe_minimum: Number | None = None
    sbe_maximum: Number | None = None

    @property
    def lowest(self) -> int:
        """The smallest integer that the bytes can hold."""
        return -(1 << (8 * self.size - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest integer that the bytes can hold."""
        if self.kind == "bool":
            return 1
        return (1 << (8 * self.size - self.signed)) - 1


def _signed(size: int, code: str) -> Primitive:
    limit = 1 << (8 * size - 1)
    return Primitive(f"i{8 * size}", size, code, "integer", True, -limit, -limit + 1, limit - 1)


def _unsigned(size: int, code: str) -> Primitive:
    limit = 1 << (8 * size)
    return Primitive(f"u{8 * size}", size, code, "integer", False, limit - 1, 0, limit - 2)


PRIMITIVES: dict[str, Primitive] = {
    each.name: each
    for each in (
        *(_signed(size, code) for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))),
        *(_unsigned(size, code) for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))),
        Primitive("f32", 4, "f", "float", True, math.nan),
        Primitive("f64", 8, "d", "float", True, math.nan),
        Primitive("bool", 1, "B", "bool"),
        Primitive("char", 1, "s", "chars", False, 0, 0x20, 0x7E),
    )
}
"""By the names that record classes use: i8 … i64, u8 … u64, f32, f64, bool, char."""


@dataclass(frozen=True)
class EnumLayout:
    """An enumeration: its encoding and its valid values by name, in the schema's order. Char values are code points."""

    name: str
    primitive: Primitive
    values: tuple[tuple[str, int], ...]
    null: int
    since_version: int = 0
    text: bool = False

    @property
    def enum_class(self) -> type[IntEnum]:
        """The `IntEnum` of these values: the same class for equal layouts."""
        return _enum_class(self.name, self.values)


@cache
def _enum_class(name: str, values: tuple[tuple[str, int], ...]) -> type[IntEnum]:
    # keywords are reachable as names of an enum by `getattr` only, and "mro" is refused
    members = [(attribute_name(each, frozenset(["mro"])), value) for each, value in values]
    make: Callable[..., type[IntEnum]] = IntEnum  # type: ignore[assignment]  # it is a factory of classes as well
    return make(name, members, module=__name__)


class _Choice:
    """A choice: of a value, whether it is in; of the class, the value that has only this one."""

    def __init__(self, bit: int) -> None:
        self.mask = 1 << bit

    def __get__(self, value: Choices | None, owner: type[Choices]) -> Any:
        return owner(self.mask) if value is None else bool(int(value) & self.mask)


class Choices(int):
    """Value of a set: an integer with one bit for each choice, choices as attributes, choice names when iterated."""

    layout: SetLayout

    @classmethod
    def of(cls, *names: str) -> Choices:
        """The set of the named choices; KeyError for an unknown one."""
        return cls(cls.layout.value_of(names))

    def names(self) -> list[str]:
        """Names of the choices that are in, in the schema's order; bits without a name are left out."""
        return [name for name, bit in self.layout.choices if int(self) >> bit & 1]

    def __repr__(self) -> str:
        return f"{self.layout.name}({', '.join(self.names())})"


TAKEN_BY_CHOICES = frozenset(["names", "of", "layout"])


@dataclass(frozen=True)
class SetLayout:
    """A set of choices: its encoding and the bit of each choice, counted from the least significant."""

    name: str
    primitive: Primitive
    choices: tuple[tuple[str, int], ...]
    since_version: int = 0

    def value_of(self, names: Iterable[str]) -> int:
        """The bits of the named choices; KeyError for an unknown one."""
        bits = dict(self.choices)
        value = 0
        for name in names:
            value |= 1 << bits[name]
        return value

    @property
    def choices_class(self) -> type[Choices]:
        """The `Choices` class of this set: the same class for equal layouts."""
        return _choices_class(self)


@cache
def _choices_class(layout: SetLayout) -> type[Choices]:
    members: dict[str, Any] = {attribute_name(name, TAKEN_BY_CHOICES): _Choice(bit) for name, bit in layout.choices}
    return type(layout.name, (Choices,), {**members, "layout": layout, "__slots__": (), "__module__": __name__})


@dataclass(frozen=True)
class FieldLayout:
    """One field of a block. `FieldLayout(name, offset, PRIMITIVES["i64"])` is a plain one, as records have them.

    `length` counts elements; `minimum`, `maximum` and `null` are as encoded (None: whatever the bytes hold, no null).
    `constant` is the value of a constant: int, float, or str. `byte_order` is repeated in each field so that a field
    can be read without knowing its message.
    """

    name: str
    offset: int
    primitive: Primitive
    length: int = 1
    presence: Presence = "required"
    byte_order: ByteOrder = "little"
    minimum: Number | None = None
    maximum: Number | None = None
    null: Number | None = None
    enum: EnumLayout | None = None
    choices: SetLayout | None = None
    composite: CompositeLayout | None = None
    constant: int | float | str | None = None
    encoding: str = "ascii"
    id: int = -1
    since_version: int = 0
    deprecated: int = 0
    semantic_type: str = ""
    type_name: str = ""
    description: str = field(default="", compare=False, repr=False)

    @property
    def kind(self) -> Kind:
        """What its value is: see `Kind`. Text of any length, one character too, is "chars"."""
        if self.composite is not None:
            return "composite"
        if self.enum is not None:
            return "enum"
        if self.choices is not None:
            return "set"
        if self.primitive.kind != "chars" and self.length != 1:
            return "array"
        return self.primitive.kind

    @property
    def attribute(self) -> str:
        """Its name as an attribute of a view: see `attribute_name`."""
        return attribute_name(self.name)

    @property
    def size(self) -> int:
        """Bytes in the block."""
        if self.presence == "constant":
            return 0
        return self.composite.size if self.composite is not None else self.primitive.size * self.length

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def since(self) -> int:
        """The schema's version from which on messages have it: its own or its type's, whichever came later."""
        types = (self.enum, self.choices, self.composite)
        return max(self.since_version, *(0 if each is None else each.since_version for each in types))

    def is_absent(self, version: int) -> bool:
        """Whether messages of that version lack it; constants are always there."""
        return self.presence != "constant" and self.since > version

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer that may be stored."""
        low = self.primitive.lowest if self.minimum is None else int(self.minimum)
        high = self.primitive.highest if self.maximum is None else int(self.maximum)
        return low, high

    @property
    def count_limits(self) -> tuple[int, int]:
        """Smallest and largest count or length. Other members of composites may hold their null; here it is none."""
        low, high = self.limits
        if self.maximum is None and self.primitive.sbe_maximum is not None:
            high = int(self.primitive.sbe_maximum)
        return low, high

    @property
    def code(self) -> str:
        """Code of the whole field in Python's `struct` language, without byte order."""
        return (
            f"{self.length}{self.primitive.code}" if self.length != 1 or self.kind == "chars" else self.primitive.code
        )


@dataclass(frozen=True)
class CompositeLayout:
    """A composite: fields at offsets from its own start. Its message's byte order is in the fields."""

    name: str
    fields: tuple[FieldLayout, ...]
    size: int
    since_version: int = 0
    leaf_count: int = field(default=0, compare=False, repr=False)
    """Fields that are no composites, here and in all nested ones; schemas are refused when there are too many."""

    def member(self, name: str) -> FieldLayout | None:
        """The field of that name, or None."""
        return next((each for each in self.fields if each.name == name), None)


@dataclass(frozen=True)
class HeaderLayout:
    """A message header or the dimensions of a group: a composite whose members are found by name.

    `constants` has the values of members that take no bytes (a schema id, say).
    """

    composite: CompositeLayout

    @property
    def size(self) -> int:
        return self.composite.size

    def member(self, name: str) -> FieldLayout | None:
        return self.composite.member(name)

    @property
    def constants(self) -> dict[str, int]:
        return {each.name: int(each.constant) for each in self.composite.fields if isinstance(each.constant, int)}


@dataclass(frozen=True)
class DataLayout:
    """Variable-length data: a length (`length_field`, offset 0) directly before the bytes."""

    name: str
    id: int
    length_field: FieldLayout
    encoding: str | None
    since_version: int = 0
    deprecated: int = 0
    type_name: str = ""
    composite: CompositeLayout | None = None
    semantic_type: str = ""
    description: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class GroupLayout:
    """A repeating group: dimensions, then that many entries of block, groups and data."""

    name: str
    id: int
    dimensions: HeaderLayout
    block_length: int
    fields: tuple[FieldLayout, ...]
    groups: tuple[GroupLayout, ...]
    data: tuple[DataLayout, ...]
    since_version: int = 0
    deprecated: int = 0
    semantic_type: str = ""
    description: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class MessageLayout:
    """A message: template id, block, groups and data. Offsets count from the end of the header."""

    name: str
    id: int
    block_length: int
    fields: tuple[FieldLayout, ...]
    groups: tuple[GroupLayout, ...]
    data: tuple[DataLayout, ...]
    byte_order: ByteOrder = "little"
    since_version: int = 0
    deprecated: int = 0
    semantic_type: str = ""
    description: str = field(default="", compare=False, repr=False)

    @property
    def is_flat(self) -> bool:
        """Whether the block is all there is."""
        return not self.groups and not self.data

    @property
    def minimum_block_length(self) -> int:
        """The end of the last field: a shorter block lacks fields."""
        return minimum_block_length(self.fields)


def minimum_block_length(fields: Iterable[FieldLayout], version: int = LAST_VERSION) -> int:
    """The end of the last field that messages of a version have: a shorter block lacks fields."""
    return max((each.end for each in fields if not each.is_absent(version)), default=0)


def layout_hash(*layouts: Any) -> str:
    """Hash (hex) of layouts: equal when and only when they mean the same, in any process."""
    return hashlib.blake2b(repr(layouts).encode(), digest_size=16).hexdigest()


def natural_layout(fields: list[FieldLayout]) -> tuple[tuple[FieldLayout, ...], int]:
    """The fields at naturally aligned offsets in the given order, and the size of the record, a multiple of 8."""
    offset = 0
    placed = []
    for each in fields:
        offset += -offset % each.primitive.size
        placed.append(replace(each, offset=offset))
        offset += each.size
    return tuple(placed), offset + -offset % 8
