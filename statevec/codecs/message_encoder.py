"""From values by name to the bytes of a message: blocks in one pack each, groups and data behind them in order.

    encode = MessageEncoder(layout, header image, entry classes)
    encode({"serialNumber": 5, "fuelFigures": [{"speed": 30}], "manufacturer": "Honda"}) -> bytes

Invariants
    Order is the schema's whatever the mapping's. A group or data that is left out is empty, an optional field null; a
    required field must be there. A name that the schema does not have, a value out of range, text or data too long,
    too many or too few entries: an `EncodeError` with the path, and no bytes.

Nothing here keeps state.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from statevec.codecs.block_encoder import make_block_encoder
from statevec.codecs.errors import (
    TextTooLongError,
    TooManyEntriesError,
    ValueRangeError,
    ValueTypeError,
    no_such_field,
)
from statevec.codecs.flyweight import SbeDialect, SbeView, block_members
from statevec.codecs.header import BYTE_ORDER_CODE, dimension_image
from statevec.codecs.layout import DataLayout, GroupLayout, MessageLayout
from statevec.codecs.message_view import empty_block

PackBlock = Callable[[Mapping[str, Any]], bytes]


class DataEncoder:
    """One variable data: length and bytes."""

    def __init__(self, layout: DataLayout, message: str, path: str) -> None:
        self.layout = layout
        self._where = (message, f"{path}{layout.name}")
        self._pack = struct.Struct(BYTE_ORDER_CODE[layout.length_field.byte_order] + layout.length_field.code).pack
        self.highest = layout.length_field.count_limits[1]
        self.empty = self._pack(0)

    def content(self, value: Any) -> bytes:
        """The bytes of a value: text in the data's encoding, or bytes of any kind."""
        if isinstance(value, str):
            try:
                value = value.encode(self.layout.encoding or "ascii")
            except UnicodeEncodeError as error:
                rule = f"{value!r} cannot be written in {error.encoding}"
                raise ValueRangeError(rule, *self._where) from error
        elif value is None:
            value = b""
        elif not isinstance(value, bytes | bytearray | memoryview):
            raise ValueTypeError(f"neither text nor bytes: {value!r}", *self._where)
        if len(value) > self.highest:
            raise TextTooLongError(f"data too long: length={len(value)} max={self.highest}", *self._where)
        return bytes(value)

    def encode(self, value: Any) -> bytes:
        content = self.content(value)
        return self._pack(len(content)) + content


class GroupEncoder:
    """One group: dimensions and entries."""

    def __init__(self, layout: GroupLayout, message: str, path: str) -> None:
        self.layout = layout
        self._where = (message, f"{path}{layout.name}")
        number = layout.dimensions.member("numInGroup")
        assert number is not None
        self.number = number
        self.lowest, self.highest = number.count_limits
        self.entry = LevelEncoder(layout, message, f"{path}{layout.name}.")
        self.empty = dimension_image(layout, 0)
        self._before, self._behind = self.empty[: number.offset], self.empty[number.end :]
        self._pack = struct.Struct(BYTE_ORDER_CODE[number.byte_order] + number.code).pack

    def dimensions(self, count: int) -> bytes:
        """The group's dimensions; TooManyEntriesError for a count that the schema does not allow."""
        if not self.lowest <= count <= self.highest:
            rule = f"wrong number of entries: {count} min={self.lowest} max={self.highest}"
            raise TooManyEntriesError(rule, *self._where)
        return self._before + self._pack(count) + self._behind

    def encode(self, values: Any) -> bytes:
        if values is None:
            values = ()
        if not isinstance(values, list | tuple):
            raise ValueTypeError(f"not a list of entries: {values!r}", *self._where)
        if not values:
            return self.dimensions(0)
        return b"".join([self.dimensions(len(values)), *map(self.entry.encode, values)])


MemberEncoder = GroupEncoder | DataEncoder


class LevelEncoder:
    """A message behind its header, or one entry of a group."""

    def __init__(self, layout: MessageLayout | GroupLayout, message: str, path: str, prefix: bytes = b"") -> None:
        self.layout = layout
        self._message = message
        self._path = path
        self._prefix = prefix
        self.members: list[tuple[str, MemberEncoder]] = [
            *((each.name, GroupEncoder(each, message, path)) for each in layout.groups),
            *((each.name, DataEncoder(each, message, path)) for each in layout.data),
        ]
        self._names = frozenset(name for name, _ in self.members)
        self._known = [each.name for each in layout.fields] + [name for name, _ in self.members]
        self.empty_block = empty_block(layout)
        members = block_members(layout.name, layout.fields, message, path, 0)
        self._view: type[SbeView] = type(layout.name, (SbeView,), members)
        self._pack: PackBlock = make_block_encoder(layout, prefix, partial(SbeDialect, message), path, self._names)
        self.empty = self.empty_block + b"".join(each.empty for _, each in self.members)
        """A block without values and, behind it, each group and data empty."""

    def block(self, values: Mapping[str, Any]) -> bytes:
        """Prefix and block."""
        try:
            return self._pack(values)
        except KeyError:  # something is missing, or more is there than must be
            pass
        for name in values:
            if name not in self._known:
                raise no_such_field(self._known, self._message, f"{self._path}{name}")
        image = bytearray(self.empty_block)
        fields = {name: value for name, value in values.items() if name not in self._names}
        self._view(image, 0).fill(fields)
        return self._prefix + bytes(image)

    def encode(self, values: Any) -> bytes:
        if type(values) is not dict and not isinstance(values, Mapping):
            raise ValueTypeError(f"not a mapping: {values!r}", self._message, self._path.rstrip("."))
        if not self.members:
            return self.block(values)
        parts = [self.block(values)]
        for name, member in self.members:
            parts.append(member.encode(values.get(name)))
        return b"".join(parts)
