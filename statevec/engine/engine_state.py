"""The engine's own state: tables in the same arena as the plugin's, and the kernels that change them.

    0  clock    key 0      last time, epoch, logic version, probation: one row, made at genesis
    1  sources  key source what was taken from each ring: sequence, position, ring instance, marks
    2  timers   key id     deadline, ordered; ties fire in the order they were set
    3  ids      key 0      the id counter: one row, made at genesis

Invariants
    `clock` and `sources` change only in `book_entry`, before the savepoint, from what the entry's header says: their
    fields are stored without undo, they are not in a delta, and their record versions count insertions only. A handler
    changes `timers` and `ids`; those changes roll back with it and are in the delta.

Written by whoever executes entries (leader, standby, recovery, verify, simulate). A crash leaves nothing: the arena is
rebuilt.
"""

from __future__ import annotations

from statevec.ipc.faults import MISSING_KEY, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at
from statevec.state import transaction_layout as layout
from statevec.state.arena_layout import DIRECTORY, ROW_HEADER_SIZE, TABLE_ROWS, TABLE_SIZE
from statevec.state.records import IndexSpec, RecordLayout, TableSpec
from statevec.state.tables import delete_row, edit_row, find, insert_row, set_indexed

CLOCK = 0
SOURCES = 1
TIMERS = 2
IDS = 3
FIRST_PLUGIN_TABLE = 4
MAX_SOURCES = 256
MAX_TIMERS = 65_536
ID_BITS = 47

CLOCK_RECORD = RecordLayout.of(
    "clock",
    key="i64",
    last_time_ns="i64",
    epoch="i64",
    logic_version="i64",
    probation_left="i64",
    faults="i64",
    rejections="i64",
    violations="i64",
    max_faults="i64",
    max_rejections="i64",
    max_violations="i64",
)
SOURCE_RECORD = RecordLayout.of(
    "source",
    source="i64",
    sequence="i64",
    position="i64",
    ring_instance="i64",
    quarantined="i64",
    duplicate_run="i64",
)
TIMER_RECORD = RecordLayout.of("timer", timer_id="i64", deadline_ns="i64")
ID_RECORD = RecordLayout.of("ids", key="i64", last_counter="i64")

ENGINE_TABLES = [
    TableSpec("engine_clock", CLOCK_RECORD, 1, [IndexSpec("key", "key")], in_delta=False),
    TableSpec("engine_sources", SOURCE_RECORD, MAX_SOURCES, [IndexSpec("key", "source")], in_delta=False),
    TableSpec(
        "engine_timers",
        TIMER_RECORD,
        MAX_TIMERS,
        [IndexSpec("key", "timer_id"), IndexSpec("ordered", "deadline_ns")],
    ),
    TableSpec("engine_ids", ID_RECORD, 1, [IndexSpec("key", "key")]),
]
assert len(ENGINE_TABLES) == FIRST_PLUGIN_TABLE

CLOCK_ROW_AT = DIRECTORY + CLOCK * TABLE_SIZE + TABLE_ROWS
"""Where the arena says where the rows of `clock` begin: its only row, without a search."""
CLOCK_LAST_TIME_NS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("last_time_ns")
CLOCK_EPOCH = ROW_HEADER_SIZE + CLOCK_RECORD.offset("epoch")
CLOCK_LOGIC_VERSION = ROW_HEADER_SIZE + CLOCK_RECORD.offset("logic_version")
PROBATION_LEFT = ROW_HEADER_SIZE + CLOCK_RECORD.offset("probation_left")
PROBATION_FAULTS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("faults")
PROBATION_REJECTIONS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("rejections")
PROBATION_VIOLATIONS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("violations")
PROBATION_MAX_FAULTS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("max_faults")
PROBATION_MAX_REJECTIONS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("max_rejections")
PROBATION_MAX_VIOLATIONS = ROW_HEADER_SIZE + CLOCK_RECORD.offset("max_violations")
SOURCE_SEQUENCE = ROW_HEADER_SIZE + SOURCE_RECORD.offset("sequence")
SOURCE_POSITION = ROW_HEADER_SIZE + SOURCE_RECORD.offset("position")
SOURCE_RING_INSTANCE = ROW_HEADER_SIZE + SOURCE_RECORD.offset("ring_instance")
SOURCE_QUARANTINED = ROW_HEADER_SIZE + SOURCE_RECORD.offset("quarantined")
SOURCE_DUPLICATE_RUN = ROW_HEADER_SIZE + SOURCE_RECORD.offset("duplicate_run")
TIMER_KEY = ROW_HEADER_SIZE + TIMER_RECORD.offset("timer_id")
TIMER_DEADLINE_NS = ROW_HEADER_SIZE + TIMER_RECORD.offset("deadline_ns")
ID_LAST_COUNTER = ROW_HEADER_SIZE + ID_RECORD.offset("last_counter")
DEADLINE_INDEX = 1


@kernel
def arena_of(tx: Region) -> Region:
    """The arena that a transaction block works on."""
    return region_at(tx.load_i64(layout.ARENA_ADDRESS), tx.load_i64(layout.ARENA_SIZE))


@kernel
def next_id(tx: Region) -> int:
    """An id no other transaction of this instance ever got: the epoch above a counter of 47 bits."""
    row = find(tx, IDS, 0)
    fault_if(row == 0, MISSING_KEY)
    edit_row(tx, IDS, row)
    arena = arena_of(tx)
    counter = arena.load_i64(row + ID_LAST_COUNTER) + 1
    arena.store_i64(row + ID_LAST_COUNTER, counter)
    return (tx.load_i64(layout.EPOCH) << ID_BITS) | counter


@kernel
def set_timer(tx: Region, timer_id: int, at_ns: int) -> None:
    """Set the timer, or move it if it is set: it fires in a later turn, once `at_ns` has come."""
    row = find(tx, TIMERS, timer_id)
    if row == 0:
        row = insert_row(tx, TIMERS, timer_id)
    else:
        edit_row(tx, TIMERS, row)
    set_indexed(tx, TIMERS, row, DEADLINE_INDEX, at_ns)


@kernel
def cancel_timer(tx: Region, timer_id: int) -> bool:
    """Remove the timer; False when it was not set (or has fired)."""
    row = find(tx, TIMERS, timer_id)
    if row == 0:
        return False
    delete_row(tx, TIMERS, row)
    return True
