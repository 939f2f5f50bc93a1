"""Dispatch in both tiers: messages it refuses, budgets, invariants, timers, versions side by side, the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.interpreted_names import NAMES as INTERPRETED_NAMES
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.native_dispatch import NAMES as COMPILED_NAMES
from statevec.engine.plugin.simulate import simulate
from tests.plugin.writing import PROBE, handler, write_plugin

TIERS = ("compiled", "interpreted")
KEEPING = """
def write(tx, key, value):
    item = tx.items.edit(key) if key in tx.items else tx.items.insert(key)
    item.tag = key
    item.value = value


@probe.on("Probe")
def on_probe(tx, message):
    write(tx, message.case, message.a)
    if message.b > 0:
        tx.items.delete(message.case)
    for n in range(message.c):
        write(tx, message.case + 1, n)
    tx.set_timer(message.case, tx.now_ns + 10)


@probe.on_timer
def on_timer(tx, timer_id):
    write(tx, timer_id, -7)


@probe.invariant(Item)
def positive(tx, item):
    return item.value >= 0


@probe.invariant(Item, whole_table=True)
def total_is_small(tx, items):
    total = 0
    for item in items:
        total += item.value
    return total <= LIMIT and len(tx.items) <= 4


@probe.invariant(Item)
def dividing(tx, item):
    return 100 // (item.value - 50) != 12345
