"""Messages read with another version of their schema, beside what the reference implementation makes of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.errors import BlockLengthError, DecodeError
from statevec.codecs.layout import DataLayout, FieldLayout, GroupLayout, MessageLayout
from statevec.codecs.schema import Schema
from statevec.codecs.schema_diff import differences
from statevec.engine.plugin.simulate import simulate
from tests.codecs.kinds import HEADER
from tests.codecs.sbe_data import SBE, golden_cases, needs_data
from tests.plugin.echo import write_echo

MASK64 = (1 << 64) - 1


def readings() -> list[Any]:
    """Each golden message, and what the reference's generic decoder printed of it, with each schema."""
    found = []
    for case in golden_cases():
        for text in sorted(case.glob("otf*.json")):
            version = text.stem.removeprefix("otf").removeprefix(".read_by_")
            reader = case if not version else case.parent / f"{case.name.partition('_v')[0]}_{version}"
            found.append(pytest.param(case, reader, text, id=f"{case.name} by {reader.name}"))
    return found


def assert_read(ours: dict[str, Any], theirs: dict[str, Any], level: MessageLayout | GroupLayout, version: int) -> None:
    """Whether a level's values are those that the reference printed."""
    for field in level.fields:
        if field.choices is None or not field.is_absent(version):  # it prints an absent set from stray bytes
            assert_value(ours[field.name], theirs[field.name], field)
    for group in level.groups:
        for mine, other in zip(ours[group.name], theirs.get(group.name, []), strict=True):
            assert_read(mine, other, group, version)
    for data in level.data:
        assert_data(ours[data.name], theirs[data.name], data)


def assert_data(mine: Any, other: Any, data: DataLayout) -> None:
    assert (mine.hex() if isinstance(mine, bytes) else mine) == other, data.name


def assert_value(mine: Any, other: Any, field: FieldLayout) -> None:
    """The reference prints nulls as encoded, NaN as "0/0", 64 unsigned bits as signed, unlisted enums as "null"."""
    if field.composite is not None:
        for each in field.composite.fields:
            if each.name in other:
                assert_value(mine[each.name], other[each.name], each)
    elif mine is None and isinstance(other, list):
        for each in other:
            assert_value(None, each, field)
    elif mine is None or (field.enum is not None and not isinstance(mine, str)):
        null = field.null if field.null is not None else field.primitive.null
        bits = isinstance(other, int) and isinstance(null, int) and other & MASK64 == null & MASK64
        assert other in ("0/0", "null") or bits, field.name
    elif field.choices is not None:
        assert mine == [name for name, is_set in other.items() if is_set], field.name
    elif isinstance(mine, list):
        for each, one in zip(mine, other, strict=True):
            assert_value(each, one, field)
    elif isinstance(mine, float):
        assert math.isclose(mine, other, rel_tol=1e-6), field.name
    elif isinstance(mine, int):
        assert mine & MASK64 == int(other) & MASK64, field.name
    else:
        assert mine == other, field.name


@needs_data
@pytest.mark.parametrize(("written", "reader", "text"), readings())
def test_a_message_reads_as_the_reference_reads_it(written: Path, reader: Path, text: Path) -> None:
    content = (written / "message.sbe").read_bytes()
    view = Schema.load(reader / "schema.xml").decode(content, 0, len(content))
    assert_read(view.to_dict(), json.loads(text.read_text()), view.layout, view.version)


VERSIONS = [SBE / "golden" / f"evc_v{number}" for number in range(3)]


@needs_data
@pytest.mark.parametrize("reader", VERSIONS, ids=lambda each: f"read by {each.name}")
@pytest.mark.parametrize("written", VERSIONS, ids=lambda each: f"written by {each.name}")
def test_compatible_versions_read_each_other(reader: Path, written: Path) -> None:
    schema = Schema.load(reader / "schema.xml")
    content = (written / "message.sbe").read_bytes()
    values = json.loads((written / "values.json").read_text())["fields"]
    view = schema.decode(content, 0, len(content))
    found = view.to_dict()
    assert_as_written(found, values)
    assert (view.version, view.is_newer) == (int(written.name[-1]), written.name > reader.name)
    for name, value in found.items():
        if not isinstance(value, list):
            assert getattr(view, name) == getattr(schema.decode(content), name)


