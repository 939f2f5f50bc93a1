"""Random expressions and random handlers give the same bytes in both tiers. A failure prints its seed.

The programs come from fixed seeds, so that their machine code is taken from the cache; STATEVEC_SEED tries another.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from statevec.engine.plugin.simulate import simulate
from tests.plugin.writing import EXTREMES, PROBE, handler, write_plugin

SEED = int(os.environ.get("STATEVEC_SEED", "1"))
BINARY = ("+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^", "**")
COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")


def integer(dice: random.Random, depth: int) -> str:
    """A random expression that is an integer, if it is not a fault."""
    if depth == 0:
        return dice.choice(("message.a", "message.b", "message.c", "n", str(dice.choice((0, 1, 2, 3, 7, 63, 2**40)))))
    kind = dice.randrange(8)
    first = integer(dice, depth - 1)
    if kind == 0:
        return f"{dice.choice(('-', '~'))}({first})"
    if kind == 1:
        return f"{dice.choice(('min', 'max'))}({first}, {integer(dice, depth - 1)})"
    if kind == 2:
        return f"abs({first})"
    if kind == 3:
        return f"({first} if {truth(dice, depth - 1)} else {integer(dice, depth - 1)})"
    operator = dice.choice(BINARY[:-1] if depth > 1 else BINARY)
    return f"({first} {operator} {integer(dice, depth - 1)})"


def number(dice: random.Random, depth: int) -> str:
    """A random expression that is a float, if it is not a fault."""
    if depth == 0:
        return dice.choice(("message.x", "message.y", "0.1", "float(message.a)", "2.5"))
    kind = dice.randrange(6)
    first, second = number(dice, depth - 1), number(dice, depth - 1)
    if kind == 0:
        return f"(-{first})"
    if kind == 1:
        return f"({integer(dice, 0)} / {second})"
    if kind == 2:
        return f"({first} + {integer(dice, 0)})"
    return f"({first} {dice.choice('+-*/')} {second})"


def truth(dice: random.Random, depth: int) -> str:
    return f"{integer(dice, depth)} {dice.choice(COMPARISONS)} {integer(dice, depth)}"


def program(dice: random.Random) -> str:
    """Random statements over table, locals and outputs."""
    lines = ["n = 1", "for item in tx.items:", "    n = n + item.value % 1000"]
    for _ in range(6):
        key = f"({integer(dice, 1)}) % 6"
        value = integer(dice, 1)
        lines += dice.choice(
            (
                [f"put(tx, {key}, {value})"],
                [f"if {key} in tx.items:", f"    tx.items.delete({key})"],
                [f"for item in tx.items.where(group={key}):", "    n = (n + item.item_id) % 97"],
                [f"for item in tx.items.descending(rank={value}):", "    n = (n * 3 + item.rank) % 89"],
                [f"tx.emit.answer().value = {value}"],
                [f"tx.set_timer({key}, tx.now_ns + abs({value}) % 50)"],
                [f"if {truth(dice, 1)}:", "    tx.reject(NO)"],
                [f"for item in tx.items.where(group={key}):", "    tx.items.edit(item.item_id).group = n % 3"],
            )
        )
    return "\n".join(lines)


PUT = """
def put(tx, key, value):
    item = tx.items.edit(key) if key in tx.items else tx.items.insert(key)
    item.value = value
    item.tag = key
    item.group = value % 3
    item.rank = value % 10


@probe.on_timer
def on_timer(tx, timer_id):
    put(tx, timer_id, tx.now_ns % 1000)


"""


def arms(bodies: list[str]) -> str:
    lines = ["n = message.case", "match message.case:"]
    for place, body in enumerate(bodies):
        lines += [f"    case {place}:", *(f"        {line}" for line in body.split("\n"))]
    return "\n".join(lines)


def compare(directory: Path, dice: random.Random, count: int, cases: int, floats: bool) -> set[str]:
    """Send the same random messages to both tiers; the outcomes that came up."""
    engines = [simulate(directory, tier, 0, 1) for tier in ("compiled", "interpreted")]
    outcomes = set()
    for _ in range(count):
        values = {**PROBE, "case": dice.randrange(cases)}
        values |= {name: dice.choice(EXTREMES) if dice.random() < 0.5 else dice.randrange(-50, 50) for name in "abc"}
        if floats:
            values |= {name: dice.choice((0.0, -0.5, 1e300, 3.25, float("inf"), 2.0**53)) for name in "xy"}
        step = dice.randrange(20)
        told = []
        for engine in engines:
            engine.advance(step)
            entry = engine.send("Probe", **values)
            told.append((entry.outcome_name, engine.digest))
        assert told[0] == told[1], f"STATEVEC_SEED={SEED} values={values} entry={entry}"
        outcomes.add(entry.outcome_name)
    assert engines[0].state_digest == engines[1].state_digest, f"STATEVEC_SEED={SEED}"
    return outcomes


def test_random_expressions_give_the_same_bytes(tmp_path: Path) -> None:
    print(f"STATEVEC_SEED={SEED}")
    dice = random.Random(SEED)
    bodies = [f"tx.emit.answer().value = {integer(dice, 3)}" for _ in range(20)]
    directory = write_plugin(tmp_path / "probe", handler(arms(bodies)))
    outcomes = compare(directory, dice, 600, len(bodies), floats=False)
    assert {"COMMITTED", "ARITHMETIC_OVERFLOW", "DIVISION_BY_ZERO"} <= outcomes


def test_random_float_expressions_give_the_same_bytes(tmp_path: Path) -> None:
    print(f"STATEVEC_SEED={SEED}")
    dice = random.Random(SEED)
    bodies = []
    for _ in range(8):
        left, right = number(dice, 2), dice.choice((number(dice, 1), integer(dice, 0)))
        bodies.append(f"tx.emit.answer().value = round({left})")
        bodies.append(f"if {left} {dice.choice(COMPARISONS)} {right}:\n    tx.emit.answer().value = int({left})")
    directory = write_plugin(tmp_path / "probe", handler(arms(bodies)), floats=True)
    assert "COMMITTED" in compare(directory, dice, 400, len(bodies), floats=True)


@pytest.mark.parametrize("round_", [1, 2])
def test_random_handlers_give_the_same_bytes(tmp_path: Path, round_: int) -> None:
    print(f"STATEVEC_SEED={SEED} round={round_}")
    dice = random.Random(SEED * 1000 + round_)
    bodies = [program(dice) for _ in range(5)]
    directory = write_plugin(tmp_path / "probe", PUT.lstrip("\n") + handler(arms(bodies)))
    assert "COMMITTED" in compare(directory, dice, 300, len(bodies), floats=False)
