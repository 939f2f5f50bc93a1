"""Reading and writing a message header in Python, whatever composite the schema makes of it.

Invariant: members are found by name; a constant one takes no bytes and always reads as its value. A header without
room for counts of groups and data has none; one that has it (`numGroups`, `numVarDataFields`) gets them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.codecs.layout import HeaderLayout, MessageLayout
from statevec.codecs.schema_messages import HEADER_MEMBERS

BYTE_ORDER_CODE = {"little": "<", "big": ">"}


class HeaderCodec:
    """Header of the messages of one schema."""

    def __init__(self, layout: HeaderLayout, schema_id: int, version: int) -> None:
        self.layout = layout
        self.size = layout.size
        self.schema_id = schema_id
        self.version = version
        self.read: Callable[[Any, int], tuple[int, int, int, int]] = self._make_reader()
        """(buffer, offset) -> (block length, template id, schema id, version); checks nothing."""

    def _make_reader(self) -> Callable[[Any, int], tuple[int, int, int, int]]:
        members = [self.layout.member(name) for name in HEADER_MEMBERS]
        present = [each for each in members if each is not None and each.presence != "constant"]
        ordered = sorted(present, key=lambda each: each.offset)
        code, end = "", 0
        for each in ordered:
            code += f"{each.offset - end}x{each.code}"
            end = each.end
        order = BYTE_ORDER_CODE[ordered[0].byte_order] if ordered else "<"
        unpack = struct.Struct(order + code).unpack_from
        if [each.name for each in ordered] == list(HEADER_MEMBERS):
            return unpack
        # a constant schema id says nothing about the message: it is taken for the schema's own
        constants = {**self.layout.constants, "schemaId": self.schema_id}
        index = {each.name: number for number, each in enumerate(ordered)}

        def read(buffer: Any, offset: int) -> tuple[int, int, int, int]:
            raw = unpack(buffer, offset)
            block, template, schema, version = (
                raw[index[name]] if name in index else constants[name] for name in HEADER_MEMBERS
            )
            return block, template, schema, version

        return read

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
        image = bytearray(self.size)
        for each in self.layout.composite.fields:
            if each.name in values and each.presence != "constant":
                code = BYTE_ORDER_CODE[each.byte_order] + each.code
                struct.pack_into(code, image, each.offset, values[each.name])
        return bytes(image)
