"""Layout of a cold segment: one segment of the journal, compressed. Offsets in bytes, int64 where no size is given.

    0        magic                          8    format version
    16       instance id                    24   UNIT
    32       position of the first byte     40   size of the segment
    48       sequence of its first entry    56   of its last entry      64   digest of its last entry
    128      BLAKE3 of its content (32 B)   160  BLAKE3 of the table of units (32 B)
    192      chain hash of the segment before it (32 B), zeros where the chain begins
    224      zeros
    4064     chain hash: BLAKE3 of the bytes before it (32 B)
    4096     table of units, 24 bytes each: offset of its frame, length, sequence of its first entry
    ...      a zstd frame for each unit, without a gap, to the end of the file

No entry crosses a unit: with the table a sequence is found and read by decompressing one frame.
Who writes and who reads: `cold_segments`.
"""

from __future__ import annotations

MAGIC = int.from_bytes(b"SVCOLD\0\0", "little")
FORMAT_VERSION = 1

PAGE_SIZE = 4096
HASH_SIZE = 32
PAGE_MAGIC = 0
PAGE_FORMAT = 8
INSTANCE_ID = 16
UNIT = 24
FIRST = 32
SIZE = 40
FIRST_SEQUENCE = 48
LAST_SEQUENCE = 56
LAST_DIGEST = 64
CONTENT_HASH = 128
TABLE_HASH = 160
PREVIOUS_HASH = 192
CHAIN_HASH = PAGE_SIZE - HASH_SIZE

UNIT_OFFSET = 0
UNIT_LENGTH = 8
UNIT_SEQUENCE = 16
UNIT_ENTRY_SIZE = 24

assert PREVIOUS_HASH + HASH_SIZE <= CHAIN_HASH
assert TABLE_HASH == CONTENT_HASH + HASH_SIZE and PREVIOUS_HASH == TABLE_HASH + HASH_SIZE
