"""Layout of a cursor: where a walk over entries is, and what it has seen. Private memory of the reader, int64 each.

    0    position of the next entry
    8    position where the walk ends
    16   sequence of the last entry         24  its digest
    32   1 when sequence and digest of the entry before are known, so that the next one must follow from them
    40   UNIT
    48   why the walk stopped: a code of `entry` (NOTHING_THERE or BAD_…)
    56   entries seen
    64   highest durable position that an entry knew of
    72   logic version of the last entry

A crash leaves nothing.
"""

from __future__ import annotations

POSITION = 0
LIMIT = 8
SEQUENCE = 16
DIGEST = 24
CHAINED = 32
UNIT = 40
CODE = 48
ENTRIES = 56
DURABLE = 64
LOGIC_VERSION = 72
CURSOR_SIZE = 128
