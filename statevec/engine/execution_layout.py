"""Layout of the execution block: what running entries one after another has to remember, and its results.

Private memory of a process, int64 each. The leader's loop block begins with it; recovery, `verify` and `simulate()`
have one of their own.

    0    address of the plugin's dispatch function
    8    digest after the last entry
    16   sequence of the last entry
    24   loop turns a handler may take (budget)
    32   MAX_ENTRY, bytes
    40   entries committed           48   rejected by the plugin          56   ended by a fault or another outcome
    64   address of Numba's exception information of the last fault       72   its sequence
    80   outcome that re-execution gave where it differs from the entry (replay only)
    88   logic version (ordinal) that decides
    96   1 when the version went beyond a limit of its probation

The engine thread writes, other threads of the process may read counters. Nothing survives the process.
"""

from __future__ import annotations

DISPATCH = 0
DIGEST = 8
SEQUENCE = 16
BUDGET = 24
MAX_ENTRY = 32
COMMITTED_COUNT = 40
REJECTED_COUNT = 48
FAULTED_COUNT = 56
LAST_FAULT_INFORMATION = 64
LAST_FAULT_SEQUENCE = 72
REPLAYED_OUTCOME = 80
LOGIC_VERSION = 88
PROBATION_FAILED = 96
EXECUTION_SIZE = 128
