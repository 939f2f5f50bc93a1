"""Layout of a migration's program: how the records of one arena become those of another. int64s; offsets in bytes.

    0      offset of the first step

    step   one for each table that both arenas have
           +0   offset of the next step, 0 none     +8   number of the old table      +16  number of the new one
           +24  number of the function that goes over its records, -1 none
           +32  offset of its moves                 +40  number of moves
           +48 + 8 n: the old table's index on the same field as index n of the new one, -1 none
    move   one for each field, or run of fields, that is carried over
           +0   what to do: COPY, CONVERT, WANT_ZERO
           +8   place in the old row                +16  place in the new row
           +24  COPY, WANT_ZERO: size in bytes; CONVERT: kind of the old field (`words`)
           +32  CONVERT: kind of the new field      +40  CONVERT: offset of the values it may have, 0 any
    values +0   how many                            +8 + 8 n: value n

Whoever plans the migration writes it once, the kernels of `migration` read it. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.state.arena_layout import MAX_INDEXES

FIRST_STEP = 0
PROGRAM_HEADER_SIZE = 8

STEP_NEXT = 0
STEP_OLD_TABLE = 8
STEP_NEW_TABLE = 16
STEP_FUNCTION = 24
STEP_MOVES = 32
STEP_MOVE_COUNT = 40
STEP_INDEXES = 48
STEP_SIZE = STEP_INDEXES + 8 * MAX_INDEXES
NONE = -1

MOVE_OPERATION = 0
MOVE_OLD_PLACE = 8
MOVE_NEW_PLACE = 16
MOVE_SIZE = 24
MOVE_OLD_KIND = 24
MOVE_NEW_KIND = 32
MOVE_VALUES = 40
MOVE_RECORD_SIZE = 48

COPY = 1
CONVERT = 2
WANT_ZERO = 3

VALUES_COUNT = 0
VALUES_FIRST = 8

assert STEP_SIZE % 8 == 0 and MOVE_RECORD_SIZE % 8 == 0
