"""What a recorded run put into its log, as its journalers wrote it: every entry, whatever became of the files.

Invariant: a position was always written with the same bytes, whichever leader's journaler did it (rule 11).

Private memory; it is made from a history.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from statevec.ipc.log_kernels import ENTRY_PREFIX_SIZE, PADDING
from statevec.journal.entry_view import Entry, Output
from tools.power.history import History


class HistoryError(Exception):
    """The journalers of one run wrote different bytes to one position."""


class Reference:
    """The log of a recorded run."""

    def __init__(self, history: History) -> None:
        self.log = _log_of(history)
        self.entries: list[Entry] = []
        self._ends: list[int] = []
        position = 0
        while position + ENTRY_PREFIX_SIZE <= len(self.log):
            length = int.from_bytes(self.log[position : position + 4], "little", signed=True)
            kind = int.from_bytes(self.log[position + 4 : position + 8], "little", signed=True)
            if length <= 0:
                break
            if kind != PADDING:
                self.entries.append(Entry(memoryview(self.log)[position : position + length]))
                self._ends.append(position + length)
            position += length
        self.end = position

    def last_before(self, position: int) -> Entry | None:
        """The last entry that ends at or before `position`; None when there is none."""
        number = bisect_right(self._ends, position)
        return self.entries[number - 1] if number else None

    def next_begins(self, position: int) -> bool:
        """Whether an entry could begin at `position`: where one ends, or padding behind one."""
        last = self.last_before(position)
        end = 0 if last is None else last.end_position
        if position == end:
            return True
        length = int.from_bytes(self.log[end : end + 4], "little", signed=True)
        kind = int.from_bytes(self.log[end + 4 : end + 8], "little", signed=True)
        return kind == PADDING and end + length == position

    def outputs(self, position: int, skip: int, end: int) -> list[Output]:
        """The outputs of the entries from `position` on that end at or before `end`, but for the first `skip`."""
        found = [
            output
            for entry in self.entries
            if entry.position >= position and entry.end_position <= end
            for output in entry.outputs()
        ]
        return found[skip:]


def _log_of(history: History) -> bytes:
    log = bytearray()
    for event in history.events:
        if not event.journaled:
            continue
        start = int(Path(event.name).stem, 16) + event.offset
        end = start + len(event.content)
        both = min(end, len(log))
        if start < both and log[start:both] != event.content[: both - start]:
            raise HistoryError(f"a journaler wrote other bytes than the one before: start={start} end={both}")
        log.extend(bytes(max(0, end - len(log))))
        log[start:end] = event.content
    return bytes(log)
