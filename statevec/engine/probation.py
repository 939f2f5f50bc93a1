"""Probation: counting what a new version does in its first entries, and saying when it went beyond a limit.

The limits come with the cutover entry; they and the counts stand in the engine's `clock` row, so that every follower
has them and a new leader goes on counting. Only entries that run a handler count:

    faults        the engine's outcomes of a handler that went wrong (capacity, arithmetic, keys, budget, exceptions)
    rejections    the plugin's own
    violations    of its invariants

What was wrong with the input (malformed, unknown, oversize) counts as nothing.

Invariant: a function of the entries alone. The loop cuts back at the next entry after the flag is set; a follower sees
the flag too and does nothing: the cutover entry is in the log.
"""

from __future__ import annotations

from statevec.engine import engine_state as state
from statevec.engine import execution_layout as execution
from statevec.engine.engine_state import CLOCK_ROW_AT, arena_of
from statevec.ipc.faults import CAPACITY_EXHAUSTED, INVARIANT_VIOLATED, PLUGIN_FAULT, READ_ONLY
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries


@kernel
def begin_probation(tx: Region, block: Region, message: Region) -> None:
    """Take the limits of a cutover's `message` over; no entries on probation end an earlier one."""
    arena = arena_of(tx)
    row = arena.load_i64(CLOCK_ROW_AT)
    arena.store_i64(row + state.PROBATION_LEFT, message.load_i64(admin.CUTOVER_PROBATION))
    for number in range(3):
        limit = message.load_i64(admin.CUTOVER_PROBATION + 8 + 8 * number)
        arena.store_i64(row + state.PROBATION_MAX_FAULTS + 8 * number, limit)
        arena.store_i64(row + state.PROBATION_FAULTS + 8 * number, 0)
    block.store_i64(execution.PROBATION_FAILED, 0)


@kernel
def _count(arena: Region, count: int, limit: int) -> bool:
    """Add one; whether that is beyond the limit."""
    value = arena.load_i64(count) + 1
    arena.store_i64(count, value)
    most = arena.load_i64(limit)
    return most >= 0 and value > most


@kernel
def watch_probation(tx: Region, block: Region, kind: int, outcome: int) -> None:
    """Count an entry that was just run, while there is a probation."""
    arena = arena_of(tx)
    row = arena.load_i64(CLOCK_ROW_AT)
    left = arena.load_i64(row + state.PROBATION_LEFT)
    if left == 0 or (kind != entries.COMMAND and kind != entries.TIMER):
        return
    arena.store_i64(row + state.PROBATION_LEFT, left - 1)
    failed = False
    if outcome > 0:
        failed = _count(arena, row + state.PROBATION_REJECTIONS, row + state.PROBATION_MAX_REJECTIONS)
    elif outcome <= INVARIANT_VIOLATED:
        failed = _count(arena, row + state.PROBATION_VIOLATIONS, row + state.PROBATION_MAX_VIOLATIONS)
    elif PLUGIN_FAULT <= outcome <= CAPACITY_EXHAUSTED or outcome == READ_ONLY:
        failed = _count(arena, row + state.PROBATION_FAULTS, row + state.PROBATION_MAX_FAULTS)
    if failed:
        block.store_i64(execution.PROBATION_FAILED, 1)


assert state.PROBATION_MAX_VIOLATIONS == state.PROBATION_MAX_FAULTS + 16
assert state.PROBATION_VIOLATIONS == state.PROBATION_FAULTS + 16
