"""Tables: finding, inserting, editing and deleting records, and row order. With the index kernels, what a handler uses.

Every kernel takes the transaction block and a table's number. A *row* is the offset of a record's row header, 0 none.

Invariants
    Rows at or above TABLE_NEVER_USED hold zeros. A free row below it holds zeros but for its link to the next free row;
    the row freed last is taken first. So which row an insert gets is a function of the table's history.
    A row in use is in the key's index under the value of its key field, which never changes.
    A fault raised here leaves something half done only when undo memory ran out; the rollback that follows any fault
    restores it.

For who writes and what a crash leaves, see `undo`.
"""

from __future__ import annotations

from statevec.ipc.faults import CAPACITY_EXHAUSTED, DUPLICATE_KEY, MISSING_KEY, VALUE_OUT_OF_RANGE, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    DIRECTORY,
    FREE,
    INDEX_CHAIN,
    INDEX_FIELD,
    INDEX_FIELD_KIND,
    ROW_HEADER_SIZE,
    ROW_STATUS,
    ROW_TOUCHED,
    TABLE_FIELDS_SIZE,
    TABLE_FREE_HEAD,
    TABLE_INDEX_COUNT,
    TABLE_INDEXES,
    TABLE_NEVER_USED,
    TABLE_ROW_COUNT,
    TABLE_ROW_SIZE,
    TABLE_ROWS,
    TABLE_ROWS_END,
    TABLE_SIZE,
    USED,
)
from statevec.state.index_hash import hash_find, hash_link, hash_unlink, index_word
from statevec.state.indexes import (
    find_unique,
    group_first,
    group_next,
    index_at,
    linked_at,
    ordered_from,
    ordered_next,
    set_indexed,
    unlink_row,
)
from statevec.state.iteration import iteration_begin, iteration_check, note_change
from statevec.state.transaction_layout import DELETIONS, INSERTIONS, TOUCHED_DELETED, TOUCHED_ENTRY_SIZE
from statevec.state.undo import arena_of, load_link, store_counter, store_own_link, touch, touched_of
from statevec.state.words import fits, store_word

__all__ = [
    "delete_row",
    "edit_row",
    "find",
    "find_unique",
    "first_row",
    "group_first",
    "group_next",
    "insert_row",
    "iteration_begin",
    "iteration_check",
    "next_row",
    "ordered_from",
    "ordered_next",
    "row_count",
    "set_indexed",
]


@kernel
def find(tx: Region, table: int, key: int) -> int:
    """The row of the record with that key; 0 when there is none."""
    return hash_find(arena_of(tx), DIRECTORY + table * TABLE_SIZE + TABLE_INDEXES, key)


@kernel
def row_count(tx: Region, table: int) -> int:
    """Records in the table."""
    return arena_of(tx).load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_ROW_COUNT)


@kernel
def edit_row(tx: Region, table: int, row: int) -> None:
    """Make the row's fields ready for stores. Fault MISSING_KEY when the row is not in use (0, or deleted)."""
    arena = arena_of(tx)
    fault_if(row == 0 or arena.load_i32(row + ROW_STATUS) != USED, MISSING_KEY)
    touch(tx, arena, table, row)


@kernel
def _take_row(tx: Region, arena: Region, table: int) -> int:
    """A free row, touched and out of the free list; fault CAPACITY_EXHAUSTED when all are in use."""
    description = DIRECTORY + table * TABLE_SIZE
    row = arena.load_i64(description + TABLE_FREE_HEAD)
    if row != 0:
        touch(tx, arena, table, row)
        chain = row + arena.load_i64(description + TABLE_INDEXES + INDEX_CHAIN)
        store_counter(tx, arena, description + TABLE_FREE_HEAD, load_link(arena, chain))
        return row
    row = arena.load_i64(description + TABLE_NEVER_USED)
    fault_if(row >= arena.load_i64(description + TABLE_ROWS_END), CAPACITY_EXHAUSTED)
    touch(tx, arena, table, row)
    store_counter(tx, arena, description + TABLE_NEVER_USED, row + arena.load_i64(description + TABLE_ROW_SIZE))
    return row