"""


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("keeping") / "probe", KEEPING)


def probe(**values: Any) -> dict[str, Any]:
    return {**PROBE, **values}


def test_both_tiers_bind_the_same_names() -> None:
    assert COMPILED_NAMES.keys() == INTERPRETED_NAMES.keys()


@pytest.mark.parametrize("tier", TIERS)
def test_invariants_judge_what_was_touched(keeping: Path, tier: Any) -> None:
    desk = simulate(keeping, tier, 0, 1)
    assert desk.send("Probe", **probe(case=1, a=5)).outcome_name == "COMMITTED"
    refused = desk.send("Probe", **probe(case=2, a=-5))
    assert (refused.outcome_name, refused.reason) == ("INVARIANT_VIOLATED(0)", "positive")
    refused = desk.send("Probe", **probe(case=2, a=96))
    assert (refused.outcome_name, refused.reason) == ("INVARIANT_VIOLATED(1)", "total_is_small")
    assert desk.send("Probe", **probe(case=2, a=50)).outcome_name == "DIVISION_BY_ZERO"
    assert desk.send("Probe", **probe(case=3, a=-5, b=1)).outcome_name == "COMMITTED"  # gone again: nothing to judge
    assert [(each.item_id, each.value) for each in desk.state.items] == [(1, 5)]


@pytest.mark.parametrize("tier", TIERS)
def test_a_timer_fires_once_and_stays_fired_when_its_handler_fails(keeping: Path, tier: Any) -> None:
    desk = simulate(keeping, tier, 0, 1)
    desk.send("Probe", **probe(case=1, a=5))
    assert desk.timers == {1: 10}
    assert desk.advance(9) == []
    assert [each.outcome_name for each in desk.advance(1)] == ["INVARIANT_VIOLATED(0)"]
    assert desk.timers == {}
    assert desk.state.items[1].value == 5


@pytest.mark.parametrize("tier", TIERS)
def test_the_budget_ends_loops_at_the_same_turn(tmp_path: Path, tier: Any) -> None:
    functions = (
        "def spin(limit):\n    turns = 0\n    while turns < limit:\n        turns += 1\n    return turns\n\n\n"
        + handler("for n in range(message.a):\n    spin(1)\ntx.emit.answer().value = spin(message.b)")
    )
    desk = simulate(write_plugin(tmp_path / "p", functions), tier, 0, 1)
    assert desk.send("Probe", **probe(a=100_000, b=800_000)).outcome_name == "COMMITTED"
    assert desk.send("Probe", **probe(a=100_000, b=800_001)).outcome_name == "BUDGET_EXHAUSTED"


def test_bad_messages_have_their_outcomes_in_both_tiers(keeping: Path) -> None:
    desks = [simulate(keeping, tier, 0, 1) for tier in TIERS]
    good = desks[0].plugin.schema.encode("Probe", probe(case=1, a=5))
    answer = desks[0].plugin.schema.image("Answer")
    bad = {
        b"": "MALFORMED_MESSAGE",
        good[:7]: "MALFORMED_MESSAGE",
        good[:-1]: "MALFORMED_MESSAGE",
        b"\1\0" + good[2:]: "MALFORMED_MESSAGE",
        b"\xff\xff" + good[2:]: "MALFORMED_MESSAGE",
        good[:4] + b"\0\0" + good[6:]: "WRONG_SCHEMA",
        good[:2] + b"\x63\0" + good[4:]: "UNKNOWN_TEMPLATE",
        answer: "NO_HANDLER",
        good + bytes(20_000): "OVERSIZE_MESSAGE",
        good + b"more": "COMMITTED",
    }
    for message, outcome in bad.items():
        entries = [desk.send_bytes(message) for desk in desks]
        assert [each.outcome_name for each in entries] == [outcome, outcome], message[:16]
        assert entries[0].digest == entries[1].digest
    assert desks[0].state_digest == desks[1].state_digest


def test_two_versions_live_side_by_side(tmp_path: Path) -> None:
    """Numba interns types by name: the second version must not write into the layout of the first."""
    old = """
        item = tx.items.insert(message.case)
        item.tag = message.case
        item.value = message.a
        tx.emit.answer().value = 1
    """
    first = write_plugin(tmp_path / "one", handler(old))
    second = write_plugin(tmp_path / "two", handler(old.replace("= 1", "= 2")))
    module = second / "probe.py"
    module.write_text(module.read_text().replace("    group: Index[u32]\n", "    group: Index[u32]\n    extra: i64\n"))
    desks = [simulate(each, tier, 0, 1) for tier in TIERS for each in (first, second)]
    for desk in [*desks, *reversed(desks)]:
        desk.send("Probe", **probe(case=desk.sequence, a=9))
    assert [[each.value for each in desk.outputs] for desk in desks] == [[1, 1], [2, 2], [1, 1], [2, 2]]
    assert all([each.value for each in desk.state.items] == [9, 9] for desk in desks)
    assert [desk.digest for desk in desks[:2]] == [desk.digest for desk in desks[2:]]


@pytest.mark.parametrize("tier", TIERS)
def test_a_fault_is_told_with_the_plugins_line(tmp_path: Path, tier: Any) -> None:
    directory = write_plugin(tmp_path / "p", handler("x = message.a + 1\ntx.reject(x // message.b)"))
    entry = simulate(directory, tier, 0, 1).send("Probe", **probe(a=1))
    assert entry.outcome_name == "DIVISION_BY_ZERO"
    line = (directory / "probe.py").read_text().splitlines().index("    tx.reject(x // message.b)") + 1
    assert entry.reason == f"DivisionByZero at probe.py:{line}"


@pytest.mark.parametrize("tier", TIERS)
def test_an_invariant_only_reads(tmp_path: Path, tier: Any) -> None:
    invariant = "def writing(tx, item):\n    tx.items.edit(item.item_id).value = 1\n    return True\n"
    functions = handler("tx.items.insert(1)") + "\n\n\n@probe.invariant(Item)\n" + invariant
    directory = write_plugin(tmp_path / "p", functions)
    if tier == "interpreted":
        assert simulate(directory, tier, 0, 1).send("Probe", **probe()).outcome_name == "READ_ONLY"
    else:
        with pytest.raises(Exception, match="an invariant only reads"):
            load_plugin(directory).dispatch("compiled")


COLD_AND_WARM = """
import sys
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin import native_dispatch
compiled = native_dispatch.NativePlugin.compile
calls = []
native_dispatch.NativePlugin.compile = lambda *a, **k: (calls.append(1), compiled(*a, **k))[1]
assert load_plugin(sys.argv[1]).dispatch("compiled").address
print(len(calls))
"""


def test_a_second_process_takes_the_compiled_plugin_from_the_cache(tmp_path: Path) -> None:
    directory = write_plugin(tmp_path / "p", handler(f"tx.reject({1 + os.getpid()})"))
    counts = []
    for _ in range(2):
        command = [sys.executable, "-c", COLD_AND_WARM, str(directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        counts.append(int(done.stdout))
    assert counts[0] > 0
    assert counts[1] == 0
