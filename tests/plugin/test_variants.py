"""What a handler may do, one construct a case, in both tiers with the same bytes; and what only compiling refuses."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.simulate import Simulation, simulate
from tests.plugin.writing import PROBE, handler, write_plugin

HELPERS = """
def plus(a, b=2, *, c=3):
    return a + b + c


def best(tx, group):
    found = None
    for item in tx.items.where(group=group):
        if found is None or item.value > found.value:
            found = item
    return found


def refuse_small(tx, item):
    if item.value < 3:
        tx.reject(NO)
        return False
    item.value = 1
    return True


def count_down(limit):
    turns = 0
    while limit > 0:
        limit -= 1
        turns += 1
    return turns


def item(tx, key):
    return tx.items.edit(key) if key in tx.items else tx.items.insert(key)


def answer(tx, value):
    tx.emit.answer().value = value
"""
CASES = {
    "keyword_arguments": "answer(tx, plus(message.a, c=4))",
    "get_or_insert": "item(tx, 5).value = message.a",
    "get_none": "found = tx.items.get(99)\nif found is None:\n    return tx.reject(NO)\nanswer(tx, found.value)",
    "best_of_group": "found = best(tx, 1)\nif found is not None:\n    answer(tx, found.value)",
    "reject_in_helper": "if not refuse_small(tx, tx.items.edit(1)):\n    return\nanswer(tx, 1)",
    "read_or_edit": "found = tx.items[1]\nif message.a > 3:\n    found = tx.items.edit(1)\nanswer(tx, found.value)",
    "enum_values": "found = tx.items.edit(1)\nfound.side = Side.SELL if message.side == Side.BUY else Side.BUY",
    "enum_arithmetic": "answer(tx, message.side * 2 + Side.SELL.value)",
    "enum_in_tuple": "if message.side in (Side.BUY, Side.SELL):\n    answer(tx, int(message.side))",
    "bool_fields": "found = tx.items.edit(1)\nfound.active = message.a > 3 or not found.active",
    "constants": "answer(tx, LIMIT + PAIR[1])",
    "row_order": "for found in tx.items:\n    answer(tx, found.item_id)",
    "group_order": "for found in tx.items.where(group=1):\n    answer(tx, found.item_id)",
    "ascending": "for found in tx.items.ascending(rank=20):\n    answer(tx, found.item_id)",
    "descending": "for found in tx.items.descending(rank=20):\n    answer(tx, found.item_id)",
    "unique": "found = tx.items.unique(tag=102)\nif found is not None:\n    answer(tx, found.item_id)",
    "len": "answer(tx, len(tx.items))",
    "move_in_group": "for found in tx.items.where(group=1):\n    tx.items.edit(found.item_id).group = 2",
    "delete_in_loop": (
        "for found in tx.items.where(group=1):\n    tx.items.delete(found.item_id)\nanswer(tx, len(tx.items))"
    ),
    "insert_in_loop": "for found in tx.items:\n    tx.items.insert(found.item_id + 50)",
    "nested_loops": (
        "for a in tx.items:\n    for b in tx.items.where(group=a.group):\n"
        "        answer(tx, a.item_id * 10 + b.item_id)"
    ),
    "enumerate": "for place, found in enumerate(tx.items):\n    answer(tx, place + found.value)",
    "zip": "for a, b in zip(tx.items, tx.items.where(group=1)):\n    answer(tx, a.item_id + b.item_id)",
    "for_else": "for found in tx.items:\n    if found.value > 10**6:\n        break\nelse:\n    answer(tx, 1)",
    "while": "n = 5\nwhile n > 0:\n    n -= 1\n    if n == 3:\n        continue\n    answer(tx, n)",
    "budgeted_helper": "answer(tx, count_down(message.b))",
    "ranges": "for n in range(5, -3, -2):\n    answer(tx, n)",
    "match_integer": "match message.b:\n    case 1 | 2:\n        answer(tx, 12)\n    case _:\n        answer(tx, 3)",
    "match_enum": (
        "match message.side:\n    case Side.BUY:\n        answer(tx, 1)\n    case Side.SELL:\n        answer(tx, 2)"
    ),
    "match_bool_or_integer": (
        "found = message.a > 0\nif message.b == 4:\n    found = 1\nmatch found:\n    case True:\n        answer(tx, 1)"
    ),
    "match_optional": "match message.limit:\n    case 8:\n        answer(tx, 8)\n    case None:\n        answer(tx, 0)",
    "optional_equal": "answer(tx, (message.limit == 8) + 2 * (message.limit != 8))",
    "optional_equals_itself": "if message.limit == message.limit:\n    answer(tx, 1)",
    "optional_in_tuple": "if message.limit in (7, 8):\n    answer(tx, 1)",
    "enumerate_far": "for place, n in enumerate((1, 2, 3), 9223372036854775806):\n    answer(tx, int(place > 0))",
    "chained_comparison": "if 0 < message.a <= 10:\n    answer(tx, 1)",
    "assign_operators": (
        "found = tx.items.edit(1)\nfound.value += message.a\nfound.value //= 3\nfound.value <<= 2\nfound.value |= 1"
    ),
    "assign_through_call": "tx.items.edit(1).value += message.a",
    "swap": "a, b = message.a, message.b\na, b = b, a\nanswer(tx, a * 2 + b)",
    "min_max": "answer(tx, max(min(abs(message.a), LIMIT), -5, message.b))",
    "raise": "if message.a > 0:\n    raise ValueError('positive')",
    "assert": "assert message.a < 0, 'negative'",
    "optional_message": "if message.limit is None:\n    answer(tx, -1)\nelse:\n    answer(tx, message.limit + 1)",
    "optional_unchecked": "answer(tx, message.limit + 1)",
    "optional_output": "tx.emit.answer().small = message.a\ntx.emit.answer().side = message.side",
    "null_output": "out = tx.emit.answer()\nout.small = 5\nout.small = None",
    "text": (
        "found = tx.items.edit(1)\nfound.name = message.symbol\nif found.name == b'ABC':\n"
        "    answer(tx, len(found.name))"
    ),
    "text_too_long": "tx.items.edit(1).name = b'ABCDEFGHI'",
    "out_of_range": "tx.items.edit(1).small = message.a + 120",
    "unknown_enum_value": "tx.items.edit(1).side = message.a",
    "opaque_ids": (
        "tx.items.insert(message.token).value = message.a\nif message.token in tx.items:\n    answer(tx, message.token)"
    ),
    "missing": "answer(tx, tx.items[77].value)",
    "edit_missing": "tx.items.edit(77).value = 1",
    "delete_missing": "tx.items.delete(77)",
    "duplicate": "tx.items.insert(1)",
    "duplicate_unique": "tx.items.edit(1).tag = 102",
    "unassigned_unique": "tx.items.insert(60)\ntx.items.insert(61)",
    "capacity": "for n in range(20):\n    tx.items.insert(200 + n).tag = 200 + n",
    "overflow": "answer(tx, message.a * 9223372036854775807 + 9)",
    "division": "answer(tx, 5 // (message.b - message.b))",
    "endless": "while True:\n    answer(tx, 1)",
    "many_outputs": "for n in range(100000):\n    answer(tx, n)",
    "reject_after_work": "item(tx, 6).value = 1\nanswer(tx, 1)\ntx.reject(NO)\ntx.reject(2)\nitem(tx, 7)",
    "reject_zero": "tx.reject(message.b - message.b)",
    "ids": "answer(tx, tx.next_id())\nanswer(tx, tx.next_id())",
    "timers": (
        "tx.set_timer(at_ns=tx.now_ns + 5, id=message.b)\ntx.set_timer(9, 1)\nif tx.cancel_timer(9):\n    answer(tx, 1)"
    ),
    "time": "answer(tx, tx.now_ns)\nanswer(tx, tx.sequence)",
    "expiry": "tx.emit.answer(tx.now_ns + 7).value = 1\ntx.emit.answer(expires_ns=8).value = 2",
    "stale_record": "found = tx.items.edit(1)\ntx.items.delete(1)\nfound.value = 9\nanswer(tx, found.value)",
    "annotated": "total: int = message.a\nanswer(tx, total)",
    "truth": "if message.a and not message.b:\n    answer(tx, 1)\nelif message.a or message.b:\n    answer(tx, 2)",
    "bool_arithmetic": "answer(tx, (message.a > 3) + (message.b < 4) + ~(message.a > 3))",
}
SETUP = """
for n in range(1, 4):
    made = tx.items.insert(n)
    made.group = n // 2
    made.rank = n * 10
    made.tag = 100 + n
    made.value = n * n
