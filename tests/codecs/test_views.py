"""Python views of messages: values, null, ranges, byte orders, refusals, and buffers of every kind."""

from __future__ import annotations

import json
import math
import mmap
import struct
from typing import Any

import pytest

from statevec.codecs.errors import (
    BlockLengthError,
    DecodeError,
    EncodeError,
    MessageError,
    MissingFieldError,
    NoSpaceError,
    ReadOnlyError,
    SbeError,
    SchemaError,
    TextError,
    TextTooLongError,
    TruncatedError,
    UnknownEnumValueError,
    UnknownFieldError,
    UnknownMessageError,
    UnknownTemplateError,
    ValueRangeError,
    ValueTypeError,
    WrongSchemaError,
)
from statevec.codecs.schema import Schema
from tests.codecs.kinds import INTEGERS, kinds_schema

LITTLE, BIG = kinds_schema("little"), kinds_schema("big")
SAMPLE: dict[str, Any] = {
    **dict.fromkeys(INTEGERS, 7),
    **{f"opt_{name}": 9 for name in INTEGERS},
    "float_": 0.5,
    "double": -2.25,
    "letter": "Q",
    "opt_float": 1.5,
    "opt_double": 2.5,
    "opt_Side": "BUY",
    "opt_Model": "B",
    "custom": -10,
    "inner": 6,
    "percent": 100,
    "text6": "abc",
    "three": [1, 2, 3],
    "wide": [1, (1 << 64) - 2],
    "pair": [0.25, -0.0],
    "bounded": 2.5,
    "zeroNull": 1.0,
    "petrol": "Petrol",
    "answer": -42,
    "Side": "SELL",
    "Model": "A",
    "Wide": "LOW",
    "Flags": ["urgent", "dark"],
    "Many": ["top"],
    "Decimal": {"mantissa": -5, "exponent": -4},
    "Outer": {"tag": "t", "price": {"mantissa": 1 << 40, "exponent": -4}, "side": "BUY"},
    "sold": "SELL",
}


def sample(**changes: Any) -> dict[str, Any]:
    return SAMPLE | changes


@pytest.fixture(params=["little", "big"])
def schema(request: pytest.FixtureRequest) -> Schema:
    return {"little": LITTLE, "big": BIG}[request.param]


def test_values_come_back_through_json(schema: Schema) -> None:
    content = schema.encode("Kinds", sample())
    values = schema.decode(content).to_dict()
    assert values == sample()
    assert schema.encode("Kinds", json.loads(json.dumps(values))) == content
    assert len(content) == 258


def test_byte_order_reaches_header_and_every_field() -> None:
    little, big = LITTLE.encode("Kinds", sample()), BIG.encode("Kinds", sample())
    assert struct.unpack_from("<4H", little) == struct.unpack_from(">4H", big) == (250, 5, 77, 3)
    for name, code in (("int64", "q"), ("uint16", "H"), ("double", "d"), ("float_", "f"), ("Many", "Q")):
        field = next(each for each in LITTLE.messages["Kinds"].fields if each.name == name)
        at = 8 + field.offset
        assert struct.unpack_from("<" + code, little, at) == struct.unpack_from(">" + code, big, at), name


def test_left_out_optional_fields_are_null(schema: Schema) -> None:
    optional = [each.name for each in schema.messages["Kinds"].fields if each.presence == "optional"]
    view = schema.decode(schema.encode("Kinds", {key: value for key, value in SAMPLE.items() if key not in optional}))
    for name in optional:
        assert getattr(view, name) is None, name
    assert schema.decode(schema.encode("Kinds", dict(view.to_dict()))) == view


def test_an_empty_message_has_nulls_and_zeros(schema: Schema) -> None:
    buffer = bytearray(300)
    view = schema.create("Kinds", buffer, 20)
    assert view.opt_uint64 is None and view.custom is None and view.opt_double is None  # type: ignore[attr-defined]
    assert view.int64 == 0 and view.text6 == "" and view.Side == 0  # type: ignore[attr-defined]
    assert bytes(buffer[20:278]) == schema.image("Kinds")
    assert view.header == {"blockLength": 250, "templateId": 5, "schemaId": 77, "version": 3}


def test_attributes_have_python_types() -> None:
    view: Any = LITTLE.decode(LITTLE.encode("Kinds", sample()))
    side = LITTLE.enum("Side")
    assert view.Side is side.SELL and view.sold is side.SELL and view.Model is LITTLE.enum("Model").A
    assert view.Model == ord("A")
    flags = view.Flags
    assert flags.urgent and flags.dark and flags == 129 and flags.names() == ["urgent", "dark"]
    assert repr(flags) == "Flags(urgent, dark)"
    assert LITTLE.choices("Flags").dark == 128 and LITTLE.choices("Flags").of("urgent") == 1
    assert view.three == (1, 2, 3)
    assert view.Outer.price.mantissa == 1 << 40
    assert repr(view.Outer) == "Outer(tag='t', price={'mantissa': 1099511627776, 'exponent': -4}, side='BUY')"