@needs_data
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_a_handler_reads_older_and_newer_messages_as_python_does(tmp_path: Path, tier: str) -> None:
    reader = VERSIONS[1] / "schema.xml"
    schema = Schema.load(reader)
    directory = write_echo(tmp_path / "echo", {"echo.xml": reader.read_bytes()}, schema.messages["Evo"])
    simulation = simulate(directory, tier, 0, 1)  # type: ignore[arg-type]
    for written in VERSIONS:
        content = (written / "message.sbe").read_bytes()
        expected = schema.encode("Evo", schema.decode(content).to_dict())
        made = simulation.send_bytes(content).outputs[0].message
        assert made[: len(expected)] == expected and not any(made[len(expected) :]), written.name


def assert_as_written(found: dict[str, Any], values: dict[str, Any]) -> None:
    """Whether all that both versions have is equal, and the rest null or empty."""
    for name, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for mine, other in zip(value, values[name], strict=True):
                assert_as_written(mine, other)
        else:
            assert value == values[name] if name in values else value in (None, "", []), name


LATER = {
    0: ("", "", "", "", "", ""),
    1: (
        '<validValue name="C" sinceVersion="1">3</validValue>',
        '<field name="extra" id="3" type="uint32" presence="optional" sinceVersion="1"/>'
        '<field name="bits" id="4" type="Bits" sinceVersion="1"/>',
        '<field name="qty" id="12" type="uint32" presence="optional" sinceVersion="1"/>',
        "",
        '<group name="hops" id="20" sinceVersion="1"><field name="host" id="21" type="uint32"/></group>',
        '<data name="more" id="31" type="str8" sinceVersion="1"/>',
    ),
    2: (
        "",
        '<field name="ratio" id="5" type="double" presence="optional" sinceVersion="2"/>',
        '<field name="flag" id="13" type="uint8" presence="optional" sinceVersion="2"/>',
        '<data name="memo2" id="14" type="str8" sinceVersion="2"/>',
        "",
        '<data name="last" id="32" type="str8" sinceVersion="2"/>',
    ),
}
"""What versions 1 and 2 of the reference's Evo message added: to the enum, the block, the entries of legs (fields and
data), the groups, the data.
"""


def evo(version: int) -> Schema:
    """The schema of `cross_version_official_decoders.txt`, written anew from what it prints."""
    value, block, entry, memo, group, data = (
        "".join(LATER[number][place] for number in range(version + 1)) for place in range(6)
    )
    return Schema.parse(
        f"""<messageSchema package="evo" id="903" version="{version}"><types>
  <composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/>
    <type name="templateId" primitiveType="uint16"/><type name="schemaId" primitiveType="uint16"/>
    <type name="version" primitiveType="uint16"/></composite>
  <composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>
    <type name="numInGroup" primitiveType="uint16"/></composite>
  <composite name="str8"><type name="length" primitiveType="uint8"/>
    <type name="varData" primitiveType="uint8" length="0" characterEncoding="UTF-8"/></composite>
  <enum name="Kind" encodingType="uint8"><validValue name="A">1</validValue>
    <validValue name="B">2</validValue>{value}</enum>
  <set name="Bits" encodingType="uint8"><choice name="one">0</choice><choice name="two">1</choice></set>
</types><message name="Evo" id="1">
  <field name="seq" id="1" type="uint64"/><field name="kind" id="2" type="Kind"/>{block}
  <group name="legs" id="10"><field name="px" id="11" type="int32"/>{entry}<data name="memo" id="15" type="str8"/>{memo}
  </group>{group}<data name="text" id="30" type="str8"/>{data}
</message></messageSchema>"""
    )


