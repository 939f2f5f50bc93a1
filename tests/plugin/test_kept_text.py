"""Text of records and outputs that a handler keeps: used before it may change in both tiers, refused behind that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.simulate import simulate
from tests.plugin.writing import HEAD_LINES, PROBE, handler, write_plugin

ITEM = "item = tx.items.insert(1)\nitem.name = b'old'\n"
CHANGE = """
def change(item, text):
    item.name = b"new"
    return b"old"


"""
KEPT = """
text = item.name
answer = tx.emit.answer()
answer.symbol = text
item.value = 3
if len(text) == 3 and text == b"old":
    for n in range(2):
        again = item.name
        answer.value += int(again == message.symbol)
        item.name = message.symbol
"""
CASES = """
match item.name:
    case b"other":
        item.name = b"new"
    case b"old":
        item.name = b"last"
        tx.emit.answer().symbol = item.name
"""
OF_MESSAGE = """
text = message.symbol
item.name = text
item.name = b"new"
tx.emit.answer().symbol = text if message.a == 0 else item.name
"""


@pytest.mark.parametrize("body", [KEPT, CASES, OF_MESSAGE])
def test_text_used_before_it_changes_is_the_same_in_both_tiers(tmp_path: Path, body: str) -> None:
    plugin = write_plugin(tmp_path / "probe", handler(ITEM + body))
    outputs: list[Any] = []
    for tier in ("compiled", "interpreted"):
        entry = simulate(plugin, tier, 0, 1).send("Probe", **PROBE | {"symbol": "EUR"})
        assert entry.committed, entry.reason
        outputs.append([each.to_dict() for each in entry.outputs])
    assert outputs[0] == outputs[1] != []


REFUSED = {
    "assigned": (6, "text = item.name\nitem.name = b'new'\ntx.emit.answer().symbol = text"),
    "deleted": (6, "text = item.name\ntx.items.delete(1)\ntx.emit.answer().symbol = text"),
    "in a tuple": (6, "texts = (item.name, item.name)\nitem.name = b'new'\na, b = texts"),
    "changed by a helper": (6, "text = item.name\nchange(item, b'')\nitem.value = len(text)"),
    "by a helper in the same expression": (4, "item.value = int(item.name == change(item, b''))"),
    "in the next turn": (6, "text = item.name\nfor n in range(2):\n    item.value = len(text)\n    item.name = b'new'"),
    "of an output": (7, "a = tx.emit.answer()\ntext = a.symbol\na.symbol = b'new'\ntx.emit.answer().symbol = text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_text_that_may_have_changed_is_refused(tmp_path: Path, name: str) -> None:
    offset, body = REFUSED[name]
    plugin = load_plugin(write_plugin(tmp_path / "probe", CHANGE.lstrip("\n") + handler(ITEM + body)))
    with pytest.raises(PluginError, match="this text of a record or output may have changed in line") as caught:
        plugin.dispatch("compiled")
    assert caught.value.line == HEAD_LINES + len(CHANGE.splitlines()) + offset


def test_a_helper_that_changes_what_it_was_given_is_refused(tmp_path: Path) -> None:
    helper = 'def late(item, text):\n    item.name = b"new"\n    return text\n\n\n'
    body = "tx.emit.answer().symbol = late(item, item.name)"
    plugin = load_plugin(write_plugin(tmp_path / "probe", helper + handler(ITEM + body)))
    with pytest.raises(PluginError, match="use it before, or take it again") as caught:
        plugin.dispatch("compiled")
    assert caught.value.line == HEAD_LINES + 3
