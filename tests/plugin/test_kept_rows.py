"""Rows that a handler keeps, and keys of an enum: the same fault in both tiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.simulate import simulate
from tests.plugin.writing import HEAD, PROBE, handler, write_plugin

TIERS = ("compiled", "interpreted")
ROWS = """
def add(tx, key):
    item = tx.items.insert(key)
    item.group = 5
    item.rank = key
    item.tag = key


@probe.on("Probe")
def on_probe(tx, message):
    add(tx, 1)
    in_group = tx.items.where(group=5)
    upwards = tx.items.ascending(rank=0)
    if message.a == 1:
        add(tx, 2)
    if message.a == 2:
        tx.items.delete(1)
    for item in in_group:
        tx.emit.answer().value = item.rank
    for item in upwards:
        tx.emit.answer().value = item.rank
"""
BOOKS = """
@probe.record(capacity=4)
class Book:
    side: Key[Side]
    best: i64


"""


@pytest.mark.parametrize("tier", TIERS)
def test_rows_that_are_kept_belong_to_the_table_as_it_was(tmp_path: Path, tier: Any) -> None:
    desk = simulate(write_plugin(tmp_path / "probe", ROWS), tier, 0, 1)
    for change in (1, 2):
        assert desk.send("Probe", **PROBE | {"a": change}).outcome_name == "ITERATION_MODIFIED"
    assert [each.value for each in desk.send("Probe", **PROBE).outputs] == [1, 1]


@pytest.mark.parametrize("tier", TIERS)
def test_an_enum_as_key_takes_the_numbers_that_it_lists(tmp_path: Path, tier: Any) -> None:
    functions = handler("tx.books.insert(message.a).best = 3")
    desk = simulate(write_plugin(tmp_path / "probe", functions, head=HEAD + BOOKS.lstrip("\n")), tier, 0, 1)
    outcomes = [desk.send("Probe", **PROBE | {"a": number}).outcome_name for number in (0, 1, 2, 3, -1)]
    assert outcomes == ["VALUE_OUT_OF_RANGE", "COMMITTED", "COMMITTED", "VALUE_OUT_OF_RANGE", "VALUE_OUT_OF_RANGE"]
    assert [each.side for each in desk.state.books] == [1, 2]
