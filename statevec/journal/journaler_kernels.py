"""The journaler's native loop: the log's bytes into segment files, then out of doubt.

    appended ──pwrite──▶ written ──fdatasync──▶ durable (= released in `disk` mode)

Invariants
    durable ≤ written ≤ appended, each only grows, and each is published after what it promises was done.
    A failed write or fdatasync is final: nothing is published after it, the loop leaves, nobody calls it again.
    What is published is the end of an entry: readers take it as their limit. (No entry crosses a unit.)
    One fdatasync covers at most MAX_SYNC_BYTES and one segment.

Who writes and who reads
    The loop writes WRITTEN, DURABLE, RELEASED_BY_JOURNALER and HALTED in the log's control page, and its lines of the
    block (`journaler_layout`). The leader waits for WRITTEN or DURABLE when the log is full.

A crash leaves files whose bytes from the last durable position on are unknown; the next journaler writes them again
(rule 11), or recovery finds their end (rule 9).
"""

from __future__ import annotations

from statevec.ipc.idle import sleep_ns
from statevec.ipc.kernel import kernel
from statevec.ipc.kill_points import AFTER_FDATASYNC, AFTER_WRITE, BEFORE_FDATASYNC, kill_point
from statevec.ipc.log_layout import APPENDED, DATA, DURABLE, HALTED, RELEASED_BY_JOURNALER, UNIT, WRITTEN
from statevec.ipc.memory import Region, monotonic_ns, pause
from statevec.journal import journaler_layout as layout
from statevec.journal.system_calls import fdatasync, pwrite

DRAINED = 0
"""Asked to stop, and everything appended is written, in `disk` mode durable."""
NEED_SEGMENT = -1
"""The current segment is full and no other is prepared, or the last one was not retired yet."""
FAILED = -2
"""The block says which operation failed, where and why; HALTED is set."""

GATHER_BYTES = 1 << 18
"""In `memory` mode less than this is not worth a system call right away."""
INTERRUPTED = -4
"""-EINTR: a signal came before anything was written."""
NO_PROGRESS = 5
"""EIO: what a write that answers 0 bytes counts as."""


@kernel
def add(block: Region, counter: int, amount: int) -> None:
    # SYNC POINT: pairs with Journaler.statistics, which only wants whole values
    block.store_release(counter, block.load_relaxed(counter) + amount)


@kernel
def raise_to(block: Region, counter: int, value: int) -> None:
    if value > block.load_relaxed(counter):
        block.store_release(counter, value)  # SYNC POINT: pairs with Journaler.statistics


@kernel
def fail(log: Region, block: Region, operation: int, errno: int) -> int:
    """Halt: say what failed, and stop every release (the leader and the gateways look at HALTED)."""
    block.store_i64(layout.FAILURE_OPERATION, operation)
    block.store_i64(layout.FAILURE_ERRNO, errno)
    block.store_i64(layout.FAILURE_POSITION, block.load_i64(layout.WRITTEN_POSITION))
    log.store_release(HALTED, 1)  # SYNC POINT: pairs with the leader's check in every turn
    return FAILED


@kernel
def write_range(log: Region, block: Region, end: int) -> int:
    """Write from the written position to `end`, which lies in the current segment; 0 or -errno.

    The written position of the block follows every single write, so that a failure knows its place.
    """
    capacity = block.load_i64(layout.CAPACITY)
    file = block.load_i64(layout.CURRENT_FILE)
    first = block.load_i64(layout.CURRENT_FIRST)
    position = block.load_i64(layout.WRITTEN_POSITION)
    while position < end:
        place = position & (capacity - 1)
        size = min(end - position, capacity - place)
        written = pwrite(file, log, DATA + place, size, position - first)
        if written == 0:
            return -NO_PROGRESS
        if written < 0:
            if written != INTERRUPTED:
                return written
        else:
            add(block, layout.WRITES, 1)
            add(block, layout.BYTES_WRITTEN, written)
            position += written
            block.store_i64(layout.WRITTEN_POSITION, position)
    return 0


