"""The life of a transaction: begin, savepoint, commit with its delta (or a preview of it), rollback.

Invariants
    Between transactions no row is touched, the undo memory and the touched list are empty.
    Rollback restores every byte of the arena as it was at `begin`, or at `savepoint` where there was one.
    A record's version grows by one in each committed transaction that really changed it, and nowhere else. Deleting a
    record ends it: what is inserted afterwards is another one, of version 1, under the same key too.
    `commit` answers, it does not raise: the loop that calls it has no guard.

One process writes, in private memory and in the entry that it builds. A crash leaves nothing of it.
"""

from __future__ import annotations

from statevec.ipc.faults import CAPACITY_EXHAUSTED, COMMITTED, DUPLICATE_KEY, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    DIRECTORY,
    FREE,
    IN_DELTA,
    INDEX_KIND,
    ROW_HEADER_SIZE,
    ROW_LAST_CHANGED,
    ROW_NUMBER_SHIFT,
    ROW_STATUS,
    ROW_TOUCHED,
    ROW_VERSION,
    TABLE_FIELDS_SIZE,
    TABLE_FLAGS,
    TABLE_INDEX_BITS,
    TABLE_INDEX_COUNT,
    TABLE_ROW_RECIPROCAL,
    TABLE_ROWS,
    TABLE_SIZE,
    UNIQUE,
    USED,
)
from statevec.state.delta_layout import (
    DELETED,
    DELTA_IMAGE,
    DELTA_OPERATION,
    DELTA_PREVIOUS_SEQUENCE,
    DELTA_RECORD_LENGTH,
    DELTA_ROW,
    DELTA_TABLE,
    DELTA_VERSION,
    INSERTED,
    UPDATED,
)
from statevec.state.index_hash import hash_find, index_word
from statevec.state.indexes import index_at, link_row, linked_at
from statevec.state.transaction_layout import (
    DELETIONS,
    FAULT_INFORMATION,
    INSERTIONS,
    OUTCOME,
    OUTPUT_COUNT,
    OUTPUT_USED,
    REJECT_CODE,
    SEQUENCE,
    SPACE_EXHAUSTED,
    TOUCHED_COUNT,
    TOUCHED_DELETED,
    TOUCHED_ENTRY_SIZE,
    TOUCHED_IMAGE,
    TOUCHED_ROW,
    TOUCHED_TABLE,
    UNDO_USED,
)
from statevec.state.undo import arena_of, touched_of, undo_all, undo_of

NO_DELTA = -1
"""As the end of the space: write no delta at all."""


@kernel
def _forget(tx: Region) -> None:
    """Nothing is touched, nothing to undo."""
    tx.store_i64(UNDO_USED, 0)
    tx.store_i64(TOUCHED_COUNT, 0)
    tx.store_i64(INSERTIONS, 0)
    tx.store_i64(DELETIONS, 0)


@kernel
def begin(tx: Region) -> None:
    """Clear the block for the next transaction."""
    _forget(tx)
    tx.store_i64(OUTPUT_USED, 0)
    tx.store_i64(OUTPUT_COUNT, 0)
    tx.store_i64(REJECT_CODE, 0)
    tx.store_i64(OUTCOME, 0)
    tx.store_i64(FAULT_INFORMATION, 0)


@kernel
def rollback(tx: Region) -> None:
    """Restore the arena as it was at `begin`, or at `savepoint`."""
    undo_all(tx)
    _forget(tx)


@kernel
def _link_fields(tx: Region, arena: Region, table: int, row: int, bits: int) -> int:
    """Enter a row into the indexes that it is not in (`bits` says in which it is); COMMITTED or DUPLICATE_KEY."""
    for number in range(1, arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_INDEX_COUNT)):
        if (bits >> number) & 1 == 0:
            index = index_at(table, number)
            value = index_word(arena, index, row)
            if arena.load_i64(index + INDEX_KIND) == UNIQUE and hash_find(arena, index, value) != 0:
                return DUPLICATE_KEY
            link_row(tx, arena, index, row, value)
            arena.store_i32(linked_at(arena, table, row), arena.load_i32(linked_at(arena, table, row)) | 1 << number)
    return COMMITTED


