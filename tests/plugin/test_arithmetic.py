"""Checked arithmetic: the same results and faults as machine code, as plain Python, and as mathematics says."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from typing import Any

import pytest
from numba import njit

from statevec.engine.plugin.arithmetic import FUNCTIONS, MAXIMUM, MINIMUM
from statevec.engine.plugin.native_arithmetic import COMPILED
from statevec.ipc.faults import ArithmeticOverflow, DivisionByZero, Fault

INTEGERS = (0, 1, -1, 2, 3, -2, 5, 7, 62, 63, 64, 65, 2**31, 2**53 + 1, -(2**62), 3_037_000_500, MAXIMUM, MINIMUM)
FLOATS = (0.0, -0.0, 1.5, 2.5, -0.5, 1e300, float("inf"), float("nan"), 2.0**63, -(2.0**63), 0.49999999999999994)
NAMES = sorted(FUNCTIONS.keys() - {"checked_range", "within"})


def outcome_of(function: Callable[..., Any], *values: Any) -> Any:
    """The result, bit for bit, or the name of the fault."""
    try:
        result = function(*values)
    except Fault as fault:
        return type(fault).__name__
    if isinstance(result, float):
        return "nan" if result != result else struct.pack("<d", result)
    return int(result)


def takes_floats(name: str) -> bool:
    try:
        FUNCTIONS[name](*[1.5] * FUNCTIONS[name].__code__.co_argcount)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_machine_code_and_python_agree(name: str) -> None:
    plain = FUNCTIONS[name]
    count = plain.__code__.co_argcount
    scope: dict[str, Any] = {"operation": COMPILED[name]}
    exec(f"def call({', '.join('ab'[:count])}): return operation({', '.join('ab'[:count])})", scope)
    compiled = njit(scope["call"], _nrt=False)
    kinds = (INTEGERS, FLOATS) if takes_floats(name) else (INTEGERS,)
    for choice in itertools.product(kinds, repeat=count):
        for values in itertools.product(*choice):
            assert outcome_of(plain, *values) == outcome_of(compiled, *values), (name, values)


def test_results_are_those_of_mathematics_or_overflow() -> None:
    for a, b in itertools.product(INTEGERS, repeat=2):
        for name, exact in (("add", a + b), ("subtract", a - b), ("multiply", a * b)):
            expected = exact if MINIMUM <= exact <= MAXIMUM else "ArithmeticOverflow"
            assert outcome_of(FUNCTIONS[name], a, b) == expected


@pytest.mark.parametrize("name", ["floor_divide", "modulo", "true_divide"])
def test_a_zero_divisor_is_a_fault(name: str) -> None:
    with pytest.raises(DivisionByZero):
        FUNCTIONS[name](1, 0)


def test_a_range_beyond_64_bits_is_a_fault() -> None:
    with pytest.raises(ArithmeticOverflow):
        FUNCTIONS["checked_range"](MINIMUM, MAXIMUM, 1)
    with pytest.raises(DivisionByZero):
        FUNCTIONS["checked_range"](0, 5, 0)


def test_huge_shifts_and_powers_end_at_once() -> None:
    assert outcome_of(FUNCTIONS["shift_left"], 1, MAXIMUM) == "ArithmeticOverflow"
    assert outcome_of(FUNCTIONS["power"], 3, MAXIMUM) == "ArithmeticOverflow"
    assert outcome_of(FUNCTIONS["power"], -1, MAXIMUM) == -1
    assert outcome_of(FUNCTIONS["shift_right"], -5, MAXIMUM) == -1
