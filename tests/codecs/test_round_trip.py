"""Random schemas and messages of them come back as they were, groups and data too, from Python and from handlers."""

from __future__ import annotations

import math
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from statevec.codecs.errors import SbeError
from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout
from statevec.codecs.schema import Schema
from statevec.engine.plugin.simulate import simulate
from tests.codecs.kinds import HEADER, INTEGERS
from tests.codecs.writing import write
from tests.plugin.echo import echoed, write_echo

RUN_SEED = random.randrange(1 << 32)
SIMPLE = [*INTEGERS, "float", "double", "char"]


@st.composite
def types(draw: st.DrawFn) -> tuple[str, list[str]]:
    """XML of some named types, and their names."""
    xml, names = [], []
    for number in range(draw(st.integers(0, 6))):
        name = f"T{number}"
        kind = draw(st.sampled_from(["array", "optional", "enum", "set", "composite", "text"]))
        integer = draw(st.sampled_from(INTEGERS))
        bits = int(integer.removeprefix("u").removeprefix("int"))
        if kind == "array":
            made = f'<type name="{name}" primitiveType="{integer}" length="{draw(st.integers(0, 5))}"/>'
        elif kind == "text":
            made = f'<type name="{name}" primitiveType="char" length="{draw(st.integers(2, 9))}"/>'
        elif kind == "optional":
            null = draw(st.integers(0, 2 ** (bits - 1) - 1))
            made = f'<type name="{name}" primitiveType="{integer}" presence="optional" nullValue="{null}"/>'
        elif kind == "enum":
            values = draw(st.sets(st.integers(0, 100), min_size=1, max_size=5))
            inner = "".join(f'<validValue name="V{each}">{each}</validValue>' for each in values)
            made = f'<enum name="{name}" encodingType="{integer}">{inner}</enum>'
        elif kind == "set":
            choices = draw(st.sets(st.integers(0, bits - 1), max_size=5))
            inner = "".join(f'<choice name="C{each}">{each}</choice>' for each in choices)
            made = f'<set name="{name}" encodingType="uint{bits}">{inner}</set>'
        else:
            members = draw(st.lists(st.sampled_from(SIMPLE + names), min_size=1, max_size=4))
            inner = "".join(f'<ref name="m{index}" type="R{each}"/>' for index, each in enumerate(members))
            made = f'<composite name="{name}">{inner}</composite>'
            for each in members:  # a primitive cannot be referred to, so each one gets a name
                if each in SIMPLE and f"R{each}" not in "".join(xml):
                    xml.append(f'<type name="R{each}" primitiveType="{each}"/>')
            made = made.replace('type="RT', 'type="T')
        xml.append(made)
        names.append(name)
    return "".join(xml), names


DIMENSIONS = """<composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>
<type name="numInGroup" primitiveType="uint8"/></composite>
<composite name="wideDimensions"><type name="numInGroup" primitiveType="uint32" maxValue="9"/>
<type name="blockLength" primitiveType="uint16" offset="6"/></composite>
<composite name="text"><type name="length" primitiveType="uint8" maxValue="200"/>
<type name="varData" primitiveType="uint8" length="0" characterEncoding="UTF-8"/></composite>
<composite name="blob"><type name="length" primitiveType="uint32" maxValue="1000"/>
<type name="varData" primitiveType="uint8" length="0"/></composite>"""


def fields_of(draw: st.DrawFn, names: list[str], most: int) -> str:
    """XML of the fields of a block."""
    fields = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(SIMPLE + names), max_size=most))):
        presence = 'presence="optional"' if kind in SIMPLE and kind != "char" and draw(st.booleans()) else ""
        fields.append(f'<field name="f{number}" id="{number}" type="{kind}" {presence}/>')
    return "".join(fields)


def members_of(draw: st.DrawFn, names: list[str], depth: int, least: int = 0) -> str:
    """XML of the groups, nested `depth` deep at most, and the data of a level."""
    xml = []
    for number in range(draw(st.integers(least, 2)) if depth else 0):
        kind = draw(st.sampled_from(["groupSizeEncoding", "wideDimensions"]))
        inner = fields_of(draw, names, 4) + members_of(draw, names, depth - 1)
        xml.append(f'<group name="g{number}" id="{50 + number}" dimensionType="{kind}">{inner}</group>')
    for number, kind in enumerate(draw(st.lists(st.sampled_from(["text", "blob"]), max_size=2))):
        xml.append(f'<data name="d{number}" id="{60 + number}" type="{kind}"/>')
    return "".join(xml)


def schema_text(draw: st.DrawFn, depth: int, least: int = 0) -> str:
    """XML of a schema of one message."""
    xml, names = draw(types())
    order = draw(st.sampled_from(["littleEndian", "bigEndian"]))
    body = fields_of(draw, names, 12) + (members_of(draw, names, depth, least) if depth else "")
    return (
        f'<messageSchema package="p" id="5" byteOrder="{order}"><types>{HEADER}{DIMENSIONS}{xml}</types>'
        f'<message name="M" id="1">{body}</message></messageSchema>'
    )


@st.composite
def schemas(draw: st.DrawFn, depth: int = 0) -> Schema:
    """A schema of one message, flat or with groups."""
    return Schema.parse(schema_text(draw, depth))


