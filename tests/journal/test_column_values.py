"""Gathered columns have the values that the schema decodes, of every kind of field, byte order and version."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from statevec.codecs.schema import Schema
from statevec.journal.column_arrow import arrow_array, arrow_table
from statevec.journal.column_kernels import gather
from statevec.journal.column_layout import INPUTS
from statevec.journal.column_plan import ColumnPlan, Part
from statevec.journal.column_values import Column, beside, entry_columns, message_columns, whole_messages
from statevec.journal.decode import plain_value
from statevec.journal.reader import make_cursor
from tests.journal.entry_maker import EntryMaker, region_of

FIELDS = (
    '<field name="small" id="1" type="int8"/><field name="number" id="2" type="uint64"/>'
    '<field name="perhaps" id="3" type="Perhaps"/><field name="ratio" id="4" type="float"/>'
    '<field name="side" id="5" type="Side"/><field name="marks" id="6" type="Marks"/>'
    '<field name="text" id="7" type="Text"/><field name="few" id="8" type="Few"/>'
    '<field name="price" id="9" type="Price"/>'
)
LATER = '<field name="later" id="10" type="int32" sinceVersion="1"/>'
LATEST = '<field name="latest" id="11" type="int64" sinceVersion="2"/>'


def schema_of(version: int, byte_order: str) -> Schema:
    fields = FIELDS + (LATER if version >= 1 else "") + (LATEST if version >= 2 else "")
    return Schema.parse(
        f"""<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" package="kinds" id="77" version="{version}"
        byteOrder="{byte_order}Endian"><types>
        <composite name="messageHeader"><type name="version" primitiveType="uint16"/>
        <type name="blockLength" primitiveType="uint32"/><type name="templateId" primitiveType="uint8"/>
        <type name="schemaId" primitiveType="uint16"/></composite>
        <type name="Perhaps" primitiveType="int32" presence="optional"/>
        <type name="Text" primitiveType="char" length="5"/><type name="Few" primitiveType="uint16" length="3"/>
        <enum name="Side" encodingType="uint8"><validValue name="BUY">1</validValue>
        <validValue name="SELL">2</validValue></enum>
        <set name="Marks" encodingType="uint16"><choice name="A">0</choice><choice name="B">9</choice></set>
        <composite name="Price"><type name="mantissa" primitiveType="int64"/>
        <type name="exponent" primitiveType="int8" presence="constant">-2</type></composite>
        </types><sbe:message name="Thing" id="9">{fields}</sbe:message>
        <sbe:message name="Other" id="10"><field name="x" id="1" type="int64"/></sbe:message>
        </sbe:messageSchema>""".encode(),
        "kinds.xml",
    )


def some_values(source: random.Random, version: int) -> dict[str, Any]:
    values = {
        "small": source.randrange(-127, 128),
        "number": source.randrange(1 << 63, (1 << 64) - 1),
        "perhaps": source.choice([None, -5, 1 << 20]),
        "ratio": source.choice([0.5, -2.25]),
        "side": source.choice(["BUY", "SELL"]),
        "marks": source.choice([["A"], ["B"], ["A", "B"], []]),
        "text": source.choice(["", "abc", "abcde"]),
        "few": [source.randrange(1 << 15) for _ in range(3)],
        "price": {"mantissa": source.randrange(-(10**12), 10**12)},
        "later": source.randrange(1 << 30),
        "latest": 1,
    }
    return dict(list(values.items())[: 9 + version])


def gathered(schema: Schema, messages: list[bytes]) -> list[Column]:
    maker = EntryMaker(unit=1 << 20)
    content = region_of(b"".join(maker.entry(message) for message in messages))
    layout = schema.messages["Thing"]
    plan = ColumnPlan(1, schema, [Part(INPUTS, layout.id, layout.block_length)])
    gather(content, 0, make_cursor(0, 1 << 20), plan.block)
    rows = whole_messages(layout, plan.rows(0))
    return beside(entry_columns(rows, ("sequence",)), message_columns(layout, rows))


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_columns_are_what_the_schema_decodes(byte_order: str) -> None:
    """Messages older than the schema, as old, and newer, in random order; between them what is not of that name."""
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    source = random.Random(seed)
    schema = schema_of(1, byte_order)
    messages, expected = [], []
    for _ in range(60):
        version = source.randrange(3)
        writer = schema_of(version, byte_order)
        message = writer.encode("Thing", some_values(source, version))
        if source.random() < 0.2:
            messages.append(source.choice([message[:12], writer.encode("Other", {"x": 1}), b"", b"\xff" * 40]))
        messages.append(message)
        expected.append((len(messages), plain_value(schema.decode(message).to_dict())))
    columns = gathered(schema, messages)
    found = arrow_table(columns)
    assert found["sequence"].to_pylist() == [sequence for sequence, _ in expected]
    for name in ("small", "number", "perhaps", "ratio", "side", "text", "few", "later"):
        assert found[name].to_pylist() == [fields[name] for _, fields in expected], name
    bits = {"A": 1, "B": 1 << 9}
    assert found["marks"].to_pylist() == [sum(bits[each] for each in fields["marks"]) for _, fields in expected]
    mantissas = [fields["price"]["mantissa"] for _, fields in expected]
    assert found["price.mantissa"].to_pylist() == mantissas
    assert [int(price * 100) for price in found["price"].to_pylist()] == mantissas
    assert str(found.schema.field("price").type) == "decimal128(38, 2)"


def test_a_block_shorter_than_its_version_is_no_message() -> None:
    schema = schema_of(1, "little")
    whole = schema.encode("Thing", some_values(random.Random(1), 1))
    short = bytearray(whole)
    short[2:6] = (int.from_bytes(whole[2:6], "little") - 4).to_bytes(4, "little")
    assert gathered(schema, [whole, bytes(short), whole])[0].values.tolist() == [1, 3]


def test_a_field_whose_name_is_taken_gets_another() -> None:
    own = [Column("sequence", "integer", np.array([1]))]
    fields = [Column(name, "integer", np.array([2])) for name in ("sequence", "time", "size")]
    assert [each.name for each in beside(own, fields)] == ["sequence", "field_sequence", "field_time", "size"]


def test_text_that_is_no_utf_8_is_bytes() -> None:
    column = Column("text", "text", np.array([b"ok", b"\xff\xfe"]))
    assert arrow_array(column).to_pylist() == [b"ok", b"\xff\xfe"]
    assert arrow_array(Column("text", "text", np.array([b"ok", b"a\0b"]))).to_pylist() == ["ok", "a"]
