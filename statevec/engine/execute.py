"""Running one entry: the one kernel behind the leader, a standby, a shadow, recovery, `verify` and `simulate()`.

An entry begins as a header whose fields kind, position, epoch, sequence, timestamp, source fields, input lengths,
flags and durable position are set, and its input. `book_entry` adds the logic version, lets the engine's own tables
follow the header and ends with the savepoint; `run_entry` dispatches, commits or rolls back, and completes and seals
the entry. They are two because a leader may have to move an entry whose result does not fit before the end of a UNIT:
then only `run_entry` happens again.

Invariants
    Whatever the handler does, after `run_entry` the plugin's tables are those of the last committed entry, or the
    entry's outcome is COMMITTED and its delta says what changed.
    What `run_entry` stores is a function of state, kind, sequence, epoch, timestamp and input, and of nothing else.

A crash in the middle leaves private memory that dies with the process, and log bytes above the published position.
"""

from __future__ import annotations

from statevec.engine import engine_state as engine_tables
from statevec.engine import execution_layout as execution
from statevec.engine.engine_state import CLOCK_ROW_AT, SOURCES, TIMERS, arena_of
from statevec.engine.probation import watch_probation
from statevec.ipc.faults import COMMITTED, OVERSIZE_MESSAGE, PLUGIN_FAULT, POISONED
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, call_dispatch, region_address
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.journal.entry import seal_entry
from statevec.state import transaction_layout as layout
from statevec.state.tables import delete_row, find, insert_row
from statevec.state.transaction import begin, commit, preview, rollback, savepoint

NEEDS_SPACE = -1
"""`run_entry`: the entry does not fit into `limit` bytes, and MAX_ENTRY is more than that. Nothing was changed."""
DIGEST_DIFFERS = -2
"""`replay_entry`: execution gave another result than the entry holds."""


@kernel
def align8(size: int) -> int:
    return (size + 7) & ~7


@kernel
def _book_clock(tx: Region, entry: Region) -> None:
    arena = arena_of(tx)
    row = arena.load_i64(CLOCK_ROW_AT)
    arena.store_i64(row + engine_tables.CLOCK_LAST_TIME_NS, entry.load_i64(entries.TIMESTAMP_NS))
    if entry.load_i32(entries.KIND) == entries.LEADERSHIP:
        arena.store_i64(row + engine_tables.CLOCK_EPOCH, entry.load_i64(entries.EPOCH))
        arena.store_i64(row + engine_tables.CLOCK_LOGIC_VERSION, entry.load_i32(entries.LOGIC_VERSION))


@kernel
def _book_source(tx: Region, entry: Region, kind: int) -> None:
    source = entry.load_i32(entries.SOURCE)
    row = find(tx, SOURCES, source)
    if row == 0:
        row = insert_row(tx, SOURCES, source)
    arena = arena_of(tx)
    arena.store_i64(row + engine_tables.SOURCE_POSITION, entry.load_i64(entries.SOURCE_POSITION))
    if kind == entries.COMMAND or kind == entries.ADMIN:
        arena.store_i64(row + engine_tables.SOURCE_SEQUENCE, entry.load_i64(entries.SOURCE_SEQUENCE))
        arena.store_i64(row + engine_tables.SOURCE_DUPLICATE_RUN, 0)
    elif kind == entries.DUPLICATES:
        arena.store_i64(row + engine_tables.SOURCE_DUPLICATE_RUN, 1)
    elif kind == entries.RING_ATTACH:
        instance = entry.load_i64(entries.INPUT + admin.RING_INSTANCE)
        arena.store_i64(row + engine_tables.SOURCE_RING_INSTANCE, instance)
        arena.store_i64(row + engine_tables.SOURCE_QUARANTINED, 0)
    elif kind == entries.RING_QUARANTINE:
        arena.store_i64(row + engine_tables.SOURCE_QUARANTINED, 1)


