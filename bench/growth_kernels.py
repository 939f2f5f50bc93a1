"""Transactions on one table of the state, without an engine around them: what growing tables cost."""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_size
from statevec.state import transaction_layout as layout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.tables import edit_row, find, insert_row
from statevec.state.transaction import begin, commit

TABLE = 0
VALUE = ROW_HEADER_SIZE + 8
"""Where the field behind the key is in a row."""


@kernel
def _next(number: int) -> int:
    """The next of a row of random numbers (xorshift64)."""
    number ^= number << 13
    number ^= (number >> 7) & 0x01FFFFFFFFFFFFFF
    return number ^ (number << 17)


@kernel
def fill(tx: Region, entry: Region, count: int) -> int:
    """Insert records 0 to `count`, a transaction each; 0, or the outcome of one that did not commit."""
    for key in range(count):
        tx.store_i64(layout.SEQUENCE, key + 1)
        begin(tx)
        insert_row(tx, TABLE, key)
        length = commit(tx, entry, 0, region_size(entry))
        if length < 0:
            return length
    return 0


@kernel
def update_random(tx: Region, entry: Region, arena: Region, records: int, count: int) -> int:
    """`count` transactions that change one random record each; 0, or the outcome of one that did not commit."""
    number = 0x2545F4914F6CDD1D
    for sequence in range(count):
        tx.store_i64(layout.SEQUENCE, records + sequence + 1)
        begin(tx)
        number = _next(number)
        row = find(tx, TABLE, ((number >> 1) & 0x3FFFFFFFFFFFFFFF) % records)
        edit_row(tx, TABLE, row)
        arena.store_i64(row + VALUE, arena.load_i64(row + VALUE) + 1)
        length = commit(tx, entry, 0, region_size(entry))
        if length < 0:
            return length
    return 0
