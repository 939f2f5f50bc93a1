"""What can be wrong with an arena, as Python says it: another layout, or damage.

Faults of a transaction are not here: they are outcomes (`ipc/faults.py`).
"""

from __future__ import annotations


class ArenaMismatchError(Exception):
    """The memory holds no arena, or one of another layout; the message says which part differs."""


class ArenaDamageError(Exception):
    """The arena breaks an invariant of its own: a defect of statevec, or memory that something else wrote to."""
