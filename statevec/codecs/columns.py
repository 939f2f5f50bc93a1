"""Columns: fields of many messages as NumPy arrays, without a loop in Python.

    integer, float     an array of the field's own type, in the machine's byte order
    enum, set          an array of the encoding's integers; `schema.enum(name)` and `schema.choices(name)` name them
    chars              an array of bytes ("S8"), cut at the first NUL as NumPy does
    array              an array of two dimensions
    composite          a column for each of its members, called `price.mantissa`; a constant is repeated

A null is as encoded: NaN for floats, `schema.messages[…]`'s field says which integer for the others. A field that a
message lacks, because it was written by an older version, is null in it (empty for sets, zeros for text).

Invariants
    A message whose block is not there as its header says, or is shorter than its version's fields, is a DecodeError and
    never a value. Messages of another schema are not those of any name.

Arrays are copies; they stay when the file is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from statevec.codecs.errors import BlockLengthError, TruncatedError, no_such_field
from statevec.codecs.evolution import acting_version
from statevec.codecs.layout import FieldLayout, MessageLayout, minimum_block_length
from statevec.codecs.reader_fields import null_image
from statevec.codecs.schema import Schema

BYTE_ORDERS = {"little": "<", "big": ">"}
CODES = {"b": "i1", "h": "i2", "i": "i4", "q": "i8", "B": "u1", "H": "u2", "I": "u4", "Q": "u8", "f": "f4", "d": "f8"}


def leaves(fields: Sequence[FieldLayout], base: int, path: str, since: int) -> dict[str, tuple[FieldLayout, int, int]]:
    """(field, offset in the block, version from which on messages have it) by dotted name; composites laid out flat."""
    found: dict[str, tuple[FieldLayout, int, int]] = {}
    for each in fields:
        name, version = f"{path}{each.name}", max(since, each.since)
        if each.composite is not None:
            found |= leaves(each.composite.fields, base + each.offset, f"{name}.", version)
        else:
            found[name] = (each, base + each.offset, version)
    return found


def column_type(field: FieldLayout) -> np.dtype[Any]:
    """The type of a column, in the byte order of the field."""
    if field.kind == "chars":
        return np.dtype(f"S{field.length}")
    code = "u1" if field.primitive.kind == "chars" else CODES[field.primitive.code]
    single = np.dtype(BYTE_ORDERS[field.byte_order] + code)
    return single if field.kind != "array" else np.dtype((single, (field.length,)))


class Headers:
    """The headers of all messages of a file, read at once. `index` has offset and length of each."""

    def __init__(self, schema: Schema, content: Any, index: Any) -> None:
        self._schema = schema
        self._content = content
        self._offsets = index[:, 0]
        self._ends = self._offsets + index[:, 1]
        self._whole = index[:, 1] >= schema.header.size

    def _gather(self, starts: Any, size: int) -> Any:
        """`size` bytes from each start, as rows."""
        windows = np.lib.stride_tricks.sliding_window_view(self._content, size)
        return windows[starts]

    def _member(self, name: str) -> Any:
        """A member of the header of each message that has one whole, else -1."""
        member = self._schema.header.member(name)
        assert member is not None
        values = np.full(len(self._offsets), -1, np.int64)
        if member.presence == "constant":
            constant = self._schema.id if name == "schemaId" else member.constant
            values[self._whole] = int(constant or 0)
        elif self._whole.any():
            rows = self._gather(self._offsets[self._whole] + member.offset, member.primitive.size)
            values[self._whole] = np.ascontiguousarray(rows).view(column_type(member))[:, 0].astype(np.int64)
        return values

    @cached_property
    def _templates(self) -> Any:
        return np.where(self._member("schemaId") == self._schema.id, self._member("templateId"), -1)

    def numbers(self, message_name: str) -> Any:
        """Numbers of the messages of that name."""
        return np.flatnonzero(self._templates == self._schema.layout(message_name).id)

    def columns(self, message_name: str, names: Sequence[str] | None) -> dict[str, Any]:
        """The columns of that message's fields."""
        layout = self._schema.layout(message_name)
        known = leaves(layout.fields, 0, "", 0)
        wanted = list(known) if names is None else list(names)
        for name in wanted:
            if name not in known:
                raise no_such_field(known, layout.name, name)
        numbers = self.numbers(message_name)
        versions = self._member("version")[numbers]
        self._check(layout, numbers, versions)
        blocks = self._offsets[numbers] + self._schema.header.size
        return {name: self._column(known[name], blocks, versions) for name in wanted}

    def _check(self, layout: MessageLayout, numbers: Any, versions: Any) -> None:
        """Whether each block is all there, and as long as its version says."""
        lengths = self._member("blockLength")[numbers]
        available = self._ends[numbers] - self._offsets[numbers] - self._schema.header.size
        beyond = np.flatnonzero(lengths > available)
        if len(beyond):
            first = int(beyond[0])
            raise TruncatedError(
                f"message {numbers[first]} ends inside the block: blockLength={lengths[first]} "
                f"available={available[first]}",
                layout.name,
                offset=int(self._offsets[numbers[first]]),
            )
        for version in np.unique(versions):
            minimum = minimum_block_length(layout.fields, acting_version(layout, int(version)))
            short = np.flatnonzero((versions == version) & (lengths < minimum))
            if len(short):
                first = int(short[0])
                raise BlockLengthError(
                    f"message {numbers[first]} has too short a block: blockLength={lengths[first]} minimum={minimum}",
                    layout.name,
                    offset=int(self._offsets[numbers[first]]),
                )

    def _column(self, leaf: tuple[FieldLayout, int, int], blocks: Any, versions: Any) -> Any:
        field, offset, since = leaf
        if field.presence == "constant":
            return np.full(len(blocks), field.constant)
        made = column_type(field)
        column = np.empty(len(blocks), made)
        present = versions >= since
        if not present.all():
            column[:] = np.frombuffer(null_image(field), made)[0]
        if field.size and present.any():
            rows = np.ascontiguousarray(self._gather(blocks[present] + offset, field.size))
            column[present] = rows.view(made.base).reshape(-1, *made.shape) if made.shape else rows.view(made)[:, 0]
        return column.astype(made.base.newbyteorder("="), copy=False)
