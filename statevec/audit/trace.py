"""What one run of a handler did, as it did it: reads, lookups, lines, invariants. Plain data; who collects it is
`trace_tables`, `trace_lines` and `trace_run`.

    Trace.roots ─► Call (handler, then invariants) ─► items: Step (a line) │ Loop (its turns) ─► calls of helpers

Invariants
    A record's bytes are those at the moment of the read: a transaction's own changes before it are in them, later ones
    are not.
    However long a handler ran, a loop keeps its first turns and its last ones, and reads and lookups end at KEPT: what
    is kept is bounded.

Private to the run; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FIRST_TURNS = 2
"""Turns at a loop's beginning that are kept; behind them only the last one is."""


@dataclass(slots=True)
class Read:
    """A record that was read, as it was at that moment."""

    table: int
    key: int
    image: bytes
    version: int
    last_changed: int
    """Sequence of the entry that changed it last before this one; 0 for one that this transaction inserted."""
    line: int
    by: str
    """Name of the invariant that read it; empty for the handler."""
    changed: bool
    """Whether this transaction had changed it by then."""
    times: int = 1


@dataclass(slots=True)
class Lookup:
    """A question to a table: `key`, `in`, `get`, `unique`, `where`, `ascending`, `descending`, `all` or `len`."""

    table: int
    how: str
    index: str
    """The field that was asked for; of `key`, `in` and `get` the key."""
    value: Any
    line: int
    by: str
    found: list[int] = field(default_factory=list)
    """Keys in the order in which they were handed out, at most `KEYS_KEPT`."""
    count: int = 0
    """How many were handed out; of `len`, what it said."""
    times: int = 1


KEYS_KEPT = 100
KEPT = 10_000
"""Reads, and lookups, that are kept of one run."""


@dataclass(slots=True)
class Step:
    """One line that ran: variables that changed, fields that were assigned, and the helpers that it called."""

    line: int
    changes: dict[str, Any] = field(default_factory=dict)
    stores: list[tuple[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    raised: str = ""


@dataclass(slots=True)
class Loop:
    """A loop: the first `FIRST_TURNS` turns and the last ones, of `count`."""

    line: int
    end: int
    count: int = 0
    turns: list[list[Item]] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """A function of the plugin that ran, with its arguments and what it returned."""

    function: str
    line: int
    arguments: dict[str, Any]
    items: list[Item] = field(default_factory=list)
    returned: Any = None
    raised: str = ""


Item = Step | Loop


@dataclass(slots=True)
class InvariantRun:
    """An invariant that was asked, about which record or table, and what it said."""

    name: str
    subject: str
    held: bool


@dataclass(slots=True)
class Trace:
    """Everything that one run did; `line` is where it is just now. `left_out` counts reads and lookups beyond KEPT."""

    reads: list[Read] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    roots: list[Call] = field(default_factory=list)
    invariants: list[InvariantRun] = field(default_factory=list)
    rejected_at: int = 0
    """Line of the reject that counts."""
    failed_at: int = 0
    """Innermost line of the plugin that a fault came through."""
    line: int = 0
    by: str = ""
    step: Step | None = None
    left_out: int = 0
    _last_read: dict[tuple[int, int, str], Read] = field(default_factory=dict)
    _last_lookup: dict[tuple[int, str, str, Any, str], Lookup] = field(default_factory=dict)

    def note_read(self, read: Read) -> None:
        """Take in a read; one that shows the same as the last of that record is counted there."""
        place = (read.table, read.key, read.by)
        last = self._last_read.get(place)
        if last is not None and last.image == read.image:
            last.times += 1
            return
        self._last_read[place] = read
        self._keep(self.reads, read)

    def note_lookup(self, lookup: Lookup) -> Lookup:
        """Take in a lookup of one key; the same one with the same answer is counted where it stands."""
        place = (lookup.table, lookup.how, lookup.index, lookup.value, lookup.by)
        last = self._last_lookup.get(place)
        if last is not None and (last.found, last.count) == (lookup.found, lookup.count):
            last.times += 1
            return last
        self._last_lookup[place] = lookup
        self._keep(self.lookups, lookup)
        return lookup

    def begin_lookup(self, lookup: Lookup) -> Lookup:
        """Take in one whose answer comes later, row by row."""
        self._keep(self.lookups, lookup)
        return lookup

    def _keep(self, kept: list[Any], found: Any) -> None:
        """A handler may ask as often as its loop budget allows; a person reads so many answers at most."""
        if len(kept) < KEPT:
            kept.append(found)
        else:
            self.left_out += 1

    def note_store(self, target: str, value: Any) -> None:
        """A field was assigned, or a timer set."""
        if self.step is not None:
            self.step.stores.append((target, value))