@kernel
def link_inserted(tx: Region) -> int:
    """Enter new rows into the indexes whose fields were never assigned; COMMITTED or DUPLICATE_KEY."""
    arena = arena_of(tx)
    touched = touched_of(tx)
    for number in range(tx.load_i64(TOUCHED_COUNT)):
        row = touched.load_i64(number * TOUCHED_ENTRY_SIZE + TOUCHED_ROW)
        if arena.load_i32(row + ROW_STATUS) == USED:
            table = touched.load_i64(number * TOUCHED_ENTRY_SIZE + TOUCHED_TABLE)
            bits = arena.load_i32(linked_at(arena, table, row))
            if bits != arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_INDEX_BITS):
                outcome = _link_fields(tx, arena, table, row, bits)
                if outcome != COMMITTED:
                    return outcome
    return COMMITTED


@kernel
def _try_link_inserted(tx: Region) -> int:
    """As `link_inserted`, and CAPACITY_EXHAUSTED as an answer instead of a fault: what else could be raised there."""
    try:
        return link_inserted(tx)
    except Exception:
        return CAPACITY_EXHAUSTED


@kernel
def _write_header(entry: Region, place: int, length: int, table: int, number: int, operation: int) -> None:
    entry.store_i32(place + DELTA_RECORD_LENGTH, length)
    entry.store_i32(place + DELTA_TABLE, table)
    entry.store_i32(place + DELTA_ROW, number)
    entry.store_i32(place + DELTA_OPERATION, operation)


@kernel
def _row_number(arena: Region, description: int, row: int) -> int:
    distance = (row - arena.load_i64(description + TABLE_ROWS)) >> 3
    return (distance * arena.load_i64(description + TABLE_ROW_RECIPROCAL)) >> ROW_NUMBER_SHIFT


@kernel
def _same_fields(arena: Region, fields: int, undo: Region, image: int, size: int) -> bool:
    # Words as they were stored: a wider load would wait until the handler's stores have left the store buffer.
    place = 0
    while place < size and arena.load_i64(fields + place) == undo.load_i64(image + place):
        place += 8
    return place >= size


@kernel
def _write_deletions(tx: Region, entry: Region, place: int, end: int) -> int:
    """Delta records of the records that were there at the beginning and were deleted; where they end, or -1."""
    arena = arena_of(tx)
    touched = touched_of(tx)
    undo = undo_of(tx)
    for number in range(tx.load_i64(TOUCHED_COUNT)):
        each = number * TOUCHED_ENTRY_SIZE
        table = touched.load_i64(each + TOUCHED_TABLE)
        image = touched.load_i64(each + TOUCHED_IMAGE)
        description = DIRECTORY + table * TABLE_SIZE
        deleted = touched.load_i64(each + TOUCHED_DELETED) != 0 and undo.load_i32(image + ROW_STATUS) == USED
        if deleted and arena.load_i64(description + TABLE_FLAGS) & IN_DELTA:
            size = arena.load_i64(description + TABLE_FIELDS_SIZE)
            length = DELTA_IMAGE + size
            if place + length > end:
                return -1
            row = touched.load_i64(each + TOUCHED_ROW)
            _write_header(entry, place, length, table, _row_number(arena, description, row), DELETED)
            entry.store_i64(place + DELTA_VERSION, undo.load_i64(image + ROW_VERSION) + 1)
            entry.store_i64(place + DELTA_PREVIOUS_SEQUENCE, undo.load_i64(image + ROW_LAST_CHANGED))
            entry.copy_from(place + DELTA_IMAGE, undo, image + ROW_HEADER_SIZE, size)
            place += length
    return place


