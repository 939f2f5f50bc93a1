"""Messages made by the reference implementation's encoder: our views find its values, our encoder gives its bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.message_view import MessageView
from statevec.codecs.schema import Schema
from tests.codecs.sbe_data import golden_cases, needs_data
from tests.codecs.writing import write

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
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        assert len(ours) == len(expected), where
        for number, (mine, other) in enumerate(zip(ours, expected, strict=True)):
            assert_same(mine, other, f"{where}[{number}]")
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


def plain(values: Any) -> Any:
    """Values of a case with its bytes as bytes."""
    if isinstance(values, dict):
        if set(values) == {"hex"}:
            return bytes.fromhex(values["hex"])
        return {name: plain(each) for name, each in values.items()}
    return [plain(each) for each in values] if isinstance(values, list) else values


@pytest.mark.parametrize("case", CASES)
def test_the_block_is_filled_byte_for_byte(case: Path) -> None:
    schema, values, content = read_case(case)
    name = values["message"]
    size = schema.header.size + schema.messages[name].block_length
    buffer = bytearray(2 * len(content))
    view = schema.create(name, buffer)
    view.fill(block_values(view, values))
    assert buffer[:size] == content[:size]


@pytest.mark.parametrize("case", CASES)
def test_a_message_decodes_to_its_values(case: Path) -> None:
    schema, values, content = read_case(case)
    view = schema.decode(content, 0, len(content))
    assert_same(view.to_dict(), plain(values["fields"]), case.name)
    assert view.decoded_length == len(content)
    assert view.version == schema.version and not view.is_newer


@pytest.mark.parametrize("case", CASES)
def test_the_values_encode_to_the_message_byte_for_byte(case: Path) -> None:
    schema, values, content = read_case(case)
    name = values["message"]
    view = schema.decode(content)
    assert schema.encode(name, plain(values["fields"])) == content
    assert schema.encode(name, view.to_dict()) == content
    assert schema.from_json(name, view.to_json()) == content
    assert schema.decode(schema.encode(name, view.to_dict())) == view


@pytest.mark.parametrize("case", CASES)
def test_groups_and_data_are_read_where_they_lie(case: Path) -> None:
    schema, _, content = read_case(case)
    view = schema.decode(content)
    assert_members(view, view.to_dict())
    assert case.name and repr(view).startswith(f"{view.layout.name}(")


def assert_members(view: Any, values: dict[str, Any]) -> None:
    """Whether groups and data, read one by one, are what the whole message says."""
    for group in view.layout.groups:
        entries = getattr(view, group.name)
        assert len(entries) == len(values[group.name])
        assert entries.to_list() == values[group.name]
        for number, (entry, expected) in enumerate(zip(entries, values[group.name], strict=True)):
            assert entries[number] == entry
            assert_members(entry, expected)
    for data in view.layout.data:
        value = getattr(view, data.name)
        assert (bytes(value) if isinstance(value, memoryview) else value) == values[data.name]


@pytest.mark.parametrize("case", CASES)
def test_a_writer_gives_the_message_part_by_part(case: Path) -> None:
    schema, values, content = read_case(case)
    for buffer in (None, bytearray(3 + len(content))):
        writer = schema.writer(values["message"], buffer, 0 if buffer is None else 3)
        write(writer, schema.messages[values["message"]], plain(values["fields"]))
        assert writer.message() == content
        assert writer.length == len(content)
