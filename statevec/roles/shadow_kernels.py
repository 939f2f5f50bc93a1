"""Running both versions on recorded entries, and finding those on which they differ, natively.

    follow       the deciding version runs
    lockstep     book the entry; the candidate runs on the state before it, is previewed and rolled back; then the
                 deciding version runs and commits
    independent  the deciding version runs on its state, the candidate on its own

Invariants
    The deciding version's digest after each entry is the entry's: otherwise the shadow compares with something that
    never happened, and stops.
    In lockstep the candidate leaves no byte changed in the arena.
    Nothing outside of private memory is written.

Whether two results are the same, or differ only as rules say, is matched by the plan (`shadow_match`); all else goes to
Python, which compares by message, key and field (`shadow_compare`).

A crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine import execution_layout as execution
from statevec.engine.execute import (
    DIGEST_DIFFERS,
    align8,
    book_recorded,
    preview_entry,
    replay_entry,
    run_entry,
    run_recorded,
)
from statevec.ipc.counters_kernels import record
from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import READER_ENTRY_POSITION
from statevec.ipc.log_kernels import next_entry as next_in_log
from statevec.ipc.memory import Region, cycles, region_at
from statevec.journal import entry_layout as entries
from statevec.journal.entry import VALID, check_entry
from statevec.journal.reader_kernels import next_entry
from statevec.roles import shadow_layout as layout
from statevec.roles.follow_codes import DAMAGED, ENTRIES_PER_CALL, GOES_ON, NOTICE, PAUSED
from statevec.roles.shadow_match import count_rules, match_entry
from statevec.state.transaction_layout import TRANSACTION_SIZE

DIFFERS = -30
"""The versions differ on the entry, as far as kernels can tell; both results lie in the scratch entries."""
DECIDER_DIFFERS = -31
"""The deciding version gave another digest than the entry has."""
REACHED = -33
"""The sequence after which to stop was reached."""


@kernel
def _decider_tx(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.DECIDER_TX), TRANSACTION_SIZE)


@kernel
def _candidate_tx(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.CANDIDATE_TX), TRANSACTION_SIZE)


@kernel
def _decider_block(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.DECIDER_BLOCK), execution.EXECUTION_SIZE)


@kernel
def _candidate_block(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.CANDIDATE_BLOCK), execution.EXECUTION_SIZE)


@kernel
def _decider_scratch(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.DECIDER_SCRATCH), shadow.load_i64(layout.SCRATCH_SIZE))


@kernel
def _candidate_scratch(shadow: Region) -> Region:
    return region_at(shadow.load_i64(layout.CANDIDATE_SCRATCH), shadow.load_i64(layout.SCRATCH_SIZE))


@kernel
def _is_timed(shadow: Region, recorded: Region) -> bool:
    kind = recorded.load_i32(entries.KIND)
    ran = kind == entries.COMMAND or kind == entries.TIMER
    return ran and recorded.load_i64(entries.SEQUENCE) & (shadow.load_i64(layout.TIME_EVERY) - 1) == 0


@kernel
def _run_lockstep(shadow: Region, recorded: Region) -> int:
    """Both versions on the same state; what `run_recorded` answers."""
    tx, block, scratch = _decider_tx(shadow), _decider_block(shadow), _decider_scratch(shadow)
    candidate_block, candidate_scratch = _candidate_block(shadow), _candidate_scratch(shadow)
    book_recorded(tx, block, recorded, scratch)
    candidate_block.store_i64(execution.BUDGET, block.load_i64(execution.BUDGET))
    input_end = entries.INPUT + align8(recorded.load_i32(entries.INPUT_LENGTH))
    candidate_scratch.copy_from(0, scratch, 0, input_end)
    timed = _is_timed(shadow, recorded)
    if timed:
        # Who runs first pays for the records that are not in the caches yet: that is neither of the two measured.
        preview_entry(tx, candidate_block, candidate_scratch)
        candidate_scratch.store_i32(entries.OUTCOME, scratch.load_i32(entries.OUTCOME))
    began = cycles()
    preview_entry(tx, candidate_block, candidate_scratch)
    between = cycles()
    answer = run_recorded(tx, block, recorded, scratch)
    if timed:
        record(shadow, layout.DECIDER_CYCLES, cycles() - between)
        record(shadow, layout.CANDIDATE_CYCLES, between - began)
    return answer


@kernel
def _run_independent(shadow: Region, recorded: Region) -> int:
    """Each version on its own state; what `run_recorded` answers."""
    candidate_tx, candidate_block = _candidate_tx(shadow), _candidate_block(shadow)
    candidate_scratch = _candidate_scratch(shadow)
    tx, block, scratch = _decider_tx(shadow), _decider_block(shadow), _decider_scratch(shadow)
    book_recorded(tx, block, recorded, scratch)
    book_recorded(candidate_tx, candidate_block, recorded, candidate_scratch)
    began = cycles()
    run_entry(candidate_tx, candidate_block, candidate_scratch, shadow.load_i64(layout.SCRATCH_SIZE))
    between = cycles()
    answer = run_recorded(tx, block, recorded, scratch)
    if _is_timed(shadow, recorded):
        record(shadow, layout.DECIDER_CYCLES, cycles() - between)
        record(shadow, layout.CANDIDATE_CYCLES, between - began)
    return answer


@kernel
def shadow_entry(shadow: Region, recorded: Region) -> int:
    """Run a checked entry in the block's mode: GOES_ON or one of the codes above."""
    mode = shadow.load_i64(layout.MODE)
    if mode == layout.LOCKSTEP:
        answer = _run_lockstep(shadow, recorded)
    elif mode == layout.INDEPENDENT:
        answer = _run_independent(shadow, recorded)
    else:
        answer = replay_entry(_decider_tx(shadow), _decider_block(shadow), recorded, _decider_scratch(shadow))
    if answer == DIGEST_DIFFERS:
        return DECIDER_DIFFERS
    if mode != layout.FOLLOW:
        shadow.store_i64(layout.COMPARED, shadow.load_i64(layout.COMPARED) + 1)
        plan = region_at(shadow.load_i64(layout.PLAN), shadow.load_i64(layout.PLAN_SIZE))
        matched = match_entry(plan, _decider_scratch(shadow), _candidate_scratch(shadow))
        if matched == 0:
            shadow.store_i64(layout.SAME, shadow.load_i64(layout.SAME) + 1)
        elif matched < 0 or not count_rules(plan, matched):
            return DIFFERS
    kind = recorded.load_i32(entries.KIND)
    if kind == entries.LEADERSHIP or kind == entries.CUTOVER:
        return NOTICE
    return REACHED if recorded.load_i64(entries.SEQUENCE) >= shadow.load_i64(layout.STOP_AFTER) else GOES_ON


