"""Appending the main thread's own entries from inside the loop, and letting another logic version decide.

    main thread   fills the request, posts it ─────────────────────────► reads the result, adopts the memory
    loop          at the wanted sequence: migrate ─► entry ─► switch ─► publish ─► DONE

Invariants
    A cutover entry has exactly the sequence that was asked for, or is not written at all (MISSED). Nobody decides it;
    the old version decided the entry before it, the new one decides the entry after it.
    Migration works on another arena: until the entry is complete, the old tables are as they were, and a migration that
    fails leaves the old version deciding and an entry that says so.
    A follower makes the same switch at the same entry, with the same digest of the migrated tables.
    A version that goes beyond its probation's limits decides no further entry once the way back is prepared.

The main thread owns the request while it is not POSTED, the loop while it is. A crash before the entry is published
leaves nothing of it; after it, whoever replays the log switches at the same place.
"""

from __future__ import annotations

from statevec.engine import execution_layout as execution
from statevec.engine import loop_layout as layout
from statevec.engine.append import close_entry, open_entry, publish, read_clock
from statevec.engine.engine_state import CLOCK_LAST_TIME_NS, CLOCK_LOGIC_VERSION, CLOCK_ROW_AT, arena_of
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.probation import begin_probation
from statevec.ipc.faults import COMMITTED, PLUGIN_FAULT
from statevec.ipc.kernel import kernel
from statevec.ipc.kill_points import BEFORE_CUTOVER_ENTRY, BEFORE_MIGRATION, BEFORE_SWITCH, kill_point
from statevec.ipc.memory import Region, call_dispatch, region_address, region_at
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.state import transaction_layout

MISSED = -1_000_000
"""Result of a request whose sequence has gone by: no entry was written."""


@kernel
def _is_due(loop: Region, request: int) -> bool:
    # SYNC POINT: pairs with the main thread's release of POSTED.
    if loop.load_acquire(request + layout.REQUEST_STATE) != layout.POSTED:
        return False
    return loop.load_i64(execution.SEQUENCE) + 1 >= loop.load_i64(request + layout.REQUEST_AT)


@kernel
def _falls_back(loop: Region) -> bool:
    """Whether the version that decides went beyond its probation's limits and the way back is prepared."""
    if loop.load_i64(execution.PROBATION_FAILED) == 0:
        return False
    # SYNC POINT: pairs with the main thread's release of PREPARED.
    return loop.load_acquire(layout.FALLBACK_REQUEST + layout.REQUEST_STATE) == layout.PREPARED


@kernel
def request_is_due(loop: Region) -> bool:
    """Whether a request of the main thread is to be served before the next entry."""
    return _falls_back(loop) or _is_due(loop, layout.ADMIN_REQUEST) or _is_due(loop, layout.CUTOVER_REQUEST)


@kernel
def migrate(tx: Region, next_tx: Region, function: int) -> int:
    """Fill the arena of `next_tx` from that of `tx`; COMMITTED, or the outcome of the one that failed."""
    answer = call_dispatch(function, region_address(tx), region_address(next_tx), 0)
    if answer == transaction_layout.DISPATCH_OK:
        return COMMITTED
    return answer if answer < 0 else PLUGIN_FAULT


@kernel
def switch_version(tx: Region, block: Region, next_tx: int, dispatch: int, logic_version: int) -> None:
    """Let another version decide: dispatch function, number, and the arena of `next_tx` (its address) unless that is 0.

    The time of the last entry is carried over; call it right after the cutover entry was executed.
    """
    arena = arena_of(tx)
    last_time = arena.load_i64(arena.load_i64(CLOCK_ROW_AT) + CLOCK_LAST_TIME_NS)
    if next_tx != 0:
        made = region_at(next_tx, transaction_layout.TRANSACTION_SIZE)
        tx.store_i64(transaction_layout.ARENA_ADDRESS, made.load_i64(transaction_layout.ARENA_ADDRESS))
        tx.store_i64(transaction_layout.ARENA_SIZE, made.load_i64(transaction_layout.ARENA_SIZE))
    arena = arena_of(tx)
    row = arena.load_i64(CLOCK_ROW_AT)
    arena.store_i64(row + CLOCK_LAST_TIME_NS, last_time)
    arena.store_i64(row + CLOCK_LOGIC_VERSION, logic_version)
    block.store_i64(execution.DISPATCH, dispatch)
    block.store_i64(execution.LOGIC_VERSION, logic_version)


