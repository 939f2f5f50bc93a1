"""Group index: all rows of a value, in the order they came to it.

    bucket -> first row of value a -chain-> first row of value b -chain-> none
                 |  next                        |  next
                row of a                       row of b

Invariants: those of `index_hash` for the first rows, those of `index_ties` for the rows of one value.
For who writes and what a crash leaves, see `undo`.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import INDEX_CHAIN, INDEX_LINKS
from statevec.state.index_hash import hash_find, hash_link, hash_replace, hash_unlink
from statevec.state.index_ties import ties_append, ties_begin, ties_is_first, ties_remove, ties_remove_first
from statevec.state.undo import load_link, store_link, store_own_link


@kernel
def group_link(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Put the touched `row` behind the rows of `value`."""
    links = arena.load_i64(index + INDEX_LINKS)
    first = hash_find(arena, index, value)
    if first != 0:
        ties_append(tx, arena, links, first, row)
    else:
        ties_begin(arena, links, row)
        hash_link(tx, arena, index, row, value)


@kernel
def group_unlink(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Take the touched `row`, whose field still holds `value`, out of its group."""
    links = arena.load_i64(index + INDEX_LINKS)
    if not ties_is_first(arena, links, row):
        ties_remove(tx, arena, links, hash_find(arena, index, value), row)
        return
    successor = ties_remove_first(tx, arena, links, row)
    if successor == 0:
        hash_unlink(tx, arena, index, row, value)
        return
    chain = arena.load_i64(index + INDEX_CHAIN)
    store_link(tx, arena, successor + chain, load_link(arena, row + chain))
    hash_replace(tx, arena, index, row, value, successor)
    store_own_link(arena, row + chain, 0)
