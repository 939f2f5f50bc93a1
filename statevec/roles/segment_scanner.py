"""Reading entries with outputs from the segment files, at native speed, for a reader that the log lapped (rule 8).

No entry crosses a multiple of UNIT, so one UNIT of a segment file is read into private memory and walked there.

    state   0 position of the unit | 8 position of the next entry | 16 limit | 24 position of the entry found
            32 position of the last entry passed, -1 for none

Invariants
    What is found is a private copy whose hash was checked. A walk never goes beyond the limit of the caller, who knows
    that it is released.

The gateway that owns the scanner writes its private memory, and no file. A crash leaves nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from statevec.ipc.kernel import kernel
from statevec.ipc.log_layout import UNIT
from statevec.ipc.memory import Region
from statevec.journal.entry import CHECK_NAMES, NOTHING_THERE, VALID, VALID_PADDING, check_entry, check_frame
from statevec.journal.entry_layout import LENGTH, OUTPUTS_LENGTH
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.journal.segments import list_segments

UNIT_POSITION = 0
NEXT = 8
LIMIT = 16
FOUND = 24
LAST_PASSED = 32
STATE_SIZE = 64

AT_LIMIT = 0
"""Nothing (more) with outputs below the limit, in this unit."""
MISSING = -20
"""Zeros where an entry must be."""


@kernel
def scan_unit(unit: Region, state: Region, only_outputs: bool) -> int:
    """Go to the next entry of the unit (with outputs, if asked): its length, AT_LIMIT, MISSING or a BAD_ code."""
    start = state.load_i64(UNIT_POSITION)
    limit = min(state.load_i64(LIMIT), start + UNIT)
    position = state.load_i64(NEXT)
    while position < limit:
        entry = unit.slice(position - start, limit - position)
        code = check_frame(entry, position)
        if code != VALID and code != VALID_PADDING:
            state.store_i64(NEXT, position)
            return MISSING if code == NOTHING_THERE else code
        length = entry.load_i32(LENGTH)
        if code == VALID:
            state.store_i64(LAST_PASSED, position)
            if not only_outputs or entry.load_i32(OUTPUTS_LENGTH) != 0:
                code = check_entry(entry, position)
                if code != VALID:
                    state.store_i64(NEXT, position)
                    return code
                state.store_i64(FOUND, position)
                state.store_i64(NEXT, position + length)
                return length
        position += length
    state.store_i64(NEXT, position)
    return AT_LIMIT


class SegmentScanner:
    """Walks the segment files in `directory` from `position`, the start of an entry."""

    def __init__(self, directory: Path, position: int) -> None:
        self._directory = directory
        self._unit = Region.allocate(UNIT)
        self._state = Region.allocate(STATE_SIZE)
        self._state.store_i64(NEXT, position)
        self._state.store_i64(UNIT_POSITION, -UNIT)
        self._state.store_i64(LAST_PASSED, -1)

    @property
    def position(self) -> int:
        """Where the next entry begins."""
        return self._state.load_i64(NEXT)

    def next_entry(self, limit: int, only_outputs: bool) -> Entry | None:
        """The next entry below position `limit`, which must be in the files; None when there is none."""
        state = self._state
        while self.position < limit:
            self._load_unit(limit)
            length = scan_unit(self._unit, state, only_outputs)
            if length > 0:
                offset = state.load_i64(FOUND) - state.load_i64(UNIT_POSITION)
                return Entry(self._unit.view[offset : offset + length])
            if length < 0:
                why = CHECK_NAMES.get(length, "nothing stands there")
                raise JournalError(f"journal is damaged: position={self.position}: {why}")
        return None

    def last_passed(self) -> Entry | None:
        """The entry passed over or returned last, if its unit is still in memory."""
        position, start = self._state.load_i64(LAST_PASSED), self._state.load_i64(UNIT_POSITION)
        return Entry(self._unit.view[position - start :]) if position >= start >= 0 else None

    def _load_unit(self, limit: int) -> None:
        """Have the unit of the next entry in memory, up to `limit` at least."""
        state = self._state
        start = self.position & -UNIT
        if start == state.load_i64(UNIT_POSITION) and min(limit, start + UNIT) <= state.load_i64(LIMIT):
            return
        for segment in list_segments(self._directory):
            if segment.first <= start < segment.end:
                with open(segment.path, "rb", buffering=0) as file:
                    content = os.pread(file.fileno(), UNIT, start - segment.first)
                break
        else:
            raise JournalError(f"journal does not hold position {self.position} in {self._directory}")
        if len(content) != UNIT:
            raise JournalError(f"segment was cut: bytes={len(content)} expected={UNIT} position={start}")
        self._unit.view[:] = content
        state.store_i64(UNIT_POSITION, start)
        state.store_i64(LIMIT, limit)
