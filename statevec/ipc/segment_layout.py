"""Layout of the first page of every named shared-memory segment: what the segment is and who made it.

    0      int64   magic, the bytes "STATEVEC"; stored last: zero while the segment is being made
    8      int32   layout version
    12     int32   kind (KINDS)
    16     int64   size of the whole segment, this page included
    24     int64   capacity: what the kind counts as such (ring and log: bytes of data)
    32     int64   instance id, a random number in 1 .. 2^63-1 that genesis chose
    40     int64   the segment's own id, random like that one (of a ring: its *ring instance*)
    48     int64   creator's pid
    56     int64   creator's start, milliseconds after boot
    64     16 B    boot id
    80     int64   inode of the creator's pid namespace
    88     int64   when it was made, wall clock, ns (for people)
    96 ..  zero; a kind may use the page from KIND_PAGE on for itself
    4096   the kind's own

The creator writes the page once; after that nobody writes bytes 0..1023. Everybody reads them.
A creator that dies early leaves a file without the magic: nobody attaches to it, `clean` removes it.
"""

from __future__ import annotations

PAGE_SIZE = 4096
MAGIC_AT = 0
LAYOUT_VERSION_AT = 8
KIND_AT = 12
SIZE_AT = 16
CAPACITY_AT = 24
INSTANCE_ID_AT = 32
OWN_ID_AT = 40
CREATOR_PID_AT = 48
CREATOR_STARTED_AT = 56
BOOT_ID_AT = 64
PID_NAMESPACE_AT = 80
CREATED_NS_AT = 88
HEADER_SIZE = 96
KIND_PAGE = 1024

HEADER_FORMAT = "<qiiqqqqqq16sqq"
"""The fields above in order, for `struct`."""

MAGIC = int.from_bytes(b"STATEVEC", "little")
LAYOUT_VERSION = 1

LOG = 1
RING = 2
COUNTERS = 3
KINDS = {LOG: "log", RING: "ring", COUNTERS: "counters"}

NAME_PREFIX = "sv-"
NAME_PATTERN = r"/sv-([0-9a-f]{16})-(log|ring-[a-z0-9][a-z0-9_.-]{0,63}|counters-[a-z0-9][a-z0-9_.-]{0,63})"

assert CREATED_NS_AT + 8 == HEADER_SIZE <= KIND_PAGE < PAGE_SIZE
assert all(offset % 8 == 0 for offset in (MAGIC_AT, SIZE_AT, CAPACITY_AT, INSTANCE_ID_AT, OWN_ID_AT, BOOT_ID_AT))
