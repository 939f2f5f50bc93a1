"""Layout of the shadow block: what the native part of a shadow works with and counts. Private memory, int64 each.

    0    address of the decider's transaction block    8    of its execution block    16   of its scratch entry
    24   address of the candidate's transaction block  32   of its execution block    40   of its scratch entry
         (lockstep: both versions share one transaction block, and so one arena)
    48   bytes of a scratch entry (MAX_ENTRY)
    56   what is done with an entry: FOLLOW, LOCKSTEP, INDEPENDENT
    64   sequence after which to stop
    72   entries compared           80   of these the same, as far as the kernels see
    88   every how many entries the time is taken (a power of two)
    96   bit n: records of table n mean the same to both versions, byte for byte
    104  1: so do all outputs
    256  histogram of the decider's time per entry, processor cycles (`counters_layout`)
    9344 the same of the candidate

The shadow's thread writes and reads. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.counters_layout import HISTOGRAM_SIZE

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
EQUAL_TABLES = 96
EQUAL_OUTPUTS = 104
DECIDER_CYCLES = 256
CANDIDATE_CYCLES = DECIDER_CYCLES + HISTOGRAM_SIZE
SHADOW_SIZE = CANDIDATE_CYCLES + HISTOGRAM_SIZE

FOLLOW = 0
"""Only the deciding version runs: before the first sequence that is to be compared."""
LOCKSTEP = 1
INDEPENDENT = 2

assert DECIDER_CYCLES % 64 == 0 and CANDIDATE_CYCLES % 8 == 0
