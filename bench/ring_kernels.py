"""Loops that fill and empty a ring natively, for measuring it and for stressing it with two processes.

Every 8 bytes of a message are its producer sequence, so that the reading side sees torn, lost and repeated messages.
Both loops idle as `strategy` (`ipc.idle`) says and give up after `limit_ns`: a dead partner leaves an answer and no
hanging process.
"""

from __future__ import annotations

from statevec.ipc.idle import idle
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, monotonic_ns, pause, region_size
from statevec.ipc.ring_kernels import (
    BACK_PRESSURED,
    CONSUMER_BODY,
    EMPTY,
    PRODUCER_LAST_SEQUENCE,
    claim,
    commit,
    next_record,
    release_head,
)
from statevec.ipc.ring_layout import INGRESS_HEADER_SIZE, PRODUCER_SEQUENCE

TIMED_OUT = -100
WRONG_MESSAGE = -101
BATCH = 64
"""Records read before the head moves."""
LOOK_AT_CLOCK = 1 << 12
"""Idle turns between two looks at the clock."""
ROUND_TRIPS_LIMIT_NS = 60_000_000_000


@kernel
def produce(ring: Region, producer: Region, length: int, count: int, strategy: int, limit_ns: int) -> int:
    """Offer `count` messages of `length` bytes (a multiple of 8), encoded in place; how many were sent, or a code."""
    deadline = monotonic_ns() + limit_ns
    turns = 0
    sent = 0
    while sent < count:
        body = claim(ring, producer, INGRESS_HEADER_SIZE + length)
        if body >= 0:
            sequence = producer.load_i64(PRODUCER_LAST_SEQUENCE) + 1
            for offset in range(0, length, 8):
                ring.store_i64(body + INGRESS_HEADER_SIZE + offset, sequence)
            commit(ring, producer, body, sequence)
            sent += 1
            turns = 0
        elif body != BACK_PRESSURED:
            return body
        else:
            turns += 1
            idle(strategy, turns)
            if turns % LOOK_AT_CLOCK == 0 and monotonic_ns() > deadline:
                return TIMED_OUT
    return sent


@kernel
def check_body(ring: Region, body: int, length: int, sequence: int) -> bool:
    """Whether the body at `body` is message `sequence`, whole."""
    same = ring.load_i64(body + PRODUCER_SEQUENCE) == sequence
    for offset in range(8, length, 8):
        same = same and ring.load_i64(body + offset) == sequence
    return same


@kernel
def consume(
    ring: Region, consumer: Region, last_sequence: int, count: int, whole: bool, strategy: int, limit_ns: int
) -> int:
    """Read `count` messages that follow `last_sequence` and check their sequences, or the `whole` of them; the last
    sequence, or a code."""
    deadline = monotonic_ns() + limit_ns
    wanted = last_sequence + count
    sequence = last_sequence
    turns = 0
    unreleased = 0
    while sequence < wanted:
        length = next_record(ring, consumer)
        if length >= 0:
            sequence += 1
            unreleased += 1
            turns = 0
            checked = length if whole else INGRESS_HEADER_SIZE
            if not check_body(ring, consumer.load_i64(CONSUMER_BODY), checked, sequence):
                return WRONG_MESSAGE
        elif length != EMPTY:
            return length
        else:
            turns += 1
            idle(strategy, turns)
            if turns % LOOK_AT_CLOCK == 0 and monotonic_ns() > deadline:
                return TIMED_OUT
        if length < 0 or unreleased == BATCH:
            release_head(ring, consumer)
            unreleased = 0
    release_head(ring, consumer)
    return sequence


@kernel
def _send(ring: Region, producer: Region, length: int) -> bool:
    """Offer one message to a ring that is known to have room, encoded in place."""
    body = claim(ring, producer, INGRESS_HEADER_SIZE + length)
    if body < 0:
        return False
    sequence = producer.load_i64(PRODUCER_LAST_SEQUENCE) + 1
    for offset in range(0, length, 8):
        ring.store_i64(body + INGRESS_HEADER_SIZE + offset, sequence)
    commit(ring, producer, body, sequence)
    return True


@kernel
def _receive(ring: Region, consumer: Region, length: int, sequence: int, deadline: int) -> int:
    """Spin for message `sequence`, check it and give its space back: its length, or a code."""
    turns = 0
    got = next_record(ring, consumer)
    while got == EMPTY:
        turns += 1
        pause()
        if turns % LOOK_AT_CLOCK == 0 and monotonic_ns() > deadline:
            return TIMED_OUT
        got = next_record(ring, consumer)
    if got >= 0 and not check_body(ring, consumer.load_i64(CONSUMER_BODY), length, sequence):
        return WRONG_MESSAGE
    release_head(ring, consumer)
    return got


@kernel
def ping(out: Region, producer: Region, back: Region, consumer: Region, samples: Region, length: int) -> int:
    """As many round trips as `samples` has words, one message under way, each timed in ns; 0 or a code."""
    deadline = monotonic_ns() + ROUND_TRIPS_LIMIT_NS
    for number in range(region_size(samples) // 8):
        begin = monotonic_ns()
        if not _send(out, producer, length):
            return BACK_PRESSURED
        got = _receive(back, consumer, length, number + 1, deadline)
        if got < 0:
            return got
        samples.store_i64(8 * number, monotonic_ns() - begin)
    return 0


@kernel
def echo(back: Region, producer: Region, out: Region, consumer: Region, count: int, length: int) -> int:
    """Answer `count` messages with one of the same number; 0 or a code."""
    deadline = monotonic_ns() + ROUND_TRIPS_LIMIT_NS
    for number in range(count):
        got = _receive(out, consumer, length, number + 1, deadline)
        if got < 0:
            return got
        if not _send(back, producer, length):
            return BACK_PRESSURED
    return 0
