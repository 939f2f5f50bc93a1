"""The engine loop: one native function, independent of any plugin, run by one pinned thread without the GIL.

    a turn:   stop?  epoch?  disk error?  heartbeat
              suspects ─► quarantine entries; the main thread's request, if its sequence has come
              due timers set before this turn, at most TIMERS_PER_TURN, by (deadline, order of setting)
              each ring in turn: at most a batch ─► entries ─► publish ─► advance the ring's head
              nothing done: idle

Invariants
    Publish first, then advance the head (rule 2): a message leaves its ring only when a reader can see its entry.
    The loop makes no system call (the clock is the vDSO's) and allocates nothing; `yield` and `sleep` idling are what
    they say. Every loop in a turn is bounded.
    A full log stops polling, so that rings fill and `offer` answers BACK_PRESSURED: nothing is dropped.

The engine thread writes the log, the rings' heads and the loop block; the main thread writes STOP and suspects.
A crash at any point leaves a log whose published part is whole; the next leader goes on from it.
"""

from __future__ import annotations

from statevec.engine import engine_state as engine_tables
from statevec.engine import execution_layout as execution
from statevec.engine import loop_layout as layout
from statevec.engine.append import (
    close_entry,
    log_is_full,
    log_of,
    open_entry,
    publish,
    read_clock,
    room_in_batch,
)
from statevec.engine.cutover import request_is_due, serve_requests
from statevec.engine.engine_state import DEADLINE_INDEX, TIMERS, arena_of
from statevec.engine.rings import note_running, poll_ring, quarantine_ring, tell_released
from statevec.ipc import log_layout as log_page
from statevec.ipc.faults import POISONED
from statevec.ipc.idle import idle
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, monotonic_ns
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.state.arena_layout import ROW_LAST_CHANGED
from statevec.state.tables import ordered_from, ordered_next

TIMERS_PER_TURN = 16
HEARTBEAT_INTERVAL_NS = 1_000_000
FIRST_DEADLINE = -(1 << 63)


@kernel
def _due_timer(tx: Region, now_ns: int, last_sequence: int) -> int:
    """Row of the first timer that is due and was set by an entry up to that sequence, 0 for none.

    Those set since then wait for the next turn (rule 21); a bounded number of them is passed over.
    """
    arena = arena_of(tx)
    row = ordered_from(tx, TIMERS, DEADLINE_INDEX, FIRST_DEADLINE, False)
    for _ in range(TIMERS_PER_TURN):
        if row == 0 or arena.load_i64(row + engine_tables.TIMER_DEADLINE_NS) > now_ns:
            return 0
        if arena.load_i64(row + ROW_LAST_CHANGED) <= last_sequence:
            return row
        row = ordered_next(tx, TIMERS, DEADLINE_INDEX, row, False)
    return 0


@kernel
def _fire_timers(loop: Region, tx: Region, log: Region) -> int:
    """Append an entry for each due timer, a bounded number; how many."""
    fired = 0
    now_ns = read_clock(loop)
    last_sequence = loop.load_i64(execution.SEQUENCE)
    row = _due_timer(tx, now_ns, last_sequence)
    while row != 0 and fired < TIMERS_PER_TURN and room_in_batch(loop) and not request_is_due(loop):
        arena = arena_of(tx)
        timer_id = arena.load_i64(row + engine_tables.TIMER_KEY)
        entry = open_entry(loop, log, entries.TIMER, admin.TIMER_LENGTH)
        entry.store_i64(entries.INPUT, admin.TIMER_SBE_HEADER)
        entry.store_i64(entries.INPUT + admin.TIMER_ID, timer_id)
        deadline_ns = arena.load_i64(row + engine_tables.TIMER_DEADLINE_NS)
        entry.store_i64(entries.INPUT + admin.TIMER_DEADLINE_NS, deadline_ns)
        if note_running(loop, log, 0, timer_id):
            entry.store_i32(entries.OUTCOME, POISONED)
        close_entry(loop, tx, log, entry, now_ns)
        fired += 1
        row = _due_timer(tx, now_ns, last_sequence)
    if fired:
        loop.store_i64(layout.TIMERS_FIRED, loop.load_i64(layout.TIMERS_FIRED) + fired)
        publish(loop, log)
        log.store_i64(log_page.RUNNING_ATTEMPTS, 0)  # done: unlike a message's number, a timer's id comes again
    return fired


@kernel
def _turn(loop: Region, tx: Region, log: Region) -> int:
    """One turn behind the checks; how many entries it made and records it consumed."""
    work = 0
    if not log_is_full(loop, log):
        work += serve_requests(loop, tx, log) + _fire_timers(loop, tx, log)
    for number in range(loop.load_i64(layout.RING_COUNT)):
        if log_is_full(loop, log):
            loop.store_i64(layout.FULL_TURNS, loop.load_i64(layout.FULL_TURNS) + 1)
            break
        work += serve_requests(loop, tx, log)
        ring_block = loop.slice(layout.RINGS + number * layout.RING_SIZE, layout.RING_SIZE)
        # SYNC POINT: pairs with the main thread's release of RING_SUSPECT, after the reason.
        status = ring_block.load_acquire(layout.RING_STATUS)
        if status == layout.RING_OPEN:
            work += poll_ring(loop, tx, log, ring_block)
        elif status == layout.RING_SUSPECT:
            quarantine_ring(loop, tx, log, ring_block)
            work += 1
        tell_released(loop, log, ring_block)
    return work


@kernel
def _beat(loop: Region, log: Region) -> None:
    now = monotonic_ns()
    if now - loop.load_i64(layout.LAST_HEARTBEAT_NS) >= HEARTBEAT_INTERVAL_NS:
        loop.store_i64(layout.LAST_HEARTBEAT_NS, now)
        # SYNC POINT: pairs with the acquire in whoever watches for a silent leader.
        log.store_release(log_page.HEARTBEAT_NS, now)


@kernel
def run_loop(loop: Region, tx: Region) -> int:
    """Lead until told to stop, superseded, or the disk failed; the reason (`loop_layout.REASONS`)."""
    log = log_of(loop)
    reason = 0
    idle_turns = 0
    while reason == 0:
        # SYNC POINT: pairs with the main thread's release of STOP.
        if loop.load_acquire(layout.STOP) != 0:
            reason = layout.STOPPED
        # SYNC POINT: pairs with a new leader's release of its epoch.
        elif log.load_acquire(log_page.EPOCH) != loop.load_i64(layout.EPOCH):
            reason = layout.SUPERSEDED
        # SYNC POINT: pairs with the journaler's release of HALTED.
        elif log.load_acquire(log_page.HALTED) != 0:
            reason = layout.HALTED
        else:
            _beat(loop, log)
            work = _turn(loop, tx, log)
            loop.store_i64(layout.TURNS, loop.load_i64(layout.TURNS) + 1)
            if work == 0:
                idle_turns += 1
                loop.store_i64(layout.IDLE_TURNS, loop.load_i64(layout.IDLE_TURNS) + 1)
                idle(loop.load_i64(layout.IDLE), idle_turns)
            else:
                idle_turns = 0
    # SYNC POINT: pairs with the main thread's acquire when it waits for the loop.
    loop.store_release(layout.REASON, reason)
    return reason
