"""Indexes of a migrated table: every row enters every index again, once its fields are final.

Invariants
    Rows of one value keep the order in which they came to it. A row whose value changed, or whose index is new, comes
    to its value in the order of the old index on that field, walked by first rows; without one, in row order.
    Where no value changed, lists and trees are the old ones, row by row: no search, and a tree keeps its shape. Hash
    chains are built anew.
    The undo memory is used and forgotten: who migrates throws the new arena away when this does not answer COMMITTED.

The private memory of one process; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.faults import COMMITTED, DUPLICATE_KEY
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    DIRECTORY,
    GROUP,
    INDEX_CHAIN,
    INDEX_KIND,
    INDEX_LINKS,
    INDEX_ROOT,
    LINK_SIZE,
    LINKS_SIZE,
    NEXT,
    ORDERED,
    PREVIOUS,
    ROW_TOUCHED,
    TABLE_INDEX_BITS,
    TABLE_INDEX_COUNT,
    TABLE_SIZE,
)
from statevec.state.index_hash import bucket_of, hash_find, index_word
from statevec.state.index_ordered import ordered_link
from statevec.state.index_ties import ties_is_first
from statevec.state.indexes import index_at, link_row, linked_at
from statevec.state.migration import keeps_numbers, new_row_of
from statevec.state.migration_layout import (
    STEP_FUNCTION,
    STEP_INDEXES,
    STEP_NEW_TABLE,
    STEP_OLD_TABLE,
)
from statevec.state.tables import first_row, next_row
from statevec.state.transaction_layout import UNDO_USED
from statevec.state.undo import arena_of, load_link, store_own_link

LIST_LINKS = 2
"""Previous and next, with which the links of group and ordered indexes begin."""
TREE_LINKS = 4
"""And left and right, of ordered indexes alone."""

assert (PREVIOUS, NEXT) == (0, LINK_SIZE) and LINKS_SIZE[ORDERED] == TREE_LINKS * LINK_SIZE


@kernel
def _values_stay(old_tx: Region, new_tx: Region, program: Region, step: int, old_index: int, new_index: int) -> bool:
    """Whether every record has the same value in an index as before."""
    old = arena_of(old_tx)
    new = arena_of(new_tx)
    old_table = program.load_i64(step + STEP_OLD_TABLE)
    new_table = program.load_i64(step + STEP_NEW_TABLE)
    row = first_row(old_tx, old_table)
    target = first_row(new_tx, new_table)
    while row != 0 and index_word(old, old_index, row) == index_word(new, new_index, target):
        row = next_row(old_tx, old_table, row)
        target = next_row(new_tx, new_table, target)
    return row == 0


@kernel
def _enter_bucket(new: Region, index: int, row: int, value: int) -> None:
    """Put `row` first into the chain of `value`: `hash_link` without undo."""
    bucket = bucket_of(new, index, value)
    store_own_link(new, row + new.load_i64(index + INDEX_CHAIN), load_link(new, bucket))
    store_own_link(new, bucket, row)


@kernel
def _link_hash(new_tx: Region, table: int, index: int, judged: bool) -> int:
    """All rows into a key's or unique index; DUPLICATE_KEY for a value twice, where it has to be `judged`."""
    new = arena_of(new_tx)
    row = first_row(new_tx, table)
    while row != 0:
        value = index_word(new, index, row)
        if judged and hash_find(new, index, value) != 0:
            return DUPLICATE_KEY
        _enter_bucket(new, index, row, value)
        row = next_row(new_tx, table, row)
    return COMMITTED


@kernel
def _translate_rows(
    old_tx: Region, new_tx: Region, program: Region, step: int, old_index: int, new_index: int, links: int
) -> None:
    """Let the first `links` links of every row's index lead to the new rows of where the old ones lead."""
    old = arena_of(old_tx)
    new = arena_of(new_tx)
    old_table = program.load_i64(step + STEP_OLD_TABLE)
    new_table = program.load_i64(step + STEP_NEW_TABLE)
    before = DIRECTORY + old_table * TABLE_SIZE
    after = DIRECTORY + new_table * TABLE_SIZE
    keeps = keeps_numbers(old, new, old_table, new_table)
    source = old.load_i64(old_index + INDEX_LINKS)
    goal = new.load_i64(new_index + INDEX_LINKS)
    row = first_row(old_tx, old_table)
    target = first_row(new_tx, new_table)
    while row != 0:
        for number in range(links):
            place = number * LINK_SIZE
            led = load_link(old, row + source + place)
            store_own_link(new, target + goal + place, new_row_of(old, new, before, after, keeps, led))
        row = next_row(old_tx, old_table, row)
        target = next_row(new_tx, new_table, target)
    if links == TREE_LINKS:
        root = load_link(old, old_index + INDEX_ROOT)
        store_own_link(new, new_index + INDEX_ROOT, new_row_of(old, new, before, after, keeps, root))


