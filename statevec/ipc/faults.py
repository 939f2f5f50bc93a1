"""The engine's outcomes by number and name, and the one way to raise a fault in either tier.

An *outcome* is what an entry says of its transaction: 0 committed, a positive number is the plugin's own rejection,
a negative one is the engine's and stands here. A *fault* is an outcome raised while a handler runs.

`fault_if(condition, CODE)` raises in both tiers. Compiled, it leaves each frame with status `FAULT_STATUS - CODE`,
so that the guard around a handler knows the outcome from one comparison and nothing is allocated; as plain Python it
raises the `Fault` subclass of that code. Called from Python, compiled code raises the same subclass.

Invariant: numbers are part of the journal's format. They are never reused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

COMMITTED = 0
MALFORMED_MESSAGE = -1
UNKNOWN_TEMPLATE = -2
WRONG_SCHEMA = -3
OVERSIZE_MESSAGE = -4
CAPACITY_EXHAUSTED = -5
ARITHMETIC_OVERFLOW = -6
DIVISION_BY_ZERO = -7
VALUE_OUT_OF_RANGE = -8
MISSING_KEY = -9
DUPLICATE_KEY = -10
ITERATION_MODIFIED = -11
BUDGET_EXHAUSTED = -12
PLUGIN_FAULT = -13
NO_HANDLER = -14
POISONED = -15
DUPLICATE_INPUT = -16
READ_ONLY = -17
INVARIANT_VIOLATED = -1000
"""Invariant number n (in the order of their declaration) gives `INVARIANT_VIOLATED - n`."""

FAULT_STATUS = 100_000
"""Numba status of a fault is `FAULT_STATUS - outcome`; an ordinary exception has status 1."""


class Fault(Exception):  # noqa: N818  # "fault" is the architecture's word for it
    """A transaction can't go on. `outcome` is the number its entry gets."""

    outcome = PLUGIN_FAULT


FAULTS: dict[int, type[Fault]] = {}


def _define(outcome: int, name: str, text: str) -> type[Fault]:
    made = type(name, (Fault,), {"outcome": outcome, "__doc__": text, "__module__": __name__})
    FAULTS[outcome] = made
    return made


MalformedMessage = _define(MALFORMED_MESSAGE, "MalformedMessage", "The bytes are not a message of the schema.")
UnknownTemplate = _define(UNKNOWN_TEMPLATE, "UnknownTemplate", "The schema has no message with that template id.")
WrongSchema = _define(WRONG_SCHEMA, "WrongSchema", "The header names another schema.")
OversizeMessage = _define(OVERSIZE_MESSAGE, "OversizeMessage", "Longer than MAX_INPUT.")
CapacityExhausted = _define(CAPACITY_EXHAUSTED, "CapacityExhausted", "A table, the undo memory or the entry is full.")
ArithmeticOverflow = _define(ARITHMETIC_OVERFLOW, "ArithmeticOverflow", "Outside signed 64 bits.")
DivisionByZero = _define(DIVISION_BY_ZERO, "DivisionByZero", "Divisor is zero.")
ValueOutOfRange = _define(VALUE_OUT_OF_RANGE, "ValueOutOfRange", "The field's type does not hold the value.")
MissingKey = _define(MISSING_KEY, "MissingKey", "No record has that key.")
DuplicateKey = _define(DUPLICATE_KEY, "DuplicateKey", "A record with that key, or unique value, exists.")
IterationModified = _define(ITERATION_MODIFIED, "IterationModified", "An index changed while it was iterated.")
BudgetExhausted = _define(BUDGET_EXHAUSTED, "BudgetExhausted", "The handler ran more loop turns than allowed.")
ReadOnly = _define(READ_ONLY, "ReadOnly", "Assigned to what was only read, or to a closed part of an output.")

OUTCOME_NAMES: dict[int, str] = {
    value: name
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int) and value <= 0 and name != "FAULT_STATUS"
}


def outcome_name(outcome: int) -> str:
    """A name for an outcome, such as `COMMITTED`, `REJECTED(3)`, `MISSING_KEY`, `INVARIANT_VIOLATED(0)`."""
    if outcome > 0:
        return f"REJECTED({outcome})"
    if outcome <= INVARIANT_VIOLATED:
        return f"INVARIANT_VIOLATED({INVARIANT_VIOLATED - outcome})"
    return OUTCOME_NAMES.get(outcome, f"UNKNOWN({outcome})")


OUTCOME_TEXTS: dict[int, str] = {
    **{outcome: str(fault.__doc__) for outcome, fault in FAULTS.items()},
    PLUGIN_FAULT: "The handler raised an error of its own: assert, raise, or None where a value must be.",
    NO_HANDLER: "The plugin has no handler for this message, or for timers.",
    POISONED: "Running it ended the engine's process again and again, so it was not run any more.",
    DUPLICATE_INPUT: "The producer sent a sequence that was there already.",
}
"""What each of the engine's outcomes means, in a sentence."""


def reason_of(outcome: int, rejections: Mapping[int, str], invariants: Sequence[str]) -> str:
    """Why a transaction was not committed: its rejection's text, its invariant's name, or the outcome in a sentence.

    `rejections` (by code) and `invariants` (by number) are the plugin's; the text is empty where they do not know.
    """
    if outcome > 0:
        return rejections.get(outcome, "")
    if outcome <= INVARIANT_VIOLATED:
        number = INVARIANT_VIOLATED - outcome
        return invariants[number] if number < len(invariants) else ""
    return OUTCOME_TEXTS.get(outcome, "")


def fault_if(condition: bool, outcome: int) -> None:
    """Raise the fault of `outcome` (a constant of this module) if `condition` holds."""
    if condition:
        raise FAULTS[outcome]


@intrinsic(prefer_literal=True)
def _fault_if(typing_context: Any, condition: Any, outcome: Any) -> Any:
    number = outcome.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with cgutils.if_unlikely(builder, args[0]):
            convention = context.call_conv
            convention.set_static_user_exc(builder, FAULTS[number], ())
            convention._return_errcode_raw(builder, ir.IntType(32)(FAULT_STATUS - number))
        return context.get_dummy_value()

    return types.void(types.boolean, outcome), codegen


@overload(fault_if, prefer_literal=True)
def _fault_if_overload(condition, outcome):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    return lambda condition, outcome: _fault_if(condition, outcome)