@kernel
def _append_request(loop: Region, tx: Region, log: Region, request: Region, outcome: int, state_digest: int) -> int:
    """Append the requested entry; its outcome."""
    length = request.load_i64(layout.REQUEST_LENGTH)
    kind = request.load_i64(layout.REQUEST_KIND)
    entry = open_entry(loop, log, kind, length)
    entry.copy_from(entries.INPUT, region_at(request.load_i64(layout.REQUEST_MESSAGE), length), 0, length)
    if kind == entries.CUTOVER:
        entry.store_i64(entries.INPUT + admin.CUTOVER_STATE_DIGEST, state_digest)
    entry.store_i32(entries.SOURCE, request.load_i64(layout.REQUEST_SOURCE))
    entry.store_i64(entries.SOURCE_SEQUENCE, request.load_i64(layout.REQUEST_SOURCE_SEQUENCE))
    entry.store_i64(entries.SOURCE_POSITION, request.load_i64(layout.REQUEST_SOURCE_POSITION))
    entry.store_i32(entries.OUTCOME, outcome)
    return close_entry(loop, tx, log, entry, read_clock(loop))


@kernel
def _append_and_switch(loop: Region, tx: Region, log: Region, request: Region) -> int:
    """Append the requested entry and, if it is a cutover that works, let the next version decide; its outcome."""
    outcome = request.load_i64(layout.REQUEST_OUTCOME)
    next_tx = request.load_i64(layout.NEXT_TRANSACTION)
    cuts_over = request.load_i64(layout.REQUEST_KIND) == entries.CUTOVER
    digest = 0
    if cuts_over and next_tx != 0:
        made = region_at(next_tx, transaction_layout.TRANSACTION_SIZE)
        kill_point(BEFORE_MIGRATION)
        outcome = migrate(tx, made, request.load_i64(layout.NEXT_MIGRATE))
        if outcome == COMMITTED:
            digest = plugin_tables_digest(made)
    if cuts_over:
        kill_point(BEFORE_CUTOVER_ENTRY)
    outcome = _append_request(loop, tx, log, request, outcome, digest)
    if cuts_over and outcome == COMMITTED:
        kill_point(BEFORE_SWITCH)
        version = request.load_i64(layout.NEXT_LOGIC_VERSION)
        switch_version(tx, loop, next_tx, request.load_i64(layout.NEXT_DISPATCH), version)
        length = request.load_i64(layout.REQUEST_LENGTH)
        begin_probation(tx, loop, region_at(request.load_i64(layout.REQUEST_MESSAGE), length))
    return outcome


@kernel
def _serve(loop: Region, tx: Region, log: Region, request: Region) -> None:
    wanted = request.load_i64(layout.REQUEST_AT)
    sequence = loop.load_i64(execution.SEQUENCE) + 1
    if wanted != 0 and wanted != sequence:
        request.store_i64(layout.RESULT_SEQUENCE, 0)
        request.store_i64(layout.RESULT_OUTCOME, MISSED)
    else:
        request.store_i64(layout.RESULT_SEQUENCE, sequence)
        request.store_i64(layout.RESULT_OUTCOME, _append_and_switch(loop, tx, log, request))
        publish(loop, log)
    # SYNC POINT: pairs with the main thread's acquire of DONE: the result is there before it.
    request.store_release(layout.REQUEST_STATE, layout.DONE)


@kernel
def serve_requests(loop: Region, tx: Region, log: Region) -> int:
    """Append what the main thread asked for and is due, and cut over if it is a cutover; how many were served."""
    served = 0
    if _falls_back(loop):
        loop.store_i64(execution.PROBATION_FAILED, 0)
        _serve(loop, tx, log, loop.slice(layout.FALLBACK_REQUEST, layout.REQUEST_SIZE))
        served += 1
    for request in (layout.CUTOVER_REQUEST, layout.ADMIN_REQUEST, layout.CUTOVER_REQUEST):
        if _is_due(loop, request):
            _serve(loop, tx, log, loop.slice(request, layout.REQUEST_SIZE))
            served += 1
    return served
