"""Physical undo: whatever a transaction changes in the arena is saved first, and one walk backwards restores it.

    undo memory   | bytes as they were (multiple of 8) | int64 offset in the arena | int64 size | next record ...
                  the place and size stand behind the bytes, so that the walk goes from the end to the start
    touched list  one 32-byte entry for each row that the transaction changed, in the order of first touch:
                  int64 row | int64 table | int64 where its image is in the undo memory | int64 1 if it was deleted

Invariants
    A row is saved whole, once, before its first store (`touch`); until commit or rollback its touched mark says so, and
    stores into it need nothing more. Every other store goes through `store_link` or `store_counter`.
    Running out of undo memory or list is a fault raised before the store.

One transaction of one process writes and reads. A crash leaves nothing: both memories are private.
"""

from __future__ import annotations

from statevec.ipc.faults import CAPACITY_EXHAUSTED, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at
from statevec.state.arena_layout import DIRECTORY, LINK_SHIFT, ROW_TOUCHED, TABLE_ROW_SIZE, TABLE_SIZE
from statevec.state.transaction_layout import (
    ARENA_ADDRESS,
    ARENA_SIZE,
    TOUCHED_ADDRESS,
    TOUCHED_CAPACITY,
    TOUCHED_COUNT,
    TOUCHED_DELETED,
    TOUCHED_ENTRY_SIZE,
    TOUCHED_IMAGE,
    TOUCHED_ROW,
    TOUCHED_TABLE,
    UNDO_ADDRESS,
    UNDO_SIZE,
    UNDO_USED,
)

TRAILER_SIZE = 16
WORD_SIZE = 8


@kernel
def arena_of(tx: Region) -> Region:
    """The arena that the transaction works on."""
    return region_at(tx.load_i64(ARENA_ADDRESS), tx.load_i64(ARENA_SIZE))


@kernel
def undo_of(tx: Region) -> Region:
    """The undo memory."""
    return region_at(tx.load_i64(UNDO_ADDRESS), tx.load_i64(UNDO_SIZE))


@kernel
def touched_of(tx: Region) -> Region:
    """The touched list."""
    return region_at(tx.load_i64(TOUCHED_ADDRESS), tx.load_i64(TOUCHED_CAPACITY) * TOUCHED_ENTRY_SIZE)


@kernel
def load_link(arena: Region, offset: int) -> int:
    """The row that the link at `offset` leads to; 0 for none."""
    return arena.load_u32(offset) << LINK_SHIFT


@kernel
def save_word(tx: Region, arena: Region, offset: int) -> None:
    """Save the aligned 8 bytes at `offset`."""
    used = tx.load_i64(UNDO_USED)
    end = used + WORD_SIZE + TRAILER_SIZE
    fault_if(end > tx.load_i64(UNDO_SIZE), CAPACITY_EXHAUSTED)
    undo = undo_of(tx)
    undo.store_i64(used, arena.load_i64(offset))
    undo.store_i64(used + WORD_SIZE, offset)
    undo.store_i64(used + WORD_SIZE + 8, WORD_SIZE)
    tx.store_i64(UNDO_USED, end)


@kernel
def store_link(tx: Region, arena: Region, offset: int, row: int) -> None:
    """Let the link at `offset`, anywhere in the arena, lead to `row`."""
    save_word(tx, arena, offset & ~7)
    arena.store_i32(offset, row >> LINK_SHIFT)


@kernel
def store_own_link(arena: Region, offset: int, row: int) -> None:
    """Let a link of a row that is touched already lead to `row`."""
    arena.store_i32(offset, row >> LINK_SHIFT)


@kernel
def store_counter(tx: Region, arena: Region, offset: int, value: int) -> None:
    """Store one of the int64 counters of a table's description."""
    save_word(tx, arena, offset)
    arena.store_i64(offset, value)


@kernel
def touch(tx: Region, arena: Region, table: int, row: int) -> None:
    """Save the whole row and enter it into the touched list, if this is the transaction's first store into it."""
    if arena.load_i32(row + ROW_TOUCHED) != 0:
        return
    size = arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_ROW_SIZE)
    count = tx.load_i64(TOUCHED_COUNT)
    used = tx.load_i64(UNDO_USED)
    end = used + size + TRAILER_SIZE
    fault_if(end > tx.load_i64(UNDO_SIZE) or count >= tx.load_i64(TOUCHED_CAPACITY), CAPACITY_EXHAUSTED)
    undo = undo_of(tx)
    undo.copy_from(used, arena, row, size)
    undo.store_i64(used + size, row)
    undo.store_i64(used + size + 8, size)
    tx.store_i64(UNDO_USED, end)
    touched = touched_of(tx)
    entry = count * TOUCHED_ENTRY_SIZE
    touched.store_i64(entry + TOUCHED_ROW, row)
    touched.store_i64(entry + TOUCHED_TABLE, table)
    touched.store_i64(entry + TOUCHED_IMAGE, used)
    touched.store_i64(entry + TOUCHED_DELETED, 0)
    tx.store_i64(TOUCHED_COUNT, count + 1)
    arena.store_i32(row + ROW_TOUCHED, count + 1)


@kernel
def undo_all(tx: Region) -> None:
    """Restore every saved byte, the last saved first."""
    arena = arena_of(tx)
    undo = undo_of(tx)
    used = tx.load_i64(UNDO_USED)
    while used > 0:
        offset = undo.load_i64(used - TRAILER_SIZE)
        size = undo.load_i64(used - TRAILER_SIZE + 8)
        used -= TRAILER_SIZE + size
        arena.copy_from(offset, undo, used, size)
    tx.store_i64(UNDO_USED, 0)
