"""Layout of the transaction block: the private memory that one running transaction shares between its parts.

The engine loop, the state kernels, compiled handlers and interpreted handlers all get the address of this one block.
It holds process-local addresses and is never in a segment, a snapshot or the log. All fields are int64.

    0    arena address        8    arena size
    16   undo address         24   undo size           32   undo bytes used
    40   touched address      48   touched capacity    56   touched rows       (capacity counts entries)
    64   output address       72   output size         80   output bytes used  88   outputs so far
    96   now_ns               104  sequence            112  epoch
    120  reject code of the plugin, 0 none; the first one counts
    128  outcome, set by dispatch
    136  address of Numba's exception information of the last fault, 0 none (for messages; not part of the outcome)
    144  loop turns left (budget)
    152  entry kind           160  timer id (kind TIMER)
    168  1 when the space for outputs or delta ran out
    176  table number of the engine's `ids`            184  of `timers`
    192  rows inserted so far 200  rows deleted so far  (state package)        208..231 free for it
    232  offset of the frame of the last output in the outputs, while parts of it are still written
    240  offset of the end of its message                    248  how many of its levels are open, 0: none is written
    256..    one 64-byte line for each table, for the state package (`iteration.py`)
    4352..   one 32-byte line for each level that is open: the message, then an entry in it, then one in that

An *open level* is a message or an entry whose groups and data may still be written (`engine/plugin/output_kernels.py`):

    0    offset of its block in the outputs          8    number of its member that was written last, -1 none
    16   offset of that member's dimensions          24   entries of it so far

The touched list has an entry of 32 bytes (TOUCHED_ENTRY_SIZE) for each row that the transaction changed, in the order
of first touch:

    0    row                  8    table               16   offset of its image (row header first) in the undo memory
    24   1 if the row was deleted meanwhile; its status says whether it is in use now


The engine fills 0..31, 40..55, 64..79, 96..119 and 144..191 before each transaction and calls `begin`, which clears
the rest.
A crash leaves nothing: the block is rebuilt with the process.
"""

from __future__ import annotations

ARENA_ADDRESS = 0
ARENA_SIZE = 8
UNDO_ADDRESS = 16
UNDO_SIZE = 24
UNDO_USED = 32
TOUCHED_ADDRESS = 40
TOUCHED_CAPACITY = 48
TOUCHED_COUNT = 56
OUTPUT_ADDRESS = 64
OUTPUT_SIZE = 72
OUTPUT_USED = 80
OUTPUT_COUNT = 88
NOW_NS = 96
SEQUENCE = 104
EPOCH = 112
REJECT_CODE = 120
OUTCOME = 128
FAULT_INFORMATION = 136
BUDGET = 144
ENTRY_KIND = 152
TIMER_ID = 160
SPACE_EXHAUSTED = 168
IDS_TABLE = 176
TIMERS_TABLE = 184
INSERTIONS = 192
DELETIONS = 200
OUTPUT_FRAME = 232
OUTPUT_END = 240
OPEN_LEVELS = 248
TABLE_LINES = 256
TABLE_LINE_SIZE = 64
MAX_TABLES = 64
TOUCHED_ROW = 0
TOUCHED_TABLE = 8
TOUCHED_IMAGE = 16
TOUCHED_DELETED = 24
TOUCHED_ENTRY_SIZE = 32
OPEN_LEVEL_LINES = TABLE_LINES + MAX_TABLES * TABLE_LINE_SIZE
OPEN_LEVEL_SIZE = 32
MAX_OPEN_LEVELS = 16
OPEN_BLOCK = 0
OPEN_MEMBER = 8
OPEN_HEAD = 16
OPEN_COUNT = 24
TRANSACTION_SIZE = OPEN_LEVEL_LINES + MAX_OPEN_LEVELS * OPEN_LEVEL_SIZE

DISPATCH_OK = 0x5DA7AB1E
"""What `dispatch` answers when the block's outcome is to be believed; anything else is a fault of the plugin."""

assert TABLE_LINES % 64 == 0 and OPEN_LEVELS < TABLE_LINES and OPEN_LEVEL_LINES == 4352
