"""The kernel that judges a message's header before anything else of it is believed.

`make_header_check(schema)` gives a kernel `(message: Region, length: int) -> int`: the template id (0 or more), or

* MALFORMED_MESSAGE: shorter than the header, a block shorter than the fields that its version has, or a block that
  ends beyond `length`,
* WRONG_SCHEMA: another schema id, * UNKNOWN_TEMPLATE: a template id that the schema does not have.

Invariants
    Nothing beyond `length` bytes is read; every number read is checked before it is used, and read once.
    The header may be any composite: offsets, widths and byte order of its members are constants of the kernel.

It runs in the engine's thread over a private copy of the message; nobody else writes there.
"""

from __future__ import annotations

from typing import Any

from statevec.codecs.layout import FieldLayout, MessageLayout, minimum_block_length
from statevec.codecs.schema import Schema
from statevec.ipc.faults import MALFORMED_MESSAGE, UNKNOWN_TEMPLATE, WRONG_SCHEMA
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region

ABSENT = (0, 0, False)


@kernel
def load_unsigned(message: Region, offset: int, width: int, big_endian: bool) -> int:
    """An unsigned integer of 1, 2, 4 or 8 bytes; one of 8 bytes above 2^63 - 1 gives a negative number."""
    if width == 1:
        return message.load_u8(offset)
    if width == 2:
        value = message.load_u16(offset)
        return (value & 0xFF) << 8 | value >> 8 if big_endian else value
    if not big_endian:
        return message.load_u32(offset) if width == 4 else message.load_i64(offset)
    value = 0
    for index in range(width):
        value = value << 8 | message.load_u8(offset + index)
    return value


def _place(field: FieldLayout | None) -> tuple[int, int, bool]:
    """Offset, width (0: constant, not in the message) and byte order of a member of the header."""
    assert field is not None
    if field.presence == "constant":
        return ABSENT
    return field.offset, field.primitive.size, field.byte_order == "big"


def _minimum_blocks(message: MessageLayout) -> list[tuple[int, int]]:
    """(version, least block length from that version on), in the order of versions."""
    versions = sorted({0, *(each.since for each in message.fields)})
    return [(version, minimum_block_length(message.fields, version)) for version in versions]


def make_header_check(schema: Schema) -> Any:
    """The kernel for one schema; see the module's docstring."""
    header = schema.header
    size = header.size
    schema_id = schema.id
    block_offset, block_width, block_big = _place(header.member("blockLength"))
    template_offset, template_width, template_big = _place(header.member("templateId"))
    schema_offset, schema_width, schema_big = _place(header.member("schemaId"))
    constant_block = header.constants.get("blockLength", 0)
    constant_template = header.constants.get("templateId", 0)
    messages = sorted(schema.messages.values(), key=lambda each: each.id)
    templates = (*(each.id for each in messages), -1)  # a tuple must not be empty, and -1 is no template
    # for message n, steps[n] to steps[n + 1] are pairs of a version and the least block length from that version on
    pairs = [_minimum_blocks(each) for each in messages]
    steps = tuple(sum(len(each) for each in pairs[:number]) for number in range(len(pairs) + 1))
    versions = (*(version for each in pairs for version, _ in each), 0)
    blocks = (*(block for each in pairs for _, block in each), 0)
    version_offset, version_width, version_big = _place(header.member("version"))
    constant_version = header.constants.get("version", 0)
    count = len(messages)

    def check_header(message: Region, length: int) -> int:
        if length < size:
            return MALFORMED_MESSAGE
        if schema_width > 0 and load_unsigned(message, schema_offset, schema_width, schema_big) != schema_id:
            return WRONG_SCHEMA
        template = constant_template
        if template_width > 0:
            template = load_unsigned(message, template_offset, template_width, template_big)
        block = constant_block
        if block_width > 0:
            block = load_unsigned(message, block_offset, block_width, block_big)
        for index in range(count):
            if templates[index] == template:
                version = constant_version
                if version_width > 0:
                    version = load_unsigned(message, version_offset, version_width, version_big)
                minimum = 0
                for step in range(steps[index], steps[index + 1]):
                    if versions[step] <= version:
                        minimum = blocks[step]
                if block < minimum or block > length - size:
                    return MALFORMED_MESSAGE
                return template
        return UNKNOWN_TEMPLATE

    return kernel(check_header)