@kernel
def shadow_segment(shadow: Region, segment: Region, first: int, cursor: Region) -> int:
    """Run entries of a mapped segment file from the cursor on: a code of this module or of `next_entry`."""
    for _ in range(ENTRIES_PER_CALL):
        offset = next_entry(segment, first, cursor)
        if offset < 0:
            return offset
        answer = shadow_entry(shadow, segment.slice(offset, segment.load_i32(offset + entries.LENGTH)))
        if answer != GOES_ON:
            return answer
    return PAUSED


@kernel
def shadow_log(shadow: Region, log: Region, reader: Region, target: Region) -> int:
    """Run entries of the live log, each copied to `target` first: a code of this module or of `ipc.log_kernels`."""
    block = _decider_block(shadow)
    for _ in range(ENTRIES_PER_CALL):
        length = next_in_log(log, reader, target)
        if length < 0:
            return length
        entry = target.slice(0, length)
        if check_entry(entry, reader.load_i64(READER_ENTRY_POSITION)) != VALID:
            return DAMAGED
        if entry.load_i64(entries.SEQUENCE) != block.load_i64(execution.SEQUENCE) + 1:
            return DAMAGED
        answer = shadow_entry(shadow, entry)
        if answer != GOES_ON:
            return answer
    return PAUSED
