"""Layout of a snapshot file: fixed page, header (JSON), memory image of the arena. Offsets in bytes, int64 each.

    0        magic                          8    format version
    16       offset of the header           24   its length
    32       offset of the image            40   its size
    48       hash of the header and of the zeros behind it (from its offset to the image)
    56       hash of the image
    64       zeros
    4088     hash of the bytes before it
    4096     header, JSON; zeros to a multiple of 4096
    ...      the image, to the end of the file: mapped anywhere it is an arena (`state/arena_layout`)

The hashes are those of entries (`journal/fold`): they find damage, not malice. Blocks of the image that hold only zeros
are holes in the file. Who writes and who reads: `snapshot_file`.
"""

from __future__ import annotations

MAGIC = int.from_bytes(b"SNAPSHOT", "little")
FORMAT_VERSION = 1

PAGE_SIZE = 4096
PAGE_MAGIC = 0
PAGE_FORMAT = 8
HEADER_OFFSET = 16
HEADER_LENGTH = 24
IMAGE_OFFSET = 32
IMAGE_SIZE = 40
HEADER_HASH = 48
IMAGE_HASH = 56
PAGE_HASH = PAGE_SIZE - 8

HEADER_LENGTH_MOST = 16 << 20

assert IMAGE_HASH + 8 <= PAGE_HASH and PAGE_HASH % 8 == 0
