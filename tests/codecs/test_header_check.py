"""The kernel that judges headers: every outcome, in every form, for headers of any shape."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from statevec.codecs.header_check import make_header_check
from statevec.codecs.schema import Schema
from statevec.ipc.faults import MALFORMED_MESSAGE, UNKNOWN_TEMPLATE, WRONG_SCHEMA
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region

STANDARD = ("blockLength", "templateId", "schemaId", "version")


def make_schema(members: str, byte_order: str = "little") -> Schema:
    return Schema.parse(
        f"""<messageSchema package="p" id="9" byteOrder="{byte_order}Endian">
        <types><composite name="messageHeader">{members}</composite></types>
        <message name="A" id="0" blockLength="6"><field name="x" id="1" type="uint32"/></message>
        <message name="B" id="3"><field name="x" id="1" type="uint64"/></message>
        <message name="Empty" id="4"/></messageSchema>"""
    )


def member(name: str, kind: str, more: str = "") -> str:
    return f'<type name="{name}" primitiveType="{kind}" {more}/>'


PLAIN = make_schema("".join(member(name, "uint16") for name in STANDARD))
SHAPES = {
    "standard": PLAIN,
    "big endian": make_schema("".join(member(name, "uint16") for name in STANDARD), "big"),
    "reordered and narrow": make_schema("".join(member(name, "uint8") for name in reversed(STANDARD))),
    "wide and big endian": make_schema(
        member("blockLength", "uint32")
        + member("templateId", "uint64", 'offset="7"')
        + "".join(member(name, "uint32") for name in ("schemaId", "version"))
        + member("numGroups", "uint16"),
        "big",
    ),
    "constant schema id": make_schema(
        "".join(member(name, "uint16") for name in ("blockLength", "templateId", "version"))
        + '<type name="schemaId" primitiveType="uint16" presence="constant">9</type>'
    ),
}


@pytest.fixture(scope="module", params=SHAPES)
def schema(request: pytest.FixtureRequest) -> Schema:
    return SHAPES[request.param]


@pytest.fixture(scope="module", params=["compiled", "plain"])
def check(request: pytest.FixtureRequest, schema: Schema) -> Any:
    compiled = make_header_check(schema)
    return compiled if request.param == "compiled" else plain(compiled)


def message(schema: Schema, body: int, **members: int) -> bytearray:
    """A message of zeros with the given members in its header."""
    content = bytearray(schema.header.size + body)
    for each in schema.header.composite.fields:
        if each.name in members and each.presence != "constant":
            struct.pack_into(("<" if each.byte_order == "little" else ">") + each.code, content, each.offset,
                             members[each.name])  # fmt: skip
    return content


def judge(check: Any, content: bytearray, length: int | None = None) -> int:
    return int(check(Region.of(content), len(content) if length is None else length))


def test_a_good_message_gives_its_template(schema: Schema, check: Any) -> None:
    assert judge(check, message(schema, 6, blockLength=6, templateId=0, schemaId=9)) == 0
    assert judge(check, message(schema, 8, blockLength=8, templateId=3, schemaId=9)) == 3
    assert judge(check, message(schema, 0, blockLength=0, templateId=4, schemaId=9)) == 4
    assert judge(check, message(schema, 50, blockLength=50, templateId=3, schemaId=9, version=7)) == 3


def test_the_padding_of_a_block_may_be_missing(schema: Schema, check: Any) -> None:
    assert judge(check, message(schema, 4, blockLength=4, templateId=0, schemaId=9)) == 0


def test_a_message_shorter_than_its_header_is_malformed(schema: Schema, check: Any) -> None:
    content = message(schema, 8, blockLength=8, templateId=3, schemaId=9)
    for length in range(schema.header.size):
        assert judge(check, content, length) == MALFORMED_MESSAGE


def test_a_block_beyond_the_message_is_malformed(schema: Schema, check: Any) -> None:
    content = message(schema, 8, blockLength=8, templateId=3, schemaId=9)
    for missing in range(1, 9):
        assert judge(check, content, len(content) - missing) == MALFORMED_MESSAGE
    assert judge(check, message(schema, 8, blockLength=255, templateId=3, schemaId=9)) == MALFORMED_MESSAGE


def test_a_block_shorter_than_its_fields_is_malformed(schema: Schema, check: Any) -> None:
    for block in range(8):
        assert judge(check, message(schema, 8, blockLength=block, templateId=3, schemaId=9)) == MALFORMED_MESSAGE


def test_another_schema_and_an_unknown_template_are_told_apart(schema: Schema, check: Any) -> None:
    constant = schema is SHAPES["constant schema id"]
    expected = UNKNOWN_TEMPLATE if constant else WRONG_SCHEMA
    assert judge(check, message(schema, 8, blockLength=8, templateId=77, schemaId=8)) == expected
    assert judge(check, message(schema, 8, blockLength=8, templateId=77, schemaId=9)) == UNKNOWN_TEMPLATE


def test_numbers_above_the_signed_range_are_no_template_and_no_length() -> None:
    schema = SHAPES["wide and big endian"]
    check = make_header_check(schema)
    content = message(schema, 8, blockLength=0xFFFFFFFF, templateId=3, schemaId=9)
    assert judge(check, content) == MALFORMED_MESSAGE
    content = message(schema, 8, blockLength=8, templateId=(1 << 64) - 1, schemaId=9)
    assert judge(check, content) == UNKNOWN_TEMPLATE


def test_random_bytes_get_the_same_outcome_in_both_forms(schema: Schema) -> None:
    check = make_header_check(schema)
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    for _ in range(300):
        content = bytearray(generator.choice([0, 0, 3, 4, 8, 9, 255, generator.randrange(256)]) for _ in range(40))
        length = generator.randrange(41)
        assert judge(check, content, length) == judge(plain(check), content, length), f"seed={seed}"
