"""Files of framed messages: random access, iteration, columns of all kinds, older messages, and broken files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statevec.codecs.errors import (
    BlockLengthError,
    FrameLengthError,
    SbeError,
    TruncatedError,
    UnknownFieldError,
    UnknownMessageError,
)
from statevec.codecs.framing import (
    FRAMINGS,
    LENGTH_16,
    LENGTH_32,
    SBE_BIG_ENDIAN,
    SBE_LITTLE_ENDIAN,
    SOFH,
    Framing,
    find_frames,
)
from statevec.codecs.message_file import MessageFile
from statevec.codecs.schema import Schema
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from tests.codecs.kinds import HEADER, kinds_schema
from tests.codecs.test_views import SAMPLE

OLD = f"""<messageSchema package="quotes" id="9" version="0" byteOrder="bigEndian"><types>{HEADER}
<enum name="Side" encodingType="char"><validValue name="BUY">B</validValue><validValue name="SELL">S</validValue></enum>
<composite name="text"><type name="length" primitiveType="uint8"/><type name="varData" primitiveType="uint8" length="0"
 characterEncoding="UTF-8"/></composite></types>
<message name="Quote" id="1"><field name="price" id="1" type="int64"/><field name="side" id="2" type="Side"/>
<data name="venue" id="4" type="text"/></message>
<message name="Halt" id="2"><field name="reason" id="1" type="uint8"/></message></messageSchema>"""
NEW = OLD.replace('version="0"', 'version="1"').replace(
    '<data name="venue"', '<field name="size" id="3" type="uint32" sinceVersion="1"/><data name="venue"'
)


def quotes(schema: Schema, count: int, **values: Any) -> list[bytes]:
    made = []
    for number in range(count):
        content = {"price": number, "side": "BUY" if number % 2 else "SELL", "venue": "v" * (number % 5), **values}
        made.append(schema.encode("Quote", content))
        if number % 10 == 0:
            made.append(schema.encode("Halt", {"reason": number % 100}))
    return made


def write(path: Path, messages: list[bytes], framing: Framing = SOFH) -> Path:
    path.write_bytes(b"".join(framing.wrap(each) for each in messages))
    return path


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_messages_are_found_by_number_and_in_turn(tmp_path: Path, framing: Framing) -> None:
    schema = Schema.parse(OLD)
    contents = quotes(schema, 100)
    with MessageFile(schema, write(tmp_path / "day.sbe", contents, framing), framing) as messages:
        assert len(messages) == len(contents) == 110
        assert [each.layout.name for each in messages].count("Halt") == 10
        for number in (0, 1, 57, -1):
            assert messages.raw(number) == contents[number]
            assert messages[number] == schema.decode(contents[number])
        assert [each.to_dict() for each in messages[3:7]] == [schema.decode(each).to_dict() for each in contents[3:7]]
        with pytest.raises(IndexError):
            messages[110]
        assert "messages=110" in repr(messages)


def test_sofh_is_as_the_standard_has_it() -> None:
    assert SOFH.wrap(b"abc") == bytes.fromhex("00000009eb50") + b"abc"
    assert (SBE_LITTLE_ENDIAN, SBE_BIG_ENDIAN) == (0xEB50, 0x5BE0)
    venue = Framing(4, 2, "little", 0, 4, 0xCAFE)
    assert venue.wrap(b"abc") == bytes.fromhex("0700feca") + b"abc"
    with pytest.raises(FrameLengthError):
        LENGTH_16.wrap(bytes(1 << 16))
    for wrong in ((2, 4), (4, 3), (4, 4, "middle"), (4, 4, "big", 1), (4, 4, "big", 0, 5), (300, 4)):
        with pytest.raises(ValueError, match="no such framing"):
            Framing(*wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["little", "big"])
def test_columns_hold_what_the_views_show(tmp_path: Path, order: str) -> None:
    schema = kinds_schema(order)
    contents = [schema.encode("Kinds", SAMPLE | {"int64": number, "opt_double": None}) for number in range(30)]
    with MessageFile(schema, write(tmp_path / "kinds.sbe", contents)) as messages:
        columns = messages.columns("Kinds")
        for number in (0, 29):
            view: Any = messages[number]
            for name, column in columns.items():
                value = view
                for part in name.split("."):
                    value = getattr(value, part)
                found = column[number]
                if isinstance(value, str):
                    assert (found.decode() if isinstance(found, bytes) else found) == value, name
                elif value is None:
                    assert np.isnan(found), name
                else:
                    assert np.array_equal(found, value), name
        assert columns["int64"].tolist() == list(range(30))
        assert columns["int64"].dtype == np.int64 and columns["Outer.price.exponent"].shape == (30,)


def test_columns_of_older_messages_are_null_where_they_lack_the_field(tmp_path: Path) -> None:
    old, new = Schema.parse(OLD), Schema.parse(NEW)
    path = write(tmp_path / "day.sbe", quotes(old, 20) + quotes(new, 20, size=7))
    with MessageFile(new, path) as messages:
        columns = messages.columns("Quote", ["size", "price", "side"])
        assert columns["size"].tolist() == [0xFFFFFFFF] * 20 + [7] * 20
        assert columns["price"].tolist() == [*range(20), *range(20)]
        assert set(columns["side"].tolist()) == {ord("B"), ord("S")}
        assert [messages[number].version for number in messages.numbers("Quote")[[0, -1]]] == [0, 1]
        assert len(messages.numbers("Halt")) == 4
    with MessageFile(old, path) as messages:
        assert messages.columns("Quote")["price"].tolist() == [*range(20), *range(20)]
        assert "size" not in messages.columns("Quote")


def test_names_that_are_not_there_are_refused(tmp_path: Path) -> None:
    schema = Schema.parse(OLD)
    with MessageFile(schema, write(tmp_path / "day.sbe", quotes(schema, 2))) as messages:
        with pytest.raises(UnknownFieldError, match=r"Quote\.cost: .*fields: price, side"):
            messages.columns("Quote", ["cost"])
        with pytest.raises(UnknownMessageError):
            messages.columns("Trade")


def test_an_empty_file_has_no_messages(tmp_path: Path) -> None:
    with MessageFile(Schema.parse(OLD), write(tmp_path / "day.sbe", [])) as messages:
        assert list(messages) == [] and len(messages) == 0
        assert messages.columns("Quote")["price"].tolist() == []


def test_a_file_that_ends_inside_a_frame_is_refused_or_cut(tmp_path: Path) -> None:
    schema = Schema.parse(OLD)
    contents = quotes(schema, 3)
    whole = write(tmp_path / "day.sbe", contents, LENGTH_32).read_bytes()
    path = tmp_path / "cut.sbe"
    last = len(whole) - len(LENGTH_32.wrap(contents[-1]))
    for size in (len(whole) - 1, last + 5, last + 1):
        path.write_bytes(whole[:size])
        with pytest.raises(TruncatedError) as caught:
            MessageFile(schema, path, LENGTH_32)
        assert caught.value.offset == last
        with MessageFile(schema, path, LENGTH_32, partial=True) as messages:
            assert len(messages) == len(contents) - 1


def test_a_frame_must_hold_its_message_exactly(tmp_path: Path) -> None:
    schema = Schema.parse(OLD)
    content = quotes(schema, 1)[0]
    with MessageFile(
        schema, write(tmp_path / "day.sbe", [content + b"\0", content[:-1], b"", content[:12]])
    ) as messages:
        with pytest.raises(FrameLengthError):
            messages[0]
        for number in (2, 3):
            with pytest.raises(TruncatedError):
                messages[number]
        with pytest.raises(TruncatedError, match="message 3 ends inside the block"):
            messages.columns("Quote")
    short = bytearray(content)
    short[0:2] = (3).to_bytes(2, "big")
    with (
        MessageFile(schema, write(tmp_path / "short.sbe", [bytes(short)])) as messages,
        pytest.raises(BlockLengthError, match="message 0 has too short a block"),
    ):
        messages.columns("Quote")


def test_a_file_that_is_cut_while_it_is_mapped_ends_in_an_error(tmp_path: Path) -> None:
    schema = Schema.parse(OLD)
    path = write(tmp_path / "day.sbe", quotes(schema, 2000))
    with MessageFile(schema, path) as messages:
        os.truncate(path, 100)
        with pytest.raises(SbeError):
            _ = messages[1990].to_dict()
        assert len(messages.numbers("Quote")) == 0


@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_lengths_that_cannot_be_true_end_the_pass(form: str) -> None:
    function = plain(find_frames) if form == "plain" else find_frames
    index = Region.allocate(64)
    for width in (2, 4, 8):
        for big_endian in (False, True):
            content = Region.of(bytes(3 * width) + b"\xff" * width)
            assert function(content, 0, width, width, big_endian, 4 * width, index, -1) == -1 - 3 * width
            assert function(content, 0, width, width, big_endian, 3 * width, index, 2) == 2
            assert (index.load_i64(16), index.load_i64(24)) == (2 * width, 0)
            counted = width | width << 16
            assert function(content, 0, counted, width, big_endian, 4 * width, index, -1) == -1
