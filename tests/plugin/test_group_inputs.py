"""Messages with groups and variable data in handlers: what both tiers read, and what both refuse."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from statevec.codecs.schema import Schema
from statevec.engine.plugin.simulate import Simulation, simulate
from statevec.ipc.faults import MALFORMED_MESSAGE

TIERS = ("compiled", "interpreted")
HEAD = """<messageSchema package="basket" id="77" version="VERSION" byteOrder="ORDER"><types>
<composite name="messageHeader"><type name="blockLength" primitiveType="uint16"/><type name="templateId"
 primitiveType="uint16"/><type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
</composite><composite name="groupSizeEncoding"><type name="blockLength" primitiveType="uint16"/>
<type name="numInGroup" primitiveType="uint16"/></composite>
<composite name="text"><type name="length" primitiveType="uint16"/><type name="varData" primitiveType="uint8" length="0"
 characterEncoding="UTF-8"/></composite></types>
"""
OLD = """<message name="Basket" id="1"><field name="account" id="1" type="int64"/>
<group name="legs" id="2"><field name="price" id="3" type="int64"/>
<group name="fills" id="4"><field name="quantity" id="5" type="int32"/></group>
<data name="note" id="6" type="text"/></group>
<group name="tags" id="7"><field name="tag" id="8" type="uint8"/></group>
<data name="reason" id="9" type="text"/></message>
<message name="Result" id="2"><field name="total" id="1" type="int64"/></message></messageSchema>"""
NEW = (
    OLD.replace('<group name="legs"', '<field name="extra" id="10" type="int32" sinceVersion="1"/><group name="legs"')
    .replace('<group name="fills"', '<field name="weight" id="11" type="int32" sinceVersion="1"/><group name="fills"')
    .replace(
        'type="text"/></message>', 'type="text"/><data name="more" id="12" type="text" sinceVersion="1"/></message>', 1
    )
)
PLUGIN = '''"""Reads every part of a message."""

from statevec import Plugin

basket = Plugin("basket", version="1.0.0", schema="basket.xml")


@basket.on("Basket")
def on_basket(tx, message):
    total = message.account
    if message.extra is None:
        total += 1000000
    else:
        total += message.extra
    for leg in message.legs:
        total += leg.price * len(leg.fills)
        if leg.weight is not None:
            total += leg.weight
        for fill in leg.fills:
            total += fill.quantity
        if leg.note == b"bonus":
            total += 77
        total += len(leg.note)
    for tag in message.tags:
        total = total * 3 + tag.tag
    if message.reason != b"quiet":
        total += 5 * len(message.reason) + 7 * len(message.more)
    result = tx.emit.result()
    result.total = total
'''
LEGS = [
    {"price": 10, "fills": [{"quantity": 3}, {"quantity": -4}], "note": "bonus"},
    {"price": -20, "fills": [], "note": ""},
    {"price": 7, "fills": [{"quantity": 100}], "note": "a\0b"},
]
VALUES: dict[str, Any] = {"account": 5, "legs": LEGS, "tags": [{"tag": 1}, {"tag": 2}], "reason": "because"}


def schema_of(version: int, order: str) -> Schema:
    head = HEAD.replace("VERSION", str(version)).replace("ORDER", f"{order}Endian")
    return Schema.parse(head + (OLD if version == 0 else NEW))


def expected(values: dict[str, Any], is_old: bool) -> int:
    total: int = values["account"] + (1000000 if is_old else values["extra"])
    for leg in values["legs"]:
        total += leg["price"] * len(leg["fills"]) + sum(each["quantity"] for each in leg["fills"])
        total += (0 if is_old else leg["weight"]) + (77 if leg["note"] == "bonus" else 0) + len(leg["note"])
    for tag in values["tags"]:
        total = total * 3 + int(tag["tag"])
    return total if values["reason"] == "quiet" else total + 5 * len(values["reason"]) + 7 * len(values.get("more", ""))


@pytest.fixture(scope="module", params=["little", "big"])
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tiers(order: str, tmp_path_factory: pytest.TempPathFactory) -> list[Simulation]:
    directory: Path = tmp_path_factory.mktemp("basket")
    (directory / "basket.xml").write_text(HEAD.replace("VERSION", "1").replace("ORDER", f"{order}Endian") + NEW)
    (directory / "basket.py").write_text(PLUGIN)
    return [simulate(directory, tier, 0, 1) for tier in TIERS]  # type: ignore[arg-type]


def send(tiers: list[Simulation], content: bytes) -> Any:
    """The outcome and outputs in both tiers, which must be one."""
    entries = [each.send_bytes(content) for each in tiers]
    answers = [(each.outcome, [output.to_dict() for output in each.outputs], each.digest) for each in entries]
    assert answers[0] == answers[1], content.hex()
    return answers[0]


def test_every_part_of_a_message_is_read(tiers: list[Simulation], order: str) -> None:
    legs = [leg | {"weight": 50 + number} for number, leg in enumerate(LEGS)]
    for reason in ("because", "quiet", ""):
        values = VALUES | {"extra": 9, "legs": legs, "reason": reason, "more": "x"}
        outcome, outputs, _ = send(tiers, schema_of(1, order).encode("Basket", values))
        assert outcome == 0
        assert outputs == [{"total": expected(values, False)}]


def test_an_older_message_lacks_what_came_later(tiers: list[Simulation], order: str) -> None:
    outcome, outputs, _ = send(tiers, schema_of(0, order).encode("Basket", VALUES))
    assert outcome == 0
    assert outputs == [{"total": expected(VALUES, True)}]


def test_a_cut_message_is_malformed(tiers: list[Simulation], order: str) -> None:
    content = schema_of(0, order).encode("Basket", VALUES)
    for length in range(len(content)):
        assert send(tiers, content[:length])[0] == MALFORMED_MESSAGE, length


def test_broken_bytes_end_alike_in_both_tiers(tiers: list[Simulation], order: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    newer = VALUES | {"extra": 1, "legs": [leg | {"weight": 1} for leg in LEGS], "more": ""}
    contents = [schema_of(version, order).encode("Basket", each) for version, each in ((0, VALUES), (1, newer))]
    malformed = 0
    for _ in range(400):
        content = bytearray(generator.choice(contents))
        for _ in range(generator.choice((1, 1, 2, 4))):
            place = generator.randrange(8, len(content))
            content[place] = generator.choice((0, 1, 2, 0x7F, 0xFF, generator.randrange(256)))
        malformed += send(tiers, bytes(content))[0] == MALFORMED_MESSAGE
    assert malformed > 20
