"""What can be wrong with a journal, each kind a type of its own below `JournalError`.

Messages name the rule and the values; attributes carry positions and sequences for programs. Nothing here keeps state.
"""

from __future__ import annotations

import errno as errno_names
import os
from pathlib import Path


class JournalError(Exception):
    """Something about the journal is not as it must be."""


class SegmentNameError(JournalError):
    """A segment file is not named by the position of its first byte."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"segment file is misnamed: expected 16 hex digits of a multiple of UNIT and .seg, got {path}")
        self.path = path


class SegmentProblemError(JournalError):
    """The segment files are not one journal from `position` on; `what` says why, `remedy` what to do."""

    def __init__(self, position: int, path: Path, what: str, remedy: str = "restore the file from a copy") -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
        self.position = position
        self.path = path


class SegmentSizeError(SegmentProblemError):
    """A segment file does not hold a whole number of units."""

    def __init__(self, position: int, path: Path, size: int, unit: int) -> None:
        super().__init__(position, path, f"segment was cut: size={size} is not a multiple of {unit} in {path}")


class SegmentGapError(SegmentProblemError):
    """Two neighbouring segment files do not meet: one is missing, was cut, or overlaps."""

    def __init__(self, position: int, found: int, path: Path) -> None:
        where = f"expected position={position} found={found} in {path}"
        if found > position:
            super().__init__(position, path, f"a segment is missing: {where}")
        else:
            remedy = "move what does not belong there out of the directory"
            super().__init__(position, path, f"a segment is overlapping: {where}", remedy)


class JournalDamagedError(JournalError):
    """Bytes that were known to be durable are damaged; nothing was changed.

    `position` is where the first unreadable entry should begin, `sequence` the number that entry should have.
    """

    def __init__(self, position: int, sequence: int, durable: int, reason: str) -> None:
        super().__init__(
            f"journal is damaged where it was durable: position={position} sequence={sequence} "
            f"durable={durable}: {reason}; restore the segment from a copy, it is not cut"
        )
        self.position = position
        self.sequence = sequence
        self.durable = durable
        self.reason = reason


class SequenceNotFoundError(JournalError):
    """The journal does not hold that sequence."""

    def __init__(self, sequence: int, first: int, last: int) -> None:
        super().__init__(f"sequence is not in the journal: sequence={sequence} first={first} last={last}")
        self.sequence = sequence


class JournalHaltedError(JournalError):
    """A write or fdatasync failed: nothing more was released, and the disk must be looked at (rule 11)."""

    def __init__(self, operation: str, errno: int, position: int, path: Path, unmarked: str = "") -> None:
        """`unmarked` is why there is no halt mark, empty where there is one."""
        name = errno_names.errorcode.get(errno, str(errno))
        self.what = f"{operation} failed: {name} ({os.strerror(errno)}) position={position} segment={path}"
        problem = f"; the halt mark could not be written either: {unmarked}" if unmarked else ""
        super().__init__(f"{self.what}; nothing behind that was released; find out why, then: statevec resume{problem}")
        self.operation = operation
        self.errno = errno
        self.position = position
        self.path = path