"""


def variants() -> str:
    """One plugin with a function for each case, so that it is compiled once."""
    functions = [textwrap.dedent(HELPERS)]
    functions += [
        f"\n\ndef case_{name}(tx, message):\n{textwrap.indent(body, '    ')}\n" for name, body in CASES.items()
    ]
    arms = [f"case {number}:\n    case_{name}(tx, message)" for number, name in enumerate(CASES, 1)]
    body = "match message.case:\n" + textwrap.indent(
        "\n".join(["case 0:", textwrap.indent(SETUP, "    "), *arms]), "    "
    )
    return (
        "".join(functions) + "\n\n" + handler(body) + "\n\n\n@probe.on_timer\ndef on_timer(tx, timer_id):\n    pass\n"
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("variants") / "probe", variants())


def history(directory: Path, tier: Any, number: int) -> list[str]:
    """What a fresh engine says to the set-up and to one case with several values."""
    simulation = simulate(directory, tier, 1_000, 3)
    simulation.send("Probe", **PROBE)
    told = []
    for values in (
        {"a": 5, "b": 4},
        {"a": -2, "b": 1, "limit": 8, "symbol": "ABC", "token": 2**63 + 5},
        {"side": 2},
    ):
        before = simulation.state_digest if values.get("a") else ""
        entry = simulation.send("Probe", **{**PROBE, "case": number, **values})
        told.append(f"{entry.outcome_name} {entry.outputs} {entry.digest} {simulation.state_digest}")
        if entry.outcome != 0 and before:
            _assert_only_bookkeeping(simulation, entry)
    told.append(str(simulation.timers))
    return told


def _assert_only_bookkeeping(simulation: Simulation, entry: Any) -> None:
    assert (entry.changes, entry.outputs) == ([], [])
    assert all(record is not None for record in simulation.state.items)


@pytest.mark.parametrize("name", CASES)
def test_both_tiers_give_the_same_bytes(directory: Path, name: str) -> None:
    number = list(CASES).index(name) + 1
    assert history(directory, "compiled", number) == history(directory, "interpreted", number)


@pytest.mark.parametrize(
    "body",
    [
        "match message.a:\n    case 9007199254740992.0:\n        tx.emit.answer()",
        "if message.a in (9007199254740992.0, 0.5):\n    tx.emit.answer()",
        "if message.x in (message.y, 9007199254740993):\n    tx.emit.answer()",
    ],
)
def test_floats_are_compared_the_same_everywhere(tmp_path: Path, body: str) -> None:
    plugin = write_plugin(tmp_path / "floats", handler(body), floats=True)
    told = []
    for tier in ("compiled", "interpreted"):
        simulation = simulate(plugin, tier, 1_000, 3)
        for number in (2.0**53, float("nan")):
            simulation.send("Probe", **{**PROBE, "a": 2**53 + 1, "x": number, "y": number})
        told.append(simulation.digest)
    assert told[0] == told[1]


def test_a_constant_may_be_a_float_without_a_point(tmp_path: Path) -> None:
    half = "HALF = 2 ** -1 * 18014398509481984\n\n\n"
    plugin = write_plugin(tmp_path / "half", half + handler("if message.a == HALF:\n    tx.emit.answer()"))
    digests = set()
    for tier in ("compiled", "interpreted"):
        simulation = simulate(plugin, tier, 1_000, 3)
        simulation.send("Probe", **{**PROBE, "a": 2**53 + 1})
        digests.add(simulation.digest)
    assert len(digests) == 1


def test_tuples_with_floats_are_not_compared(tmp_path: Path) -> None:
    body = "if (message.x, 1) == (message.y, 1):\n    tx.emit.answer()"
    plugin = write_plugin(tmp_path / "tuples", handler(body), floats=True)
    with pytest.raises(PluginError, match="compared value by value"):
        load_plugin(plugin).dispatch("compiled")


EXPECTED = {
    "missing": "MISSING_KEY",
    "edit_missing": "MISSING_KEY",
    "delete_missing": "MISSING_KEY",
    "duplicate": "DUPLICATE_KEY",
    "duplicate_unique": "DUPLICATE_KEY",
    "unassigned_unique": "DUPLICATE_KEY",
    "insert_in_loop": "ITERATION_MODIFIED",
    "capacity": "CAPACITY_EXHAUSTED",
    "many_outputs": "CAPACITY_EXHAUSTED",
    "overflow": "ARITHMETIC_OVERFLOW",
    "division": "DIVISION_BY_ZERO",
    "out_of_range": "COMMITTED",
    "unknown_enum_value": "VALUE_OUT_OF_RANGE",
    "text_too_long": "VALUE_OUT_OF_RANGE",
    "reject_zero": "VALUE_OUT_OF_RANGE",
    "optional_unchecked": "PLUGIN_FAULT",
    "raise": "PLUGIN_FAULT",
    "assert": "PLUGIN_FAULT",
    "get_none": "REJECTED(1)",
    "reject_after_work": "REJECTED(1)",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_outcomes_have_their_names(directory: Path, name: str) -> None:
    simulation = simulate(directory, "compiled", 1_000, 3)
    simulation.send("Probe", **PROBE)
    before = [vars(each) for each in simulation.state.items]
    entry = simulation.send("Probe", **{**PROBE, "case": list(CASES).index(name) + 1, "a": 5, "b": 4})
    assert entry.outcome_name == EXPECTED[name]
    if entry.outcome:
        assert [vars(each) for each in simulation.state.items] == before


REFUSED_BY_THE_COMPILER = [
    ("tx.items[1].value = 5", "was only read"),
    ("found = tx.items[1]\nif message.a > 3:\n    found = tx.items.edit(1)\nfound.value = 1", "was only read"),
    ("tx.items.edit(1).item_id = 5", "is the key"),
    ("tx.items.edit(1).nothing = 5", "has no field 'nothing'"),
    ("x = tx.items[1].nothing", "has no field 'nothing'"),
    ("x = tx.itms[1]", "the transaction has no 'itms'"),
    ("tx.items.remove(1)", "a table has no 'remove'"),
    ("for i in tx.items.where(nothing=1):\n    pass", "no field 'nothing' for .where"),
    ("x = tx.items[1.5]", "a key of items is an integer, not a float"),
    ("tx.items.edit(1).value = 1.5", "cannot be assigned"),
    ("x = message.nothing", "has no field 'nothing'"),
    ("message.a = 5", "was only read"),
    ("tx.items.edit(1).value = message.symbol", "cannot be assigned"),
    ("if tx.items[1] == tx.items[2]:\n    pass", "records are not compared"),
    ("tx.set_timer(1)", "tx.set_timer takes id, at_ns"),
    ("x = message.a\nif message.b > 3:\n    x = message.a / 2\ntx.reject(int(x))", "integer on one path and a float"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED_BY_THE_COMPILER)
def test_the_compiler_refuses_in_the_plugins_words(tmp_path: Path, body: str, words: str) -> None:
    loaded = load_plugin(write_plugin(tmp_path / "p", handler(body)))
    with pytest.raises(PluginError) as caught:
        loaded.dispatch("compiled")
    assert words in caught.value.text
    assert caught.value.line > 0
    assert "probe.py" in str(caught.value)
