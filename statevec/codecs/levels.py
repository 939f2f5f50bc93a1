"""Reading groups and variable data in Python: where they begin and end, what they hold, whether the bytes bear it out.

A *level* is a message or a group: a block, then *members*, which are groups and data in the schema's order. Codecs are
made for one acting version, so that what a message of that version lacks needs no test when it is read.

    level.decode(buffer, block, tail, limit) -> (values by name, end)      level.skip(buffer, tail, limit) -> end

`block` is the offset of a block, `tail` that of its end as the message says, `limit` the end of what may be read.

Invariants
    Nothing at or beyond `limit` is read. A count is compared with the bytes that are there before anything is looked at
    or allocated, a length likewise.
    A member that is newer than the message takes no bytes: no entries, no data.

Memory layout: see `layout.py`. The buffer belongs to the caller, who may change it; whatever it holds, reading ends in
a value or a `DecodeError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.codecs.block_decoder import make_block_decoder
from statevec.codecs.errors import BlockLengthError, DataLengthError, GroupCountError, TextError, TruncatedError
from statevec.codecs.field_codec import Dialect
from statevec.codecs.header import BYTE_ORDER_CODE, dimension_reader
from statevec.codecs.layout import DataLayout, FieldLayout, GroupLayout, MessageLayout, minimum_block_length

EMPTY_ENTRIES_MAX = 254
"""Entries that take no bytes at all may be as many as this, or as there are bytes left: counting is all they do."""
DialectAt = Callable[[str], Dialect]
"""The dialect of the fields below a path, such as "legs." (with the dot)."""


class DataCodec:
    """One variable data of messages of one version."""

    def __init__(self, layout: DataLayout, message: str, path: str, version: int) -> None:
        self.layout = layout
        self.present = layout.since_version <= version
        self.encoding = layout.encoding
        self._where = (message, f"{path}{layout.name}")
        length = layout.length_field
        self.length_size = length.end
        self.highest = length.count_limits[1]
        self._unpack = struct.Struct(BYTE_ORDER_CODE[length.byte_order] + length.code).unpack_from

    def bounds(self, buffer: Any, at: int, limit: int) -> tuple[int, int]:
        """Offsets of the first byte and behind the last."""
        if not self.present:
            return at, at
        start = at + self.length_size
        if start > limit:
            raise TruncatedError(
                f"buffer ends inside the length: needed={self.length_size} available={limit - at}",
                *self._where,
                offset=at,
            )
        length = self._unpack(buffer, at)[0]
        if length > limit - start:
            raise TruncatedError(
                f"buffer ends inside the data: length={length} available={limit - start}", *self._where, offset=at
            )
        if length > self.highest:
            raise DataLengthError(f"data too long: length={length} max={self.highest}", *self._where, offset=at)
        return start, start + length

    def skip(self, buffer: Any, at: int, limit: int) -> int:
        return self.bounds(buffer, at, limit)[1]

    def value(self, buffer: Any, start: int, end: int) -> str | bytes:
        """Text where there is an encoding, else bytes; a copy."""
        if self.encoding is None:
            return bytes(buffer[start:end])
        try:
            return str(buffer[start:end], self.encoding)
        except UnicodeDecodeError as error:
            raise TextError(f"bytes that are not {self.encoding}", *self._where, offset=start) from error

    def decode(self, buffer: Any, at: int, limit: int) -> tuple[str | bytes, int]:
        start = at + self.length_size
        if self.present and start <= limit:
            length = self._unpack(buffer, at)[0]
            end = start + length
            if end <= limit and length <= self.highest:
                return self.value(buffer, start, end), end
        start, end = self.bounds(buffer, at, limit)  # says what is wrong
        return self.value(buffer, start, end), end

    decode_tuple = decode


class GroupCodec:
    """One group of messages of one version; `entry` is the level of its entries."""

    def __init__(self, layout: GroupLayout, message: str, path: str, version: int, dialect_at: DialectAt) -> None:
        self.layout = layout
        self.present = layout.since_version <= version
        self._where = (message, f"{path}{layout.name}")
        self.entry = LevelCodec(layout, message, f"{path}{layout.name}.", version, dialect_at)
        self.dimensions_size = layout.dimensions.size
        self._read = dimension_reader(layout)
        number = layout.dimensions.member("numInGroup")
        assert number is not None
        self.lowest, self.highest = number.count_limits
        self.minimum = minimum_block_length(layout.fields, version)

    def begin(self, buffer: Any, at: int, limit: int) -> tuple[int, int, int]:
        """(offset of the first entry, block length, count), all of it checked against `limit`."""
        if not self.present:
            return at, 0, 0
        first = at + self.dimensions_size
        if first > limit:
            raise TruncatedError(
                f"buffer ends inside the dimensions: needed={self.dimensions_size} available={limit - at}",
                *self._where,
                offset=at,
            )
        block_length, count = self._read(buffer, at)
        available = limit - first
        if block_length < self.minimum and count:
            raise BlockLengthError(
                f"block too short: blockLength={block_length} minimum={self.minimum}", *self._where, offset=at
            )
        if count * block_length > available or count > self.highest or count < self.lowest or not block_length:
            self._check(at, block_length, count, available)
        return first, block_length, count

    def _check(self, at: int, block_length: int, count: int, available: int) -> None:
        """Raise what is wrong with a count that looks wrong."""
        if not self.lowest <= count <= self.highest:
            raise GroupCountError(
                f"wrong number of entries: count={count} min={self.lowest} max={self.highest}", *self._where, offset=at
            )
        if count * block_length > available:
            raise TruncatedError(
                f"buffer ends inside the entries: count={count} blockLength={block_length} available={available}",
                *self._where,
                offset=at,
            )
        if count > max(available, EMPTY_ENTRIES_MAX):
            raise GroupCountError(
                f"more entries than bytes: count={count} blockLength=0 available={available}", *self._where, offset=at
            )

    def skip(self, buffer: Any, at: int, limit: int) -> int:
        position, block_length, count = self.begin(buffer, at, limit)
        if not self.entry.members:
            return position + count * block_length
        for _ in range(count):
            position = self.entry.enter(buffer, position, block_length, limit)
        return position

    def decode(self, buffer: Any, at: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        values: list[dict[str, Any]]
        values, end = self._decode(buffer, at, limit, self.entry.block_decoder, self.entry.decode)
        return values, end

    def decode_tuple(self, buffer: Any, at: int, limit: int) -> tuple[list[tuple[Any, ...]], int]:
        values: list[tuple[Any, ...]]
        values, end = self._decode(buffer, at, limit, self.entry.tuple_decoder, self.entry.decode_tuple)
        return values, end

    def _decode(
        self, buffer: Any, at: int, limit: int, decode_block: Callable[[Any, int], Any], decode: Callable[..., Any]
    ) -> tuple[list[Any], int]:
        position, block_length, count = self.begin(buffer, at, limit)
        if not self.entry.members and block_length:
            end = position + count * block_length
            try:
                return [decode_block(buffer, each) for each in range(position, end, block_length)], end
            except UnicodeDecodeError:
                pass  # entry by entry, below, shows which one it is
        values: list[Any] = []
        for _ in range(count):
            tail = position + block_length
            if tail > limit:
                self.entry.tail(position, block_length, limit)
            made, position = decode(buffer, position, tail, limit)
            values.append(made)
        return values, position


Member = GroupCodec | DataCodec


def _find_bad_text(fields: tuple[FieldLayout, ...], buffer: Any, base: int, path: str) -> tuple[str, int] | None:
    """(path, offset in its block or composite) of the first text that its encoding does not know."""
    for field in fields:
        at = base + field.offset
        if field.composite is not None:
            found = _find_bad_text(field.composite.fields, buffer, at, f"{path}{field.name}.")
            if found is not None:
                return found
        elif field.kind == "chars" and field.presence != "constant":
            try:
                bytes(buffer[at : at + field.length]).partition(b"\0")[0].decode(field.encoding)
            except UnicodeDecodeError:
                return f"{path}{field.name}", field.offset
    return None


class LevelCodec:
    """A message, or the entries of a group, of one version."""

    def __init__(
        self, layout: MessageLayout | GroupLayout, message: str, path: str, version: int, dialect_at: DialectAt
    ) -> None:
        self.layout = layout
        self.message = message
        self.path = path
        self.version = version
        self.fields: tuple[FieldLayout, ...] = layout.fields
        dialect = dialect_at(path)
        self.block_decoder = make_block_decoder(layout.fields, dialect, True, version)
        self.tuple_decoder = make_block_decoder(layout.fields, dialect, False, version)
        self.members: list[tuple[str, Member]] = [
            *((each.name, GroupCodec(each, message, path, version, dialect_at)) for each in layout.groups),
            *((each.name, DataCodec(each, message, path, version)) for each in layout.data),
        ]
        self._decoders = [(name, member.decode) for name, member in self.members]

    def _text_error(self, buffer: Any, block: int, error: UnicodeDecodeError) -> TextError:
        found = _find_bad_text(self.fields, buffer, block, self.path)
        path, offset = found if found is not None else (self.path.rstrip("."), 0)
        return TextError(f"bytes that are not {error.encoding}", self.message, path, offset)

    def tail(self, block: int, block_length: int, limit: int) -> int:
        """The end of a block, after a check that it is inside."""
        tail = block + block_length
        if tail > limit:
            raise TruncatedError(
                f"buffer ends inside the block: blockLength={block_length} available={limit - block}",
                self.message,
                self.path.rstrip("."),
                offset=block,
            )
        return tail

    def enter(self, buffer: Any, block: int, block_length: int, limit: int) -> int:
        """The end of an entry whose block begins at `block`."""
        return self.skip(buffer, self.tail(block, block_length, limit), limit)

    def skip(self, buffer: Any, tail: int, limit: int) -> int:
        """The end of the members behind the block that ends at `tail`."""
        position = tail
        for _, member in self.members:
            position = member.skip(buffer, position, limit)
        return position

    def place(self, buffer: Any, tail: int, limit: int, number: int) -> int:
        """The offset of member `number`."""
        position = tail
        for _, member in self.members[:number]:
            position = member.skip(buffer, position, limit)
        return position

    def decode(self, buffer: Any, block: int, tail: int, limit: int) -> tuple[dict[str, Any], int]:
        """All values by name, and where they end."""
        try:
            values: dict[str, Any] = self.block_decoder(buffer, block)
        except UnicodeDecodeError as error:
            raise self._text_error(buffer, block, error) from error
        position = tail
        for name, decode in self._decoders:
            values[name], position = decode(buffer, position, limit)
        return values, position

    def decode_tuple(self, buffer: Any, block: int, tail: int, limit: int) -> tuple[tuple[Any, ...], int]:
        """All values in the schema's order, and where they end."""
        try:
            values: list[Any] = [*self.tuple_decoder(buffer, block)]
        except UnicodeDecodeError as error:
            raise self._text_error(buffer, block, error) from error
        position = tail
        for _, member in self.members:
            value, position = member.decode_tuple(buffer, position, limit)
            values.append(value)
        return tuple(values), position