@kernel
def insert_row(tx: Region, table: int, key: int) -> int:
    """A new record with that key, its other fields zero; its row. Other indexes get it when their field is assigned.

    Faults: DUPLICATE_KEY, VALUE_OUT_OF_RANGE (the key field cannot hold the key), CAPACITY_EXHAUSTED.
    """
    arena = arena_of(tx)
    description = DIRECTORY + table * TABLE_SIZE
    index = description + TABLE_INDEXES
    kind = arena.load_i64(index + INDEX_FIELD_KIND)
    fault_if(not fits(kind, key), VALUE_OUT_OF_RANGE)
    fault_if(hash_find(arena, index, key) != 0, DUPLICATE_KEY)
    row = _take_row(tx, arena, table)
    # A handler may have stored into a record that it deleted: what is inserted is zero all the same.
    arena.fill_zero(row + ROW_HEADER_SIZE, arena.load_i64(description + TABLE_FIELDS_SIZE))
    arena.store_i32(row + ROW_STATUS, USED)
    store_word(arena, row + arena.load_i64(index + INDEX_FIELD), kind, key)
    hash_link(tx, arena, index, row, key)
    count_at = description + TABLE_ROW_COUNT
    store_counter(tx, arena, count_at, arena.load_i64(count_at) + 1)
    tx.store_i64(INSERTIONS, tx.load_i64(INSERTIONS) + 1)
    note_change(tx, table, row)
    return row


@kernel
def _unlink_everywhere(tx: Region, arena: Region, table: int, row: int) -> None:
    bits = arena.load_i32(linked_at(arena, table, row))
    for number in range(1, arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_INDEX_COUNT)):
        if (bits >> number) & 1:
            index = index_at(table, number)
            unlink_row(tx, arena, index, row, index_word(arena, index, row))
    key = index_at(table, 0)
    hash_unlink(tx, arena, key, row, index_word(arena, key, row))


@kernel
def delete_row(tx: Region, table: int, row: int) -> None:
    """Delete the record: out of every index, its row zero and free. Fault MISSING_KEY when the row is not in use."""
    arena = arena_of(tx)
    fault_if(row == 0 or arena.load_i32(row + ROW_STATUS) != USED, MISSING_KEY)
    touch(tx, arena, table, row)
    _unlink_everywhere(tx, arena, table, row)
    description = DIRECTORY + table * TABLE_SIZE
    arena.fill_zero(row, ROW_TOUCHED)  # version, last changed, status: FREE is 0
    arena.fill_zero(row + ROW_HEADER_SIZE, arena.load_i64(description + TABLE_ROW_SIZE) - ROW_HEADER_SIZE)
    chain = row + arena.load_i64(description + TABLE_INDEXES + INDEX_CHAIN)
    store_own_link(arena, chain, arena.load_i64(description + TABLE_FREE_HEAD))
    store_counter(tx, arena, description + TABLE_FREE_HEAD, row)
    count_at = description + TABLE_ROW_COUNT
    store_counter(tx, arena, count_at, arena.load_i64(count_at) - 1)
    entry = (arena.load_i32(row + ROW_TOUCHED) - 1) * TOUCHED_ENTRY_SIZE
    touched_of(tx).store_i64(entry + TOUCHED_DELETED, 1)
    tx.store_i64(DELETIONS, tx.load_i64(DELETIONS) + 1)
    note_change(tx, table, row)


@kernel
def _used_from(arena: Region, table: int, row: int) -> int:
    description = DIRECTORY + table * TABLE_SIZE
    end = arena.load_i64(description + TABLE_NEVER_USED)
    size = arena.load_i64(description + TABLE_ROW_SIZE)
    while row < end:
        if arena.load_i32(row + ROW_STATUS) == USED:
            return row
        row += size
    return 0


@kernel
def first_row(tx: Region, table: int) -> int:
    """First record in row order; 0 for none."""
    arena = arena_of(tx)
    return _used_from(arena, table, arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_ROWS))


@kernel
def next_row(tx: Region, table: int, row: int) -> int:
    """The record behind `row` in row order; 0 behind the last."""
    arena = arena_of(tx)
    return _used_from(arena, table, row + arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_ROW_SIZE))


assert FREE == 0
