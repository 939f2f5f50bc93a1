"""Layout of a part descriptor: what the kernels of outputs need to know of one group or variable data of a message.

    0    depth of its level: 0 the message, 1 an entry in it, …       8    its number among the members of the level
    16   offset of the number in its head                             24   bytes of that number
    32   1 when that number is big-endian                             40   the highest that it may be
    48   size of the head: dimensions, or length of data              56   size of an empty entry; 0 for data
    64   size of the tail: what lies behind the part in the message while it is written
    72   an empty entry, then the tail

The *number* is the count of entries or the length of data. The tail is always the same bytes, because all that comes
behind the part that is being written is empty.

`output_parts` makes descriptors when a plugin is loaded; they are constants of its machine code, or memory of the
interpreted tier, and never change.
"""

from __future__ import annotations

PART_DEPTH = 0
PART_MEMBER = 8
PART_NUMBER_AT = 16
PART_NUMBER_SIZE = 24
PART_NUMBER_BIG = 32
PART_HIGHEST = 40
PART_HEAD_SIZE = 48
PART_ENTRY_SIZE = 56
PART_TAIL_SIZE = 64
PART_IMAGE = 72
