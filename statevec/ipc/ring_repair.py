"""What makes a ring whole again after its producer died (rule 3), and the producer's lock.

The lock is flock on the ring's own file: it goes away with its holder, and a Java or C process can take it too.

Invariants
    Repair runs only under that lock, while the consumer may go on: everything that it stores lies between the first
    uncommitted record and the tail, or is the free header at the tail, and becomes visible back to front.
    Nothing that the ring holds is believed before it is checked; nonsense is a `RingError`, never repaired.

A crash in the middle leaves a ring that the next repair finishes: the record at the first uncommitted position is
stored last.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.ring_kernels import CORRUPT_TAIL, EMPTY, RING_CODES, check_positions, check_record
from statevec.ipc.ring_layout import (
    APPENDED_SEQUENCE,
    DATA,
    HEAD,
    HEAD_CACHE,
    MESSAGE_TYPE,
    PADDING_TYPE,
    PRODUCER_SEQUENCE,
    RECORD_HEADER_SIZE,
    RELEASED_SEQUENCE,
    TAIL,
    TRAILER_SIZE,
)
from statevec.ipc.segment import Segment

RESULT_LAST_SEQUENCE = 0
RESULT_PADDED = 8
RESULT_SIZE = 16


class RingError(Exception):
    """A ring that cannot be used as it is; the text has rule and values."""


@dataclass(frozen=True)
class Repair:
    """What `repair` found: the sequences to go on from, and how many bytes of uncommitted records it padded."""

    last_sequence: int
    appended_sequence: int
    released_sequence: int
    padded_bytes: int


@kernel
def store_padding(ring: Region, index: int, length: int) -> None:
    """One padding record of `length` bytes (a multiple of 8) at `index`."""
    # SYNC POINT: pairs with the load of a record's header in `next_record`.
    ring.store_release(index, length | PADDING_TYPE << 32)


@kernel
def repair_records(ring: Region, capacity: int, result: Region) -> int:
    """Pad from the first uncommitted record to the tail; 0 or CORRUPT_….

    `result` gets the highest producer sequence between head and tail, and how many bytes were padded.
    """
    code = check_positions(ring, capacity)
    if code < 0:
        return code
    # SYNC POINT: pairs with `release_head` and `_advance_tail`.
    head = ring.load_acquire(capacity + HEAD)
    tail = ring.load_acquire(capacity + TAIL)
    if tail > head + capacity - RECORD_HEADER_SIZE:
        return CORRUPT_TAIL
    last_sequence = 0
    position = head
    while position < tail:
        index = position & (capacity - 1)
        # SYNC POINT: pairs with `commit` of a producer that died; the lock that this process holds came after it.
        word = ring.load_acquire(index)
        length = check_record(capacity, index, word)
        if length < 0:
            code = length
            break
        if word >> 32 == MESSAGE_TYPE:
            last_sequence = max(last_sequence, ring.load_i64(index + RECORD_HEADER_SIZE + PRODUCER_SEQUENCE))
        position += (length + 7) & -8
    if position > tail:
        return CORRUPT_TAIL
    if code < EMPTY:
        return code
    result.store_i64(RESULT_LAST_SEQUENCE, last_sequence)
    result.store_i64(RESULT_PADDED, tail - position)
    ring.store_i64(capacity + HEAD_CACHE, head)
    ring.store_i64(tail & (capacity - 1), 0)
    if position < tail:
        index = position & (capacity - 1)
        to_end = capacity - index
        if tail - position > to_end:
            store_padding(ring, 0, tail - position - to_end)
            store_padding(ring, index, to_end)
        else:
            store_padding(ring, index, tail - position)
    return 0


def lock_producer(segment: Segment) -> None:
    """Become the ring's producer; `RingError` when another is. Lasts until `unlock_producer` or this process's end."""
    try:
        fcntl.flock(segment.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RingError(f"ring has a producer already: ring={segment.name!r}") from None


def unlock_producer(segment: Segment) -> None:
    """Give the producer's lock up."""
    fcntl.flock(segment.descriptor, fcntl.LOCK_UN)


def records_region(segment: Segment) -> Region:
    """The part of a ring's segment that Agrona knows: records and trailer."""
    return segment.region.slice(DATA, segment.capacity + TRAILER_SIZE)


def repair(segment: Segment) -> Repair:
    """Make the ring whole and say where its producer goes on. The caller holds the producer's lock."""
    segment.verify()
    result = Region.allocate(RESULT_SIZE)
    code = repair_records(records_region(segment), segment.capacity, result)
    if code < 0:
        raise RingError(f"ring is corrupt: ring={segment.name!r} code={RING_CODES[code]}")
    # SYNC POINT: pairs with the engine, which stores the appended sequence before it moves the head.
    appended = load_acquire(segment.region, APPENDED_SEQUENCE)
    released = load_acquire(segment.region, RELEASED_SEQUENCE)
    last = max(result.load_i64(RESULT_LAST_SEQUENCE), appended)
    return Repair(last, appended, released, result.load_i64(RESULT_PADDED))
