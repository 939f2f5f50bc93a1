"""A schema with one field of each kind, in either byte order, for the tests of both tiers."""

from __future__ import annotations

from statevec.codecs.layout import FieldLayout
from statevec.codecs.schema import Schema

INTEGERS = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]

NAMED = ["custom", "inner", "percent", "text6", "three", "wide", "pair", "bounded", "zeroNull", "petrol", "answer"]
NAMED += ["Side", "Model", "Wide", "Flags", "Many", "Decimal", "Outer"]

HEADER = """
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
    </composite>"""

TYPES = """
    <type name="custom" primitiveType="int32" presence="optional" nullValue="-999" minValue="-10" maxValue="10"/>
    <type name="inner" primitiveType="int16" presence="optional" nullValue="5"/>
    <type name="percent" primitiveType="int8" minValue="0" maxValue="100"/>
    <type name="text6" primitiveType="char" length="6"/>
    <type name="three" primitiveType="uint16" length="3"/>
    <type name="wide" primitiveType="uint64" length="2"/>
    <type name="pair" primitiveType="double" length="2"/>
    <type name="bounded" primitiveType="double" minValue="-1.5" maxValue="2.5"/>
    <type name="zeroNull" primitiveType="double" presence="optional" nullValue="0"/>
    <type name="petrol" primitiveType="char" presence="constant">Petrol</type>
    <type name="answer" primitiveType="int16" presence="constant">-42</type>
    <enum name="Side" encodingType="uint8"><validValue name="BUY">1</validValue>
      <validValue name="SELL">2</validValue></enum>
    <enum name="Model" encodingType="char"><validValue name="A">A</validValue><validValue name="B">B</validValue></enum>
    <enum name="Wide" encodingType="int64"><validValue name="LOW">-9223372036854775807</validValue>
      <validValue name="HIGH">9223372036854775807</validValue></enum>
    <set name="Flags" encodingType="uint8"><choice name="urgent">0</choice><choice name="dark">7</choice></set>
    <set name="Many" encodingType="uint64"><choice name="low">0</choice><choice name="top">63</choice></set>
    <composite name="Decimal"><type name="mantissa" primitiveType="int64"/>
      <type name="exponent" primitiveType="int8" presence="constant">-4</type></composite>
    <composite name="Outer"><type name="tag" primitiveType="char"/><ref name="price" type="Decimal" offset="3"/>
      <ref name="side" type="Side"/></composite>"""


def schema_text(byte_order: str) -> str:
    """XML of the schema; every name is a legal attribute in Python."""
    fields = [(name, name, "") for name in INTEGERS]
    fields += [(f"opt_{name}", name, 'presence="optional"') for name in INTEGERS]
    fields += [("float_", "float", ""), ("double", "double", ""), ("letter", "char", "")]
    fields += [(f"opt_{name}", name, 'presence="optional"') for name in ("float", "double", "Side", "Model")]
    fields += [(name, name, "") for name in NAMED]
    fields.append(("sold", "Side", 'presence="constant" valueRef="Side.SELL"'))
    lines = [
        f'<field name="{name}" id="{number}" type="{kind}" {more}/>' for number, (name, kind, more) in enumerate(fields)
    ]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<sbe:messageSchema xmlns:sbe="urn:sbe" package="kinds" id="77" version="3" byteOrder="{byte_order}Endian">
  <types>{HEADER}{TYPES}
  </types>
  <sbe:message name="Kinds" id="5" blockLength="250">{" ".join(lines)}</sbe:message>
</sbe:messageSchema>"""


def kinds_schema(byte_order: str) -> Schema:
    """The schema; `byte_order` is "little" or "big"."""
    return Schema.parse(schema_text(byte_order), f"kinds-{byte_order}.xml")


def leaves(fields: tuple[FieldLayout, ...], path: str = "", base: int = 0) -> list[tuple[str, FieldLayout, int]]:
    """(dotted name, field, offset in the block) of all that is no composite."""
    found = []
    for field in fields:
        name = f"{path}{field.attribute}"
        if field.composite is not None:
            found += leaves(field.composite.fields, f"{name}.", base + field.offset)
        else:
            found.append((name, field, base + field.offset))
    return found
