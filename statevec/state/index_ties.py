"""The rows of one value, in the order in which they came to it: what group and ordered indexes have in common.

    first row  -next->  row  -next->  last row  -next-> none
      |  <-previous-        <-previous-  ^
      +--------------previous------------+        the first row's previous link leads to the last row

The first row stands for the value in the index's own structure (hash chain or tree). `links` is the offset of a row's
links of the index (INDEX_LINKS).

Invariants
    A row is the first of its value exactly when its previous row has no next row.
    The row that a kernel adds or removes is touched; its neighbours are stored with undo.

For who writes and what a crash leaves, see `undo`.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import NEXT, PREVIOUS
from statevec.state.undo import load_link, store_link, store_own_link


@kernel
def ties_begin(arena: Region, links: int, row: int) -> None:
    """Make `row` the only row of its value."""
    store_own_link(arena, row + links + PREVIOUS, row)
    store_own_link(arena, row + links + NEXT, 0)


@kernel
def ties_append(tx: Region, arena: Region, links: int, first: int, row: int) -> None:
    """Put `row` behind the last row of the value whose first row is `first`."""
    last = load_link(arena, first + links + PREVIOUS)
    store_own_link(arena, row + links + PREVIOUS, last)
    store_own_link(arena, row + links + NEXT, 0)
    store_link(tx, arena, last + links + NEXT, row)
    store_link(tx, arena, first + links + PREVIOUS, row)


@kernel
def ties_is_first(arena: Region, links: int, row: int) -> bool:
    """Whether `row` is the first of its value."""
    return load_link(arena, load_link(arena, row + links + PREVIOUS) + links + NEXT) == 0


@kernel
def ties_remove_first(tx: Region, arena: Region, links: int, row: int) -> int:
    """Take the first row out; the row that is first now (0: none), which the caller puts in its place."""
    successor = load_link(arena, row + links + NEXT)
    if successor != 0:
        store_link(tx, arena, successor + links + PREVIOUS, load_link(arena, row + links + PREVIOUS))
    store_own_link(arena, row + links + PREVIOUS, 0)
    store_own_link(arena, row + links + NEXT, 0)
    return successor


@kernel
def ties_remove(tx: Region, arena: Region, links: int, first: int, row: int) -> None:
    """Take out `row`, which is not the first; `first` is."""
    previous = load_link(arena, row + links + PREVIOUS)
    successor = load_link(arena, row + links + NEXT)
    store_link(tx, arena, previous + links + NEXT, successor)
    if successor != 0:
        store_link(tx, arena, successor + links + PREVIOUS, previous)
    else:
        store_link(tx, arena, first + links + PREVIOUS, previous)
    store_own_link(arena, row + links + PREVIOUS, 0)
    store_own_link(arena, row + links + NEXT, 0)
