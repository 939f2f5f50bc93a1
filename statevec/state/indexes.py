"""A row in the indexes of its table, whatever their kinds: entering, leaving, moving, looking up, going on.

Invariants
    Bit n of a row's `linked` says whether the row is in index n. The key's index holds every row in use and has no bit.
    A row enters another index when its field is first assigned (`set_indexed`), at the latest at commit.
    Going from a row on is right while the row is in the index and its field holds the value that it is there for.

For the structures see `arena_layout` and the modules `index_*`; for who writes and what a crash leaves, `undo`.
"""

from __future__ import annotations

from statevec.ipc.faults import DUPLICATE_KEY, MISSING_KEY, VALUE_OUT_OF_RANGE, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    DIRECTORY,
    GROUP,
    INDEX_FIELD,
    INDEX_FIELD_KIND,
    INDEX_KIND,
    INDEX_LINKS,
    INDEX_SIZE,
    NEXT,
    ROW_HEADER_SIZE,
    ROW_STATUS,
    TABLE_FIELDS_SIZE,
    TABLE_INDEXES,
    TABLE_SIZE,
    UNIQUE,
    USED,
)
from statevec.state.index_group import group_link, group_unlink
from statevec.state.index_hash import hash_find, hash_link, hash_unlink, index_word
from statevec.state.index_ordered import ordered_link, ordered_seek, ordered_unlink
from statevec.state.iteration import note_change
from statevec.state.undo import arena_of, load_link, touch
from statevec.state.words import fits, store_word


@kernel
def index_at(table: int, index: int) -> int:
    """Where the description of an index is."""
    return DIRECTORY + table * TABLE_SIZE + TABLE_INDEXES + index * INDEX_SIZE


@kernel
def linked_at(arena: Region, table: int, row: int) -> int:
    """Where a row's bits are that say which indexes it is in."""
    return row + ROW_HEADER_SIZE + arena.load_i64(DIRECTORY + table * TABLE_SIZE + TABLE_FIELDS_SIZE)


@kernel
def link_row(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Enter a touched row into the index described at `index`; its field holds `value`."""
    kind = arena.load_i64(index + INDEX_KIND)
    if kind == UNIQUE:
        hash_link(tx, arena, index, row, value)
    elif kind == GROUP:
        group_link(tx, arena, index, row, value)
    else:
        ordered_link(tx, arena, index, row, value)


@kernel
def unlink_row(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Take a touched row out of the index described at `index`; its field still holds `value`."""
    kind = arena.load_i64(index + INDEX_KIND)
    if kind == UNIQUE:
        hash_unlink(tx, arena, index, row, value)
    elif kind == GROUP:
        group_unlink(tx, arena, index, row, value)
    else:
        ordered_unlink(tx, arena, index, row, value)


@kernel
def set_indexed(tx: Region, table: int, row: int, index: int, value: int) -> None:
    """Assign an indexed field, not the key's, and move the row behind the rows of that value if it is another one.

    Faults: MISSING_KEY when the row is not in use, VALUE_OUT_OF_RANGE, DUPLICATE_KEY in a unique index.
    """
    arena = arena_of(tx)
    place = index_at(table, index)
    fault_if(row == 0 or arena.load_i32(row + ROW_STATUS) != USED, MISSING_KEY)
    fault_if(not fits(arena.load_i64(place + INDEX_FIELD_KIND), value), VALUE_OUT_OF_RANGE)
    bits_at = linked_at(arena, table, row)
    bits = arena.load_i32(bits_at)
    before = index_word(arena, place, row)
    linked = (bits >> index) & 1
    if linked != 0 and before == value:
        touch(tx, arena, table, row)
        return
    if arena.load_i64(place + INDEX_KIND) == UNIQUE:
        fault_if(hash_find(arena, place, value) != 0, DUPLICATE_KEY)
    touch(tx, arena, table, row)
    if linked != 0:
        unlink_row(tx, arena, place, row, before)
    else:
        arena.store_i32(bits_at, bits | (1 << index))
    store_word(arena, row + arena.load_i64(place + INDEX_FIELD), arena.load_i64(place + INDEX_FIELD_KIND), value)
    link_row(tx, arena, place, row, value)
    note_change(tx, table, row)


@kernel
def find_unique(tx: Region, table: int, index: int, value: int) -> int:
    """The row of `value` in a unique index; 0 for none."""
    return hash_find(arena_of(tx), index_at(table, index), value)


@kernel
def group_first(tx: Region, table: int, index: int, value: int) -> int:
    """First row of `value` in a group index; 0 for none."""
    return hash_find(arena_of(tx), index_at(table, index), value)


@kernel
def group_next(tx: Region, table: int, index: int, row: int) -> int:
    """The row behind `row` in its group; 0 behind the last."""
    arena = arena_of(tx)
    return load_link(arena, row + arena.load_i64(index_at(table, index) + INDEX_LINKS) + NEXT)


@kernel
def ordered_from(tx: Region, table: int, index: int, value: int, descending: bool) -> int:
    """First row at or above `value` in an ordered index (descending: at or below it); 0 for none."""
    return ordered_seek(arena_of(tx), index_at(table, index), value, descending, False)


@kernel
def ordered_next(tx: Region, table: int, index: int, row: int, descending: bool) -> int:
    """The row behind `row`: next of its value, else first of the next value in that direction; 0 behind the last."""
    arena = arena_of(tx)
    place = index_at(table, index)
    successor = load_link(arena, row + arena.load_i64(place + INDEX_LINKS) + NEXT)
    if successor != 0:
        return successor
    return ordered_seek(arena, place, index_word(arena, place, row), descending, True)
