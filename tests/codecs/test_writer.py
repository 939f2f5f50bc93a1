"""Writing part by part: order is enforced, counts and lengths are checked, and what is refused writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.errors import (
    DataLengthError,
    EncodeError,
    GroupCountError,
    MissingFieldError,
    NoSpaceError,
    OrderError,
    TextTooLongError,
    TooManyEntriesError,
    UnknownFieldError,
    ValueRangeError,
    ValueTypeError,
)
from statevec.codecs.schema import Schema
from tests.codecs.kinds import HEADER

XML = Path(__file__).parent / "everything.xml"


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.load(XML)


def basket(schema: Schema) -> Any:
    """A writer behind its first leg and first fill."""
    writer = schema.writer("Basket")
    leg = writer.legs.append(side="BUY")
    leg.fills.append(quantity=1)
    return writer


def write_behind(writer: Any) -> None:
    writer.reason = "x"
    writer.legs.append()


def write_entry_behind(writer: Any) -> None:
    leg = writer.legs.append()
    writer.empties.append()
    leg.note = "late"


def write_group_behind_data(writer: Any) -> None:
    leg = writer.legs.append()
    leg.note = "x"
    leg.fills.append()


def write_closed_entry(writer: Any) -> None:
    first = writer.legs.append()
    writer.legs.append()
    first.fills.append()


def write_twice(writer: Any) -> None:
    writer.reason = "x"
    writer.reason = "y"


def write_seven(writer: Any) -> None:
    for _ in range(7):
        writer.empties.append()


REFUSED: list[tuple[Callable[[Any], Any], type[EncodeError], str]] = [
    (write_behind, OrderError, "Basket.legs: groups and data are written once, in the schema's order"),
    (write_entry_behind, OrderError, "Basket.legs.note: the entry is closed: another part was begun behind it"),
    (write_group_behind_data, OrderError, "Basket.legs.fills: groups and data are written once"),
    (write_closed_entry, OrderError, "Basket.legs.fills: the entry is closed"),
    (write_twice, OrderError, "Basket.reason: groups and data are written once"),
    (write_seven, TooManyEntriesError, "Basket.empties: wrong number of entries: 6 min=0 max=5"),
    (lambda w: setattr(w, "reason", "x" * 65535), TextTooLongError, "data too long: length=65535 max=65534"),
    (lambda w: setattr(w, "reason", 5), ValueTypeError, "neither text nor bytes: 5"),
    (lambda w: setattr(w, "limit", 1 << 31), ValueRangeError, "Basket.limit: value out of range"),
    (lambda w: setattr(w, "limits", 1), UnknownFieldError, "Basket.limits"),
]


@pytest.mark.parametrize(("action", "error", "words"), REFUSED, ids=[each[2].partition(":")[0] for each in REFUSED])
def test_what_is_out_of_order_or_does_not_fit_is_refused(
    schema: Schema, action: Callable[[Any], Any], error: type[EncodeError], words: str
) -> None:
    writer = basket(schema)
    with pytest.raises(error) as caught:
        action(writer)
    assert words in str(caught.value)
    content = bytes(writer.message())
    assert schema.decode(content, 0, len(content)).to_dict()["legs"][0]["fills"] == [{"quantity": 1}]


def test_the_message_is_whole_at_any_time(schema: Schema) -> None:
    writer = schema.writer("Basket")
    steps = [
        lambda: writer.legs.append(),
        lambda: writer.legs.append().fills.extend([{"quantity": 1}, {"quantity": 2}]),
        lambda: writer.empties.append(),
        lambda: setattr(writer, "reason", "text"),
        lambda: setattr(writer, "raw", b"\0\1"),
    ]
    for step in steps:
        step()
        content = bytes(writer.message())
        assert schema.decode(content, 0, len(content)).decoded_length == len(content) == writer.length
    assert [len(leg["fills"]) for leg in schema.decode(content).to_dict()["legs"]] == [0, 2]


def test_a_buffer_without_room_keeps_what_it_has(schema: Schema) -> None:
    size = len(schema.image("Basket"))
    buffer = bytearray(size + 30)
    writer = schema.writer("Basket", buffer, 0)
    writer.legs.append()
    before = bytes(buffer)
    with pytest.raises(NoSpaceError, match="no room: needed=16 available=14"):
        writer.legs.append()
    assert buffer == before
    with pytest.raises(NoSpaceError):
        schema.writer("Basket", bytearray(size - 1))


COUNTS = """<messageSchema package="p" id="5"><types>{header}
<composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>
<type name="numInGroup" primitiveType="uint8" {limits}/></composite>
<composite name="text"><type name="length" primitiveType="uint8" maxValue="3"/>
<type name="varData" primitiveType="uint8" length="0"/></composite></types>
<message name="M" id="1"><group name="g" id="2"><field name="a" id="3" type="uint8"/></group>
<data name="d" id="4" type="text"/></message></messageSchema>"""


def counted(limits: str) -> Schema:
    return Schema.parse(COUNTS.format(header=HEADER, limits=limits))


def test_a_count_is_at_most_the_greatest_value_of_its_type() -> None:
    schema = counted("")
    most = schema.encode("M", {"g": [{"a": 1}] * 254})
    assert len(schema.decode(most).to_dict()["g"]) == 254
    with pytest.raises(TooManyEntriesError, match="255 min=0 max=254"):
        schema.encode("M", {"g": [{"a": 1}] * 255})
    content = bytearray(most[:-1] + b"\1" + most[-1:])
    content[10] = 255  # the null value of a uint8, which is no count
    with pytest.raises(GroupCountError, match="count=255 min=0 max=254"):
        schema.decode(content).to_dict()


def test_a_schema_may_say_how_many_entries_there_must_be() -> None:
    schema = counted('minValue="1" maxValue="2"')
    with pytest.raises(TooManyEntriesError, match="0 min=1 max=2"):
        schema.encode("M", {})
    with pytest.raises(MissingFieldError, match=r"M\.g: needs 1 entries"):
        schema.writer("M").message()
    content = bytearray(schema.encode("M", {"g": [{"a": 1}]}))
    content[10] = 0
    with pytest.raises(GroupCountError, match="count=0 min=1 max=2"):
        schema.decode(content).to_dict()


def test_data_is_at_most_as_long_as_its_schema_says() -> None:
    schema = counted("")
    content = schema.encode("M", {"d": b"abc"})
    with pytest.raises(TextTooLongError):
        schema.encode("M", {"d": b"abcd"})
    with pytest.raises(DataLengthError, match="length=4 max=3"):
        schema.decode(content[:-4] + b"\4abcd").to_dict()