@kernel
def book_entry(tx: Region, block: Region, entry: Region) -> None:
    """Begin the transaction of an entry and let the engine's tables follow its header, for good (savepoint)."""
    kind = entry.load_i32(entries.KIND)
    entry.store_i32(entries.LOGIC_VERSION, block.load_i64(execution.LOGIC_VERSION))
    tx.store_i64(layout.NOW_NS, entry.load_i64(entries.TIMESTAMP_NS))
    tx.store_i64(layout.SEQUENCE, entry.load_i64(entries.SEQUENCE))
    tx.store_i64(layout.EPOCH, entry.load_i64(entries.EPOCH))
    tx.store_i64(layout.ENTRY_KIND, kind)
    begin(tx)
    _book_clock(tx, entry)
    if kind == entries.LEADERSHIP:
        block.store_i64(execution.BUDGET, entry.load_i64(entries.INPUT + admin.LEADERSHIP_LOOP_BUDGET))
    if entry.load_i32(entries.SOURCE) != 0:
        _book_source(tx, entry, kind)
    if kind == entries.TIMER:
        timer_id = entry.load_i64(entries.INPUT + admin.TIMER_ID)
        tx.store_i64(layout.TIMER_ID, timer_id)
        row = find(tx, TIMERS, timer_id)
        if row != 0:
            delete_row(tx, TIMERS, row)
    savepoint(tx)


@kernel
def _dispatch(tx: Region, block: Region, entry: Region, outputs_at: int, limit: int) -> int:
    """Outcome of the handler; its outputs lie in the entry from `outputs_at`, `limit` bytes at most."""
    address = region_address(entry)
    tx.store_i64(layout.OUTPUT_ADDRESS, address + outputs_at)
    tx.store_i64(layout.OUTPUT_SIZE, limit - outputs_at)
    tx.store_i64(layout.OUTPUT_USED, 0)
    tx.store_i64(layout.OUTPUT_COUNT, 0)
    tx.store_i64(layout.REJECT_CODE, 0)
    tx.store_i64(layout.OUTCOME, PLUGIN_FAULT)
    tx.store_i64(layout.FAULT_INFORMATION, 0)
    tx.store_i64(layout.SPACE_EXHAUSTED, 0)
    tx.store_i64(layout.BUDGET, block.load_i64(execution.BUDGET))
    length = entry.load_i32(entries.INPUT_LENGTH)
    answer = call_dispatch(block.load_i64(execution.DISPATCH), region_address(tx), address + entries.INPUT, length)
    return tx.load_i64(layout.OUTCOME) if answer == layout.DISPATCH_OK else PLUGIN_FAULT


@kernel
def _count(block: Region, tx: Region, outcome: int) -> None:
    if outcome == COMMITTED:
        block.store_i64(execution.COMMITTED_COUNT, block.load_i64(execution.COMMITTED_COUNT) + 1)
    elif outcome > 0:
        block.store_i64(execution.REJECTED_COUNT, block.load_i64(execution.REJECTED_COUNT) + 1)
    else:
        block.store_i64(execution.FAULTED_COUNT, block.load_i64(execution.FAULTED_COUNT) + 1)
        block.store_i64(execution.LAST_FAULT_INFORMATION, tx.load_i64(layout.FAULT_INFORMATION))
        block.store_i64(execution.LAST_FAULT_SEQUENCE, tx.load_i64(layout.SEQUENCE))


@kernel
def _decide(tx: Region, block: Region, entry: Region, outputs_at: int, limit: int) -> int:
    """The outcome before commit: of the handler where one is to run, else what the leader gave."""
    kind = entry.load_i32(entries.KIND)
    given = entry.load_i32(entries.OUTCOME)
    if given == POISONED or kind == entries.ADMIN or kind == entries.CUTOVER:
        return given
    if kind != entries.COMMAND and kind != entries.TIMER:
        return COMMITTED
    if entry.load_i32(entries.INPUT_TRUE_LENGTH) > entry.load_i32(entries.INPUT_LENGTH):
        return OVERSIZE_MESSAGE
    return _dispatch(tx, block, entry, outputs_at, limit)


@kernel
def _complete(tx: Region, block: Region, entry: Region, outcome: int, outputs_length: int, delta_length: int) -> int:
    """Fill in what execution determined, and seal the entry; its whole length."""
    length = entries.INPUT + align8(entry.load_i32(entries.INPUT_LENGTH)) + outputs_length + delta_length
    entry.store_i64(entries.SBE_HEADER_AT, entries.SBE_HEADER)
    entry.store_i32(entries.OUTCOME, outcome)
    entry.store_i32(entries.OUTPUTS_LENGTH, outputs_length)
    entry.store_i32(entries.DELTA_LENGTH, delta_length)
    entry.store_i32(entries.LENGTH, length)
    block.store_i64(execution.DIGEST, seal_entry(entry, block.load_i64(execution.DIGEST)))
    block.store_i64(execution.SEQUENCE, entry.load_i64(entries.SEQUENCE))
    _count(block, tx, outcome)
    return length