@kernel
def _translate(old_tx: Region, new_tx: Region, program: Region, step: int, old_index: int, new_index: int) -> None:
    """All rows into a group or ordered index whose values stay: its lists, and a tree's shape, are those of the old."""
    table = program.load_i64(step + STEP_NEW_TABLE)
    kind = arena_of(new_tx).load_i64(new_index + INDEX_KIND)
    if kind == ORDERED and arena_of(old_tx).load_i64(old_index + INDEX_KIND) == ORDERED:
        _translate_rows(old_tx, new_tx, program, step, old_index, new_index, TREE_LINKS)
    else:
        _translate_rows(old_tx, new_tx, program, step, old_index, new_index, LIST_LINKS)
        _link_firsts(new_tx, table, new_index, kind)


@kernel
def _link_firsts(new_tx: Region, table: int, index: int, kind: int) -> None:
    """The first row of each value, whose list is complete, into the hash chains of a group index or into a new tree."""
    new = arena_of(new_tx)
    links = new.load_i64(index + INDEX_LINKS)
    row = first_row(new_tx, table)
    while row != 0:
        if ties_is_first(new, links, row):
            if kind == GROUP:
                _enter_bucket(new, index, row, index_word(new, index, row))
            else:
                last = load_link(new, row + links + PREVIOUS)
                following = load_link(new, row + links + NEXT)
                ordered_link(new_tx, new, index, row, index_word(new, index, row))
                store_own_link(new, row + links + PREVIOUS, last)
                store_own_link(new, row + links + NEXT, following)
                new_tx.store_i64(UNDO_USED, 0)
        row = next_row(new_tx, table, row)


@kernel
def _link_in_order(old_tx: Region, new_tx: Region, program: Region, step: int, old_index: int, new_index: int) -> None:
    """All rows into a group or ordered index, each value's list of the old index behind the other."""
    old = arena_of(old_tx)
    new = arena_of(new_tx)
    old_table = program.load_i64(step + STEP_OLD_TABLE)
    new_table = program.load_i64(step + STEP_NEW_TABLE)
    before = DIRECTORY + old_table * TABLE_SIZE
    after = DIRECTORY + new_table * TABLE_SIZE
    keeps = keeps_numbers(old, new, old_table, new_table)
    links = old.load_i64(old_index + INDEX_LINKS)
    first = first_row(old_tx, old_table)
    while first != 0:
        row = first if ties_is_first(old, links, first) else 0
        while row != 0:
            target = new_row_of(old, new, before, after, keeps, row)
            link_row(new_tx, new, new_index, target, index_word(new, new_index, target))
            new_tx.store_i64(UNDO_USED, 0)
            row = load_link(old, row + links + NEXT)
        first = next_row(old_tx, old_table, first)


@kernel
def _link_by_rows(new_tx: Region, table: int, index: int) -> None:
    """All rows into a group or ordered index that has no old one, in row order."""
    new = arena_of(new_tx)
    row = first_row(new_tx, table)
    while row != 0:
        link_row(new_tx, new, index, row, index_word(new, index, row))
        new_tx.store_i64(UNDO_USED, 0)
        row = next_row(new_tx, table, row)


@kernel
def _link_index(old_tx: Region, new_tx: Region, program: Region, step: int, number: int) -> int:
    """All rows into index `number` of the new table; COMMITTED or DUPLICATE_KEY."""
    table = program.load_i64(step + STEP_NEW_TABLE)
    index = index_at(table, number)
    kind = arena_of(new_tx).load_i64(index + INDEX_KIND)
    source = program.load_i64(step + STEP_INDEXES + 8 * number)
    old_index = index_at(program.load_i64(step + STEP_OLD_TABLE), source)
    stays = source >= 0
    if stays and program.load_i64(step + STEP_FUNCTION) >= 0:
        stays = _values_stay(old_tx, new_tx, program, step, old_index, index)
    if kind < GROUP:
        return _link_hash(new_tx, table, index, not stays)
    if stays:
        _translate(old_tx, new_tx, program, step, old_index, index)
    elif source >= 0:
        _link_in_order(old_tx, new_tx, program, step, old_index, index)
    else:
        _link_by_rows(new_tx, table, index)
    return COMMITTED


@kernel
def link_rows(old_tx: Region, new_tx: Region, program: Region, step: int) -> int:
    """Put the rows of a step's table, whose fields are final, into all indexes; COMMITTED or DUPLICATE_KEY."""
    new = arena_of(new_tx)
    table = program.load_i64(step + STEP_NEW_TABLE)
    description = DIRECTORY + table * TABLE_SIZE
    new_tx.store_i64(UNDO_USED, 0)
    for number in range(new.load_i64(description + TABLE_INDEX_COUNT)):
        outcome = _link_index(old_tx, new_tx, program, step, number)
        if outcome != COMMITTED:
            return outcome
    bits = new.load_i64(description + TABLE_INDEX_BITS)
    row = first_row(new_tx, table)
    while row != 0:
        new.store_i32(linked_at(new, table, row), bits)
        new.store_i32(row + ROW_TOUCHED, 0)
        row = next_row(new_tx, table, row)
    return COMMITTED
