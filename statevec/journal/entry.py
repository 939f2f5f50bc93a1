"""Kernels that seal an entry and check one: the two sides of `entry_layout`.

    body hash     hash of the bytes from 128 to the end: input, outputs, delta
    determined    fold of the body hash and of the header fields that execution determines: length, kind, sequence,
                  timestamp, source, source sequence, sent_ns, logic version, outcome, the three lengths, true
                  length, the gap flag
    digest        mix(previous digest, determined); 0 before the first entry
    hash          fold of determined, digest and the header fields of this one recording: SBE header, position, epoch,
                  source position, all flags; so it covers every byte of the entry but the durable position and itself

Invariants
    What `seal_entry` writes, `check_entry` accepts at its position, and no entry with another byte changed (the
    durable position aside), but for one in 2^64.

Who writes and who reads
    The leader seals in claimed log space, before it publishes. Journal readers, recovery, standby and `verify` check.

A crash between two stores leaves an entry above the appended position, whose hash is wrong in all likelihood; on disk
recovery cuts it (rule 9).
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, multiply_fold, region_size
from statevec.journal.entry_layout import (
    DELTA_LENGTH,
    DIGEST,
    ENTRY_HEADER_SIZE,
    ENTRY_KINDS,
    EPOCH,
    FLAG_GAP,
    FLAGS,
    HASH,
    INPUT,
    INPUT_LENGTH,
    INPUT_TRUE_LENGTH,
    KIND,
    LENGTH,
    OUTCOME,
    OUTPUTS_LENGTH,
    PADDING,
    POSITION,
    SBE_HEADER,
    SBE_HEADER_AT,
    SENT_NS,
    SEQUENCE,
    SOURCE,
    SOURCE_POSITION,
    SOURCE_SEQUENCE,
    TIMESTAMP_NS,
)
from statevec.journal.fold import SECRET_0, SECRET_1, SECRET_2, SECRET_3, SECRET_4, SECRET_7, hash_bytes, mix

VALID = 1
VALID_PADDING = 2
NOTHING_THERE = 0
"""Length and kind are zero: what a segment holds where nothing was written yet."""
BAD_LENGTH = -1
BAD_KIND = -2
BAD_SBE_HEADER = -3
BAD_POSITION = -4
BAD_PARTS = -5
BAD_SEQUENCE = -6
BAD_HASH = -7
BAD_DIGEST = -8
"""Internally sound, but its digest does not follow from the entry before: only a walk over entries can tell."""

CHECK_NAMES = {
    VALID: "valid",
    VALID_PADDING: "valid padding",
    NOTHING_THERE: "nothing there",
    BAD_LENGTH: "length is not a multiple of 8 within its unit",
    BAD_KIND: "kind is unknown",
    BAD_SBE_HEADER: "SBE header is not that of message Entry",
    BAD_POSITION: "position is not where it lies",
    BAD_PARTS: "lengths of input, outputs and delta do not make up the entry",
    BAD_SEQUENCE: "sequence does not follow",
    BAD_HASH: "hash differs from its bytes",
    BAD_DIGEST: "digest does not follow from the entry before",
}

MAX_KIND = 10
PADDING_MINIMUM = 8


@kernel
def determined_hash(entry: Region) -> int:
    """Hash of all that execution determines; the entry's `LENGTH` must be right."""
    body = hash_bytes(entry, INPUT, entry.load_i32(LENGTH) - INPUT, 0)
    sizes = entry.load_u32(INPUT_TRUE_LENGTH) | (entry.load_i32(FLAGS) & FLAG_GAP) << 32
    # Two words in each lane, none waits for another or for the body; two 32-bit fields are loaded as one word.
    lane_0 = multiply_fold(entry.load_i64(LENGTH) ^ SECRET_0, entry.load_i64(SEQUENCE) ^ SECRET_4)
    lane_1 = multiply_fold(entry.load_i64(TIMESTAMP_NS) ^ SECRET_1, entry.load_i64(SOURCE_SEQUENCE) ^ SECRET_7)
    lane_2 = multiply_fold(entry.load_i64(SENT_NS) ^ SECRET_2, entry.load_i64(SOURCE) ^ SECRET_1)
    lane_3 = multiply_fold(entry.load_i64(OUTCOME) ^ SECRET_3, entry.load_i64(OUTPUTS_LENGTH) ^ SECRET_2)
    lane_4 = multiply_fold(sizes ^ SECRET_4, SECRET_0)
    return multiply_fold(lane_0 ^ lane_1 ^ lane_2 ^ lane_3 ^ lane_4, body ^ SECRET_7)


