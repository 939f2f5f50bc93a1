"""What two versions decided about one entry, compared by message, key and field.

    outcome   as its name, such as COMMITTED, REJECTED(3), MISSING_KEY
    outputs   of each message the first with the first, the second with the second; then the order of all
    records   by table and key: operation and fields. Row, version and last sequence are where a version keeps its
              books, not what it decided

Ids of `next_id()` are equal when they stand at the same place in the order of ids: in independent mode, where one
version once made an id more, all later ids of the two differ, and mean the same (`IdPairs`).

Invariant: what cannot be decoded is compared as bytes; nothing is left out.

Nothing here is shared: a crash leaves nothing behind.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from statevec.engine.engine_state import ENGINE_TABLES, ID_BITS, IDS
from statevec.engine.plugin.decoding import decoder_for, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.entry_view import Entry

MISSING = "missing"
"""Stands for what one version has and the other has not."""
COUNTER_MASK = (1 << ID_BITS) - 1
IDS_TABLE = ENGINE_TABLES[IDS].name

Part = Literal["outcome", "output", "record"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the versions decided otherwise. `field` is empty where a whole output or record is on one side."""

    part: Part
    name: str
    """The message or table; empty for the outcome."""
    field: str
    path: str
    """Such as `outputs.PlaceOrder[0].price` or `records.positions[7].quantity`."""
    decided: Any
    candidate: Any


class IdPairs:
    """Which id of the candidate means which id of the deciding version; ids are the epoch above a counter.

    A list of runs: from a candidate's counter on, how much greater it is than the decider's, None for ids that only the
    candidate made. A run begins only where the two made different numbers of ids.
    """

    def __init__(self) -> None:
        self._starts = [0]
        self._shifts: list[int | None] = [0]
        self.shift = 0
        """By how much the candidate's counter is ahead now."""

    def advance(self, decided_counter: int, candidate_counter: int) -> None:
        """Take in the counters after an entry on which they may have grown by different numbers."""
        shift = candidate_counter - decided_counter
        if shift == self.shift:
            return
        if shift > self.shift:
            self._append(decided_counter + self.shift + 1, None)
        self._append(candidate_counter + 1, shift)
        self.shift = shift

    def _append(self, start: int, shift: int | None) -> None:
        while self._starts[-1] >= start and len(self._starts) > 1:
            del self._starts[-1], self._shifts[-1]
        self._starts.append(start)
        self._shifts.append(shift)

    def meaning(self, value: Any) -> Any:
        """The decider's id that a candidate's value means; the value itself when it is no id of a known pair."""
        if not isinstance(value, int) or value <= COUNTER_MASK or len(self._starts) == 1:
            return value
        shift = self._shifts[bisect_right(self._starts, value & COUNTER_MASK) - 1]
        return value if shift is None else value - shift


class Comparison:
    """Compares what a deciding version and a candidate gave for the same input.

    `counters` gives the id counters of both versions after the entry, where each has its own (independent mode).
    """

    def __init__(
        self,
        decider: LoadedPlugin,
        candidate: LoadedPlugin,
        counters: Callable[[], tuple[int, int]] | None = None,
        ids: IdPairs | None = None,
    ) -> None:
        self._decided = decoder_for(decider)
        self._candidate = decoder_for(candidate)
        self._keys = {
            table.name: table.indexes[0].field
            for plugin in (decider, candidate)
            for table in tables_of(plugin).values()
        }
        self._counters = counters
        self.ids = ids or IdPairs()
        self._shift = 0
        """By how much the candidate's id counter was ahead before the entry."""

    def compare(self, decided: Entry, candidate: Entry) -> list[Difference]:
        """All differences: the outcome's first, then outputs, then records; empty when there are none."""
        self._shift = self.ids.shift
        if self._counters is not None:
            self.ids.advance(*self._counters())
        found = []
        if decided.outcome != candidate.outcome:
            found.append(Difference("outcome", "", "", "outcome", decided.outcome_name, candidate.outcome_name))
        found += self._outputs(decided, candidate)
        found += self._records(decided, candidate)
        return found

    def _outputs(self, decided: Entry, candidate: Entry) -> Iterator[Difference]:
        left = [_output(self._decided.output(each)) for each in decided.outputs()]
        right = [_output(self._candidate.output(each)) for each in candidate.outputs()]
        sides = (_grouped(left), _grouped(right))
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            for number, (one, other) in enumerate(zip_longest(*(side.get(name, ()) for side in sides))):
                yield from self._pair("output", name, f"outputs.{name}[{number}]", one, other)
        orders = ([name for name, _ in left], [name for name, _ in right])
        if orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]):
            yield Difference("output", "", "order", "outputs.order", " ".join(orders[0]), " ".join(orders[1]))

    def _records(self, decided: Entry, candidate: Entry) -> Iterator[Difference]:
        sides = (
            dict(self._record(self._decided.change(each), False) for each in decided.changes()),
            dict(self._record(self._candidate.change(each), True) for each in candidate.changes()),
        )
        for place in dict.fromkeys([*sides[0], *sides[1]]):
            table, key = place[:2]
            path = f"records.{table}[{key}]" + (".deleted" if place[2] else "")
            yield from self._pair("record", table, path, sides[0].get(place), sides[1].get(place))

    def _record(self, change: dict[str, Any], of_candidate: bool) -> tuple[tuple[str, Any, bool], dict[str, Any]]:
        """What a change is compared by (a key may be deleted and inserted again), and what of it is compared."""
        table, fields = str(change["table"]), change.get("fields")
        deleted = change["operation"] == "deleted"
        if fields is None:
            return (table, change["row"], deleted), {"operation": change["operation"], "bytes": change["bytes"]}
        key = fields[self._keys[table]]
        if of_candidate:
            key = self.ids.meaning(key)
            if table == IDS_TABLE:
                fields = fields | {"last_counter": fields["last_counter"] - self._shift}
        return (table, key, deleted), {"operation": change["operation"], **fields}

    def _pair(
        self, part: Part, name: str, path: str, decided: dict[str, Any] | None, candidate: dict[str, Any] | None
    ) -> Iterator[Difference]:
        """An output or a record of both sides, None where one has none."""
        if decided is None or candidate is None:
            values = (MISSING if each is None else each for each in (decided, candidate))
            yield Difference(part, name, "", path, *values)
            return
        for field in dict.fromkeys([*decided, *candidate]):
            one, other = decided.get(field, MISSING), candidate.get(field, MISSING)
            if one != other and one != self.ids.meaning(other):
                yield Difference(part, name, field, f"{path}.{field}", one, other)


def _output(decoded: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and what is compared of a decoded output."""
    body = decoded.get("fields") or {"bytes": decoded.get("bytes", "")}
    expiry = {"expires_ns": decoded["expires_ns"]} if decoded["expires_ns"] else {}
    return decoded.get("message", "?"), {**body, **expiry}


def _grouped(outputs: list[tuple[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, body in outputs:
        found.setdefault(name, []).append(body)
    return found
