"""The one-to-one ring's kernels: claim, commit, abort and offer for its producer, reading for its consumer.

Layout: `ring_layout`. `ring` is always the part of the segment that Agrona knows: records and trailer, without the
first page. Each side keeps what it knows in private memory:

    producer  0 capacity | 8 tail | 16 head as last read | 24 sequence of the last message
    consumer  0 capacity | 8 head | 16 offset of the record's body in `ring` | 24 length of the body

Invariants
    Only the tail's owner stores records, only the head's owner moves the head; the consumer reads a record's length
    and type once, in one 64-bit load, and believes nothing that would lead outside the ring. It never reads the tail.
    A record of at most `capacity >> 3` bytes of body always fits once the ring is empty.

Crash of the producer: between the store of the tail and the last store of a commit there is an uncommitted record;
between the store of the tail and that of a padding record there is none at all where one should be: the header reads
zero. Crash of the consumer: nothing; its head in the ring is where the next one begins.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_size
from statevec.ipc.ring_layout import (
    HEAD,
    HEAD_CACHE,
    INGRESS_HEADER_SIZE,
    MAX_BODY_SHIFT,
    MESSAGE_TYPE,
    PADDING_TYPE,
    PRODUCER_SEQUENCE,
    RECORD_HEADER_SIZE,
    SENT_NS,
    TAIL,
)

EMPTY = -1
BACK_PRESSURED = -2
TOO_LONG = -3
NOT_CLAIMED = -4
CORRUPT_LENGTH = -5
CORRUPT_TYPE = -6
CORRUPT_TAIL = -7
CORRUPT_HEAD = -8
CORRUPT_PAGE = -9
CORRUPT_SEQUENCE = -10
RING_CODES = {
    EMPTY: "EMPTY",
    BACK_PRESSURED: "BACK_PRESSURED",
    TOO_LONG: "TOO_LONG",
    NOT_CLAIMED: "NOT_CLAIMED",
    CORRUPT_LENGTH: "CORRUPT_LENGTH",
    CORRUPT_TYPE: "CORRUPT_TYPE",
    CORRUPT_TAIL: "CORRUPT_TAIL",
    CORRUPT_HEAD: "CORRUPT_HEAD",
    CORRUPT_PAGE: "CORRUPT_PAGE",
    CORRUPT_SEQUENCE: "CORRUPT_SEQUENCE",
}

PRODUCER_CAPACITY = 0
PRODUCER_TAIL = 8
PRODUCER_HEAD_CACHE = 16
PRODUCER_LAST_SEQUENCE = 24
PRODUCER_SIZE = 64

CONSUMER_CAPACITY = 0
CONSUMER_HEAD = 8
CONSUMER_BODY = 16
CONSUMER_LENGTH = 24
CONSUMER_SIZE = 64

MAX_PADDING_RUN = 4
"""So many padding records are passed over in one call; a producer that pads for ever cannot hold its reader."""


@kernel
def open_producer(ring: Region, producer: Region, capacity: int, last_sequence: int) -> None:
    """Fill the private memory of a producer that goes on at the ring's tail."""
    producer.store_i64(PRODUCER_CAPACITY, capacity)
    # SYNC POINT: pairs with the store of the tail in `claim` by the producer before this one.
    producer.store_i64(PRODUCER_TAIL, ring.load_acquire(capacity + TAIL))
    # SYNC POINT: pairs with `release_head`.
    producer.store_i64(PRODUCER_HEAD_CACHE, ring.load_acquire(capacity + HEAD))
    producer.store_i64(PRODUCER_LAST_SEQUENCE, last_sequence)


@kernel
def _refresh_head(ring: Region, producer: Region, capacity: int) -> int:
    """Read the consumer's head and remember it, also in the trailer for the producer that comes next."""
    # SYNC POINT: pairs with `release_head`: the consumer's reads of the records are over before they are overwritten.
    head = ring.load_acquire(capacity + HEAD)
    producer.store_i64(PRODUCER_HEAD_CACHE, head)
    ring.store_i64(capacity + HEAD_CACHE, head)
    return head