def values_of(draw: st.DrawFn, level: MessageLayout | GroupLayout) -> dict[str, Any]:
    """Values of a message or an entry, as `to_dict` shows them."""
    values = {each.name: value_of(draw, each) for each in level.fields}
    for group in level.groups:
        values[group.name] = [values_of(draw, group) for _ in range(draw(st.integers(0, 3)))]
    for data in level.data:
        kind = st.binary(max_size=40) if data.encoding is None else st.text(max_size=40)
        values[data.name] = draw(kind)
    return values


def value_of(draw: st.DrawFn, field: FieldLayout) -> Any:
    """A value that the field can hold, as `to_dict` shows it."""
    if field.composite is not None:
        return {each.name: value_of(draw, each) for each in field.composite.fields}
    if field.presence == "optional" and draw(st.booleans()):
        return None
    if field.enum is not None:
        return draw(st.sampled_from([name for name, _ in field.enum.values]))
    if field.choices is not None:
        chosen = draw(st.sets(st.sampled_from([*field.choices.choices, None])))
        return [name for name, bit in field.choices.choices if (name, bit) in chosen]
    if field.kind == "chars":
        return draw(st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=field.length))
    low, high = field.limits
    if field.primitive.kind == "float":
        number = st.floats(width=8 * field.primitive.size, allow_nan=False)  # type: ignore[arg-type]
    else:
        number = st.integers(low, high).filter(lambda each: field.presence != "optional" or each != field.null)
    if field.kind == "array":
        return draw(st.lists(number, min_size=field.length, max_size=field.length))
    return draw(number)


@settings(max_examples=120, deadline=None, database=None)
@seed(RUN_SEED)
@given(st.data())
def test_random_messages_of_random_schemas_come_back(data: st.DataObject) -> None:
    schema = data.draw(schemas(), label=f"seed={RUN_SEED}")
    layout = schema.messages["M"]
    values = values_of(data.draw, layout)
    content = schema.encode("M", values)
    assert len(content) == schema.header.size + layout.block_length
    view = schema.decode(content)
    assert view.to_dict() == values
    filled = bytearray(len(content))
    schema.create("M", filled).fill(values)
    assert filled == content
    assert schema.encode("M", view.to_dict()) == content
    assert flattened(view.to_tuple()) == flattened(values)


def flattened(values: Any) -> list[Any]:
    """All leaves in order."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return [leaf for each in values for leaf in flattened(each)]
    return [values]


@settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@seed(RUN_SEED)
@given(st.data())
def test_random_groups_and_data_come_back(data: st.DataObject) -> None:
    schema = data.draw(schemas(depth=2), label=f"seed={RUN_SEED}")
    layout = schema.messages["M"]
    values = values_of(data.draw, layout)
    content = schema.encode("M", values)
    view = schema.decode(content, 0, len(content))
    assert view.to_dict() == values
    assert flattened(view.to_tuple()) == flattened(values)
    assert schema.from_json("M", view.to_json()) == content
    writer = schema.writer("M")
    write(writer, layout, values)
    assert writer.message() == content
    for number, group in enumerate(layout.groups):
        assert getattr(view, f"g{number}").to_list() == values[group.name]
    for length in {len(content) - 1, len(content) // 2}:
        with pytest.raises(SbeError):
            schema.decode(content[:length]).to_dict()


@settings(max_examples=2, deadline=None, database=None, phases=[Phase.generate])
@seed(RUN_SEED)
@given(st.data())
def test_random_messages_come_back_from_a_handler(data: st.DataObject) -> None:
    text = schema_text(data.draw, 2, least=1)
    schema = Schema.parse(text)
    layout = schema.messages["M"]
    with tempfile.TemporaryDirectory() as parent:
        directory = write_echo(Path(parent) / "echo", {"echo.xml": text.encode()}, layout)
        tiers = [simulate(directory, tier, 0, 1) for tier in ("compiled", "interpreted")]  # type: ignore[arg-type]
        for _ in range(8):
            content = schema.encode("M", values_of(data.draw, layout))
            for tier in tiers:
                assert echoed(tier, content) == content, f"seed={RUN_SEED}"


@settings(max_examples=60, deadline=None, database=None)
@seed(RUN_SEED)
@given(schemas(), st.binary(max_size=200))
def test_random_bytes_decode_or_end_in_an_sbe_error(schema: Schema, noise: bytes) -> None:
    layout = schema.messages["M"]
    order = "<" if schema.byte_order == "little" else ">"
    header = struct.pack(order + "4H", layout.block_length, 1, 5, 0)
    for content in (noise, header + noise):
        try:
            view = schema.decode(content)
            values = view.to_dict()
        except SbeError:
            continue
        again = bytearray(content)
        refilled = schema.view("M")(again)
        try:
            refilled.fill(values)
        except SbeError:
            continue  # a value that passes through is not one that may be written
        assert_same(refilled.to_dict(), values)


def assert_same(first: Any, second: Any) -> None:
    for left, right in zip(flattened(first), flattened(second), strict=True):
        assert left == right or (math.isnan(left) and math.isnan(right)), f"seed={RUN_SEED}"
