"""Layout of a delta: the records that one transaction deleted, inserted and updated, one after another in its entry.

    0    int32   length of the delta record, a multiple of 8, this header included
    4    int32   table
    8    int32   row number: 0 for the table's first row
    12   int32   operation: INSERTED, UPDATED, DELETED
    16   int64   version of the record after the transaction
    24   int64   sequence that changed the record before (0 none)
    32   image   the fields, padded to 8: as they are after the transaction; of a deleted record as they were before it

First the deletions, then the others, both in the order in which the transaction first touched their rows. So whoever
keeps records by key can apply them one by one: what took a deleted record's row or key comes after the deletion.

`commit` writes, whoever reads entries reads. Part of an entry: see `journal/entry_layout.py` for what a crash leaves.
"""

from __future__ import annotations

DELTA_RECORD_LENGTH = 0
DELTA_TABLE = 4
DELTA_ROW = 8
DELTA_OPERATION = 12
DELTA_VERSION = 16
DELTA_PREVIOUS_SEQUENCE = 24
DELTA_IMAGE = 32

INSERTED = 1
UPDATED = 2
DELETED = 3

assert DELTA_IMAGE % 8 == 0
