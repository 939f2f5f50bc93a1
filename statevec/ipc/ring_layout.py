"""Layout of a ring's segment: one producer, one consumer; after the first page it is Agrona's `OneToOneRingBuffer`.

    0      4096 B      segment page (`segment_layout`), and in it, each alone on two cache lines:
           1024        appended sequence   engine: highest producer sequence that is in the log
           1152        released sequence   engine: highest producer sequence whose entry is released
    4096   capacity B  records; the record at position p begins at 4096 + (p mod capacity)
    +capacity  768 B   trailer:
           +128        tail                producer: end of what it claimed
           +256        head cache          producer: the head as it last read it
           +384        head                consumer: end of what it is done with
           +512        correlation id      unused here, Agrona's
           +640        consumer heartbeat  consumer, ns

    record, aligned to 8
    0      int32       length, this header included, body not rounded up. Zero: nothing yet; negative: claimed;
                       stored last, with release
    4      int32       type: 1 message, -1 padding
    8      body: int64 producer sequence | int64 sent_ns | SBE message (type 1)

Positions are bytes since the ring was made and never wrap; the capacity is a power of two below 2^31. A body is at
most capacity/8 long. Before a record becomes visible the producer zeroes the 8 bytes behind it, so aligned length + 8
must be free; a record that does not fit before the end of the ring is preceded by padding. The consumer never writes
record memory.

The engine stores the appended sequence before it moves the head past that record: who reads the head first and the
appended sequence afterwards misses none.

What a crash leaves: of a producer, a tail beyond uncommitted records (`ring_repair` makes padding of them); of a
consumer, a head that is behind what the log says was consumed.
"""

from __future__ import annotations

from statevec.ipc.segment_layout import KIND_PAGE, PAGE_SIZE

APPENDED_SEQUENCE = KIND_PAGE
RELEASED_SEQUENCE = KIND_PAGE + 128
DATA = PAGE_SIZE

TAIL = 128
HEAD_CACHE = 256
HEAD = 384
CORRELATION_ID = 512
CONSUMER_HEARTBEAT = 640
TRAILER_SIZE = 768
"""Offsets in the trailer, counted from its beginning, which is DATA + capacity."""

RECORD_LENGTH = 0
RECORD_TYPE = 4
RECORD_HEADER_SIZE = 8
RECORD_ALIGNMENT = 8
MESSAGE_TYPE = 1
PADDING_TYPE = -1

PRODUCER_SEQUENCE = 0
SENT_NS = 8
INGRESS_HEADER_SIZE = 16
"""Offsets in the body."""

MIN_CAPACITY = 256
MAX_CAPACITY = 1 << 30
MAX_BODY_SHIFT = 3
"""A body is at most `capacity >> MAX_BODY_SHIFT` bytes long."""
MAX_SEQUENCE_JUMP = 1 << 32
"""No producer loses so many messages at once. A record further ahead is nonsense that would use up the numbers."""

assert APPENDED_SEQUENCE % 128 == 0 and RELEASED_SEQUENCE + 128 <= DATA
assert {TAIL, HEAD_CACHE, HEAD, CORRELATION_ID, CONSUMER_HEARTBEAT} == {128 * number for number in range(1, 6)}
assert TRAILER_SIZE == CONSUMER_HEARTBEAT + 128
assert MIN_CAPACITY >> MAX_BODY_SHIFT >= INGRESS_HEADER_SIZE + 8


def segment_size(capacity: int) -> int:
    """Bytes of a segment whose ring has that capacity."""
    return DATA + capacity + TRAILER_SIZE
