"""What two versions decided about one entry, compared by message, key and field.

    outcome   as its name, such as COMMITTED, REJECTED(3), MISSING_KEY
    outputs   of each message the first with the first, the second with the second; then the order of all
    records   by table and key: operation and fields. Row, version and last sequence are where a version keeps its
              books, not what it decided

Ids of `next_id()` are equal when they stand at the same place in the order of ids: in independent mode, where one
version once made an id more, all later ids of the two differ, and mean the same (`shadow_ids`).

Invariant: what cannot be decoded is compared as bytes; nothing is left out.

Nothing here is shared: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from statevec.engine.engine_state import ENGINE_TABLES, IDS
from statevec.engine.plugin.decoding import tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.entry_layout import DELETED
from statevec.journal.entry_view import Change, Entry, Output
from statevec.roles.shadow_ids import IdPairs
from statevec.roles.shadow_side import Fields, Side

MISSING = "missing"
"""Stands for what one version has and the other has not."""
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


class Comparison:
    """Compares what a deciding version and a candidate gave for the same input.

    `counters` gives the id counters of both versions after the entry, where each has its own (independent mode).
    """

    def __init__(
        self,
        decider: LoadedPlugin,
        candidate: LoadedPlugin,
        ids: IdPairs,
        counters: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self.sides = (Side(decider), Side(candidate))
        self.equal_tables = equal_tables(decider, candidate)
        """Numbers of the tables that are the same in both versions."""
        self.equal_outputs = equal_outputs(decider, candidate)
        """Whether all messages that either version emits are laid out alike."""
        self.ids = ids
        self._counters = counters

    def compare(self, decided: Entry, candidate: Entry) -> list[Difference]:
        """All differences: the outcome's first, then outputs, then records; empty when there are none."""
        shift = self.ids.shift
        if self._counters is not None:
            self.ids.advance(*self._counters())
        found = []
        if decided.outcome != candidate.outcome:
            found.append(Difference("outcome", "", "", "outcome", decided.outcome_name, candidate.outcome_name))
        found += self._outputs(decided.outputs(), candidate.outputs())
        found += self._records(decided.changes(), candidate.changes(), shift)
        return found

    def _outputs(self, decided: list[Output], candidate: list[Output]) -> Iterator[Difference]:
        if self.equal_outputs and _bytes_of(decided) == _bytes_of(candidate):
            return
        left = [self.sides[0].output(each) for each in decided]
        right = [self.sides[1].output(each) for each in candidate]
        sides = (_grouped(left), _grouped(right))
        for name in dict.fromkeys([*sides[0], *sides[1]]):
            for number, (one, other) in enumerate(zip_longest(*(side.get(name, ()) for side in sides))):
                yield from self._pair("output", name, f"outputs.{name}[{number}]", one, other)
        orders = ([name for name, _ in left], [name for name, _ in right])
        if orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]):
            yield Difference("output", "", "order", "outputs.order", " ".join(orders[0]), " ".join(orders[1]))

    def _records(self, decided: list[Change], candidate: list[Change], shift: int) -> Iterator[Difference]:
        pairs = [pair for pair in zip_longest(decided, candidate) if not self._is_equal(*pair)]
        left = dict(self._record(0, each, 0) for each, _ in pairs if each is not None)
        right = dict(self._record(1, each, shift) for _, each in pairs if each is not None)
        for place in dict.fromkeys([*left, *right]):
            table, key, deleted = place
            path = f"records.{table}[{key}]" + (".deleted" if deleted else "")
            yield from self._pair("record", table, path, left.get(place), right.get(place))

    def _is_equal(self, one: Change | None, other: Change | None) -> bool:
        return (
            one is not None
            and other is not None
            and one.table in self.equal_tables
            and (one.table, one.operation, one.image) == (other.table, other.operation, other.image)
        )

    def _record(self, side: int, change: Change, shift: int) -> tuple[tuple[str, Any, bool], Fields]:
        """What a change is compared by (a key may be deleted and inserted again), and what of it is compared."""
        table, key, fields = self.sides[side].change(change)
        if side == 1:
            key = self._meaning(key)
            if shift and table == IDS_TABLE:
                fields["last_counter"] -= shift
        return (table, key, change.operation == DELETED), {"operation": change.operation_name, **fields}

    def _meaning(self, value: Any) -> Any:
        return self.ids.meaning(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _pair(
        self, part: Part, name: str, path: str, decided: Fields | None, candidate: Fields | None
    ) -> Iterator[Difference]:
        """An output or a record of both sides, None where one has none."""
        if decided is None or candidate is None:
            values = (MISSING if each is None else each for each in (decided, candidate))
            yield Difference(part, name, "", path, *values)
        elif decided != candidate:
            for field in dict.fromkeys([*decided, *candidate]):
                one, other = decided.get(field, MISSING), candidate.get(field, MISSING)
                if one != other and one != self._meaning(other):
                    yield Difference(part, name, field, f"{path}.{field}", one, other)


def equal_tables(decider: LoadedPlugin, candidate: LoadedPlugin) -> set[int]:
    """Numbers of the tables whose name and record are the same in both versions."""
    ours, theirs = tables_of(decider), tables_of(candidate)
    return {
        number
        for number in ours.keys() & theirs.keys()
        if ours[number].name == theirs[number].name and ours[number].record.hash == theirs[number].record.hash
    }


def equal_outputs(decider: LoadedPlugin, candidate: LoadedPlugin) -> bool:
    """Whether every message that either version emits is laid out alike in both schemas."""
    emitted = decider.outputs.keys() | candidate.outputs.keys()
    ours = {each.id: each for each in decider.schema.messages.values()}
    theirs = {each.id: each for each in candidate.schema.messages.values()}
    return all(number in ours and number in theirs and ours[number] == theirs[number] for number in emitted)


def _bytes_of(outputs: list[Output]) -> list[tuple[bytes, int]]:
    return [(each.message, each.expires_ns) for each in outputs]


def _grouped(outputs: list[tuple[str, Fields]]) -> dict[str, list[Fields]]:
    found: dict[str, list[Fields]] = {}
    for name, body in outputs:
        found.setdefault(name, []).append(body)
    return found
