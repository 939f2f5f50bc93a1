"""Layout of the arena: the one memory that is state. Header page, table directory, tables. Offsets in bytes.

    0        header page (4,096 B)
               +0  magic | +8 layout version | +16 size of the arena | +24 tables | +32 hash of the layout (16 B)
    4096     table directory: one 768-byte description for each table, in the order of their numbers
               +0   capacity, rows        +8   size of a row          +16  size of its fields
               +24  offset of its rows    +32  end of its rows        +40  flags (IN_DELTA)
               +48  indexes, the key's included
               +56  bits of all indexes but the key's    +88  reciprocal of a row's size (ROW_NUMBER_SHIFT)
               +64  first free row, 0 none    +72  first row that was never used    +80  rows in use
               +128 + 64 n: index n
                      +0  kind            +8   offset of its field in a row    +16  kind of the field (`words`)
                      +24 offset of its buckets (0: none)      +32  buckets - 1      +40  offset of its links in a row
                      +48 offset of its chain link in a row    +56 root of the tree (link)
    ...      for each table, each part aligned to 64 bytes: rows, then the buckets (a link each) of its hash indexes

    row      +0  version                  int64; how many committed transactions changed the record
             +8  last changed             int64; sequence of the last one
             +16 status                   int32; FREE or USED
             +20 touched                  int32; place in the touched list + 1 while a transaction has it, else 0
             +24 fields (padded to 8 B), then links, padded to 8 B:
             linked                       int32; bit n: the row is in index n (the key's bit is never set)
             links of index 0, 1, ...     key, unique: chain | group: previous, next, chain
                                          ordered: previous, next, left, right

A *row* is the offset of a row; a *link* is a row in units of 8 bytes, uint32; 0 is none in both. The chain link of the
key of a free row leads to the next free row. Everything but the links is int64 in the directory.

The process that executes entries writes, in private memory; a snapshot is these bytes. A crash leaves nothing.
"""

from __future__ import annotations

MAGIC = 0x53544154_45564543  # "STATEVEC"
LAYOUT_VERSION = 1

HEADER_MAGIC = 0
HEADER_VERSION = 8
HEADER_SIZE = 16
HEADER_TABLES = 24
HEADER_HASH = 32
HASH_SIZE = 16

DIRECTORY = 4096
TABLE_SIZE = 768
MAX_INDEXES = 10

TABLE_CAPACITY = 0
TABLE_ROW_SIZE = 8
TABLE_FIELDS_SIZE = 16
TABLE_ROWS = 24
TABLE_ROWS_END = 32
TABLE_FLAGS = 40
TABLE_INDEX_COUNT = 48
TABLE_INDEX_BITS = 56
TABLE_FREE_HEAD = 64
TABLE_NEVER_USED = 72
TABLE_ROW_COUNT = 80
TABLE_ROW_RECIPROCAL = 88
TABLE_INDEXES = 128

INDEX_SIZE = 64
INDEX_KIND = 0
INDEX_FIELD = 8
INDEX_FIELD_KIND = 16
INDEX_BUCKETS = 24
INDEX_MASK = 32
INDEX_LINKS = 40
INDEX_CHAIN = 48
INDEX_ROOT = 56

IN_DELTA = 1
KEY = 1
UNIQUE = 2
GROUP = 3
ORDERED = 4

ROW_VERSION = 0
ROW_LAST_CHANGED = 8
ROW_STATUS = 16
ROW_TOUCHED = 20
ROW_HEADER_SIZE = 24
FREE = 0
USED = 1

LINK_SIZE = 4
LINK_SHIFT = 3
"""A link is a row shifted right by this."""
CHAIN = 0
PREVIOUS = 0
NEXT = 4
GROUP_CHAIN = 8
LEFT = 8
RIGHT = 12
LINKS_SIZE = {KEY: 4, UNIQUE: 4, GROUP: 12, ORDERED: 16}
LINKED_SIZE = 4

ROW_NUMBER_SHIFT = 32
"""Row number = (distance from the first row / 8 * reciprocal) >> ROW_NUMBER_SHIFT, with reciprocal = ceil(2^32 / (row
size / 8)): a division would cost as much as all the rest of a delta record. Exact for multiples of the row size in an
arena of at most MAX_ARENA_SIZE (Granlund and Montgomery, 1994)."""

PART_ALIGNMENT = 64
MAX_ARENA_SIZE = 1 << 35

assert DIRECTORY % PART_ALIGNMENT == 0 and TABLE_SIZE % PART_ALIGNMENT == 0
assert TABLE_INDEXES + MAX_INDEXES * INDEX_SIZE == TABLE_SIZE
assert HEADER_HASH + HASH_SIZE <= DIRECTORY
assert ROW_HEADER_SIZE % 8 == 0 and ROW_STATUS % 8 == 0 and ROW_TOUCHED == ROW_STATUS + 4
assert MAX_ARENA_SIZE >> LINK_SHIFT == 1 << 32 == 1 << ROW_NUMBER_SHIFT
assert ROW_HEADER_SIZE > 2 * 8, "distance / 8 * reciprocal must stay below 2^63"
