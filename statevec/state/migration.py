"""Records of one arena into another, freshly formatted one: rows, fields and free list, table by table.

Of each step of a program (`migration_layout`), in this order: `place_rows`; a function of the plugin over each pair of
rows, if the step has one; `link_rows` (`migration_indexes`).

Invariants
    The old arena is only read. The new one is worth something only when every kernel answered COMMITTED.
    A record keeps its version and the sequence that last changed it. Where the new table has room for every row that
    was ever used, it keeps its row number too, and the free list its order; where it has not, rows move together in
    row order and nothing is free between them.

While a table is migrated to fewer rows, a new row's mark "touched" holds the link of its old row: so the way from old
to new needs no other memory.

The private memory of one process; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.faults import CAPACITY_EXHAUSTED, COMMITTED, PLUGIN_FAULT, VALUE_OUT_OF_RANGE
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    DIRECTORY,
    INDEX_CHAIN,
    LINK_SHIFT,
    ROW_NUMBER_SHIFT,
    ROW_STATUS,
    ROW_TOUCHED,
    TABLE_CAPACITY,
    TABLE_FREE_HEAD,
    TABLE_INDEXES,
    TABLE_NEVER_USED,
    TABLE_ROW_COUNT,
    TABLE_ROW_RECIPROCAL,
    TABLE_ROW_SIZE,
    TABLE_ROWS,
    TABLE_SIZE,
    USED,
)
from statevec.state.migration_layout import (
    COPY,
    MOVE_NEW_KIND,
    MOVE_NEW_PLACE,
    MOVE_OLD_KIND,
    MOVE_OLD_PLACE,
    MOVE_OPERATION,
    MOVE_RECORD_SIZE,
    MOVE_SIZE,
    MOVE_VALUES,
    STEP_MOVE_COUNT,
    STEP_MOVES,
    STEP_NEW_TABLE,
    STEP_OLD_TABLE,
    VALUES_COUNT,
    VALUES_FIRST,
    WANT_ZERO,
)
from statevec.state.undo import arena_of, load_link, store_own_link
from statevec.state.words import U64, fits, load_word, store_word


@kernel
def row_number(arena: Region, description: int, row: int) -> int:
    """Number of a row, or of the end of the rows, counted from 0."""
    distance = row - arena.load_i64(description + TABLE_ROWS)
    return (distance >> 3) * arena.load_i64(description + TABLE_ROW_RECIPROCAL) >> ROW_NUMBER_SHIFT


@kernel
def keeps_numbers(old: Region, new: Region, old_table: int, new_table: int) -> bool:
    """Whether rows keep their numbers: the new table can hold every row of the old one that was ever used."""
    before = DIRECTORY + old_table * TABLE_SIZE
    used = row_number(old, before, old.load_i64(before + TABLE_NEVER_USED))
    return used <= new.load_i64(DIRECTORY + new_table * TABLE_SIZE + TABLE_CAPACITY)


@kernel
def _is_allowed(program: Region, values: int, word: int) -> bool:
    count = program.load_i64(values + VALUES_COUNT)
    found = False
    for number in range(count):
        found = found or program.load_i64(values + VALUES_FIRST + 8 * number) == word
    return found


@kernel
def _convert(old: Region, new: Region, program: Region, move: int, old_row: int, new_row: int) -> int:
    """Carry an integer into a field of another kind; COMMITTED or VALUE_OUT_OF_RANGE."""
    old_kind = program.load_i64(move + MOVE_OLD_KIND)
    new_kind = program.load_i64(move + MOVE_NEW_KIND)
    word = load_word(old, old_row + program.load_i64(move + MOVE_OLD_PLACE), old_kind)
    if not fits(new_kind, word) or (word < 0 and (old_kind == U64) != (new_kind == U64)):
        return VALUE_OUT_OF_RANGE
    values = program.load_i64(move + MOVE_VALUES)
    if values != 0 and not _is_allowed(program, values, word):
        return VALUE_OUT_OF_RANGE
    store_word(new, new_row + program.load_i64(move + MOVE_NEW_PLACE), new_kind, word)
    return COMMITTED


@kernel
def _carry(old: Region, new: Region, program: Region, step: int, old_row: int, new_row: int) -> int:
    """Carry the fields of one record over; COMMITTED or VALUE_OUT_OF_RANGE."""
    move = program.load_i64(step + STEP_MOVES)
    end = move + program.load_i64(step + STEP_MOVE_COUNT) * MOVE_RECORD_SIZE
    while move < end:
        operation = program.load_i64(move + MOVE_OPERATION)
        place = old_row + program.load_i64(move + MOVE_OLD_PLACE)
        if operation == COPY:
            target = new_row + program.load_i64(move + MOVE_NEW_PLACE)
            new.copy_from(target, old, place, program.load_i64(move + MOVE_SIZE))
        elif operation == WANT_ZERO:
            for offset in range(program.load_i64(move + MOVE_SIZE)):
                if old.load_u8(place + offset) != 0:
                    return VALUE_OUT_OF_RANGE
        else:
            outcome = _convert(old, new, program, move, old_row, new_row)
            if outcome != COMMITTED:
                return outcome
        move += MOVE_RECORD_SIZE
    return COMMITTED


@kernel
def _copy_free_list(old: Region, new: Region, before: int, after: int) -> None:
    """Free rows keep their numbers and their order; the list is as long as there are free rows at most."""
    chain_before = old.load_i64(before + TABLE_INDEXES + INDEX_CHAIN)
    chain_after = new.load_i64(after + TABLE_INDEXES + INDEX_CHAIN)
    rows = new.load_i64(after + TABLE_ROWS)
    size = new.load_i64(after + TABLE_ROW_SIZE)
    row = old.load_i64(before + TABLE_FREE_HEAD)
    last = 0
    while row != 0:
        target = rows + row_number(old, before, row) * size
        if last == 0:
            new.store_i64(after + TABLE_FREE_HEAD, target)
        else:
            store_own_link(new, last + chain_after, target)
        last = target
        row = load_link(old, row + chain_before)


@kernel
def place_rows(old_tx: Region, new_tx: Region, program: Region, step: int) -> int:
    """Put the records of a step's table into the new arena, with the fields that are carried over, in no index yet.

    COMMITTED, VALUE_OUT_OF_RANGE, CAPACITY_EXHAUSTED, or PLUGIN_FAULT when the new table is not empty.
    """
    old = arena_of(old_tx)
    new = arena_of(new_tx)
    old_table = program.load_i64(step + STEP_OLD_TABLE)
    new_table = program.load_i64(step + STEP_NEW_TABLE)
    before = DIRECTORY + old_table * TABLE_SIZE
    after = DIRECTORY + new_table * TABLE_SIZE
    target = new.load_i64(after + TABLE_ROWS)
    if new.load_i64(after + TABLE_NEVER_USED) != target:
        return PLUGIN_FAULT
    count = old.load_i64(before + TABLE_ROW_COUNT)
    keeps = keeps_numbers(old, new, old_table, new_table)
    if not keeps and count > new.load_i64(after + TABLE_CAPACITY):
        return CAPACITY_EXHAUSTED
    old_size = old.load_i64(before + TABLE_ROW_SIZE)
    new_size = new.load_i64(after + TABLE_ROW_SIZE)
    row = old.load_i64(before + TABLE_ROWS)
    end = old.load_i64(before + TABLE_NEVER_USED)
    while row < end:
        used = old.load_i32(row + ROW_STATUS) == USED
        if used:
            new.copy_from(target, old, row, ROW_TOUCHED)
            if not keeps:
                new.store_i32(target + ROW_TOUCHED, row >> LINK_SHIFT)
            outcome = _carry(old, new, program, step, row, target)
            if outcome != COMMITTED:
                return outcome
        if used or keeps:
            target += new_size
        row += old_size
    new.store_i64(after + TABLE_NEVER_USED, target)
    new.store_i64(after + TABLE_ROW_COUNT, count)
    if keeps:
        _copy_free_list(old, new, before, after)
    return COMMITTED


@kernel
def new_row_of(old: Region, new: Region, before: int, after: int, keeps: bool, row: int) -> int:
    """The new row of a record that was placed; 0 for row 0. `before` and `after` are the tables' descriptions.

    Who goes over all records needs no search: those of the new table have the order of the old one.
    """
    if row == 0:
        return 0
    rows = new.load_i64(after + TABLE_ROWS)
    size = new.load_i64(after + TABLE_ROW_SIZE)
    if keeps:
        return rows + row_number(old, before, row) * size
    low = 0
    high = new.load_i64(after + TABLE_ROW_COUNT)
    while high - low > 1:
        middle = (low + high) >> 1
        if load_link(new, rows + middle * size + ROW_TOUCHED) <= row:
            low = middle
        else:
            high = middle
    return rows + low * size
