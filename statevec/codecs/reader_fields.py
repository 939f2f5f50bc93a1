"""Fields as a handler reads them when messages may be older than its schema, the same in both tiers.

A field that came later reads as null in an older message. So that the type of the value is the same for all messages,
such a field is optional whatever its schema says: its null value reads as None in a newer message too. Text and sets
need no null, they are empty; the members of a composite that came later are optional, the elements of an array hold
their type's null.

Nothing here keeps state.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from statevec.codecs.header import BYTE_ORDER_CODE
from statevec.codecs.layout import FieldLayout, MessageLayout


def _optional(field: FieldLayout) -> FieldLayout:
    if field.composite is not None:
        members = tuple(_optional(each) for each in field.composite.fields)
        return replace(field, composite=replace(field.composite, fields=members))
    if field.presence == "required" and field.kind in ("integer", "float", "enum"):
        return replace(field, presence="optional")
    return field


def reader_fields(fields: tuple[FieldLayout, ...]) -> tuple[FieldLayout, ...]:
    """The fields with those that came later made optional."""
    return tuple(_optional(each) if is_later(each) else each for each in fields)


def is_later(field: FieldLayout) -> bool:
    """Whether there are messages without it."""
    return field.is_absent(0)


def needs_version(layout: MessageLayout) -> bool:
    """Whether reading the message takes more than the address of its block."""
    return not layout.is_flat or any(is_later(each) for each in layout.fields)


def null_image(field: FieldLayout) -> bytes:
    """The bytes of a field that is null, empty, or has only null elements."""
    if field.composite is not None:
        image = bytearray(field.size)
        for each in field.composite.fields:
            if each.presence != "constant":
                image[each.offset : each.end] = null_image(each)
        return bytes(image)
    if field.choices is not None or (field.primitive.kind == "chars" and field.enum is None):
        return bytes(field.size)
    null = field.null if field.null is not None else field.primitive.null
    code = "B" if field.primitive.kind == "chars" else field.primitive.code
    return struct.pack(BYTE_ORDER_CODE[field.byte_order] + code, null) * field.length


def null_block(fields: tuple[FieldLayout, ...], block_length: int) -> bytes:
    """A block whose later fields are null; the others are never read from it."""
    image = bytearray(block_length)
    for each in fields:
        if is_later(each):
            image[each.offset : each.end] = null_image(each)
    return bytes(image)
