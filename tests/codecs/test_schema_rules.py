"""What a schema may not be: each rule is refused with the line that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.codecs.errors import SbeError, SchemaError
from statevec.codecs.schema import Schema

HEADER = (
    '<composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/>'
    '<type name="templateId" primitiveType="uint16"/><type name="schemaId" primitiveType="uint16"/>'
    '<type name="version" primitiveType="uint16"/></composite>'
    '<composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>'
    '<type name="numInGroup" primitiveType="uint16"/></composite>'
    '<composite name="varData"><type name="length" primitiveType="uint16"/>'
    '<type name="varData" primitiveType="uint8" length="0"/></composite>'
)


def text(types: str = "", body: str = "", message: str = "", attributes: str = 'id="1" version="1"') -> str:
    """A schema whose second line holds further types and whose third line the message's body."""
    return (
        f'<messageSchema package="p" {attributes}><types>{HEADER}\n{types}</types>\n'
        f'<message name="M" id="1" {message}>{body}</message></messageSchema>'
    )


def field(kind: str, more: str = "", name: str = "f") -> str:
    return f'<field name="{name}" id="1" type="{kind}" {more}/>'


ENUM = '<enum name="E" encodingType="uint8"><validValue name="A">1</validValue></enum>'
BROKEN_TYPES = {
    "not in <types>": ("<thing name='x'/>", "does not belong into <types>"),
    "no name": ('<type primitiveType="int8"/>', "needs the attribute 'name'"),
    "unknown primitive": ('<type name="T" primitiveType="int7"/>', "is not a primitive type"),
    "bad presence": ('<type name="T" primitiveType="int8" presence="maybe"/>', "presence='maybe'"),
    "bad length": ('<type name="T" primitiveType="int8" length="x"/>', "length='x' is not an integer"),
    "negative length": ('<type name="T" primitiveType="int8" length="-1"/>', "length=-1 is outside"),
    "null too large": ('<type name="T" primitiveType="uint8" nullValue="256"/>', "256 does not fit into u8"),
    "null no number": ('<type name="T" primitiveType="uint8" nullValue="x"/>', "is not a value of type u8"),
    "constant without value": ('<type name="T" primitiveType="int8" presence="constant"/>', "has no value"),
    "constant too long": ('<type name="T" primitiveType="char" length="2" presence="constant">abc</type>', "longer"),
    "constant not ascii": ('<type name="T" primitiveType="char" presence="constant">é</type>', "cannot be written"),
    "bad reference": (
        ENUM + '<type name="T" primitiveType="int8" presence="constant" valueRef="E"/>',
        "not of the form Enum.Value",
    ),
    "reference to nothing": (
        ENUM + '<type name="T" primitiveType="int8" presence="constant" valueRef="E.B"/>',
        "has no value 'B'",
    ),
    "unknown encoding": ('<type name="T" primitiveType="char" characterEncoding="klingon"/>', "is not known"),
    "since the future": ('<type name="T" primitiveType="int8" sinceVersion="2"/>', "above the schema's version"),
    "enum of floats": ('<enum name="E" encodingType="float"/>', "not a single integer or char"),
    "enum twice": (
        '<enum name="E" encodingType="uint8"><validValue name="A">1</validValue>'
        '<validValue name="B">1</validValue></enum>',
        "is in the enum already",
    ),
    "enum value too large": (
        '<enum name="E" encodingType="uint8"><validValue name="A">256</validValue></enum>',
        "256 does not fit",
    ),
    "set of signed": ('<set name="S" encodingType="int8"/>', "encoded in an unsigned integer"),
    "choice beyond the set": (
        '<set name="S" encodingType="uint8"><choice name="c">8</choice></set>',
        "bit 8 is outside 0 to 7",
    ),
    "choice without number": (
        '<set name="S" encodingType="uint8"><choice name="c">x</choice></set>',
        "not the number of a bit",
    ),
    "group in composite": ('<composite name="C"><group name="g" id="1"/></composite>', "not valid within a composite"),
    "empty composite": ('<composite name="C"/>', "needs a member"),
    "member twice": (
        '<composite name="C"><type name="a" primitiveType="int8"/><type name="a" primitiveType="int8"/></composite>',
        "has a member 'a' already",
    ),
    "overlapping member": (
        '<composite name="C"><type name="a" primitiveType="int32"/>'
        '<type name="b" primitiveType="int8" offset="3"/></composite>',
        "offset=3 lies inside",
    ),
    "circle": (
        '<composite name="C"><ref name="d" type="D"/></composite>'
        '<composite name="D"><ref name="c" type="C"/></composite>',
        "in a circle: C > D > C",
    ),
    "unknown reference": ('<composite name="C"><ref name="d" type="D"/></composite>', "no type 'D'"),
}
BROKEN_MESSAGES = {
    "unknown type": (field("nothing"), "there is no type 'nothing'"),
    "no id": ('<field name="f" type="int8"/>', "needs the attribute 'id'"),
    "foreign element": ("<thing/>", "does not belong into <message>"),
    "name twice": (field("int8") + field("int8"), "the name 'f' is used twice"),
    "overlap": (field("int32") + field("int8", 'offset="2"', "g"), "offset=2 lies inside"),
    "field after group": ('<group name="g" id="2"/>' + field("int8"), "a field comes before groups"),
    "group after data": ('<data name="d" id="2" type="varData"/><group name="g" id="3"/>', "a group comes before"),
    "constant without value": (field("int8", 'presence="constant"'), "neither it nor its type has a value"),
    "wrong dimensions": ('<group name="g" id="2" dimensionType="varData"/>', "no member 'blockLength'"),
    "dimensions no composite": ('<group name="g" id="2" dimensionType="int8"/>', "should be a composite"),
    "data no composite": ('<data name="d" id="2" type="int8"/>', "should be a composite of a length"),
    "data of dimensions": ('<data name="d" id="2" type="groupSizeEncoding"/>', "should be 'length'"),
    "semantic type": (field("semantic", 'semanticType="int"'), "semanticType='int' differs"),
}