@kernel
def entry_hash(entry: Region, determined: int) -> int:
    """Hash of the whole entry, its digest included, from `determined_hash(entry)`."""
    lane_0 = multiply_fold(entry.load_i64(POSITION) ^ SECRET_0, entry.load_i64(EPOCH) ^ SECRET_1)
    lane_1 = multiply_fold(entry.load_i64(SOURCE_POSITION) ^ SECRET_2, entry.load_i64(SBE_HEADER_AT) ^ SECRET_3)
    lane_2 = multiply_fold(entry.load_i32(FLAGS) ^ SECRET_4, SECRET_7)
    return multiply_fold(lane_0 ^ lane_1 ^ lane_2, entry.load_i64(DIGEST) ^ determined ^ SECRET_1)


@kernel
def seal_entry(entry: Region, previous_digest: int) -> int:
    """Write digest and hash of a finished entry, whose other fields are all set; returns the digest.

    `entry` starts at the entry; its size is at least the entry's length.
    """
    entry.store_i64(SBE_HEADER_AT, SBE_HEADER)
    determined = determined_hash(entry)
    digest = mix(previous_digest, determined)
    entry.store_i64(DIGEST, digest)
    entry.store_i64(HASH, entry_hash(entry, determined))
    return digest


@kernel
def check_frame(entry: Region, expected_position: int) -> int:
    """Everything about an entry but its hash: VALID, VALID_PADDING, NOTHING_THERE or a BAD_ code.

    `entry` reaches from the entry's first byte to where it has to end at the latest: the end of its unit, or of what
    was written. After VALID its fields and parts lie inside and can be read without another check.
    """
    available = region_size(entry)
    if available < PADDING_MINIMUM:
        return BAD_LENGTH
    length = entry.load_i32(LENGTH)
    kind = entry.load_i32(KIND)
    if length == 0 and kind == 0:
        return NOTHING_THERE
    if length < PADDING_MINIMUM or length % 8 != 0 or length > available:
        return BAD_LENGTH
    if kind == PADDING:
        return VALID_PADDING
    if kind < 1 or kind > MAX_KIND:
        return BAD_KIND
    if length < ENTRY_HEADER_SIZE:
        return BAD_LENGTH
    if entry.load_i64(SBE_HEADER_AT) != SBE_HEADER:
        return BAD_SBE_HEADER
    if entry.load_i64(POSITION) != expected_position:
        return BAD_POSITION
    if entry.load_i64(SEQUENCE) < 1:
        return BAD_SEQUENCE
    input_length = entry.load_i32(INPUT_LENGTH)
    outputs_length = entry.load_i32(OUTPUTS_LENGTH)
    delta_length = entry.load_i32(DELTA_LENGTH)
    if input_length < 0 or outputs_length < 0 or delta_length < 0 or (outputs_length | delta_length) % 8 != 0:
        return BAD_PARTS
    if INPUT + (input_length + 7) // 8 * 8 + outputs_length + delta_length != length:
        return BAD_PARTS
    return VALID


@kernel
def check_entry(entry: Region, expected_position: int) -> int:
    """As `check_frame`, and that the hash is right. That its digest follows from the entry before, it can't see."""
    code = check_frame(entry, expected_position)
    if code == VALID and entry.load_i64(HASH) != entry_hash(entry, determined_hash(entry)):
        return BAD_HASH
    return code


assert SENT_NS + 8 == SOURCE and OUTCOME + 4 == INPUT_LENGTH and OUTPUTS_LENGTH + 4 == DELTA_LENGTH
assert max(ENTRY_KINDS) == MAX_KIND