@kernel
def claim(ring: Region, producer: Region, length: int) -> int:
    """Take space for a body of `length` bytes: its offset in `ring`, BACK_PRESSURED or TOO_LONG.

    May insert padding up to the end of the ring and still answer BACK_PRESSURED.
    """
    capacity = producer.load_i64(PRODUCER_CAPACITY)
    if length < 0 or length > capacity >> MAX_BODY_SHIFT:
        return TOO_LONG
    aligned = (length + RECORD_HEADER_SIZE + 7) & -8
    required = aligned + RECORD_HEADER_SIZE
    tail = producer.load_i64(PRODUCER_TAIL)
    head = producer.load_i64(PRODUCER_HEAD_CACHE)
    if required > capacity - (tail - head):
        head = _refresh_head(ring, producer, capacity)
        if required > capacity - (tail - head):
            return BACK_PRESSURED
    index = tail & (capacity - 1)
    to_end = capacity - index
    padding = 0
    if required > to_end and aligned != to_end:
        padding = to_end
        if required > head & (capacity - 1):
            head = _refresh_head(ring, producer, capacity)
        fits = required <= head & (capacity - 1)
        _advance_tail(ring, producer, capacity, tail + padding + (aligned if fits else 0))
        if fits:
            ring.store_i64(aligned, 0)
            ring.store_i64(0, -(length + RECORD_HEADER_SIZE) & 0xFFFFFFFF)
        else:
            ring.store_i64(0, 0)
        # SYNC POINT: pairs with the load in `next_record`: what follows the padding reads zero or claimed.
        ring.store_release(index, padding | PADDING_TYPE << 32)
        return RECORD_HEADER_SIZE if fits else BACK_PRESSURED
    _advance_tail(ring, producer, capacity, tail + aligned)
    ring.store_i64((index + aligned) & (capacity - 1), 0)
    # SYNC POINT: pairs with the load in `next_record`, which takes a negative length for nothing yet.
    ring.store_release(index, -(length + RECORD_HEADER_SIZE) & 0xFFFFFFFF)
    return index + RECORD_HEADER_SIZE


@kernel
def _advance_tail(ring: Region, producer: Region, capacity: int, tail: int) -> None:
    producer.store_i64(PRODUCER_TAIL, tail)
    # SYNC POINT: pairs with the load in `open_producer` and in the slow check; readers of records never look at it.
    ring.store_release(capacity + TAIL, tail)


@kernel
def commit(ring: Region, producer: Region, body: int, sent_ns: int) -> int:
    """Make the claimed record with its body at offset `body` visible: its producer sequence, or NOT_CLAIMED.

    The message was stored INGRESS_HEADER_SIZE bytes behind `body`.
    """
    length = -ring.load_i32(body - RECORD_HEADER_SIZE)
    if length < RECORD_HEADER_SIZE + INGRESS_HEADER_SIZE:
        return NOT_CLAIMED
    sequence = producer.load_i64(PRODUCER_LAST_SEQUENCE) + 1
    producer.store_i64(PRODUCER_LAST_SEQUENCE, sequence)
    ring.store_i64(body + PRODUCER_SEQUENCE, sequence)
    ring.store_i64(body + SENT_NS, sent_ns)
    # SYNC POINT: pairs with the load in `next_record`: body and the next header's zero are visible before the length.
    ring.store_release(body - RECORD_HEADER_SIZE, length | MESSAGE_TYPE << 32)
    return sequence


@kernel
def abort(ring: Region, body: int) -> int:
    """Give the claimed record up: it becomes padding. 0 or NOT_CLAIMED."""
    length = -ring.load_i32(body - RECORD_HEADER_SIZE)
    if length < RECORD_HEADER_SIZE:
        return NOT_CLAIMED
    # SYNC POINT: pairs with the load in `next_record`, as in `commit`.
    ring.store_release(body - RECORD_HEADER_SIZE, length | PADDING_TYPE << 32)
    return 0


@kernel
def offer(ring: Region, producer: Region, message: Region, sent_ns: int) -> int:
    """Append a copy of `message`: its producer sequence, BACK_PRESSURED or TOO_LONG."""
    length = region_size(message)
    body = claim(ring, producer, INGRESS_HEADER_SIZE + length)
    if body < 0:
        return body
    ring.copy_from(body + INGRESS_HEADER_SIZE, message, 0, length)
    return commit(ring, producer, body, sent_ns)


@kernel
def open_consumer(ring: Region, consumer: Region, capacity: int, head: int) -> None:
    """Fill the private memory of a consumer that goes on at position `head`."""
    consumer.store_i64(CONSUMER_CAPACITY, capacity)
    consumer.store_i64(CONSUMER_HEAD, head)
    consumer.store_i64(CONSUMER_BODY, 0)
    consumer.store_i64(CONSUMER_LENGTH, 0)
    release_head(ring, consumer)


