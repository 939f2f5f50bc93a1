"""Hash index, one row for each value: the key of a table, and its unique indexes.

    buckets  | link | link | ...     2^n of them, at least the table's capacity
                 |
                row -chain-> row -chain-> none

A row lies in the bucket that the low bits of `spread(value)` name; a new one comes first in its chain. The chain link
stands at INDEX_CHAIN of the index's description, so that a group index finds the first row of a value by the same code.

Invariants
    `link` and `unlink` are called for touched rows; the row's field holds `value` while it is linked.
    The chains' order is never seen from outside: iteration goes by row or by index order.

For who writes and what a crash leaves, see `undo`.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.arena_layout import (
    INDEX_BUCKETS,
    INDEX_CHAIN,
    INDEX_FIELD,
    INDEX_FIELD_KIND,
    INDEX_MASK,
    LINK_SIZE,
)
from statevec.state.undo import load_link, store_link, store_own_link
from statevec.state.words import load_word, spread


@kernel
def index_word(arena: Region, index: int, row: int) -> int:
    """The value of the indexed field of `row`."""
    return load_word(arena, row + arena.load_i64(index + INDEX_FIELD), arena.load_i64(index + INDEX_FIELD_KIND))


@kernel
def bucket_of(arena: Region, index: int, value: int) -> int:
    """Where the bucket of `value` is."""
    bucket = spread(value) & arena.load_i64(index + INDEX_MASK)
    return arena.load_i64(index + INDEX_BUCKETS) + bucket * LINK_SIZE


@kernel
def hash_find(arena: Region, index: int, value: int) -> int:
    """The row in whose chain and field `value` is; 0 for none."""
    chain = arena.load_i64(index + INDEX_CHAIN)
    field = arena.load_i64(index + INDEX_FIELD)
    kind = arena.load_i64(index + INDEX_FIELD_KIND)
    row = load_link(arena, bucket_of(arena, index, value))
    while row != 0 and load_word(arena, row + field, kind) != value:
        row = load_link(arena, row + chain)
    return row


@kernel
def hash_link(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Put `row` first into the chain of `value`."""
    bucket = bucket_of(arena, index, value)
    store_own_link(arena, row + arena.load_i64(index + INDEX_CHAIN), load_link(arena, bucket))
    store_link(tx, arena, bucket, row)


@kernel
def hash_replace(tx: Region, arena: Region, index: int, row: int, value: int, successor: int) -> None:
    """Let what leads to `row` in the chain of `value` lead to `successor`."""
    chain = arena.load_i64(index + INDEX_CHAIN)
    place = bucket_of(arena, index, value)
    each = load_link(arena, place)
    while each != row:
        place = each + chain
        each = load_link(arena, place)
    store_link(tx, arena, place, successor)


@kernel
def hash_unlink(tx: Region, arena: Region, index: int, row: int, value: int) -> None:
    """Take `row` out of the chain of `value`."""
    chain = row + arena.load_i64(index + INDEX_CHAIN)
    hash_replace(tx, arena, index, row, value, load_link(arena, chain))
    store_own_link(arena, chain, 0)
