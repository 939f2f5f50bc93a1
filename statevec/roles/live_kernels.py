"""Kernels that look at the log's entries while its leader goes on: how many, with which outcomes, how late.

Only what headers say is taken, in place: nothing of an entry is copied.

    watch, private memory of who looks (`scratch` is laid out alike):
    0      position of the next entry      8    sequence of the entry looked at last, 0 for none
    16     entries looked at               24   entries that were passed over unseen
    32     outcomes known                  40   entries with yet another outcome
    64     16 B for each outcome: int64 outcome | int64 how many entries had it
    2112   histogram (`counters_layout`) of the time from sent to sequenced, ns

Invariants
    What a unit says counts only when, after it was read, the writer had not come near it (`within_window`).
    No length is used before it is checked, and a walk stays below the limit of the caller, who knows it is published.

Who looks writes its own memory and nothing else. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.counters_kernels import record
from statevec.ipc.counters_layout import BUCKET_COUNT, BUCKETS, HIGHEST, HISTOGRAM_SIZE, SUM
from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import CORRUPT_ENTRY, ENTRY_PREFIX_SIZE, LAPPED, entry_offset, within_window
from statevec.ipc.memory import Region
from statevec.journal.entry_layout import (
    COMMAND,
    ENTRY_HEADER_SIZE,
    OUTCOME,
    PADDING,
    SENT_NS,
    SEQUENCE,
    TIMER,
    TIMESTAMP_NS,
)

NEXT = 0
LAST_SEQUENCE = 8
ENTRIES = 16
UNSEEN = 24
OUTCOME_COUNT = 32
OTHER_OUTCOMES = 40
OUTCOMES = 64
OUTCOME_SIZE = 16
MAX_OUTCOMES = 128
LATENCY = OUTCOMES + MAX_OUTCOMES * OUTCOME_SIZE
WATCH_SIZE = LATENCY + HISTOGRAM_SIZE

assert LATENCY % 64 == 0


@kernel
def count_outcome(watch: Region, outcome: int, entries: int) -> None:
    """Count `entries` more with that outcome."""
    known = watch.load_i64(OUTCOME_COUNT)
    for number in range(known):
        slot = OUTCOMES + OUTCOME_SIZE * number
        if watch.load_i64(slot) == outcome:
            watch.store_i64(slot + 8, watch.load_i64(slot + 8) + entries)
            return
    if known == MAX_OUTCOMES:
        watch.store_i64(OTHER_OUTCOMES, watch.load_i64(OTHER_OUTCOMES) + entries)
        return
    slot = OUTCOMES + OUTCOME_SIZE * known
    watch.store_i64(slot, outcome)
    watch.store_i64(slot + 8, entries)
    watch.store_i64(OUTCOME_COUNT, known + 1)


@kernel
def absorb(watch: Region, scratch: Region) -> None:
    """Add to `watch` what `scratch` counted."""
    unseen = scratch.load_i64(UNSEEN)
    watch.store_i64(ENTRIES, watch.load_i64(ENTRIES) + scratch.load_i64(ENTRIES))
    watch.store_i64(UNSEEN, watch.load_i64(UNSEEN) + unseen)
    watch.store_i64(OTHER_OUTCOMES, watch.load_i64(OTHER_OUTCOMES) + scratch.load_i64(OTHER_OUTCOMES))
    for number in range(scratch.load_i64(OUTCOME_COUNT)):
        slot = OUTCOMES + OUTCOME_SIZE * number
        count_outcome(watch, scratch.load_i64(slot), scratch.load_i64(slot + 8))
    watch.store_i64(LATENCY + SUM, watch.load_i64(LATENCY + SUM) + scratch.load_i64(LATENCY + SUM))
    watch.store_i64(LATENCY + HIGHEST, max(watch.load_i64(LATENCY + HIGHEST), scratch.load_i64(LATENCY + HIGHEST)))
    for bucket in range(BUCKET_COUNT):
        at = LATENCY + BUCKETS + 8 * bucket
        count = scratch.load_i64(at)
        if count:
            watch.store_i64(at, watch.load_i64(at) + count)


@kernel
def look_at_entry(log: Region, offset: int, scratch: Region) -> None:
    """Count the entry whose header stands at `offset`."""
    sequence = log.load_i64(offset + SEQUENCE)
    last = scratch.load_i64(LAST_SEQUENCE)
    if 0 < last < sequence - 1:
        scratch.store_i64(UNSEEN, scratch.load_i64(UNSEEN) + sequence - 1 - last)
    scratch.store_i64(LAST_SEQUENCE, sequence)
    scratch.store_i64(ENTRIES, scratch.load_i64(ENTRIES) + 1)
    kind = log.load_i32(offset + 4)
    if kind in (COMMAND, TIMER):
        count_outcome(scratch, log.load_i32(offset + OUTCOME), 1)
    sent_ns = log.load_i64(offset + SENT_NS)
    if kind == COMMAND and sent_ns > 0:
        record(scratch, LATENCY, log.load_i64(offset + TIMESTAMP_NS) - sent_ns)


@kernel
def watch_unit(log: Region, watch: Region, scratch: Region, capacity: int, unit: int, limit: int) -> int:
    """Look at the entries from NEXT to the end of the UNIT, or to `limit`: where it ended, LAPPED or CORRUPT_ENTRY.

    `watch` is as it was when the answer is negative.
    """
    start = watch.load_i64(NEXT)
    end = min(limit, (start & -unit) + unit)
    scratch.fill_zero(0, WATCH_SIZE)
    scratch.store_i64(LAST_SEQUENCE, watch.load_i64(LAST_SEQUENCE))
    position = start
    while position < end:
        offset = entry_offset(capacity, position)
        # SYNC POINT: pairs with `within_window` below: what was read before it counts only if it says so.
        word = log.load_acquire(offset)
        length = word & 0xFFFFFFFF
        least = ENTRY_PREFIX_SIZE if word >> 32 == PADDING else ENTRY_HEADER_SIZE
        if length < least or length & 7 or length > end - position:
            return CORRUPT_ENTRY if within_window(log, capacity, start) else LAPPED
        if word >> 32 != PADDING:
            look_at_entry(log, offset, scratch)
        position += length
    if not within_window(log, capacity, start):
        return LAPPED
    absorb(watch, scratch)
    watch.store_i64(LAST_SEQUENCE, scratch.load_i64(LAST_SEQUENCE))
    watch.store_i64(NEXT, position)
    return position


@kernel
def sequence_at(log: Region, capacity: int, unit: int, position: int) -> int:
    """Sequence of the entry at `position` (below what is published), or behind padding there; LAPPED if unknown."""
    position &= -ENTRY_PREFIX_SIZE  # who named it is not believed
    offset = entry_offset(capacity, position)
    # SYNC POINT: pairs with `within_window` below.
    word = log.load_acquire(offset)
    if word >> 32 == PADDING:
        offset = entry_offset(capacity, (position & -unit) + unit)
    elif unit - (position & (unit - 1)) < ENTRY_HEADER_SIZE:
        return LAPPED
    sequence = log.load_i64(offset + SEQUENCE)
    return sequence if within_window(log, capacity, position) else LAPPED