def test_one_view_serves_many_messages() -> None:
    first, second = LITTLE.encode("Kinds", sample(int64=1)), LITTLE.encode("Kinds", sample(int64=2))
    view: Any = LITTLE.view("Kinds")(first)
    assert view.int64 == 1
    assert view.wrap(b"xx" + second, 2).int64 == 2
    assert view == LITTLE.decode(second) != LITTLE.decode(first)
    assert view.block_tuple() == view.to_tuple()
    assert len(view.raw()) > len(view.to_tuple()) - 3


def test_any_buffer_is_read_and_written_in_place() -> None:
    content = LITTLE.encode("Kinds", sample())
    with mmap.mmap(-1, 4096) as mapped:
        mapped[16 : 16 + len(content)] = content
        view: Any = LITTLE.decode(mapped, 16)
        view.int32 = -5
        assert view.int32 == -5
        with memoryview(mapped) as memory:
            other: Any = LITTLE.decode(memory, 16)
            assert other.int32 == -5
            del other
        del view
    for buffer in (bytearray(content), memoryview(bytearray(content)), memoryview(bytearray(content)).cast("H")):
        view = LITTLE.decode(buffer)
        view.Flags = ["dark"]
        view.Outer.price.mantissa = 8
        assert LITTLE.decode(buffer).to_dict() == sample(
            Flags=["dark"], Outer={"tag": "t", "price": {"mantissa": 8, "exponent": -4}, "side": "BUY"}
        )


def test_a_buffer_that_cannot_be_written_says_so() -> None:
    view: Any = LITTLE.decode(LITTLE.encode("Kinds", sample()))
    with pytest.raises(ReadOnlyError, match=r"Kinds\.Outer\.price\.mantissa: the buffer cannot be written"):
        view.Outer.price.mantissa = 1
    with pytest.raises(ReadOnlyError):
        view.three = [1, 2, 3]
    with pytest.raises(AttributeError):
        view.answer = 1


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("int8", -128, ValueRangeError),
        ("int8", 128, ValueRangeError),
        ("uint8", 255, ValueRangeError),
        ("uint64", (1 << 64) - 1, ValueRangeError),
        ("int64", -(1 << 63), ValueRangeError),
        ("int64", 1 << 80, ValueRangeError),
        ("int8", None, ValueRangeError),
        ("double", None, ValueRangeError),
        ("int8", 1.0, ValueTypeError),
        ("int8", "1", ValueTypeError),
        ("custom", 11, ValueRangeError),
        ("custom", -999, ValueRangeError),
        ("inner", 5, ValueRangeError),
        ("percent", 101, ValueRangeError),
        ("bounded", 2.6, ValueRangeError),
        ("float_", 1e39, ValueRangeError),
        ("double", 10**400, ValueRangeError),
        ("double", "x", ValueTypeError),
        ("text6", "sevenxx", TextTooLongError),
        ("text6", "é", ValueRangeError),
        ("text6", 5, ValueTypeError),
        ("three", [1, 2], ValueRangeError),
        ("three", [1, 2, 65535], ValueRangeError),
        ("three", 5, ValueTypeError),
        ("Side", "HOLD", ValueRangeError),
        ("Side", 3, ValueRangeError),
        ("Side", None, ValueRangeError),
        ("Side", LITTLE.enum("Model").A, ValueTypeError),
        ("Flags", ["purple"], ValueRangeError),
        ("Flags", 256, ValueRangeError),
        ("Flags", -1, ValueRangeError),
        ("Decimal", 5, ValueTypeError),
        ("Decimal", {}, MissingFieldError),
        ("Decimal", {"mantissa": 1, "exponent": 2}, ValueRangeError),
        ("Decimal", {"mantissa": 1, "power": 2}, UnknownFieldError),
        ("answer", 5, ValueRangeError),
        ("nothing", 5, UnknownFieldError),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(name: str, value: Any, error: type[EncodeError]) -> None:
    with pytest.raises(error) as caught:
        LITTLE.encode("Kinds", sample(**{name: value}))
    assert isinstance(caught.value, EncodeError) and isinstance(caught.value, SbeError)
    assert caught.value.message == "Kinds"
    assert caught.value.path.split(".")[0] == name
    assert str(caught.value).startswith(f"Kinds.{name}")


def test_a_refused_value_changes_no_byte() -> None:
    buffer = bytearray(LITTLE.encode("Kinds", sample()))
    before = bytes(buffer)
    view: Any = LITTLE.decode(buffer)
    for name, value in (("int8", 500), ("three", [1, 2, 70000]), ("text6", "far too long")):
        with pytest.raises(EncodeError):
            setattr(view, name, value)
    assert buffer == before


def test_missing_fields_and_messages_are_named() -> None:
    with pytest.raises(MissingFieldError, match=r"Kinds\.int8: a required field without a value"):
        LITTLE.encode("Kinds", {})
    with pytest.raises(UnknownMessageError, match=r"no message 'Nothing' \(messages: Kinds\)"):
        LITTLE.encode("Nothing", {})
    with pytest.raises(SchemaError, match=r"no enum 'Nothing' \(enums: Side, Model, Wide\)"):
        LITTLE.enum("Nothing")
    with pytest.raises(SchemaError, match=r"no set 'Side' \(sets: Flags, Many\)"):
        LITTLE.choices("Side")
    with pytest.raises(NoSpaceError, match="no room: needed=258 available=100"):
        LITTLE.create("Kinds", bytearray(100))


