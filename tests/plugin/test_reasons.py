"""What a plugin's author is told: of conditions that are none, and why an entry was not committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.compiler_words import type_words
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.simulate import simulate
from statevec.ipc.log_layout import MAX_INPUT
from tests.plugin.writing import HEAD_LINES, PROBE, handler, write_plugin

TIERS = ("compiled", "interpreted")
CONDITIONS = [
    ("if message.limit:\n    tx.reject(NO)", "an integer or None is neither true nor false: compare it with None"),
    ("if not message.symbol:\n    tx.reject(NO)", 'text is neither true nor false: compare it with b""'),
    ("while message.side:\n    tx.reject(NO)", "Side is neither true nor false: compare it with a member"),
    ("item = tx.items.get(1)\nif message.a and item:\n    tx.reject(NO)", "a record Item or None is neither"),
    ("if message:\n    tx.reject(NO)", "Probe is neither true nor false: compare a field"),
]


NOT_FOR = [
    ("x = len(message.a)", r"len\(\) is not for an integer"),
    ("x = message.symbol[0]", r"\[…\] is not for text"),
    ("for x in message.a:\n    pass", "a loop is not for an integer"),
    ("x = message.symbol > b'abc'", "> is not for text and text"),
    ("x = message.a in message.symbol", "`in` is not for text"),
    ("x = message.symbol.decode()", "text has no 'decode'"),
    ("x = message.side.name", "Side has no 'name'"),
    ("x = tx.items[1].limit", "record Item has no field 'limit'"),
]


@pytest.mark.parametrize(("body", "words"), NOT_FOR)
def test_what_an_operation_is_not_for_is_said_in_the_authors_words(tmp_path: Path, body: str, words: str) -> None:
    loaded = load_plugin(write_plugin(tmp_path / "p", handler(body)))
    with pytest.raises(PluginError, match=rf"probe\.py:{HEAD_LINES + 3}: .*{words}"):
        loaded.dispatch("compiled")


def test_types_of_the_compiler_have_words() -> None:
    shown = {
        "OptionalType(int64)": "an integer or None",
        "IntEnum<int64>(Side)": "Side",
        "Edited(Item, 4, 0d15ad7f)": "a record Item",
        "Table(items, 4, write, 0d15ad7f)": "the table items",
        "readonly bytes(uint8, 1d, C)": "text",
        "UniTuple(int64 x 2)": "a tuple",
        "SomethingElse(1)": "SomethingElse(1)",
    }
    assert {text: type_words(text) for text in shown} == shown


@pytest.mark.parametrize(("body", "words"), CONDITIONS)
def test_what_is_no_condition_is_refused_with_its_line(tmp_path: Path, body: str, words: str) -> None:
    loaded = load_plugin(write_plugin(tmp_path / "p", handler(body)))
    with pytest.raises(PluginError, match=words) as caught:
        loaded.dispatch("compiled")
    assert caught.value.line == HEAD_LINES + 3 + body[: body.rindex(":\n")].count("\n")


@pytest.mark.parametrize("tier", TIERS)
def test_each_entry_has_its_own_reason(tmp_path: Path, tier: Any) -> None:
    directory = write_plugin(tmp_path / "p", handler("assert message.a == 0"))
    desk = simulate(directory, tier, 0, 1)
    place = f"probe.py:{HEAD_LINES + 3}"
    assert desk.send("Probe", **PROBE | {"a": 1}).reason == f"AssertionError at {place}"
    assert desk.send_bytes(b"\0" * (MAX_INPUT + 1)).reason == "Longer than MAX_INPUT."
    assert desk.send("Poke", a=1).reason == "The plugin has no handler for this message, or for timers."
    assert desk.send("Probe", **PROBE).reason == ""


def test_a_table_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    desk = simulate(write_plugin(tmp_path / "p", handler("tx.reject(NO)")), "interpreted", 0, 1)
    assert len(desk.state.items) == 0
    assert "items" in dir(desk.state)
    with pytest.raises(AttributeError, match=r"there is no table 'itmes' \(tables: items\)"):
        desk.state.itmes  # noqa: B018  # the access is the test


def test_time_passes_in_whole_nanoseconds(tmp_path: Path) -> None:
    desk = simulate(write_plugin(tmp_path / "p", handler("tx.reject(NO)")), "interpreted", 0, 1)
    for wrong in (1.5, True, "1"):
        with pytest.raises(TypeError, match="whole nanoseconds"):
            desk.advance(wrong)  # type: ignore[arg-type]
    assert desk.now_ns == 0
