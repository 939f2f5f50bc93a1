"""Random flat schemas and random messages of them come back as they were."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from statevec.codecs.errors import SbeError
from statevec.codecs.layout import FieldLayout
from statevec.codecs.schema import Schema
from tests.codecs.kinds import HEADER, INTEGERS

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


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A schema of one flat message."""
    xml, names = draw(types())
    fields = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(SIMPLE + names), max_size=12))):
        presence = 'presence="optional"' if kind in SIMPLE and kind != "char" and draw(st.booleans()) else ""
        fields.append(f'<field name="f{number}" id="{number}" type="{kind}" {presence}/>')
    order = draw(st.sampled_from(["littleEndian", "bigEndian"]))
    body = "".join(fields)
    return Schema.parse(
        f'<messageSchema package="p" id="5" byteOrder="{order}"><types>{HEADER}{xml}</types>'
        f'<message name="M" id="1">{body}</message></messageSchema>'
    )


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
    values = {each.name: value_of(data.draw, each) for each in layout.fields}  # type: ignore[arg-type]
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