def patched(offset: int, code: str, value: int) -> bytes:
    content = bytearray(LITTLE.encode("Kinds", sample()))
    struct.pack_into("<" + code, content, offset, value)
    return bytes(content)


def test_broken_messages_end_in_their_own_error() -> None:
    good = LITTLE.encode("Kinds", sample())
    for length in range(len(good)):
        with pytest.raises(TruncatedError):
            LITTLE.decode(good[:length])
    for content, error, words in (
        (patched(2, "H", 9), UnknownTemplateError, "templateId=9"),
        (patched(4, "H", 76), WrongSchemaError, "schemaId=76 expected=77"),
        (patched(0, "H", 0xFFFF), TruncatedError, "blockLength=65535 available=250"),
        (patched(0, "H", 10), BlockLengthError, "blockLength=10 minimum="),
    ):
        with pytest.raises(error, match=words) as caught:
            LITTLE.decode(content)
        assert isinstance(caught.value, DecodeError)
    for offset in (-1, 259, 10**9):
        with pytest.raises(TruncatedError):
            LITTLE.decode(good, offset)
    assert LITTLE.decode(good + bytes(100)).to_dict() == sample()
    assert LITTLE.decode(patched(6, "H", 65535)).to_dict() == sample()


def field_offset(name: str) -> int:
    return 8 + next(each.offset for each in LITTLE.messages["Kinds"].fields if each.name == name)


def test_values_that_are_not_listed_pass_through_and_are_not_null() -> None:
    LITTLE.decode(LITTLE.encode("Kinds", sample())).verify()
    view: Any = LITTLE.decode(patched(field_offset("opt_Side"), "B", 77))
    with pytest.raises(UnknownEnumValueError, match=r"Kinds\.opt_Side: Side has no value 77"):
        view.verify()
    assert view.opt_Side == 77 and view.to_dict()["opt_Side"] == 77
    view = LITTLE.decode(patched(field_offset("Flags"), "B", 0x43))
    assert view.Flags == 0x43 and view.Flags.names() == ["urgent"] and view.to_dict()["Flags"] == 0x43
    view = LITTLE.decode(patched(field_offset("opt_Side"), "B", 255))
    assert view.opt_Side is None


def test_text_that_is_no_text_names_its_field() -> None:
    view: Any = LITTLE.decode(patched(field_offset("text6"), "B", 0xFF))
    for read in (lambda: view.text6, view.to_dict, view.to_tuple):
        with pytest.raises(TextError, match=r"Kinds\.text6: bytes that are not ascii"):
            read()
    assert "ascii" in repr(view)
    view = LITTLE.decode(patched(field_offset("Outer"), "B", 0xFF))
    with pytest.raises(TextError, match=r"Kinds\.Outer\.tag"):
        view.to_dict()


def test_nan_is_stored_in_one_form() -> None:
    odd = struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0]
    content = LITTLE.encode("Kinds", sample(double=odd, opt_double=odd))
    at = field_offset("double")
    assert content[at : at + 8] == struct.pack("<d", math.nan)
    assert LITTLE.decode(content).to_dict()["opt_double"] is None


def test_names_that_python_uses_get_an_underscore() -> None:
    xml = """<messageSchema package="p" id="1"><types><composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite>
      <set name="S" encodingType="uint8"><choice name="of">1</choice><choice name="__init__">2</choice></set>
      <enum name="E" encodingType="uint8"><validValue name="mro">1</validValue>
      <validValue name="None">2</validValue></enum></types>
      <message name="M" id="1"><field name="from" id="1" type="int8"/><field name="wrap" id="2" type="int8"/>
      <field name="e" id="3" type="E"/><field name="_buffer" id="4" type="int8"/><field name="s" id="5" type="S"/>
      </message></messageSchema>"""
    schema = Schema.parse(xml)
    values = {"from": 1, "wrap": 2, "e": "mro", "_buffer": 3, "s": ["of", "__init__"]}
    view: Any = schema.decode(schema.encode("M", values))
    assert (view.from_, view.wrap_, view.e, view.field_buffer) == (1, 2, schema.enum("E").mro_, 3)
    assert view.s.of_ and view.s.field__init__ and view.s == 6
    assert view.to_dict() == values
    values["e"] = "None"
    assert schema.decode(schema.encode("M", values)).to_dict() == values


def test_errors_say_rule_place_and_values() -> None:
    error = MessageError("value out of range: 5", "Car", "engine.capacity", 12)
    assert str(error) == "Car.engine.capacity: value out of range: 5 offset=12"
    assert (error.rule, error.message, error.path, error.offset) == (
        "value out of range: 5",
        "Car",
        "engine.capacity",
        12,
    )
