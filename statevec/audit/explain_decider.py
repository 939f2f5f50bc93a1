"""Since which entry the version that decided an entry has been deciding: the cutover to it, or a leadership.

The log is walked back from the entry, by units: inside the entry's own unit and the one where the run begins entry by
entry, between them by the first entry of each unit alone. (A version that took over and gave back within one unit
further back is passed over: its entries are still its own, only the run's beginning is told too early.)

Nothing is written; what was found is remembered as long as the object lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from statevec.audit.state_at_log import RecordedLog
from statevec.engine.deciders import next_change
from statevec.engine.versions import VersionHistory
from statevec.journal.entry_layout import LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.reader import make_cursor


@dataclass(frozen=True, slots=True)
class _Change:
    """An entry that says who decides, or is the first one of its unit, or of another version than the one before."""

    sequence: int
    kind: int
    ordinal: int


@dataclass(frozen=True)
class Since:
    """`sequence` is that of the `kind`: `cutover`, `leadership`, or `journal` where the journal begins later."""

    sequence: int
    kind: str


class DeciderSearch:
    """Finds beginnings in one log; see the module's docstring."""

    def __init__(self, log: RecordedLog) -> None:
        self._log = log
        self._changes: dict[int, list[_Change]] = {}
        self._firsts: dict[int, int] = {}

    def since(self, entry: Entry, history: VersionHistory) -> Since:
        """Since when the version that decided `entry` had been deciding then; `history` is that before the entry."""
        if len(history.deciders) < 2:
            return self._named(self._log.first_sequence)
        unit = self._log.unit
        start = entry.position // unit * unit
        first = entry.sequence
        while start >= self._log.first_position:
            if self._first_ordinal(start) == entry.logic_version and first != entry.sequence:
                start -= unit  # all of the unit, as far as its first entry tells
                continue
            for change in reversed(self._changes_in(start)):
                if change.sequence > entry.sequence:
                    continue
                if change.ordinal != entry.logic_version:
                    return self._named(first)
                first = change.sequence
            start -= unit
        return self._named(self._log.first_sequence)

    def _named(self, first: int) -> Since:
        """What made the version decide whose first entry is `first`."""
        if first == self._log.first_sequence:
            return Since(first, self._beginning)
        return Since(first - 1, "cutover")

    @cached_property
    def _beginning(self) -> str:
        """What the journal begins with."""
        first = self._log.first_entry_of_unit(self._log.first_position)
        return "leadership" if first is not None and first.kind == LEADERSHIP else "journal"

    def _first_ordinal(self, start: int) -> int:
        if start not in self._firsts:
            entry = self._log.first_entry_of_unit(start)
            self._firsts[start] = -1 if entry is None else entry.logic_version
        return self._firsts[start]

    def _changes_in(self, start: int) -> list[_Change]:
        known = self._changes.get(start)
        if known is not None:
            return known
        cursor = make_cursor(start, self._log.unit, start + self._log.unit)
        found: list[_Change] = []
        position = start
        while (segment := self._log.segment_at(position)) is not None:
            region = self._log.region(segment)
            while (offset := next_change(region, segment.first, cursor)) >= 0:
                entry = Entry(region.view[offset:])
                found.append(_Change(entry.sequence, entry.kind, entry.logic_version))
            if segment.end >= start + self._log.unit:
                break
            position = segment.end
        self._changes[start] = found
        return found