@kernel
def sync_current(log: Region, block: Region) -> int:
    """fdatasync of the current segment, then publish what is durable; 0 or -errno. A failure is never retried."""
    started = monotonic_ns()
    kill_point(BEFORE_FDATASYNC)
    answer = fdatasync(block.load_i64(layout.CURRENT_FILE))
    kill_point(AFTER_FDATASYNC)
    if answer < 0:
        return answer
    took = monotonic_ns() - started
    add(block, layout.SYNCS, 1)
    add(block, layout.SYNC_NS, took)
    raise_to(block, layout.SYNC_NS_MAX, took)
    written = block.load_i64(layout.WRITTEN_POSITION)
    block.store_i64(layout.DURABLE_POSITION, written)
    log.store_release(DURABLE, written)  # SYNC POINT: pairs with the leader's full check and its durable field
    if block.load_i64(layout.SYNC) != 0:
        log.store_release(RELEASED_BY_JOURNALER, written)  # SYNC POINT: pairs with readers that follow released
    return 0


@kernel
def next_segment(block: Region) -> bool:
    """Go on in the prepared segment; False when there is none, or nobody took the one before away."""
    # SYNC POINT: pairs with Journaler.prepare, which sets NEXT_READY and clears RETIRED with release
    if block.load_acquire(layout.NEXT_READY) == 0 or block.load_acquire(layout.RETIRED) != 0:
        return False
    if block.load_i64(layout.NEXT_FIRST) != block.load_i64(layout.CURRENT_END):
        return False
    block.store_i64(layout.RETIRED_FILE, block.load_i64(layout.CURRENT_FILE))
    block.store_i64(layout.RETIRED_END, block.load_i64(layout.CURRENT_END))
    block.store_i64(layout.CURRENT_FILE, block.load_i64(layout.NEXT_FILE))
    block.store_i64(layout.CURRENT_FIRST, block.load_i64(layout.NEXT_FIRST))
    block.store_i64(layout.CURRENT_END, block.load_i64(layout.NEXT_END))
    block.store_release(layout.RETIRED, 1)  # SYNC POINT: pairs with Journaler.prepare, which closes the file
    block.store_release(layout.NEXT_READY, 0)  # SYNC POINT: pairs with Journaler.prepare, which makes another
    return True


@kernel
def journal_step(log: Region, block: Region, appended: int) -> int:
    """Write one batch towards `appended`, sync it in `disk` mode, publish; bytes written, NEED_SEGMENT or FAILED."""
    written = block.load_i64(layout.WRITTEN_POSITION)
    current_end = block.load_i64(layout.CURRENT_END)
    if written == current_end:
        if not next_segment(block):
            return NEED_SEGMENT
        current_end = block.load_i64(layout.CURRENT_END)
    end = min(appended, current_end)
    if end - written > layout.MAX_SYNC_BYTES:
        end = (written + layout.MAX_SYNC_BYTES) & -UNIT  # where an entry ends
    answer = write_range(log, block, end)
    if answer < 0:
        return fail(log, block, layout.WRITE, -answer)
    kill_point(AFTER_WRITE)
    log.store_release(WRITTEN, end)  # SYNC POINT: pairs with the leader's full check in `memory` mode
    if block.load_i64(layout.SYNC) != 0:
        answer = sync_current(log, block)
        if answer < 0:
            return fail(log, block, layout.SYNC_DATA, -answer)
    raise_to(block, layout.BATCH_BYTES_MAX, end - written)
    return end - written


@kernel
def journal_loop(log: Region, block: Region) -> int:
    """Journal until told to stop: DRAINED, NEED_SEGMENT or FAILED. Runs without the GIL in a thread of its own.

    In `memory` mode nobody waits for it, so it sleeps after a small batch too and takes more at once.
    """
    idle_ns = block.load_i64(layout.IDLE_NS)
    gathers = block.load_i64(layout.SYNC) == 0 and idle_ns > 0
    while True:
        # The order matters: what is appended before the stop is asked for must be seen after it.
        stopping = block.load_acquire(layout.STOP)  # SYNC POINT: pairs with Journaler.stop
        appended = log.load_acquire(APPENDED)  # SYNC POINT: pairs with the leader's publish
        if appended > block.load_i64(layout.WRITTEN_POSITION):
            answer = journal_step(log, block, appended)
            if answer < 0:
                return answer
            if gathers and answer < GATHER_BYTES and stopping == 0:
                sleep_ns(idle_ns)
        elif stopping != 0:
            return DRAINED
        elif idle_ns > 0:
            sleep_ns(idle_ns)
        else:
            pause()