@pytest.mark.parametrize("case", BROKEN_TYPES)
def test_a_broken_type_is_refused_with_its_line(case: str) -> None:
    types, rule = BROKEN_TYPES[case]
    with pytest.raises(SchemaError) as caught:
        Schema.parse(text(types, field("int8")), "broken.xml")
    assert rule in str(caught.value)
    assert str(caught.value).startswith("broken.xml:2: <")


@pytest.mark.parametrize("case", BROKEN_MESSAGES)
def test_a_broken_message_is_refused_with_its_line(case: str) -> None:
    body, rule = BROKEN_MESSAGES[case]
    types = '<type name="semantic" primitiveType="int8" semanticType="char"/>'
    with pytest.raises(SchemaError) as caught:
        Schema.parse(text(types, body), "broken.xml")
    assert rule in str(caught.value)
    assert str(caught.value).startswith("broken.xml:3: <")


@pytest.mark.parametrize(
    ("xml", "rule"),
    [
        ("<a>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<types/>", "is not <messageSchema>"),
        ('<messageSchema id="1"/>', "no type 'messageHeader' for the message header"),
        (text(attributes='version="1"'), "needs the attribute 'id'"),
        (text(attributes='id="65536"'), "schemaId 65536 does not fit into the message header"),
        (text(attributes='id="1" byteOrder="middleEndian"'), "byteOrder='middleEndian'"),
        (text(attributes='id="1" headerType="nothing"'), "no type 'nothing' for the message header"),
        (text(attributes='id="1" headerType="varData"'), "no member 'blockLength'"),
        (text(body=field("int32"), message='blockLength="3"'), "blockLength=3 is less than its fields need, 4"),
        (text(message='blockLength="65536"'), "does not fit into blockLength"),
        (text().replace("</messageSchema>", '<message name="N" id="1"/></messageSchema>'), "already exists: 1"),
        (text().replace("</messageSchema>", '<message name="M" id="2"/></messageSchema>'), "'M' exists already"),
        (text().replace("</messageSchema>", "<other/></messageSchema>"), "does not belong into <messageSchema>"),
    ],
)
def test_a_broken_schema_is_refused(xml: str, rule: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.parse(xml)
    assert rule in str(caught.value)
    assert isinstance(caught.value, SbeError)


def test_an_entity_is_not_expanded_and_nothing_is_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("treasure")
    xml = f'<!DOCTYPE m [<!ENTITY x SYSTEM "file://{secret}">]>' + text(
        '<type name="T" primitiveType="char" presence="constant">&x;</type>', field("T")
    )
    with pytest.raises(SchemaError, match="has no value"):
        Schema.parse(xml)


def test_a_schema_that_is_not_there_is_named_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"none\.xml: cannot be read: No such file"):
        Schema.load(tmp_path / "none.xml")