def evo_values(version: int, reader: int) -> dict[str, Any]:
    """What the reference's decoder of version `reader` prints of a message of `version`, nulls as None."""

    def since(number: int, value: Any, missing: Any = None) -> Any:
        return value if version >= number else missing

    legs = [
        (0, "px", 10, 20),
        (1, "qty", since(1, 1000), since(1, 1001)),
        (2, "flag", since(2, 0), since(2, 1)),
        (0, "memo", "m1", "m2"),
        (2, "memo2", since(2, "n0", ""), since(2, "n1", "")),
    ]
    values = [
        (0, "seq", 42),
        (0, "kind", since(1, "C", "B")),
        (1, "extra", since(1, 77)),
        (1, "bits", since(1, ["two"], [])),
        (2, "ratio", since(2, 0.25)),
        (0, "legs", [{name: each[place] for number, name, *each in legs if number <= reader} for place in (0, 1)]),
        (1, "hops", since(1, [{"host": 2130706433}, {"host": 167772161}], [])),
        (0, "text", "hello"),
        (1, "more", since(1, "more!", "")),
        (2, "last", since(2, "the end", "")),
    ]
    return {name: value for number, name, value in values if number <= reader}


@pytest.mark.parametrize("reader", [0, 1, 2])
@pytest.mark.parametrize("written", [0, 1, 2])
def test_every_pair_of_versions_reads_or_ends_in_an_error(written: int, reader: int) -> None:
    content = evo(written).encode("Evo", evo_values(written, written))
    assert len(content) == 8 + {0: 33, 1: 64, 2: 88}[written]
    schema = evo(reader)
    if written > reader:  # where the reference prints nonsense or crashes: a group before data, data in a group
        assert schema.decode(content).is_newer
        with pytest.raises(DecodeError):
            schema.decode(content, 0, len(content)).to_dict()
        return
    view = schema.decode(content, 0, len(content))
    assert view.to_dict() == evo_values(written, reader)
    assert (view.version, view.decoded_length) == (written, len(content))


def test_additions_that_cannot_be_skipped_are_named() -> None:
    broken = {(each.path, each.verdict) for each in differences(evo(0), evo(2)) if each.verdict == "breaks"}
    assert broken == {("Evo.hops", "breaks"), ("Evo.legs.memo2", "breaks")}
    assert not [each for each in differences(evo(1), evo(1)) if each]
    kinds = {each.path: each.verdict for each in differences(evo(0), evo(1))}
    assert kinds == {
        "Evo.kind": "noticed",
        "Evo.extra": "skipped",
        "Evo.bits": "skipped",
        "Evo.legs.qty": "skipped",
        "Evo.hops": "breaks",
        "Evo.more": "skipped",
    }


def with_composite(version: int, members: str, block: str = "") -> Schema:
    """A schema whose one field is a composite of `a` and those members."""
    return Schema.parse(
        f"""<messageSchema package="p" id="5" version="{version}"><types>{HEADER}
<composite name="C"><type name="a" primitiveType="uint8"/>{members}</composite></types>
<message name="M" id="1" {block}><field name="c" id="1" type="C"/></message></messageSchema>"""
    )


def test_a_composite_cannot_be_extended() -> None:
    old = with_composite(0, "")
    new = with_composite(1, '<type name="b" primitiveType="int16" presence="optional" sinceVersion="1"/>')
    assert len(new.warnings) == 1 and "'b' cannot be added to a composite" in new.warnings[0]
    assert not old.warnings
    content = old.encode("M", {"c": {"a": 7}})
    with pytest.raises(BlockLengthError, match="blockLength=1 minimum=3"):
        new.decode(content)
    newer = new.encode("M", {"c": {"a": 7, "b": -2}})
    assert old.decode(newer, 0, len(newer)).to_dict() == {"c": {"a": 7}}
    assert [each.verdict for each in differences(old, new)] == ["breaks"]


def test_a_composite_that_came_later_is_absent_as_a_whole() -> None:
    head = f'<types>{HEADER}<composite name="C" sinceVersion="1"><type name="a" primitiveType="uint8"/></composite>'
    tail = '</types><message name="M" id="1">{}</message></messageSchema>'
    old, new = (
        Schema.parse(f'<messageSchema package="p" id="5" version="{version}">{head}{tail.format(fields)}')
        for version, fields in ((1, ""), (1, '<field name="c" id="1" type="C"/>'))
    )
    content = bytearray(old.encode("M", {}))
    content[6] = 0
    view = new.decode(content, 0, len(content))
    assert view.to_dict() == {"c": None} and view.c is None and view.to_tuple() == (None,)
