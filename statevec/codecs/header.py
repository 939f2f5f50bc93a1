"""Reading and writing a message header in Python, whatever composite the schema makes of it.

Invariant: members are found by name; a constant one takes no bytes and always reads as its value. A header without
room for counts of groups and data has none; one that has it (`numGroups`, `numVarDataFields`) gets them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.codecs.layout import GroupLayout, HeaderLayout, MessageLayout
from statevec.codecs.schema_messages import DIMENSION_MEMBERS, HEADER_MEMBERS

BYTE_ORDER_CODE = {"little": "<", "big": ">"}


def member_reader(
    layout: HeaderLayout, names: tuple[str, ...], constants: dict[str, int]
) -> Callable[[Any, int], tuple[Any, ...]]:
    """The function (buffer, offset) -> values of the named members; `constants` has those that take no bytes."""
    members = [layout.member(name) for name in names]
    present = [each for each in members if each is not None and each.presence != "constant"]
    ordered = sorted(present, key=lambda each: each.offset)
    code, end = "", 0
    for each in ordered:
        code += f"{each.offset - end}x{each.code}"
        end = each.end
    order = BYTE_ORDER_CODE[ordered[0].byte_order] if ordered else "<"
    unpack = struct.Struct(order + code).unpack_from
    if [each.name for each in ordered] == list(names):
        return unpack
    index = {each.name: number for number, each in enumerate(ordered)}

    def read(buffer: Any, offset: int) -> tuple[Any, ...]:
        raw = unpack(buffer, offset)
        return tuple(raw[index[name]] if name in index else constants[name] for name in names)

    return read


def header_image(layout: HeaderLayout, values: dict[str, int]) -> bytes:
    """The bytes of a header or of a group's dimensions; members without a value are zero."""
    image = bytearray(layout.size)
    for each in layout.composite.fields:
        if each.name in values and each.presence != "constant":
            struct.pack_into(BYTE_ORDER_CODE[each.byte_order] + each.code, image, each.offset, values[each.name])
    return bytes(image)


def dimension_reader(group: GroupLayout) -> Callable[[Any, int], tuple[Any, ...]]:
    """The function (buffer, offset) -> (block length, count) of a group's dimensions; checks nothing."""
    return member_reader(group.dimensions, DIMENSION_MEMBERS, group.dimensions.constants)


def dimension_image(group: GroupLayout, count: int) -> bytes:
    """A group's dimensions for `count` entries of the schema's own version."""
    values = {
        "blockLength": group.block_length,
        "numInGroup": count,
        "numGroups": len(group.groups),
        "numVarDataFields": len(group.data),
    }
    return header_image(group.dimensions, values)


class HeaderCodec:
    """Header of the messages of one schema."""

    def __init__(self, layout: HeaderLayout, schema_id: int, version: int) -> None:
        self.layout = layout
        self.size = layout.size
        self.schema_id = schema_id
        self.version = version
        self.read: Callable[[Any, int], tuple[int, int, int, int]] = member_reader(
            layout,
            HEADER_MEMBERS,
            # a constant schema id says nothing about the message: it is taken for the schema's own
            {**layout.constants, "schemaId": schema_id},
        )
        """(buffer, offset) -> (block length, template id, schema id, version); checks nothing."""

    def image(self, message: MessageLayout) -> bytes:
        """The header of a message of the schema's own version."""
        values = {
            "blockLength": message.block_length,
            "templateId": message.id,
            "schemaId": self.schema_id,
            "version": self.version,
            "numGroups": len(message.groups),
            "numVarDataFields": len(message.data),
        }
        return header_image(self.layout, values)
