"""The migration itself, written once for both tiers: step by step through the program.

    int64 migrate(old_transaction, new_transaction, 0)

answers DISPATCH_OK, or the outcome (negative) that ended it. The compiled tier compiles these functions, the
interpreted one runs them as they are, each with `convert` (a migrate function over one pair of rows) and
`program_region` of its own. The kernels under them are the same, so the bytes are.

Invariant: the old arena is only read; after another answer than DISPATCH_OK the new one is worth nothing.

A crash leaves nothing.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from statevec.ipc.faults import COMMITTED
from statevec.ipc.memory import Region, region_at
from statevec.state.migration import place_rows
from statevec.state.migration_indexes import link_rows
from statevec.state.migration_layout import FIRST_STEP, STEP_FUNCTION, STEP_NEW_TABLE, STEP_NEXT, STEP_OLD_TABLE
from statevec.state.tables import first_row, next_row
from statevec.state.transaction_layout import DISPATCH_OK, TRANSACTION_SIZE


def _unbound(*arguments: Any) -> Any:
    raise NotImplementedError("bound by each tier")


convert = program_region = convert_rows = _unbound


def convert_template(old: Region, new: Region, program: Region, step: int) -> int:
    """Let the step's function go over all pairs of rows; COMMITTED or the outcome of the first that fails."""
    table = program.load_i64(step + STEP_OLD_TABLE)
    function = program.load_i64(step + STEP_FUNCTION)
    new_table = program.load_i64(step + STEP_NEW_TABLE)
    row = first_row(old, table)
    target = first_row(new, new_table)  # the records of both tables have one order
    while row != 0:
        outcome = convert(old, new, function, row, target)
        if outcome != COMMITTED:
            return int(outcome)
        row = next_row(old, table, row)
        target = next_row(new, new_table, target)
    return COMMITTED


def migrate_template(old_transaction: int, new_transaction: int, unused: int) -> int:
    """All steps; DISPATCH_OK or the outcome of the one that failed."""
    old = region_at(old_transaction, TRANSACTION_SIZE)
    new = region_at(new_transaction, TRANSACTION_SIZE)
    program = program_region(unused)
    step = program.load_i64(FIRST_STEP)
    while step != 0:
        outcome = place_rows(old, new, program, step)
        if outcome == COMMITTED and program.load_i64(step + STEP_FUNCTION) >= 0:
            outcome = convert_rows(old, new, program, step)
        if outcome == COMMITTED:
            outcome = link_rows(old, new, program, step)
        if outcome != COMMITTED:
            return int(outcome)
        step = program.load_i64(step + STEP_NEXT)
    return DISPATCH_OK


def bind(template: Callable[..., Any], bindings: dict[str, Any]) -> Any:
    """The template with `bindings` among its globals."""
    return types.FunctionType(template.__code__, {**globals(), **bindings}, template.__name__)