@kernel
def check_record(capacity: int, index: int, word: int) -> int:
    """Judge the record header `word` that was read at `index`: length of the record, EMPTY or CORRUPT_….

    A claimed record counts as EMPTY. Padding may have any length up to the end of the ring.
    """
    length = (word & 0xFFFFFFFF) - ((word & 0x80000000) << 1)
    magnitude = -length if length < 0 else length
    if magnitude == 0:
        return EMPTY
    kind = word >> 32
    if magnitude < RECORD_HEADER_SIZE or magnitude > capacity - index:
        return CORRUPT_LENGTH
    if length < 0:
        return EMPTY
    if kind == PADDING_TYPE:
        return length
    if kind != MESSAGE_TYPE:
        return CORRUPT_TYPE
    body = length - RECORD_HEADER_SIZE
    if body < INGRESS_HEADER_SIZE or body > capacity >> MAX_BODY_SHIFT:
        return CORRUPT_LENGTH
    return length


@kernel
def next_record(ring: Region, consumer: Region) -> int:
    """Go to the next message: length of its body (ingress header included), EMPTY or CORRUPT_….

    CONSUMER_BODY then says where the body lies in `ring` and CONSUMER_HEAD the position where the record ends. The
    space stays the consumer's until `release_head`.
    """
    capacity = consumer.load_i64(CONSUMER_CAPACITY)
    head = consumer.load_i64(CONSUMER_HEAD)
    for _ in range(MAX_PADDING_RUN):
        index = head & (capacity - 1)
        # SYNC POINT: pairs with the stores of a record's header in `commit`, `abort` and `claim`.
        word = ring.load_acquire(index)
        length = check_record(capacity, index, word)
        if length < 0:
            return length
        head += (length + 7) & -8
        consumer.store_i64(CONSUMER_HEAD, head)
        if word >> 32 == MESSAGE_TYPE:
            consumer.store_i64(CONSUMER_BODY, index + RECORD_HEADER_SIZE)
            consumer.store_i64(CONSUMER_LENGTH, length - RECORD_HEADER_SIZE)
            return length - RECORD_HEADER_SIZE
    return EMPTY


@kernel
def release_head(ring: Region, consumer: Region) -> None:
    """Give the producer back the space of all that was read. The engine publishes its entries first (rule 2)."""
    capacity = consumer.load_i64(CONSUMER_CAPACITY)
    # SYNC POINT: pairs with the load in `_refresh_head`.
    ring.store_release(capacity + HEAD, consumer.load_i64(CONSUMER_HEAD))


@kernel
def poll(ring: Region, consumer: Region, target: Region) -> int:
    """Copy the next body (ingress header included) to `target` and release it: its length, EMPTY or CORRUPT_….

    `target` has room for `capacity >> MAX_BODY_SHIFT` bytes.
    """
    before = consumer.load_i64(CONSUMER_HEAD)
    length = next_record(ring, consumer)
    if length >= 0:
        target.copy_from(0, ring, consumer.load_i64(CONSUMER_BODY), length)
    if consumer.load_i64(CONSUMER_HEAD) != before:
        release_head(ring, consumer)
    return length


@kernel
def check_positions(ring: Region, capacity: int) -> int:
    """The slow check of the trailer: 0, CORRUPT_HEAD or CORRUPT_TAIL. Safe while both sides work."""
    # SYNC POINT: pairs with `release_head` and `_advance_tail`; the tail is read between two reads of the head, so
    # that it is at or above the first and at most a capacity above the second.
    head_before = ring.load_acquire(capacity + HEAD)
    tail = ring.load_acquire(capacity + TAIL)
    head_after = ring.load_acquire(capacity + HEAD)
    if head_before < 0 or head_before & 7 or head_after < head_before:
        return CORRUPT_HEAD
    if tail & 7 or tail < head_before or tail > head_after + capacity:
        return CORRUPT_TAIL
    return 0


@kernel
def resume_position(capacity: int, journaled_end: int, head: int) -> int:
    """Where a new leader goes on (rule 1): the higher of the two positions, or CORRUPT_HEAD when they cannot both be.

    `journaled_end` is the end of the last record of this ring instance that the log has, 0 when it has none.
    """
    if head < 0 or head & 7 or journaled_end < 0 or journaled_end & 7:
        return CORRUPT_HEAD
    if journaled_end > head + capacity or head > journaled_end + capacity:
        return CORRUPT_HEAD
    return max(journaled_end, head)
