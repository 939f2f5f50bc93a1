"""The program of a migration (`state/migration_layout`): from steps to bytes.

Nothing here keeps state.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from statevec.engine.plugin.migration_tables import TableStep
from statevec.state import migration_layout as layout
from statevec.state.arena_layout import MAX_INDEXES

WORD = 8


def assemble(steps: Sequence[TableStep]) -> bytes:
    """The program that does `steps`, one after the other; its functions are numbered in the order of the steps."""
    words = [layout.PROGRAM_HEADER_SIZE if steps else 0]
    function = 0
    for step in steps:
        number = layout.NONE
        if step.function is not None:
            number, function = function, function + 1
        made = _step_words(step, number, WORD * len(words))
        if step is not steps[-1]:
            made[layout.STEP_NEXT // WORD] = WORD * (len(words) + len(made))
        words += made
    return struct.pack(f"<{len(words)}q", *words)


def _step_words(step: TableStep, function: int, at: int) -> list[int]:
    """A step that begins at `at`, as the last one; its moves and their values follow it."""
    moves_at = at + layout.STEP_SIZE
    indexes = [*step.indexes, *([layout.NONE] * (MAX_INDEXES - len(step.indexes)))]
    words = [0, step.old.number, step.new.number, function, moves_at, len(step.moves), *indexes]
    values_at = moves_at + layout.MOVE_RECORD_SIZE * len(step.moves)
    values: list[int] = []
    for move in step.moves:
        place = values_at + WORD * len(values) if move.values else 0
        words += [move.operation, move.old_place, move.new_place, move.third, move.fourth, place]
        values += [len(move.values), *move.values] if move.values else []
    return words + values
