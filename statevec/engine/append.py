"""Appending entries to the log: open space, fill header and input, run, publish.

    open_entry ──► the caller writes the input ──► close_entry ──► … more entries … ──► publish

Invariants
    No entry crosses a multiple of UNIT: the rest of a UNIT becomes padding. An entry whose result does not fit is
    moved, header and input, to the next UNIT, and its handler runs again there on the same state.
    Nothing above the published position was ever seen by a reader as an entry.
    The bytes stored between two calls of `publish` are at most MAX_BATCH_BYTES (`room_in_batch`).

The engine thread writes. A crash leaves bytes above the published position, which the next leader overwrites.
"""

from __future__ import annotations

from statevec.engine import execution_layout as execution
from statevec.engine import loop_layout as layout
from statevec.engine.engine_state import CLOCK_ROW_AT, PROBATION_LEFT, arena_of
from statevec.engine.execute import NEEDS_SPACE, align8, book_entry, run_entry
from statevec.ipc import log_layout as log_page
from statevec.ipc.kernel import kernel
from statevec.ipc.kill_points import AFTER_HANDLER, AFTER_PUBLISH, BEFORE_PUBLISH, kill_point
from statevec.ipc.log_kernels import entry_offset, is_full, start_entry
from statevec.ipc.log_kernels import publish as publish_log
from statevec.ipc.memory import Region, monotonic_ns, region_at, region_size
from statevec.journal import entry_layout as entries

MINIMUM_ROOM = 64
"""Beyond header and input, in bytes: with less before the end of the UNIT an entry is not even tried there."""


@kernel
def log_of(loop: Region) -> Region:
    """The log's segment, control page included."""
    return region_at(loop.load_i64(layout.LOG_ADDRESS), loop.load_i64(layout.LOG_SIZE))


@kernel
def room_in_unit(loop: Region, position: int) -> int:
    """Bytes from `position` to the end of its UNIT."""
    unit = loop.load_i64(layout.UNIT)
    return unit - (position & (unit - 1))


@kernel
def read_clock(loop: Region) -> int:
    """The time for the next entries, ns: never less than the last entry's."""
    now = loop.load_i64(layout.CLOCK_OFFSET_NS) + monotonic_ns()
    last = loop.load_i64(layout.LAST_TIME_NS)
    return now if now > last else last


@kernel
def room_in_batch(loop: Region) -> bool:
    """Whether one more entry of any size may be appended before the next `publish`."""
    pending = loop.load_i64(layout.NEXT_POSITION) - loop.load_i64(layout.PUBLISHED)
    return pending + 2 * loop.load_i64(execution.MAX_ENTRY) <= log_page.MAX_BATCH_BYTES


@kernel
def log_is_full(loop: Region, log: Region) -> bool:
    """Whether a whole batch could overwrite bytes that the journaler has not taken yet (rule 7)."""
    flushed_at = log_page.DURABLE if loop.load_i64(layout.DURABILITY) == layout.DISK else log_page.WRITTEN
    return is_full(log, loop.load_i64(layout.LOG_CAPACITY), loop.load_i64(layout.PUBLISHED), flushed_at)


@kernel
def _start(loop: Region, log: Region, position: int, size: int) -> int:
    """Where an entry of up to `size` bytes begins: at `position`, or behind padding in the next UNIT."""
    capacity, unit = loop.load_i64(layout.LOG_CAPACITY), loop.load_i64(layout.UNIT)
    started = start_entry(log, capacity, unit, position, size)
    if started != position:
        loop.store_i64(layout.PADDING_BYTES, loop.load_i64(layout.PADDING_BYTES) + started - position)
    return started


@kernel
def _space(loop: Region, log: Region, position: int) -> Region:
    """The log from `position` to where an entry that begins there must end."""
    limit = min(room_in_unit(loop, position), loop.load_i64(execution.MAX_ENTRY))
    return log.slice(entry_offset(loop.load_i64(layout.LOG_CAPACITY), position), limit)