@kernel
def run_entry(tx: Region, block: Region, entry: Region, limit: int) -> int:
    """Run a booked entry to its end in `limit` bytes (multiple of 8); its whole length, or NEEDS_SPACE.

    The entry's OUTCOME must be POISONED to record it without running it, else 0. ADMIN and CUTOVER entries keep theirs.
    """
    outputs_at = entries.INPUT + align8(entry.load_i32(entries.INPUT_LENGTH))
    tx.store_i64(layout.SPACE_EXHAUSTED, 0)
    tx.store_i64(layout.OUTPUT_USED, 0)
    outcome = _decide(tx, block, entry, outputs_at, limit)
    outputs_length = tx.load_i64(layout.OUTPUT_USED)
    delta_length = 0
    if outcome == COMMITTED:
        delta_length = commit(tx, entry, outputs_at + outputs_length, limit - outputs_at - outputs_length)
        if delta_length < 0:
            outcome = delta_length
    if outcome != COMMITTED:
        rollback(tx)
        if tx.load_i64(layout.SPACE_EXHAUSTED) != 0 and limit < block.load_i64(execution.MAX_ENTRY):
            return NEEDS_SPACE
        outputs_length = 0
        delta_length = 0
    length = _complete(tx, block, entry, outcome, outputs_length, delta_length)
    watch_probation(tx, block, entry.load_i32(entries.KIND), outcome)
    return length


@kernel
def preview_entry(tx: Region, block: Region, entry: Region) -> int:
    """What `run_entry` would give, with MAX_ENTRY bytes; its length. Afterwards the entry is only booked, as before.

    `block` is of the version that is asked, over the same arena as the one that decides.
    """
    limit = block.load_i64(execution.MAX_ENTRY)
    outputs_at = entries.INPUT + align8(entry.load_i32(entries.INPUT_LENGTH))
    tx.store_i64(layout.SPACE_EXHAUSTED, 0)
    tx.store_i64(layout.OUTPUT_USED, 0)
    outcome = _decide(tx, block, entry, outputs_at, limit)
    outputs_length = tx.load_i64(layout.OUTPUT_USED)
    delta_length = 0
    if outcome == COMMITTED:
        delta_length = preview(tx, entry, outputs_at + outputs_length, limit - outputs_at - outputs_length)
        if delta_length < 0:
            outcome = delta_length
    rollback(tx)
    if outcome != COMMITTED:
        outputs_length = 0
        delta_length = 0
    return _complete(tx, block, entry, outcome, outputs_length, delta_length)


@kernel
def book_recorded(tx: Region, block: Region, recorded: Region, scratch: Region) -> None:
    """Begin to execute a recorded entry (checked, in private or trusted memory) again: its input goes to `scratch`."""
    outputs_at = entries.INPUT + align8(recorded.load_i32(entries.INPUT_LENGTH))
    scratch.copy_from(0, recorded, 0, outputs_at)
    kind = recorded.load_i32(entries.KIND)
    decided = kind != entries.ADMIN and kind != entries.CUTOVER
    if decided and recorded.load_i32(entries.OUTCOME) != POISONED:
        scratch.store_i32(entries.OUTCOME, 0)
    if kind == entries.LEADERSHIP:
        block.store_i64(execution.LOGIC_VERSION, recorded.load_i32(entries.LOGIC_VERSION))
    book_entry(tx, block, scratch)


@kernel
def run_recorded(tx: Region, block: Region, recorded: Region, scratch: Region) -> int:
    """Run what `book_recorded` booked; its length, or DIGEST_DIFFERS."""
    length = run_entry(tx, block, scratch, block.load_i64(execution.MAX_ENTRY))
    if block.load_i64(execution.DIGEST) != recorded.load_i64(entries.DIGEST):
        block.store_i64(execution.REPLAYED_OUTCOME, scratch.load_i32(entries.OUTCOME))
        return DIGEST_DIFFERS
    return length


@kernel
def replay_entry(tx: Region, block: Region, recorded: Region, scratch: Region) -> int:
    """Execute a recorded entry (checked, in private or trusted memory) again; its length, or DIGEST_DIFFERS.

    `scratch` has MAX_ENTRY bytes and holds what execution gave, for a comparison field by field.
    """
    book_recorded(tx, block, recorded, scratch)
    return run_recorded(tx, block, recorded, scratch)
