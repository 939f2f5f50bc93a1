"""Guards of iteration: while a table is iterated, only the current row may be inserted, deleted or moved.

One line for each table in the transaction block (`transaction_layout`):

    +0  changes so far            every insert, delete and move within an index counts
    +8  row of the last change
    +16 changes before the run of changes, all of that one row, that the last one belongs to

So "were all changes since `token` of row r?" is exact, for nested iterations too: nothing changed, or the last row is
r and its run began at or before the token.

Invariant: a token means something within its transaction only. The counts are never reset and decide nothing else.

The running transaction writes and reads; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.faults import ITERATION_MODIFIED, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.state.transaction_layout import TABLE_LINE_SIZE, TABLE_LINES

CHANGES = 0
LAST_ROW = 8
RUN_BEGAN = 16

assert RUN_BEGAN + 8 <= TABLE_LINE_SIZE


@kernel
def note_change(tx: Region, table: int, row: int) -> None:
    """Count an insert, delete or move of `row`."""
    line = TABLE_LINES + table * TABLE_LINE_SIZE
    changes = tx.load_i64(line + CHANGES)
    if tx.load_i64(line + LAST_ROW) != row:
        tx.store_i64(line + LAST_ROW, row)
        tx.store_i64(line + RUN_BEGAN, changes)
    tx.store_i64(line + CHANGES, changes + 1)


@kernel
def iteration_begin(tx: Region, table: int) -> int:
    """A token for an iteration of any index of the table that begins now."""
    return tx.load_i64(TABLE_LINES + table * TABLE_LINE_SIZE + CHANGES)


@kernel
def iteration_check(tx: Region, table: int, token: int, current_row: int) -> int:
    """The token to go on with; fault ITERATION_MODIFIED if another row than the current one changed since `token`."""
    line = TABLE_LINES + table * TABLE_LINE_SIZE
    changes = tx.load_i64(line + CHANGES)
    if changes != token:
        another = tx.load_i64(line + LAST_ROW) != current_row or tx.load_i64(line + RUN_BEGAN) > token
        fault_if(another, ITERATION_MODIFIED)
    return changes
