"""Layout of the loop block: all that the engine thread works with, private memory of the engine process.

    0       execution block (`execution_layout`)
    128     control (main thread writes, loop reads):
              128 stop request        136 reason the loop ended (loop writes)
    192     fixed while the loop runs:
              192 log segment address   200 its size      208 log capacity     216 UNIT
              224 MAX_INPUT             232 durability (0 memory, 1 disk)      240 epoch
              248 wall clock minus monotonic clock at the start of the leadership, ns
              256 rings                 264 batch: inputs a ring gives in a turn
              272 idle strategy         280 poison limit
              288 ns from which a transaction on probation is slow, 0 any time   296 slow ones allowed
    320     moved by the loop:
              320 position where the next entry goes      328 published position
              336 time of the last entry, ns              344 monotonic ns of the last heartbeat
              352 poison: source    360 sequence    368 attempts so far (left by a dead leader)
    384     counters, loop writes:
              384 turns   392 idle turns   400 turns with a full log   408 skipped duplicates   416 timers fired
              424 padding bytes   432 entries moved to the next UNIT   440 rings quarantined
              448 slow transactions of the version on probation (the main thread sets it to 0 with a cutover)
    512     request of the main thread to append an ADMIN entry at once (`cutover`)
    640     the same for a CUTOVER entry at its sequence
    768     the same for the CUTOVER entry that ends a failed probation, PREPARED until then; each:
              0  state: main thread posts or prepares, the loop serves, DONE is the main thread's again
              8  kind   16 sequence that the entry is to have, 0 the next
              24 message address   32 its length   40 outcome to record
              48 source   56 source sequence   64 source position
              72 result: sequence of the entry, 0 none   80 result: its outcome
              88 dispatch of the next version   96 its logic version
              104 transaction block on the arena with migrated tables, 0 none   112 migrate function
    1024    ring n at 1024 + 256 n:
              0 address of its records and trailer   8 their size   16 address of its first page
              24 source number   32 status   40 quarantine reason (a ring code)   48 ring instance
              56 last sequence   64 in a run of duplicates   72 duplicates skipped   80 messages taken
              88 sequence last told to the producer as appended   96 as released
              104 checkpoint position   112 checkpoint sequence   (released once that position is)
              120 1 once the log has the entry of its quarantine
              128 the consumer's private memory (`ring_kernels`)

Status is RING_OPEN, RING_SUSPECT (main thread: please quarantine, reason at 40) or RING_QUARANTINED.
A crash leaves nothing: the block is rebuilt from the journal and the rings.
"""

from __future__ import annotations

from statevec.engine.execution_layout import EXECUTION_SIZE

STOP = 128
REASON = 136
LOG_ADDRESS = 192
LOG_SIZE = 200
LOG_CAPACITY = 208
UNIT = 216
MAX_INPUT = 224
DURABILITY = 232
EPOCH = 240
CLOCK_OFFSET_NS = 248
RING_COUNT = 256
BATCH = 264
IDLE = 272
POISON_LIMIT = 280
SLOW_NS = 288
MAX_SLOW = 296
NEXT_POSITION = 320
PUBLISHED = 328
LAST_TIME_NS = 336
LAST_HEARTBEAT_NS = 344
POISON_SOURCE = 352
POISON_SEQUENCE = 360
POISON_ATTEMPTS = 368
TURNS = 384
IDLE_TURNS = 392
FULL_TURNS = 400
DUPLICATES = 408
TIMERS_FIRED = 416
PADDING_BYTES = 424
MOVED_ENTRIES = 432
QUARANTINES = 440
SLOW_TRANSACTIONS = 448
ADMIN_REQUEST = 512
CUTOVER_REQUEST = 640
FALLBACK_REQUEST = 768
REQUEST_SIZE = 128
REQUEST_STATE = 0
REQUEST_KIND = 8
REQUEST_AT = 16
REQUEST_MESSAGE = 24
REQUEST_LENGTH = 32
REQUEST_OUTCOME = 40
REQUEST_SOURCE = 48
REQUEST_SOURCE_SEQUENCE = 56
REQUEST_SOURCE_POSITION = 64
RESULT_SEQUENCE = 72
RESULT_OUTCOME = 80
NEXT_DISPATCH = 88
NEXT_LOGIC_VERSION = 96
NEXT_TRANSACTION = 104
NEXT_MIGRATE = 112
RINGS = 1024
RING_SIZE = 256
MAX_RINGS = 64
LOOP_SIZE = RINGS + MAX_RINGS * RING_SIZE

RING_ADDRESS = 0
RING_BYTES = 8
RING_PAGE_ADDRESS = 16
RING_SOURCE = 24
RING_STATUS = 32
RING_REASON = 40
RING_INSTANCE = 48
RING_LAST_SEQUENCE = 56
RING_DUPLICATE_RUN = 64
RING_DUPLICATES = 72
RING_MESSAGES = 80
RING_TOLD_APPENDED = 88
RING_TOLD_RELEASED = 96
RING_CHECKPOINT_POSITION = 104
RING_CHECKPOINT_SEQUENCE = 112
RING_QUARANTINE_ENTERED = 120
RING_CONSUMER = 128

RING_OPEN = 0
RING_SUSPECT = 1
RING_QUARANTINED = 2

NOTHING_ASKED = 0
POSTED = 1
DONE = 2
PREPARED = 3

MEMORY = 0
DISK = 1

STOPPED = 1
SUPERSEDED = 2
HALTED = 3
REASONS = {STOPPED: "stopped", SUPERSEDED: "superseded", HALTED: "halted"}

assert EXECUTION_SIZE <= STOP
