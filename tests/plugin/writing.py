"""Plugins written by tests: a schema that has every kind of field, and a directory made of a handler's body."""

from __future__ import annotations

import textwrap
from pathlib import Path

SCHEMA = """<?xml version="1.0" encoding="UTF-8"?>
<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" package="probe" id="901" version="0">
  <types>
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
    </composite>
    <enum name="Side" encodingType="uint8">
      <validValue name="BUY">1</validValue><validValue name="SELL">2</validValue>
    </enum>
    <type name="Symbol" primitiveType="char" length="8"/>
  </types>
  <sbe:message name="Probe" id="1">
    <field name="case" id="1" type="uint16"/><field name="side" id="2" type="Side"/>
    <field name="a" id="3" type="int64"/><field name="b" id="4" type="int64"/><field name="c" id="5" type="int64"/>
    <field name="limit" id="6" type="int64" presence="optional"/><field name="symbol" id="7" type="Symbol"/>
    <field name="token" id="8" type="uint64"/>FLOATS
  </sbe:message>
  <sbe:message name="Poke" id="2"><field name="a" id="1" type="int64"/></sbe:message>
  <sbe:message name="Answer" id="101">
    <field name="value" id="1" type="int64"/><field name="side" id="2" type="Side" presence="optional"/>
    <field name="symbol" id="3" type="Symbol"/><field name="small" id="4" type="int8" presence="optional"/>
  </sbe:message>
</sbe:messageSchema>
"""
FLOATS = '<field name="x" id="9" type="double"/><field name="y" id="10" type="double"/>'
HEAD = '''"""A plugin of the tests."""

from statevec import Index, Key, Ordered, Plugin, Unique, chars, f64, i8, i64, u32, u64

probe = Plugin("probe", version="1.0.0", schema="probe.xml")
Side = probe.schema.enum("Side")
NO = probe.rejection(1, "no")
LIMIT = 100
PAIR = (3, 4)
WORD = "word"


@probe.record(capacity=8)
class Item:
    item_id: Key[u64]
    group: Index[u32]
    rank: Ordered[i64]
    tag: Unique[i64]
    side: Side
    small: i8
    active: bool
    value: i64
    name: chars[8]


'''
HEAD_LINES = HEAD.count("\n")


def write_plugin(directory: Path, functions: str, floats: bool = False, head: str = HEAD) -> Path:
    """A plugin of HEAD and `functions` in `directory`, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "probe.xml").write_text(SCHEMA.replace("FLOATS", FLOATS if floats else ""))
    (directory / "probe.py").write_text(head + textwrap.dedent(functions).lstrip("\n"))
    return directory


def handler(body: str) -> str:
    """A handler of Probe with that body; its first line is line HEAD_LINES + 3 of the file."""
    return '@probe.on("Probe")\ndef on_probe(tx, message):\n' + textwrap.indent(
        textwrap.dedent(body).strip("\n"), "    "
    )


PROBE = {"case": 0, "side": 1, "a": 0, "b": 0, "c": 0, "symbol": "", "token": 0}
"""Values of a message Probe, to be changed one at a time."""
EXTREMES = (0, 1, -1, 2, 3, 7, -8, 63, 64, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63) + 1, 3_037_000_500)
"""Integers at which arithmetic goes wrong (-2**63 is null in a message)."""
