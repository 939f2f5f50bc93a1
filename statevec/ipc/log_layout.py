"""Layout of the log's segment: one page about the segment, one page of positions, then the entries' bytes.

    0      4096 B   segment page (`segment_layout`): magic, layout version, kind, capacity, instance id, creator
    4096   4096 B   control page, one cache line pair (128 B) for each writer:
             +0       appended position          leader, release; readers acquire
             +8       released position          leader in `memory` mode (same value as appended)
             +16      sequence of the last entry leader (for people; the entries are the truth)
             +128     durable position           journaler: fdatasync done up to here
             +136     written position           journaler: written to the file up to here
             +144     released position          journaler in `disk` mode
             +256     heartbeat, monotonic ns    leader, once a turn at most every millisecond
             +384     source being executed      leader, before each dispatch
             +392     its sequence in the source
             +400     how often it was tried
             +512     epoch of the leader        new leader; the leader's loop checks it every batch
             +520     1 after a disk error       journaler: nothing is released any more
             +640     where released is read: offset in this page (8 or 144), set when the segment is made
             +648     first position that this segment ever held, set when it is made
    8192   capacity B   entries; byte at position p lies at 8192 + (p mod capacity)

Positions are bytes since genesis and never wrap. `capacity` is a power of two and a multiple of UNIT; no entry
crosses a multiple of UNIT.
"""

from __future__ import annotations

PAGE = 4096
CONTROL = PAGE
APPENDED = CONTROL + 0
RELEASED_BY_LEADER = CONTROL + 8
LAST_SEQUENCE = CONTROL + 16
DURABLE = CONTROL + 128
WRITTEN = CONTROL + 136
RELEASED_BY_JOURNALER = CONTROL + 144
HEARTBEAT_NS = CONTROL + 256
RUNNING_SOURCE = CONTROL + 384
RUNNING_SEQUENCE = CONTROL + 392
RUNNING_ATTEMPTS = CONTROL + 400
EPOCH = CONTROL + 512
HALTED = CONTROL + 520
RELEASED_AT = CONTROL + 640
FIRST_POSITION = CONTROL + 648
DATA = 2 * PAGE

UNIT = 1 << 20
"""Default of the genesis limit UNIT, bytes."""
MAX_ENTRY = 256 << 10
"""Default of the genesis limit MAX_ENTRY, bytes: header, input, outputs and delta of one entry."""
MAX_INPUT = 16 << 10
"""Default of the genesis limit MAX_INPUT, bytes; of a longer message the entry keeps that much."""
MAX_BATCH_BYTES = 1 << 20
"""The writer publishes at the latest after this many bytes; a reader's window is capacity - MAX_BATCH_BYTES."""

assert MAX_ENTRY <= UNIT and MAX_BATCH_BYTES >= 2 * MAX_ENTRY
assert all(
    offset % 8 == 0 for offset in (APPENDED, DURABLE, HEARTBEAT_NS, RUNNING_SOURCE, EPOCH, RELEASED_AT, FIRST_POSITION)
)
