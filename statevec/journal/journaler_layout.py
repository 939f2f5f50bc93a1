"""Layout of the journaler's block: the private memory that its native loop shares with the Python around it.

int64 each, in lines of 128 bytes by who writes:

    0     stop: 1 asks the loop to drain and leave            Python
    8     sync: 1 in `disk` mode, 0 in `memory` mode          Python, before the loop starts
    16    idle sleep, ns (0 spins)                             Python, before the loop starts
    24    capacity of the log, bytes                           Python, before the loop starts

    128   file descriptor of the current segment               loop (Python while the loop does not run)
    136   its first position           144  its end position
    152   written position             160  durable position, as the loop knows them

    256   1 when a next segment is prepared                    Python sets, loop clears
    264   its file descriptor          272  its first position          280  its end position

    384   1 when a segment is full and its file can be closed  loop sets, Python clears
    392   its file descriptor          400  its end position

    512   errno of the failure         520  operation that failed (WRITE, SYNC)     528  position of the failure
    536   bytes written                544  writes              552  syncs           560  ns spent in syncs, sum
    568   ns of the longest sync       576  largest batch       584  times it waited for a segment

Nothing survives the process.
"""

from __future__ import annotations

from statevec.ipc.log_layout import UNIT

STOP = 0
SYNC = 8
IDLE_NS = 16
CAPACITY = 24

CURRENT_FILE = 128
CURRENT_FIRST = 136
CURRENT_END = 144
WRITTEN_POSITION = 152
DURABLE_POSITION = 160

NEXT_READY = 256
NEXT_FILE = 264
NEXT_FIRST = 272
NEXT_END = 280

RETIRED = 384
RETIRED_FILE = 392
RETIRED_END = 400

FAILURE_ERRNO = 512
FAILURE_OPERATION = 520
FAILURE_POSITION = 528
BYTES_WRITTEN = 536
WRITES = 544
SYNCS = 552
SYNC_NS = 560
SYNC_NS_MAX = 568
BATCH_BYTES_MAX = 576
SEGMENT_WAITS = 584
BLOCK_SIZE = 640

WRITE = 1
SYNC_DATA = 2
OPERATION_NAMES = {WRITE: "pwrite", SYNC_DATA: "fdatasync"}
COUNTERS = {
    "bytes_written": BYTES_WRITTEN,
    "writes": WRITES,
    "syncs": SYNCS,
    "sync_ns": SYNC_NS,
    "sync_ns_max": SYNC_NS_MAX,
    "batch_bytes_max": BATCH_BYTES_MAX,
    "segment_waits": SEGMENT_WAITS,
}

MAX_SYNC_BYTES = 8 << 20
"""One fdatasync covers at most this much, so that a release never waits long behind a large batch."""

assert all(offset % 128 == 0 for offset in (CURRENT_FILE, NEXT_READY, RETIRED, FAILURE_ERRNO))
assert SEGMENT_WAITS + 8 <= BLOCK_SIZE
assert MAX_SYNC_BYTES > UNIT