@kernel
def open_entry(loop: Region, log: Region, kind: int, input_length: int) -> Region:
    """Space for an entry with that input, its header set to a new entry's; the caller writes the input at INPUT.

    The region ends where the entry must end. Source fields, flags and outcome are 0, the true length is the input's.
    """
    inside = entries.INPUT + align8(input_length)
    position = _start(loop, log, loop.load_i64(layout.NEXT_POSITION), inside + MINIMUM_ROOM)
    entry = _space(loop, log, position)
    entry.fill_zero(0, entries.ENTRY_HEADER_SIZE)
    if input_length & 7:
        entry.store_i64(inside - 8, 0)
    entry.store_i32(entries.KIND, kind)
    entry.store_i64(entries.POSITION, position)
    entry.store_i64(entries.SEQUENCE, loop.load_i64(execution.SEQUENCE) + 1)
    entry.store_i64(entries.EPOCH, loop.load_i64(layout.EPOCH))
    entry.store_i32(entries.INPUT_LENGTH, input_length)
    entry.store_i32(entries.INPUT_TRUE_LENGTH, input_length)
    # SYNC POINT: pairs with the journaler's release of the durable position.
    entry.store_i64(entries.DURABLE_POSITION, log.load_acquire(log_page.DURABLE))
    return entry


@kernel
def _move(loop: Region, log: Region, entry: Region) -> Region:
    """The entry's header and input again at the start of the next UNIT; what it leaves becomes padding."""
    loop.store_i64(layout.MOVED_ENTRIES, loop.load_i64(layout.MOVED_ENTRIES) + 1)
    inside = entries.INPUT + align8(entry.load_i32(entries.INPUT_LENGTH))
    left = entry.load_i64(entries.POSITION)
    position = left + room_in_unit(loop, left)
    moved = _space(loop, log, position)
    moved.copy_from(0, entry, 0, inside)
    moved.store_i64(entries.POSITION, position)
    _start(loop, log, left, loop.load_i64(execution.MAX_ENTRY))
    return moved


@kernel
def _count_slow(loop: Region, tx: Region) -> None:
    """Count a slow transaction of a version on probation. Time is not in the log: only the leader knows of it."""
    arena = arena_of(tx)
    if arena.load_i64(arena.load_i64(CLOCK_ROW_AT) + PROBATION_LEFT) > 0:
        slow = loop.load_i64(layout.SLOW_TRANSACTIONS) + 1
        loop.store_i64(layout.SLOW_TRANSACTIONS, slow)
        if slow > loop.load_i64(layout.MAX_SLOW):
            loop.store_i64(execution.PROBATION_FAILED, 1)


@kernel
def close_entry(loop: Region, tx: Region, log: Region, entry: Region, timestamp_ns: int) -> int:
    """Run the entry that `open_entry` began and the caller filled; its outcome. Nobody sees it before `publish`."""
    entry.store_i64(entries.TIMESTAMP_NS, timestamp_ns)
    slow_ns = loop.load_i64(layout.SLOW_NS)
    begun = monotonic_ns() if slow_ns > 0 else 0
    book_entry(tx, loop, entry)
    limit = min(room_in_unit(loop, entry.load_i64(entries.POSITION)), loop.load_i64(execution.MAX_ENTRY))
    length = run_entry(tx, loop, entry, limit)
    if length == NEEDS_SPACE:
        entry = _move(loop, log, entry)
        length = run_entry(tx, loop, entry, loop.load_i64(execution.MAX_ENTRY))
    kill_point(AFTER_HANDLER)
    if slow_ns > 0 and monotonic_ns() - begun > slow_ns:
        _count_slow(loop, tx)
    loop.store_i64(layout.NEXT_POSITION, entry.load_i64(entries.POSITION) + length)
    loop.store_i64(layout.LAST_TIME_NS, timestamp_ns)
    return entry.load_i32(entries.OUTCOME)


@kernel
def publish(loop: Region, log: Region) -> bool:
    """Make all closed entries visible; False when there was none."""
    position = loop.load_i64(layout.NEXT_POSITION)
    if position == loop.load_i64(layout.PUBLISHED):
        return False
    log.store_i64(log_page.LAST_SEQUENCE, loop.load_i64(execution.SEQUENCE))
    kill_point(BEFORE_PUBLISH)
    publish_log(log, position, loop.load_i64(layout.DURABILITY) == layout.MEMORY)
    kill_point(AFTER_PUBLISH)
    loop.store_i64(layout.PUBLISHED, position)
    return True


@kernel
def append_admin(loop: Region, tx: Region, kind: int, source: int, message: Region) -> int:
    """Append and publish one entry of the engine's own (leadership, ring attach); its sequence.

    Only while the loop does not run. `message` is the whole input.
    """
    log = log_of(loop)
    entry = open_entry(loop, log, kind, region_size(message))
    entry.copy_from(entries.INPUT, message, 0, region_size(message))
    entry.store_i32(entries.SOURCE, source)
    close_entry(loop, tx, log, entry, read_clock(loop))
    publish(loop, log)
    return loop.load_i64(execution.SEQUENCE)
