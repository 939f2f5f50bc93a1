"""Layout of an entry: one input with its result, the only thing the log and the journal hold.

    0     int32   length of the entry, a multiple of 8, this header included
    4     int32   kind (ENTRY_KINDS); PADDING has only these two fields and no sequence
    8     SBE message header of message Entry (blockLength=112, templateId=1, schemaId=SCHEMA_ID, version=0)
    16    int64   position of the entry's first byte
    24    int64   sequence 1, 2, 3 ..., dense
    32    int64   epoch
    40    int64   timestamp_ns, the transaction's time
    48    int64   source sequence (the producer's own number; 0 where there is no source)
    56    int64   source position: end of the record in the ring
    64    int64   sent_ns, as the producer stamped it
    72    int32   source (number of the ring; 0 the engine itself)
    76    int32   logic version that decided (ordinal)
    80    int32   outcome (`faults`)
    84    int32   input length: bytes of the input that the entry keeps
    88    int32   outputs length, padding between outputs included
    92    int32   delta length
    96    int32   true length of the input as it was sent
    100   int32   flags (FLAG_GAP: the source's sequence jumped)
    104   int64   durable position known when it was written: not hashed
    112   int64   hash of everything else in the entry: not hashed itself
    120   int64   digest: mix(previous digest, hash of what execution determines)
    128   input, zero-padded to 8; then outputs; then delta

Outputs come before the delta, other than the first design had it: a handler encodes an output in place in the log
before the delta is known, so this order copies nothing.

    output    int32 length of the record, multiple of 8 | int32 index | int64 expires_ns (0 never) | SBE message
    delta     see `state/delta_layout.py`

All fields are little-endian. The leader writes entries, everybody reads them. An entry that a crash cut short lies
at or above the appended position; on disk, recovery finds it by length and hash.
"""

from __future__ import annotations

from statevec.state.delta_layout import DELETED as DELETED
from statevec.state.delta_layout import DELTA_IMAGE as DELTA_IMAGE
from statevec.state.delta_layout import DELTA_OPERATION as DELTA_OPERATION
from statevec.state.delta_layout import DELTA_PREVIOUS_SEQUENCE as DELTA_PREVIOUS_SEQUENCE
from statevec.state.delta_layout import DELTA_RECORD_LENGTH as DELTA_RECORD_LENGTH
from statevec.state.delta_layout import DELTA_ROW as DELTA_ROW
from statevec.state.delta_layout import DELTA_TABLE as DELTA_TABLE
from statevec.state.delta_layout import DELTA_VERSION as DELTA_VERSION
from statevec.state.delta_layout import INSERTED as INSERTED
from statevec.state.delta_layout import UPDATED as UPDATED

ENTRY_HEADER_SIZE = 128
SCHEMA_ID = 7_301
ENTRY_TEMPLATE_ID = 1
ENTRY_BLOCK_LENGTH = 112
SCHEMA_VERSION = 0
SBE_HEADER = ENTRY_BLOCK_LENGTH | ENTRY_TEMPLATE_ID << 16 | SCHEMA_ID << 32 | SCHEMA_VERSION << 48

LENGTH = 0
KIND = 4
SBE_HEADER_AT = 8
POSITION = 16
SEQUENCE = 24
EPOCH = 32
TIMESTAMP_NS = 40
SOURCE_SEQUENCE = 48
SOURCE_POSITION = 56
SENT_NS = 64
SOURCE = 72
LOGIC_VERSION = 76
OUTCOME = 80
INPUT_LENGTH = 84
OUTPUTS_LENGTH = 88
DELTA_LENGTH = 92
INPUT_TRUE_LENGTH = 96
FLAGS = 100
DURABLE_POSITION = 104
HASH = 112
DIGEST = 120
INPUT = 128

PADDING = -1
COMMAND = 1
TIMER = 2
ADMIN = 3
CUTOVER = 4
LEADERSHIP = 5
SNAPSHOT_MARK = 6
RING_ATTACH = 7
RING_DETACH = 8
RING_QUARANTINE = 9
DUPLICATES = 10
ENTRY_KINDS = {
    PADDING: "padding",
    COMMAND: "command",
    TIMER: "timer",
    ADMIN: "admin",
    CUTOVER: "cutover",
    LEADERSHIP: "leadership",
    SNAPSHOT_MARK: "snapshot_mark",
    RING_ATTACH: "ring_attach",
    RING_DETACH: "ring_detach",
    RING_QUARANTINE: "ring_quarantine",
    DUPLICATES: "duplicates",
}

FLAG_GAP = 1

OUTPUT_LENGTH = 0
OUTPUT_INDEX = 4
OUTPUT_EXPIRES_NS = 8
OUTPUT_MESSAGE = 16

assert INPUT == ENTRY_HEADER_SIZE == SBE_HEADER_AT + 8 + ENTRY_BLOCK_LENGTH
assert DIGEST + 8 == ENTRY_HEADER_SIZE
