"""Messages made by the reference implementation's encoder: our views find its values, our encoder gives its bytes.

Groups and variable data are not read yet, so a message that has them is compared as far as its block goes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.errors import UnsupportedError
from statevec.codecs.flyweight import MessageView
from statevec.codecs.schema import Schema
from tests.codecs.sbe_data import golden_cases, needs_data

pytestmark = needs_data
CASES = [pytest.param(case, id=case.name) for case in golden_cases()]


def read_case(case: Path) -> tuple[Schema, dict[str, Any], bytes]:
    values = json.loads((case / "values.json").read_text())
    return Schema.load(case / "schema.xml"), values, (case / "message.sbe").read_bytes()


def assert_same(ours: Any, expected: Any, where: str) -> None:
    """Whether a value is the expected one; constants of a composite are ours only."""
    if expected is None and isinstance(ours, dict):
        assert None in ours.values(), where  # the reference calls a composite null whose mantissa is
    elif isinstance(expected, dict):
        for name, value in expected.items():
            assert_same(ours[name], value, f"{where}.{name}")
    elif isinstance(expected, float):
        assert math.isclose(ours, expected, rel_tol=1e-6), where
    else:
        assert ours == expected, where


def block_values(view: MessageView, values: dict[str, Any]) -> dict[str, Any]:
    """The part of the case's values that lies in the block."""
    names = {each.name for each in view.layout.fields}
    return {name: value for name, value in values["fields"].items() if name in names}


@pytest.mark.parametrize("case", CASES)
def test_the_block_decodes_to_its_values(case: Path) -> None:
    schema, values, content = read_case(case)
    view = schema.decode(content)
    assert view.layout.name == values["message"]
    expected = block_values(view, values)
    assert expected
    assert_same(view.block_dict(), expected, case.name)


@pytest.mark.parametrize("case", CASES)
def test_attributes_and_whole_blocks_agree(case: Path) -> None:
    schema, _, content = read_case(case)
    view = schema.decode(content)
    block = view.block_dict()
    assert list(block) == [each.name for each in view.layout.fields]
    assert_attributes(view, block)
    assert len(view.block_tuple()) == len(block)


def assert_attributes(view: Any, block: dict[str, Any]) -> None:
    for name, value in block.items():
        attribute = getattr(view, name)
        if isinstance(value, dict):
            assert_attributes(attribute, value)
        elif isinstance(value, list):
            assert list(attribute.names() if hasattr(attribute, "names") else attribute) == value
        elif hasattr(attribute, "name"):
            assert attribute.name == value
        else:
            assert attribute == value


@pytest.mark.parametrize("case", CASES)
def test_the_values_encode_to_the_block_byte_for_byte(case: Path) -> None:
    schema, values, content = read_case(case)
    name = values["message"]
    size = schema.header.size + schema.messages[name].block_length
    buffer = bytearray(size)
    view = schema.create(name, buffer)
    view.fill(block_values(view, values))
    assert buffer == content[:size]


@pytest.mark.parametrize("case", CASES)
def test_groups_and_data_are_refused_by_name(case: Path) -> None:
    schema, _, content = read_case(case)
    view = schema.decode(content)
    if view.layout.is_flat:
        assert schema.encode(view.layout.name, view.to_dict()) == content
        return
    with pytest.raises(UnsupportedError):
        view.to_dict()
    with pytest.raises(UnsupportedError):
        schema.encode(view.layout.name, {})
    for each in (*view.layout.groups, *view.layout.data):
        with pytest.raises(UnsupportedError, match=each.name):
            getattr(view, each.name)
