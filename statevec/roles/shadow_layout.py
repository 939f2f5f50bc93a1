"""Layout of the shadow block: what the native part of a shadow works with and counts. Private memory, int64 each.

    0    address of the decider's transaction block    8    of its execution block    16   of its scratch entry
    24   address of the candidate's transaction block  32   of its execution block    40   of its scratch entry
         (lockstep: both versions share one transaction block, and so one arena)
    48   bytes of a scratch entry (MAX_ENTRY)
    56   what is done with an entry: FOLLOW, LOCKSTEP, INDEPENDENT
    64   sequence after which to stop
    72   entries compared           80   of these the same, as far as the kernels see
    88   every how many entries the time is taken (a power of two)
    96   address of the plan, by which results are matched      104  its size
    256  histogram of the decider's time per entry, processor cycles (`counters_layout`)
    9344 the same of the candidate

The plan says which bytes of what the versions gave mean the same (`shadow_plan` makes it, `shadow_match` follows it):

    0    messages in the plan
    8    offset of the template id in a message
    16   address of the runs of ids (`shadow_ids`)             24   its size
    32   entries whose differences are all explained by rules of the plan
    40   offset of the rules
    64   for each table of the decider (64): offset of its part, 0 when only Python can compare it
    576  for each message: int64 template id | int64 offset of its part, 0 as above
    ...  for each rule (at most 62): int64 1 when an example of it is known | int64 entries that it explained
    ...  parts: int64 items | int64 candidate's table | items of 40 bytes:
         int64 offset in the decider's bytes | in the candidate's | size | kind | rule that explains it, -1 none

Offsets are from the start of an output, or of a record's image.

The shadow's thread writes and reads. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.counters_layout import HISTOGRAM_SIZE
from statevec.state.transaction_layout import MAX_TABLES

DECIDER_TX = 0
DECIDER_BLOCK = 8
DECIDER_SCRATCH = 16
CANDIDATE_TX = 24
CANDIDATE_BLOCK = 32
CANDIDATE_SCRATCH = 40
SCRATCH_SIZE = 48
MODE = 56
STOP_AFTER = 64
COMPARED = 72
SAME = 80
TIME_EVERY = 88
PLAN = 96
PLAN_SIZE = 104
DECIDER_CYCLES = 256
CANDIDATE_CYCLES = DECIDER_CYCLES + HISTOGRAM_SIZE
SHADOW_SIZE = CANDIDATE_CYCLES + HISTOGRAM_SIZE

FOLLOW = 0
"""Only the deciding version runs: before the first sequence that is to be compared."""
LOCKSTEP = 1
INDEPENDENT = 2

PLAN_MESSAGES = 0
PLAN_TEMPLATE_ID = 8
PLAN_IDS = 16
PLAN_IDS_SIZE = 24
PLAN_EXPLAINED = 32
PLAN_RULES = 40
PLAN_TABLES = 64
PLAN_MESSAGE_LIST = PLAN_TABLES + 8 * MAX_TABLES
PLAN_MESSAGE_SIZE = 16
RULE_SHOWN = 0
RULE_ENTRIES = 8
RULE_SIZE = 16
MAX_RULES = 62
PART_ITEMS = 0
PART_TABLE = 8
PART_LIST = 16
ITEM_DECIDED = 0
ITEM_CANDIDATE = 8
ITEM_LENGTH = 16
ITEM_KIND = 24
ITEM_RULE = 32
ITEM_SIZE = 40

BYTES = 0
"""These bytes are compared."""
ID = 1
"""An integer that may be an id: the candidate's may be shifted."""
COUNTER = 2
"""The id counter itself: the candidate's is shifted."""
ALONE = 3
"""Only one version has this field: its rule applies wherever the record or output is."""

assert DECIDER_CYCLES % 64 == 0 and CANDIDATE_CYCLES % 8 == 0
