"""What a handler can do to tables, ids and timers: one kernel each, on plain integers, called by both tiers.

Compiled handlers have them inlined; interpreted ones call them from Python, where an integer is the cheapest argument.
`transaction` is the address of the transaction block, `table` a table's number, `row` as in the state package.

Iteration looks one row ahead: the row after the current one is found before the loop's body may edit, move or delete
it. `order` says which index is walked: ROW_ORDER, GROUP, ASCENDING or DESCENDING.

Invariant: whatever is wrong is a fault; nothing is half done when one is raised that a rollback does not undo.
"""

from __future__ import annotations

from statevec.engine.engine_state import cancel_timer, next_id, set_timer
from statevec.ipc.faults import MISSING_KEY, VALUE_OUT_OF_RANGE, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at
from statevec.state.tables import (
    delete_row,
    edit_row,
    find,
    find_unique,
    first_row,
    group_first,
    group_next,
    insert_row,
    iteration_begin,
    iteration_check,
    next_row,
    ordered_from,
    ordered_next,
    row_count,
    set_indexed,
)
from statevec.state.transaction_layout import REJECT_CODE, TRANSACTION_SIZE

ROW_ORDER = 0
GROUP = 1
ASCENDING = 2
DESCENDING = 3
MAX_REJECTION = (1 << 31) - 1


@kernel
def block_at(transaction: int) -> Region:
    """The transaction block at an address."""
    return region_at(transaction, TRANSACTION_SIZE)


@kernel
def find_record(transaction: int, table: int, key: int) -> int:
    """Row of a key, 0 for none."""
    return find(block_at(transaction), table, key)


@kernel
def read_record(transaction: int, table: int, key: int) -> int:
    """Row of a key that must be there."""
    row = find(block_at(transaction), table, key)
    fault_if(row == 0, MISSING_KEY)
    return row


@kernel
def edit_record(transaction: int, table: int, key: int) -> int:
    """Row of a key that must be there, ready for stores."""
    tx = block_at(transaction)
    row = find(tx, table, key)
    fault_if(row == 0, MISSING_KEY)
    edit_row(tx, table, row)
    return row


@kernel
def insert_record(transaction: int, table: int, key: int) -> int:
    """Row of a new record."""
    return insert_row(block_at(transaction), table, key)


@kernel
def delete_record(transaction: int, table: int, key: int) -> None:
    """Delete the record of a key that must be there."""
    tx = block_at(transaction)
    row = find(tx, table, key)
    fault_if(row == 0, MISSING_KEY)
    delete_row(tx, table, row)


@kernel
def unique_record(transaction: int, table: int, index: int, value: int) -> int:
    """Row of a value in a unique index, 0 for none."""
    return find_unique(block_at(transaction), table, index, value)


@kernel
def assign_indexed(transaction: int, table: int, row: int, index: int, value: int) -> None:
    """Store an indexed field."""
    set_indexed(block_at(transaction), table, row, index, value)


@kernel
def count_records(transaction: int, table: int) -> int:
    """Records in the table."""
    return row_count(block_at(transaction), table)


@kernel
def rows_begin(transaction: int, table: int) -> int:
    """Token of an iteration that begins."""
    return iteration_begin(block_at(transaction), table)


@kernel
def rows_check(transaction: int, table: int, token: int, row: int) -> int:
    """Token to go on with after the loop's body saw `row`."""
    return iteration_check(block_at(transaction), table, token, row)


@kernel
def rows_first(transaction: int, table: int, index: int, order: int, value: int) -> int:
    """First row of an iteration, 0 for none."""
    tx = block_at(transaction)
    if order == ROW_ORDER:
        return first_row(tx, table)
    if order == GROUP:
        return group_first(tx, table, index, value)
    return ordered_from(tx, table, index, value, order == DESCENDING)


@kernel
def rows_next(transaction: int, table: int, index: int, order: int, row: int) -> int:
    """Row behind `row`, 0 behind the last."""
    tx = block_at(transaction)
    if order == ROW_ORDER:
        return next_row(tx, table, row)
    if order == GROUP:
        return group_next(tx, table, index, row)
    return ordered_next(tx, table, index, row, order == DESCENDING)


@kernel
def take_id(transaction: int) -> int:
    """The next id."""
    return next_id(block_at(transaction))


@kernel
def start_timer(transaction: int, timer_id: int, at_ns: int) -> None:
    """Set or replace a timer."""
    set_timer(block_at(transaction), timer_id, at_ns)


@kernel
def stop_timer(transaction: int, timer_id: int) -> bool:
    """Remove a timer; False when it is not set."""
    return cancel_timer(block_at(transaction), timer_id)


@kernel
def reject(transaction: int, code: int) -> None:
    """Note the rejection; the first one counts. Fault VALUE_OUT_OF_RANGE for a code that cannot be one."""
    tx = block_at(transaction)
    fault_if(code < 1 or code > MAX_REJECTION, VALUE_OUT_OF_RANGE)
    if tx.load_i64(REJECT_CODE) == 0:
        tx.store_i64(REJECT_CODE, code)
