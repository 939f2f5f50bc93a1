"""How one field turns from what `struct` unpacks into a Python value and back, for both kinds of Python view.

`FieldCodec` is made once for each field and dialect. A *dialect* says what values look like and how refusals are
raised: `flyweight` (SBE for people: text as str, u64 unsigned, `SbeError`s) and `accessors` (a plugin's handlers
without compiler: the values of compiled code, `Fault`s).

Invariants
    `encode` gives only what fits: it refuses a value outside the limits, null in a required field, a wrong type.
    `decode` never fails except for text that its encoding does not know. An enum value that the schema does not list
    passes through as an integer, never as null.
    Stored NaNs are the canonical one.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NoReturn

from statevec.codecs.layout import FieldLayout
from statevec.ipc.memory import MASK64

BYTE_ORDER_CODE = {"little": "<", "big": ">"}


class Dialect:
    """What values look like and how refusals are raised; see the module's docstring."""

    text_as_str = True
    signed_u64 = False
    names_accepted = True

    def out_of_range(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        raise NotImplementedError

    def wrong_type(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        raise NotImplementedError


def _same(value: Any) -> Any:
    return value


class FieldCodec:
    """`code` for struct (without byte order), `decode(raw)`, `encode(value) -> raw`; arrays are sequences of raw."""

    def __init__(self, field: FieldLayout, dialect: Dialect) -> None:
        self.field = field
        self.dialect = dialect
        self.kind = field.kind
        self.low, self.high = field.limits
        self.as_signed = dialect.signed_u64 and field.primitive.size == 8 and not field.primitive.signed
        self.code = self._code()
        self.decode: Callable[[Any], Any] = getattr(self, f"_make_{self.kind}_decoder")()
        self.encode: Callable[[Any], Any] = self._make_encoder()
        """A value to what struct packs; for an array the tuple of its elements."""

    def _code(self) -> str:
        field = self.field
        if self.kind == "enum" and field.primitive.kind == "chars":
            return "B"
        if field.kind == "array":
            return f"{field.length}{'q' if self.as_signed else field.primitive.code}"
        return "q" if self.as_signed else field.code

    @property
    def struct(self) -> struct.Struct:
        return struct.Struct(BYTE_ORDER_CODE[self.field.byte_order] + self.code)

    # reading

    def _null(self) -> Any:
        """What an optional field holds when it is null, as struct unpacks it."""
        null = self.field.null if self.field.null is not None else self.field.primitive.null
        if self.as_signed and isinstance(null, int) and null >> 63:
            return null - (1 << 64)
        return null

    @property
    def optional(self) -> bool:
        return self.field.presence == "optional"

    def _make_integer_decoder(self) -> Callable[[Any], Any]:
        if not self.optional:
            return _same
        null = self._null()
        return lambda raw: None if raw == null else raw

    def _make_float_decoder(self) -> Callable[[Any], Any]:
        null = self._null()
        if not self.optional:
            return _same
        if math.isnan(null):
            return lambda raw: None if raw != raw else raw
        return lambda raw: None if raw == null else raw

    def _make_bool_decoder(self) -> Callable[[Any], Any]:
        return bool

    def _make_chars_decoder(self) -> Callable[[Any], Any]:
        encoding = self.field.encoding
        if self.dialect.text_as_str:
            return lambda raw: raw.partition(b"\0")[0].decode(encoding)
        return lambda raw: raw.partition(b"\0")[0]

    def _make_array_decoder(self) -> Callable[[Any], Any]:
        return tuple

    def _make_enum_decoder(self) -> Callable[[Any], Any]:
        assert self.field.enum is not None
        members: dict[Any, Any] = {
            (value - (1 << 64) if self.as_signed and value >> 63 else value): member
            for value, member in self.field.enum.enum_class._value2member_map_.items()
        }
        if self.optional:
            members.setdefault(self._null(), None)
        find = members.get
        return lambda raw: find(raw, raw)

    def _make_set_decoder(self) -> Callable[[Any], Any]:
        assert self.field.choices is not None
        return self.field.choices.choices_class

    # writing

    def _make_encoder(self) -> Callable[[Any], Any]:
        """The full check, behind a quick one for the usual value where there is one."""
        check: Callable[[Any], Any] = getattr(self, f"_encode_{self.kind}")
        field, low, high = self.field, self.low, self.high
        if self.kind == "integer" and not self.as_signed and not (self.optional and low <= self._null() <= high):
            return lambda value: value if type(value) is int and low <= value <= high else check(value)
        if self.kind == "float" and field.primitive.size == 8 and field.minimum is None and field.maximum is None:
            return lambda value: value if type(value) is float and value == value else check(value)
        if field.enum is not None:
            enum_class = field.enum.enum_class
            raw = {member: check(member) for member in enum_class}
            return lambda value: raw[value] if type(value) is enum_class else check(value)
        return check

    def _integer(self, value: Any) -> int:
        """The value as int; u64 of a signed dialect as its bits, unsigned."""
        if type(value) is not int:
            if value is None:
                self.dialect.out_of_range(self.field, value, "null in a required field")
            try:
                value = operator.index(value)
            except TypeError:
                self.dialect.wrong_type(self.field, value, f"not an integer: {value!r}")
        if self.as_signed and -(1 << 63) <= value < 1 << 63:
            value &= MASK64
        return value

    def _as_raw(self, value: int) -> int:
        return value - (1 << 64) if self.as_signed and value >> 63 else value

    def _encode_integer(self, value: Any) -> Any:
        if value is None and self.optional:
            return self._null()
        value = self._integer(value)
        if not self.low <= value <= self.high or (self.optional and self._as_raw(value) == self._null()):
            self.dialect.out_of_range(self.field, value, f"value out of range: {value} low={self.low} high={self.high}")
        return self._as_raw(value)

    def _encode_bool(self, value: Any) -> Any:
        return self._encode_integer(value)

    def _encode_float(self, value: Any) -> Any:
        field = self.field
        if value is None:
            if self.optional:
                return self._null()
            self.dialect.out_of_range(field, value, "null in a required field")
        if not isinstance(value, float | int):
            self.dialect.wrong_type(field, value, f"not a number: {value!r}")
        try:
            number = float(value)
            if field.primitive.size == 4:
                struct.pack("<f", number)
        except OverflowError:
            self.dialect.out_of_range(field, value, f"value out of range of a float: {value}")
        if (field.minimum is not None and number < field.minimum) or (
            field.maximum is not None and number > field.maximum
        ):
            self.dialect.out_of_range(field, value, f"value out of range: {value}")
        return math.nan if number != number else number

    def _encode_enum(self, value: Any) -> Any:
        enum = self.field.enum
        assert enum is not None
        if value is None and self.optional:
            return self._null()
        if self.dialect.names_accepted and isinstance(value, str):
            values = dict(enum.values)
            if value not in values:
                self.dialect.out_of_range(self.field, value, f"{enum.name} has no value {value!r}")
            return values[value]
        if isinstance(value, IntEnum) and type(value) is not enum.enum_class:
            self.dialect.wrong_type(self.field, value, f"{value!r} is of another enum than {enum.name}")
        number = self._integer(value)
        if number not in enum.enum_class._value2member_map_:
            self.dialect.out_of_range(self.field, value, f"{enum.name} has no value {number}")
        return self._as_raw(number)

    def _encode_set(self, value: Any) -> Any:
        layout = self.field.choices
        assert layout is not None
        if self.dialect.names_accepted and isinstance(value, list | tuple | set | frozenset):
            try:
                return layout.value_of(value)
            except KeyError as error:
                self.dialect.out_of_range(self.field, value, f"{layout.name} has no choice {error}")
        number = self._integer(value)
        if not 0 <= number <= self.high:
            self.dialect.out_of_range(self.field, value, f"bits outside {layout.primitive.name}: {number}")
        return self._as_raw(number)

    def _encode_chars(self, value: Any) -> Any:
        field = self.field
        if isinstance(value, str) and self.dialect.text_as_str:
            try:
                value = value.encode(field.encoding)
            except UnicodeEncodeError:
                self.dialect.out_of_range(field, value, f"{value!r} cannot be written in {field.encoding}")
        if value is None and self.optional:
            return bytes(field.length)
        if not isinstance(value, bytes | bytearray):
            self.dialect.wrong_type(field, value, f"not text: {value!r}")
        if len(value) > field.length:
            self.dialect.out_of_range(field, value, f"text too long: length={len(value)} max={field.length}")
        return bytes(value)

    def _encode_array(self, value: Any) -> Any:
        field = self.field
        if not isinstance(value, list | tuple | bytes | bytearray):
            self.dialect.wrong_type(field, value, f"not a sequence: {value!r}")
        if len(value) != field.length:
            self.dialect.out_of_range(field, value, f"wrong number of elements: {len(value)}, not {field.length}")
        encode = self._encode_float if field.primitive.kind == "float" else self._encode_integer
        return tuple(encode(each) for each in value)
