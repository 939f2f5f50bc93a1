"""What a plugin may not do: each refusal names file and line, and says why in plain words. Nothing is compiled here."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from tests.plugin.writing import HEAD, HEAD_LINES, handler, write_plugin

BODY_LINE = HEAD_LINES + 3
IN_HANDLERS = [
    ("print(message.a)", "output leaves"),
    ("x = hash(message.a)", "differs from process"),
    ("x = id(message)", "differs from process"),
    ("x = [1, 2]", "no lists"),
    ("x = {1: 2}", "no dictionaries"),
    ("x = {1, 2}", "no order"),
    ("for x in {1, 2}:\n    pass", "no order"),
    ("x = set()", "no order"),
    ("x = [i.value for i in tx.items]", "no lists"),
    ("x = sum(i.value for i in tx.items)", "add in a loop"),
    ("x = sorted(tx.items)", "Ordered index"),
    ("x = f'{message.a}'", "makes no text"),
    ("yield 1", "cannot yield"),
    ("try:\n    pass\nexcept KeyError:\n    pass", "cannot be caught"),
    ("with tx:\n    pass", "nothing to open"),
    ("global LIMIT\nLIMIT = 3", "keeps nothing between calls"),
    ("class A:\n    pass", "top level"),
    ("def f(x):\n    return x", "top level"),
    ("f = lambda x: x", "top level"),
    ("import math", "imports stand at the top"),
    ("if (q := message.a) > 3:\n    tx.reject(NO)", "line of its own"),
    ("x = open('file')", "reads and writes nothing"),
    ("x = message.a * 10**19 + 9223372036854775808", "outside signed 64 bits"),
    ("x = 0xFFFFFFFFFFFFFFFF & message.a", "outside signed 64 bits"),
    ("x = unknown", "unknown name 'unknown'"),
    ("if message.a > 3:\n    y = 1\nx = y", "'y' may be unbound"),
    ("for i in range(3):\n    y = i\nx = y", "'y' may be unbound"),
    ("x = 1\nif message.a > 3:\n    x = 1.5", "integer on one path and a float"),
    ("x = 1 if message.a else 0.5", "one branch gives an integer"),
    ("x = message.a is 3", "None only"),
    ("x = Side(message.a)", "cannot be called"),
    ("tx.items[1] = 5", "not assigned as a whole"),
    ("del tx.items[1]", "tx.TABLE.delete"),
    ("message.a, x = 1, 2", "line of its own"),
    ("x = message.__class__", "begin with an underscore"),
    ("probe.on('Probe')", "for declarations"),
    ("message.a + 1", "drops it"),
    ("for i in tx.items.where():\n    pass", "takes one field"),
    ("tx.emit.answer(value=3)", "expires_ns only"),
    ("tx.emit.nothing()", "no message for tx.emit.nothing"),
    ("raise ValueError(message.a)", "constant text"),
    ("x = max(message.a)", "2 to 64 arguments"),
    ("x = min(*PAIR, 3)", "name each value"),
    ("tx = message", "is the transaction"),
    ("return\nx = 1", "never reached"),
    ("match message.a:\n    case x:\n        pass", "a case names constants"),
    ("__x = 1", "two underscores"),
    ("x = message.a @ 3", "matrices"),
    ("x = isinstance(message.a, int)", "types are known"),
    ("x = PAIR[:1]", "slices nothing"),
    ("x = message.side == 'BUY'", "text is bytes: b'BUY'; a member of an enum has no quotes"),
    ("match message.symbol:\n    case 'a':\n        pass", "text is bytes: b'a'"),
    ("x = message.symbol == WORD", "text is bytes: WORD = b'word'"),
    ("x = message.side == Side.BYU", r"Side has no member 'BYU' \(members: BUY, SELL\)"),
]


@pytest.mark.parametrize(("body", "words"), IN_HANDLERS)
def test_a_handler_is_refused_with_its_line(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        load_plugin(write_plugin(tmp_path / "p", handler(body)))
    assert caught.value.path == tmp_path / "p" / "probe.py"
    assert HEAD_LINES < caught.value.line <= BODY_LINE + body.count("\n")
    assert f"probe.py:{caught.value.line}: " in str(caught.value)


AT_MODULE_LEVEL = [
    ("import time", "use tx.now_ns"),
    ("import random", "randomness"),
    ("from os import path", "no input or output"),
    ("from math import exp", "differ from machine"),
    ("from statevec import load_plugin", "not for plugins"),
    ("TABLE = {1: 2}", "what changes belongs into a record"),
    ("LIMITS = [1, 2]", "what changes belongs into a record"),
    ("LIMIT = 5", "'LIMIT' is already bound"),
    ("if LIMIT:\n    X = 1", "module level"),
    ("BIG = 2**70", "no constant that a handler can use"),
    ("class Plain:\n    x = 1", "a class is a record"),
    ("def f(n):\n    return g(n)\n\n\ndef g(n):\n    return f(n)", "recursion is not possible: f -> g -> f"),
    ("def f(n=[]):\n    return n", "a default is a constant"),
    ("def f(*n):\n    return n", "name each argument"),
    ("@probe.on('Nothing')\ndef f(tx, message):\n    pass", "the schema has no message 'Nothing'"),
    ("@probe.on('Probe')\ndef f(tx):\n    tx.reject(message.a)", r"f takes two arguments: \(tx, message\)"),
    ("@probe.on_timer\ndef f(tx, timer_id, more):\n    pass", r"two arguments: \(tx, timer_id\)"),
    ("@probe.on('Probe')\nasync def f(tx, m):\n    pass", "module level"),
    ("@probe.record(capacity=1)\nclass R:\n    a: i64", "exactly one Key"),
    ("@probe.record(capacity=0)\nclass R:\n    a: Key[i64]", "the capacity of record R is a number of records"),
    ("@probe.record(capacity=1.5)\nclass R:\n    a: Key[i64]", "not 1.5"),
    ("@probe.record(capacity=10_000_000_000)\nclass R:\n    a: Key[i64]", "arena too large.*table is rs: capacity="),
    ("@probe.record(capacity=1)\nclass R:\n    a: Key[f64]", "can be indexed"),
    ("@probe.record(capacity=1)\nclass R:\n    a: Key[i64]\n    b: int", "of no kind"),
    ("@probe.record(capacity=1)\nclass R:\n    a: Key[i64]\n    b: Ordered[u64]", "no order"),
    ("NO_AGAIN = probe.rejection(1, 'again')", "exists already"),
    ("ZERO = probe.rejection(0, 'zero')", "a rejection code is"),
]


@pytest.mark.parametrize(("text", "words"), AT_MODULE_LEVEL)
def test_a_module_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        load_plugin(write_plugin(tmp_path / "p", text + "\n"))
    assert HEAD_LINES < caught.value.line <= HEAD_LINES + text.count("\n") + 1


def test_what_is_no_plugin_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="a plugin is a directory"):
        load_plugin(tmp_path / "nothing")
    with pytest.raises(PluginError, match="exactly one Python module"):
        load_plugin(tmp_path)
    directory = write_plugin(tmp_path / "p", "")
    (directory / "__init__.py").write_text("import os\n")
    with pytest.raises(PluginError, match="docstring only"):
        load_plugin(directory)
    (directory / "__init__.py").unlink()
    (directory / "probe.py").write_text("def f(:\n")
    with pytest.raises(PluginError, match=r"probe.py:1: invalid syntax\n"):
        load_plugin(directory)
    (directory / "__init__.py").write_text("def f(\n")
    with pytest.raises(PluginError, match=r"__init__.py:1: invalid syntax: '\(' was never closed"):
        load_plugin(directory)
    (directory / "__init__.py").unlink()
    (directory / "probe.py").write_text(HEAD.replace("probe.xml", "other.xml"))
    with pytest.raises(PluginError, match=r"probe.py:5: .*other.xml"):
        load_plugin(directory)


def test_the_content_hash_covers_every_file_but_byte_code(tmp_path: Path) -> None:
    first = load_plugin(write_plugin(tmp_path / "a", handler("tx.reject(NO)")))
    second = load_plugin(write_plugin(tmp_path / "b", handler("tx.reject(NO)")))
    assert first.content_hash == second.content_hash
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "probe.pyc").write_bytes(b"x")
    (tmp_path / "b" / ".note").write_text("x")
    assert load_plugin(tmp_path / "b").content_hash == first.content_hash
    (tmp_path / "b" / "note.txt").write_text("x")
    assert load_plugin(tmp_path / "b").content_hash != first.content_hash


def test_declarations_are_what_the_engine_asks_for(tmp_path: Path) -> None:
    functions = handler("tx.emit.answer()") + "\n\n\n@probe.invariant(Item)\ndef sane(tx, item):\n    return True\n"
    loaded = load_plugin(write_plugin(tmp_path / "p", functions))
    assert (loaded.name, loaded.version) == ("probe", "1.0.0")
    assert [spec.name for spec in loaded.table_specs] == ["items"]
    assert [(each.kind, each.field) for each in loaded.table_specs[0].indexes] == [
        ("key", "item_id"),
        ("group", "group"),
        ("ordered", "rank"),
        ("unique", "tag"),
    ]
    assert loaded.rejections == {1: "no"}
    assert loaded.invariants == ["sane"]
    assert {number: layout.name for number, layout in loaded.outputs.items()} == {101: "Answer"}
