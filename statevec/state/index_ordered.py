"""Ordered index: the values in signed 64-bit order, the rows of one value in the order they came to it.

A treap (Aragon and Seidel, 1989): a binary search tree by value in which no node's priority is above its parent's.
The priority of a value is `spread(value)`, so the tree's shape depends on the set of values alone, no balance is
stored, and a value's first row can be replaced by its second without a rotation. A node's expected depth is
1.4 log2(values).

    root -> first row of value 50 -next-> another row of 50
              | left              | right
            first row of 20     first row of 70

Invariants
    One node for each value: its first row (`index_ties`). Left of a node are smaller values, right of it greater ones.
    A value that stands in the tree is met on the way down before any value of lower priority.

For who writes and what a crash leaves, see `undo`.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import INDEX_LINKS, INDEX_ROOT, LEFT, RIGHT
from statevec.state.index_hash import index_word
from statevec.state.index_ties import ties_append, ties_begin, ties_is_first, ties_remove, ties_remove_first
from statevec.state.undo import load_link, store_link, store_own_link
from statevec.state.words import spread


@kernel
def _split(tx: Region, arena: Region, index: int, row: int, value: int, node: int) -> None:
    """Hang the tree under `node` below `row`: smaller values left, greater ones right; `value` is not in it."""
    links = arena.load_i64(index + INDEX_LINKS)
    left = row + links + LEFT
    right = row + links + RIGHT
    while node != 0:
        if index_word(arena, index, node) < value:
            store_link(tx, arena, left, node)
            left = node + links + RIGHT
            node = load_link(arena, left)
        else:
            store_link(tx, arena, right, node)
            right = node + links + LEFT
            node = load_link(arena, right)
    store_link(tx, arena, left, 0)
    store_link(tx, arena, right, 0)


@kernel
def _join(tx: Region, arena: Region, index: int, place: int, left: int, right: int) -> None:
    """Make one tree of two, all of whose values are smaller left than right, and hang it at the link `place`."""
    links = arena.load_i64(index + INDEX_LINKS)
    while left != 0 and right != 0:
        if spread(index_word(arena, index, left)) >= spread(index_word(arena, index, right)):
            store_link(tx, arena, place, left)
            place = left + links + RIGHT
            left = load_link(arena, place)
        else:
            store_link(tx, arena, place, right)
            place = right + links + LEFT
            right = load_link(arena, place)
    store_link(tx, arena, place, left if left != 0 else right)


@kernel
def _place_of(arena: Region, index: int, value: int) -> int:
    """The link that leads to the node of `value`, which is in the tree."""
    links = arena.load_i64(index + INDEX_LINKS)
    place = index + INDEX_ROOT
    node = load_link(arena, place)
    found = index_word(arena, index, node)
    while found != value:
        place = node + links + (LEFT if value < found else RIGHT)
        node = load_link(arena, place)
        found = index_word(arena, index, node)
    return place


@kernel
def ordered_link(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Put the touched `row` behind the rows of `value`."""
    links = arena.load_i64(index + INDEX_LINKS)
    priority = spread(value)
    place = index + INDEX_ROOT
    node = load_link(arena, place)
    while node != 0:
        found = index_word(arena, index, node)
        if found == value:
            ties_append(tx, arena, links, node, row)
            return
        if spread(found) < priority:
            break
        place = node + links + (LEFT if value < found else RIGHT)
        node = load_link(arena, place)
    ties_begin(arena, links, row)
    store_link(tx, arena, place, row)
    _split(tx, arena, index, row, value, node)


@kernel
def ordered_unlink(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Take the touched `row`, whose field still holds `value`, out of the index."""
    links = arena.load_i64(index + INDEX_LINKS)
    if not ties_is_first(arena, links, row):
        ties_remove(tx, arena, links, load_link(arena, _place_of(arena, index, value)), row)
        return
    place = _place_of(arena, index, value)
    left = load_link(arena, row + links + LEFT)
    right = load_link(arena, row + links + RIGHT)
    successor = ties_remove_first(tx, arena, links, row)
    if successor == 0:
        _join(tx, arena, index, place, left, right)
    else:
        store_link(tx, arena, place, successor)
        store_link(tx, arena, successor + links + LEFT, left)
        store_link(tx, arena, successor + links + RIGHT, right)
    store_own_link(arena, row + links + LEFT, 0)
    store_own_link(arena, row + links + RIGHT, 0)


@kernel
def ordered_seek(arena: Region, index: int, value: int, descending: bool, beyond: bool) -> int:
    """First row of the smallest value at or above `value` (descending: the greatest at or below); 0 for none.

    With `beyond`, `value` itself does not count.
    """
    links = arena.load_i64(index + INDEX_LINKS)
    node = load_link(arena, index + INDEX_ROOT)
    best = 0
    while node != 0:
        found = index_word(arena, index, node)
        if found == value and not beyond:
            return node
        if descending:
            if found < value:
                best = node
                node = load_link(arena, node + links + RIGHT)
            else:
                node = load_link(arena, node + links + LEFT)
        elif found > value:
            best = node
            node = load_link(arena, node + links + LEFT)
        else:
            node = load_link(arena, node + links + RIGHT)
    return best