def test_includes_are_relative_to_their_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{}"/>'
    (tmp_path / "sub" / "types.xml").write_text(f"<types>{HEADER}</types>")
    path = tmp_path / "schema.xml"
    path.write_text(f'<messageSchema package="p" id="1">{include.format("sub/types.xml")}</messageSchema>')
    assert Schema.load(path).header.size == 8
    for href, rule in (
        ("nothing.xml", "cannot be read"),
        ("schema.xml", "in a circle"),
        ("/etc/passwd", "not a path relative"),
        ("http://example.invalid/types.xml", "not a path relative"),
    ):
        path.write_text(f'<messageSchema package="p" id="1">{include.format(href)}</messageSchema>')
        with pytest.raises(SchemaError, match=rule):
            Schema.load(path)
    with pytest.raises(SchemaError, match="not a file"):
        Schema.parse(path.read_text())
    with pytest.raises(SchemaError, match="cannot be read"):
        Schema.load(tmp_path / "absent.xml")


def test_a_schema_cannot_grow_without_bound() -> None:
    types = (
        '<composite name="C0"><type name="a" primitiveType="int8"/><type name="b" primitiveType="int8"/></composite>'
    )
    for number in range(40):
        refs = "".join(f'<ref name="{name}" type="C{number}"/>' for name in "ab")
        types += f'<composite name="C{number + 1}">{refs}</composite>'
    with pytest.raises(SchemaError, match="has more than 4096 members"):
        Schema.parse(text(types))
    chain = "".join(f'<composite name="D{n}"><ref name="a" type="D{n + 1}"/></composite>' for n in range(2000))
    with pytest.raises(SchemaError, match="more than 64 deep"):
        Schema.parse(text(chain))
    long = '<type name="T" primitiveType="uint16" length="1000000000"/>'
    assert Schema.parse(text(long)).types["T"].size == 2_000_000_000
    with pytest.raises(SchemaError, match="does not fit into blockLength"):
        Schema.parse(text(long, field("T")))
    schema = Schema.parse(text('<type name="T" primitiveType="uint16" length="30000"/>', field("T")))
    values = {"f": list(range(30_000))}
    assert schema.decode(schema.encode("M", values)).to_dict() == values


def test_a_doubtful_schema_gives_warnings() -> None:
    schema = Schema.parse(text('<type name="T" primitiveType="int8"/><type name="T" primitiveType="int16"/>'), "s.xml")
    assert schema.warnings == ("s.xml:2: a type 'T' exists already; the last one counts",)
    assert schema.types["T"].primitive.name == "i16"
    schema = Schema.parse(text(body=field("int8", name="not a name")), "s.xml")
    assert schema.warnings == ("s.xml:3: 'not a name' is not a symbolic name",)
