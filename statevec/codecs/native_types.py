"""Numba's types of a block in memory and of the values in it that are no plain numbers.

* `StructType`: a block (message body, record fields, composite). Its value is one int64, the block's address.
* `CharsType`: text in place, an address and a capacity; its value ends before the first NUL. `LIVE_CHARS` is that of
  memory which can be written, so it may change after it was read.
* `DataType`: variable data in place, an address and a length.
* `ChoicesType`: a set, an int64 with one bit for each choice.

Invariants
    Numba interns types by name, so each name carries a key that stands for layout and meaning (`layout_hash`, or a
    plugin's content hash): two versions with a record of the same name get two types.
    A subclass of `StructType` is read and written in the same way; the memory belongs to who made the value.

The values are process-local and live in registers: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numba import types
from numba.core import errors
from numba.core.typeconv import Conversion
from numba.extending import models, register_model

from statevec.codecs.layout import FieldLayout, SetLayout, layout_hash
from statevec.ipc.atomics import I64

MAX_TUPLE = 64
"""Arrays of numbers up to this many elements are read as tuples; longer ones compiled code cannot read."""


class FieldTypeError(errors.TypingError):
    """Compiled code names a field that is not there, or assigns what the field can never hold."""


class AddressModel(models.PrimitiveModel):
    """A value that is one address."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, I64)


class StructType(types.Type):
    """A block of `fields` at an address. `writable` says whether its fields can be assigned."""

    def __init__(self, name: str, key: str, fields: Iterable[FieldLayout], writable: bool) -> None:
        self.struct_name = name
        self.layout_key = key
        self.fields = {each.attribute: each for each in fields}
        self.writable = writable
        super().__init__(f"{type(self).__name__}({name}, {key}, {'write' if writable else 'read'})")

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        register_model(cls)(AddressModel)  # Numba finds models by exact class

    def field(self, name: str) -> FieldLayout:
        """The field of that name; `FieldTypeError` names those that exist."""
        found = self.fields.get(name)
        if found is None:
            raise FieldTypeError(f"{self.struct_name} has no field '{name}' (fields: {', '.join(self.fields)})")
        return found

    def attribute_type(self, name: str) -> Any:
        """The Numba type of attribute `name`; a subclass with further attributes overrides this."""
        found = self.field(name)
        if found.composite is not None:
            return StructType(f"{self.struct_name}.{name}", self.layout_key, found.composite.fields, self.writable)
        return live_type(found) if self.writable else field_type(found)

    def check_writable(self, name: str) -> FieldLayout:
        """The field, if it can be assigned; else `FieldTypeError` says why not."""
        found = self.field(name)
        if not self.writable:
            raise FieldTypeError(f"record {self.struct_name} was only read, so '{name}' cannot be assigned")
        if found.presence == "constant":
            raise FieldTypeError(f"'{name}' of {self.struct_name} is a constant")
        if found.composite is not None:
            raise FieldTypeError(f"'{name}' of {self.struct_name} is a composite: assign its members")
        return found


register_model(StructType)(AddressModel)


class CharsType(types.Type):
    """Text in place: bytes up to the first NUL; `live` says whether it can change."""

    def __init__(self, live: bool) -> None:
        self.live = live
        super().__init__("LiveChars" if live else "Chars")

    def can_convert_to(self, typing_context: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, CharsType) and other.live else None


CHARS = CharsType(live=False)
LIVE_CHARS = CharsType(live=True)


@register_model(CharsType)
class _CharsModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("capacity", types.int64)])


class DataType(types.Type):
    """Variable data in place: all of its bytes, NULs included."""

    def __init__(self) -> None:
        super().__init__("Data")


DATA = DataType()


@register_model(DataType)
class _DataModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("length", types.int64)])


class ChoicesType(types.Type):
    """A set; counts as an integer wherever one is wanted."""

    def __init__(self, layout: SetLayout) -> None:
        self.layout = layout
        super().__init__(f"Choices({layout.name}, {layout_hash(layout)})")

    def can_convert_to(self, typing_context: Any, other: Any) -> Any:
        return typing_context.can_convert(types.int64, other) if isinstance(other, types.Integer) else None


register_model(ChoicesType)(AddressModel)


def field_type(field: FieldLayout) -> Any:
    """The Numba type that reading `field` gives; composites need their struct: `StructType.attribute_type`."""
    kind = field.kind
    base: Any
    if kind == "composite":
        assert field.composite is not None
        return StructType(field.composite.name, layout_hash(field.composite), field.composite.fields, False)
    if kind == "chars":
        return CHARS
    if kind == "array":
        if field.length > MAX_TUPLE:
            raise FieldTypeError(f"'{field.name}' has {field.length} elements; compiled code reads at most {MAX_TUPLE}")
        element = types.float64 if field.primitive.kind == "float" else types.int64
        return types.UniTuple(element, field.length)
    if kind == "enum":
        assert field.enum is not None
        base = types.IntEnumMember(field.enum.enum_class, types.int64)
    elif kind == "set":
        assert field.choices is not None
        base = ChoicesType(field.choices)
    else:
        base = {"integer": types.int64, "float": types.float64, "bool": types.boolean}[kind]
    return types.Optional(base) if field.presence == "optional" and kind != "set" else base


def live_type(field: FieldLayout) -> Any:
    """The same for a block that can be written: its text may change after it was read."""
    kind = field_type(field)
    return LIVE_CHARS if kind == CHARS else kind
