"""Outputs with groups and variable data: the bytes they have, what is refused, and what happens without room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.schema import Schema
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.simulate import Simulation, simulate
from tests.plugin.test_group_inputs import HEAD

TIERS = ("compiled", "interpreted")
SCHEMA = (
    HEAD.replace("VERSION", "0")
    .replace("ORDER", "bigEndian")
    .replace(
        "</types>",
        '<composite name="short"><type name="length" primitiveType="uint8" maxValue="9"/>'
        '<type name="varData" primitiveType="uint8" length="0"/></composite>'
        '<composite name="few"><type name="numInGroup" primitiveType="uint8" maxValue="3"/>'
        '<type name="blockLength" primitiveType="uint16"/></composite>'
        '<composite name="some"><type name="blockLength" primitiveType="uint16"/>'
        '<type name="numInGroup" primitiveType="uint8" minValue="1"/></composite>'
        '<composite name="Price"><type name="mantissa" primitiveType="int64"/>'
        '<type name="exponent" primitiveType="int8"/></composite></types>',
    )
    + """<message name="Order" id="1"><field name="case" id="1" type="int32"/><field name="count" id="2" type="int32"/>
<data name="text" id="3" type="text"/></message>
<message name="Basket" id="2"><field name="account" id="1" type="int64"/>
<field name="limit" id="2" type="int32" presence="optional"/>
<group name="legs" id="3"><field name="price" id="4" type="Price"/><field name="size" id="5" type="uint16"/>
<group name="fills" id="6" dimensionType="few"><field name="quantity" id="7" type="int16"/></group>
<data name="note" id="8" type="short"/><data name="more" id="9" type="text"/></group>
<group name="tags" id="10" dimensionType="few"><field name="tag" id="11" type="uint8"/></group>
<data name="reason" id="12" type="text"/></message>
<message name="Plain" id="3"><field name="value" id="1" type="int64"/></message>
<message name="Needy" id="4"><group name="tags" id="1" dimensionType="some"><field name="tag" id="2" type="uint8"/>
</group></message></messageSchema>"""
)
HANDLER_HEAD = '''"""Writes baskets."""

from statevec import Plugin

basket = Plugin("basket", version="1.0.0", schema="basket.xml")


def add_leg(made, size, note):
    leg = made.legs.append()
    leg.size = size
    leg.note = note
    return leg


@basket.on("Order")
def on_order(tx, message):
'''
CASES = {
    "empty": "tx.emit.basket()",
    "fields_only": "made = tx.emit.basket()\nmade.account = 5\nmade.limit = message.count",
    "skipped_groups": 'tx.emit.basket().reason = b"only this"',
    "text_of_a_message": "made = tx.emit.basket()\nmade.reason = message.text",
    "nested": (
        "made = tx.emit.basket()\n"
        "for number in range(message.count):\n"
        "    leg = made.legs.append()\n"
        "    leg.price.mantissa = number\n    leg.price.exponent = -2\n    leg.size = 3\n"
        "    for each in range(number):\n        leg.fills.append().quantity = each\n"
        '    leg.note = b"n"\n'
        "made.tags.append().tag = 1\nmade.tags.append().tag = 2\n"
        "made.reason = message.text\nmade.account = made.account + 7"
    ),
    "helper": 'made = tx.emit.basket()\nadd_leg(made, 1, b"one").more = b"m"\nadd_leg(made, 2, b"two")',
    "two_outputs": (
        "first = tx.emit.basket()\nfirst.tags.append()\nsecond = tx.emit.plain()\nsecond.value = 3\nfirst.account = 9"
    ),
    "fields_of_closed_entries": (
        "made = tx.emit.basket()\nleg = made.legs.append()\nmade.tags.append()\nleg.size = 77\nleg.price.mantissa = 8"
    ),
}
LEG = {"price": {"mantissa": 0, "exponent": 0}, "size": 0, "fills": [], "note": b"", "more": ""}
EMPTY: dict[str, Any] = {"account": 0, "limit": None, "legs": [], "tags": [], "reason": ""}
EXPECTED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "empty": [("Basket", EMPTY)],
    "fields_only": [("Basket", EMPTY | {"account": 5, "limit": 3})],
    "skipped_groups": [("Basket", EMPTY | {"reason": "only this"})],
    "text_of_a_message": [("Basket", EMPTY | {"reason": "what is said"})],
    "nested": [
        (
            "Basket",
            {
                "account": 7,
                "legs": [
                    {
                        "price": {"mantissa": number, "exponent": -2},
                        "size": 3,
                        "fills": [{"quantity": each} for each in range(number)],
                        "note": b"n",
                    }
                    for number in range(3)
                ],
                "tags": [{"tag": 1}, {"tag": 2}],
                "reason": "what is said",
            },
        )
    ],
    "helper": [
        (
            "Basket",
            EMPTY | {"legs": [LEG | {"size": 1, "note": b"one", "more": "m"}, LEG | {"size": 2, "note": b"two"}]},
        )
    ],
    "two_outputs": [("Basket", EMPTY | {"account": 9, "tags": [{"tag": 0}]}), ("Plain", {"value": 3})],
    "fields_of_closed_entries": [
        (
            "Basket",
            EMPTY | {"legs": [LEG | {"size": 77, "price": {"mantissa": 8, "exponent": 0}}], "tags": [{"tag": 0}]},
        )
    ],
}
FAULTS = {
    "group_after_a_later_one": ("made.tags.append()\nmade.legs.append()", "READ_ONLY"),
    "group_after_data": ('made.reason = b"x"\nmade.tags.append()', "READ_ONLY"),
    "data_twice": ('made.reason = b"x"\nmade.reason = b"x"', "READ_ONLY"),
    "data_before_in_an_entry": ('leg = made.legs.append()\nleg.more = b"x"\nleg.note = b"y"', "READ_ONLY"),
    "closed_entry": ('leg = made.legs.append()\nmade.legs.append()\nleg.note = b"y"', "READ_ONLY"),
    "entry_of_a_closed_group": ('leg = made.legs.append()\nmade.tags.append()\nleg.note = b"y"', "READ_ONLY"),
    "nested_group_after_data": ('leg = made.legs.append()\nleg.note = b"x"\nleg.fills.append()', "READ_ONLY"),
    "behind_another_output": ("tx.emit.plain()\nmade.tags.append()", "READ_ONLY"),
    "behind_an_output_alike": ('tx.emit.basket()\nmade.reason = b"x"', "READ_ONLY"),
    "too_many_entries": ("for n in range(4):\n    made.tags.append()", "VALUE_OUT_OF_RANGE"),
    "data_too_long": ('made.legs.append().note = b"0123456789"', "VALUE_OUT_OF_RANGE"),
    "value_out_of_range": ("made.legs.append().size = message.count * 70000", "VALUE_OUT_OF_RANGE"),
    "no_room_for_entries": ("for n in range(60000):\n    made.legs.append()", "CAPACITY_EXHAUSTED"),
    "no_room_for_data": (
        "for n in range(40):\n    leg = made.legs.append()\n    for m in range(3):\n        leg.fills.append()\n"
        "    leg.more = message.text",
        "CAPACITY_EXHAUSTED",
    ),
}


def write(directory: Path, body: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "basket.xml").write_text(SCHEMA)
    (directory / "basket.py").write_text(HANDLER_HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
    return directory


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> list[Simulation]:
    """One plugin with all cases, so that it is compiled once."""
    bodies = [*CASES.values(), *(f"made = tx.emit.basket()\n{body}" for body, _ in FAULTS.values())]
    lines = []
    for number, body in enumerate(bodies):
        lines.append(f"if message.case == {number}:")
        lines += [f"    {line}" for line in body.splitlines()]
    directory = write(tmp_path_factory.mktemp("basket"), "\n".join(lines))
    return [simulate(directory, tier, 0, 1) for tier in TIERS]  # type: ignore[arg-type]


def send(tiers: list[Simulation], **values: Any) -> Any:
    """The entry, which must be the same in both tiers."""
    entries = [each.send("Order", **({"count": 3, "text": "what is said"} | values)) for each in tiers]
    assert entries[0].digest == entries[1].digest, [each.reason for each in entries]
    assert entries[0].outcome == entries[1].outcome
    return entries[0]


@pytest.mark.parametrize("name", CASES)
def test_an_output_has_the_bytes_that_python_encodes(tiers: list[Simulation], name: str) -> None:
    schema = Schema.parse(SCHEMA)
    entry = send(tiers, case=list(CASES).index(name))
    assert entry.committed, entry.reason
    assert len(entry.outputs) == len(EXPECTED[name])
    for output, (message, values) in zip(entry.outputs, EXPECTED[name], strict=True):
        content = schema.encode(message, values)
        assert output.message == content + bytes(-(16 + len(content)) % 8)
        assert output.name == message
    assert entry.outputs[0].to_dict().keys() == EMPTY.keys()


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_written_is_a_fault_in_both_tiers(tiers: list[Simulation], name: str) -> None:
    entry = send(tiers, case=len(CASES) + list(FAULTS).index(name), text="x" * 8000)
    assert entry.outcome_name == FAULTS[name][1], entry.reason
    assert entry.outputs == []
    assert send(tiers, case=0).committed


REFUSED = [
    ("x = made.reason", "variable data: an output's is assigned, not read"),
    ("made.legs = 5", "is a group: use .append()"),
    ("made.reason = 5", "takes text, not an integer"),
    ("made.legs.append(5)", "takes no arguments"),
    ("made.legs.remove()", "it has .append()"),
    ("x = made.nothing", "has no field 'nothing'"),
    ("made.legs.append().nothing = 5", "has no field 'nothing'"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_the_compiler_refuses_in_the_plugins_words(tmp_path: Path, body: str, words: str) -> None:
    directory = write(tmp_path, f"made = tx.emit.basket()\n{body}")
    with pytest.raises(PluginError) as caught:
        load_plugin(directory).dispatch("compiled")
    assert words in caught.value.text and caught.value.line > 0
    assert simulate(directory, "interpreted", 0, 1).send("Order", case=0, count=1, text="").outcome_name == (
        "PLUGIN_FAULT"
    )


def test_a_group_that_must_have_entries_cannot_be_an_output(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"Needy\.tags has 1 entries at least"):
        load_plugin(write(tmp_path, "tx.emit.needy()"))