@kernel
def _finish_row(tx: Region, arena: Region, entry: Region, each: int, place: int, end: int) -> int:
    """Let go of a touched row (`each`: its entry in the list): version, delta record; where the delta ends, or -1."""
    touched = touched_of(tx)
    undo = undo_of(tx)
    row = touched.load_i64(each + TOUCHED_ROW)
    table = touched.load_i64(each + TOUCHED_TABLE)
    image = touched.load_i64(each + TOUCHED_IMAGE)
    description = DIRECTORY + table * TABLE_SIZE
    size = arena.load_i64(description + TABLE_FIELDS_SIZE)
    arena.store_i32(row + ROW_TOUCHED, 0)
    if arena.load_i32(row + ROW_STATUS) == FREE:
        # A handler may have stored into a record that it deleted: free rows are zero all the same.
        arena.fill_zero(row + ROW_HEADER_SIZE, size)
        return place
    inserted = undo.load_i32(image + ROW_STATUS) == FREE or touched.load_i64(each + TOUCHED_DELETED) != 0
    if not inserted and _same_fields(arena, row + ROW_HEADER_SIZE, undo, image + ROW_HEADER_SIZE, size):
        return place
    version = arena.load_i64(row + ROW_VERSION) + 1
    previous = arena.load_i64(row + ROW_LAST_CHANGED)
    arena.store_i64(row + ROW_VERSION, version)
    arena.store_i64(row + ROW_LAST_CHANGED, tx.load_i64(SEQUENCE))
    if end == NO_DELTA or arena.load_i64(description + TABLE_FLAGS) & IN_DELTA == 0:
        return place
    length = DELTA_IMAGE + size
    if place + length > end:
        return -1
    operation = INSERTED if inserted else UPDATED
    _write_header(entry, place, length, table, _row_number(arena, description, row), operation)
    entry.store_i64(place + DELTA_VERSION, version)
    entry.store_i64(place + DELTA_PREVIOUS_SEQUENCE, previous)
    entry.copy_from(place + DELTA_IMAGE, arena, row + ROW_HEADER_SIZE, size)
    return place + length


@kernel
def _finish(tx: Region, entry: Region, place: int, end: int) -> int:
    """Let go of every touched row; where the delta ends, or -1 when the space does not hold it."""
    arena = arena_of(tx)
    if end != NO_DELTA and tx.load_i64(DELETIONS) != 0:
        place = _write_deletions(tx, entry, place, end)
    number = 0
    count = tx.load_i64(TOUCHED_COUNT)
    while place >= 0 and number < count:
        place = _finish_row(tx, arena, entry, number * TOUCHED_ENTRY_SIZE, place, end)
        number += 1
    return place


@kernel
def preview(tx: Region, entry: Region, offset: int, limit: int) -> int:
    """As `commit`, and nothing is let go: `rollback`, which the caller must call next, still restores every byte.

    All that a commit stores lies in rows that were saved whole when they were touched, or is saved as links are.
    """
    if tx.load_i64(INSERTIONS) != 0:
        outcome = _try_link_inserted(tx)
        if outcome != COMMITTED:
            return outcome
    end = _finish(tx, entry, offset, offset + limit)
    if end < 0:
        tx.store_i64(SPACE_EXHAUSTED, 1)
        return CAPACITY_EXHAUSTED
    return end - offset


@kernel
def commit(tx: Region, entry: Region, offset: int, limit: int) -> int:
    """Commit with the delta at `offset` of `entry`, in at most `limit` bytes; the delta's length.

    Or a negative outcome, after which the caller must call `rollback`: DUPLICATE_KEY of a unique field that was never
    assigned, CAPACITY_EXHAUSTED; SPACE_EXHAUSTED is set when it was the delta that had no room.
    """
    length = preview(tx, entry, offset, limit)
    if length >= 0:
        _forget(tx)
    return length


@kernel
def savepoint(tx: Region) -> None:
    """Keep what was done so far, whatever comes: versions grow, no delta is written, rollback returns to here.

    Fault DUPLICATE_KEY as in `commit`.
    """
    if tx.load_i64(INSERTIONS) != 0:
        outcome = link_inserted(tx)
        fault_if(outcome != COMMITTED, DUPLICATE_KEY)
    _finish(tx, tx, 0, NO_DELTA)
    _forget(tx)
