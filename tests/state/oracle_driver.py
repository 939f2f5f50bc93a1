"""Drives an arena and the oracle with the same random transactions and compares all that anybody can see of them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from statevec.ipc.faults import FAULTS, Fault
from statevec.state import transaction_layout as layout
from statevec.state.reading import read_rows
from statevec.state.verify import verify
from tests.state.oracle import CAPACITY_EXHAUSTED, DELETED, Model, ModelFaultError, ModelTable
from tests.state.state_harness import Store

PREVIEWED = 2
"""How a transaction ended, beside outcomes: its commit was tried and taken back."""
LOW, HIGH = -(2**63), 2**63 - 1
VALUES = {
    "i8": [-3, -2, -1, 0, 1, 2, 3, 127, -128, 128],
    "i16": [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32767, 40000],
    "i32": [-(2**31), -1, 0, 1, 2, 2**31 - 1, 2**31],
    "u8": [0, 1, 2, 255, -1],
    "u32": [0, 1, 2, 3, 2**32 - 1, -1],
    "i64": [LOW, -5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, HIGH],
    "u64": [LOW, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, HIGH],
    "bool": [0, 1],
}


def model_of(store: Store) -> Model:
    made = []
    for table in store.tables:
        spec = table.spec
        kinds = {field.name: field.kind for field in spec.record.fields}
        indexes = {index.field: index.kind for index in spec.indexes[1:]}
        made.append(
            ModelTable(kinds, spec.capacity, spec.indexes[0].field, indexes, spec.in_delta, 32 + spec.record.size)
        )
    return Model(made)


class Driver:
    """One seeded run. `step()` is a transaction; it raises AssertionError where the two differ."""

    def __init__(self, store: Store, seed: int, exact_capacity: bool = True) -> None:
        self.store = store
        self.model = model_of(store)
        self.random = random.Random(seed)
        self.exact_capacity = exact_capacity  # False: undo memory may run out, of which the oracle knows nothing
        self.sequence = 0
        self.mirror: dict[tuple[int, int], dict] = {}
        self.outcomes: dict[int, int] = {}

    # one operation on both sides

    def both(self, real: Callable[[], Any], modelled: Callable[[], Any]) -> tuple[int, Any, Any]:
        """(outcome, result, result of the oracle); outcomes must agree."""
        try:
            result, outcome = real(), 0
        except Fault as fault:
            result, outcome = None, fault.outcome
        if outcome == CAPACITY_EXHAUSTED and not self.exact_capacity:
            return outcome, None, None
        try:
            expected, expected_outcome = modelled(), 0
        except ModelFaultError as fault:
            expected, expected_outcome = None, fault.outcome
        assert outcome == expected_outcome
        return outcome, result, expected

    def value(self, table: int, name: str) -> Any:
        kind = self.model.tables[table].kinds[name]
        if kind.startswith("char"):
            return self.random.choice([b"", b"a", b"abcde"])
        return self.random.choice(VALUES[kind])

    def operation(self, table: int) -> int:
        choice = self.random.random()
        key = self.value(table, self.model.tables[table].key)
        if choice < 0.3:
            return self.insert(table, key)
        number = self.model.find(table, key)
        found = self.store.find(table, key)
        assert self.store.number(table, found) == number
        if number is None and self.random.random() < 0.9:
            return 0
        row = self.store.row(table, number) if number is not None else 0
        if choice < 0.45:
            return self.delete(table, row, number)
        if choice < 0.6:
            return self.edit(table, row, number)
        if choice < 0.85:
            return self.move(table, row, number)
        return self.iterate(table)

    def insert(self, table: int, key: int) -> int:
        outcome, row, number = self.both(
            lambda: self.store.insert_row(table, key), lambda: self.model.insert(table, key)
        )
        if outcome == 0:
            assert self.store.number(table, row) == number
            for name in self.model.tables[table].indexes:
                if outcome == 0 and self.random.random() < 0.8:
                    outcome = self.set_indexed(table, row, number, name)
        return outcome

    def delete(self, table: int, row: int, number: int | None) -> int:
        outcome, _, _ = self.both(lambda: self.store.delete_row(table, row), lambda: self.model.delete(table, number))
        if outcome == 0 and self.random.random() < 0.3:  # a handler may go on writing into what it deleted
            self.store.store_field(table, row, next(iter(self.model.tables[table].kinds)), 77)
        return outcome

    def edit(self, table: int, row: int, number: int | None) -> int:
        described = self.model.tables[table]
        names = [name for name in described.kinds if name not in described.indexes and name != described.key]
        name = self.random.choice(names)
        value = self.value(table, name)
        outcome, _, _ = self.both(
            lambda: self.store.edit_row(table, row), lambda: self.model.edit(table, number, name, value)
        )
        if outcome == 0:
            self.store.store_field(table, row, name, value)
        return outcome

    def move(self, table: int, row: int, number: int | None) -> int:
        return self.set_indexed(table, row, number, self.random.choice(list(self.model.tables[table].indexes)))

    def set_indexed(self, table: int, row: int, number: int | None, name: str) -> int:
        value = self.value(table, name)
        index = self.store.index(table, name)
        outcome, _, _ = self.both(
            lambda: self.store.set_indexed(table, row, index, value),
            lambda: self.model.set_indexed(table, number, name, value),
        )
        return outcome

    # iteration, with operations on the way

    def walk(self, table: int) -> tuple[Callable[[], int], Callable[[int], int], Callable[[], list]]:
        """First row, next row, and what the oracle says the rows are now, of some index of the table."""
        store, model = self.store, self.model
        described = model.tables[table]
        ways: list[tuple[str, str]] = [("row", "")]
        ways += [(kind, name) for name, kind in described.indexes.items() if kind != "unique"]
        kind, name = self.random.choice(ways)
        if kind == "row":
            return (lambda: store.first_row(table)), (lambda row: store.next_row(table, row)), described.row_order
        value, index = self.value(table, name), store.index(table, name)
        if kind == "group":
            return (
                lambda: store.group_first(table, index, value),
                lambda row: store.group_next(table, index, row),
                lambda: list(described.arrivals.get(name, {}).get(value, [])),
            )
        down = self.random.random() < 0.5
        return (
            lambda: store.ordered_from(table, index, value, down),
            lambda row: store.ordered_next(table, index, row, down),
            lambda: model.rows_from(table, name, value, down),
        )

    def iterate(self, table: int) -> int:
        first, following, expected = self.walk(table)
        store, model = self.store, self.model
        token, model_token = store.iteration_begin(table), model.iteration_begin(table)
        row = first()
        assert store.number(table, row) == next(iter(expected()), None)
        for _ in range(20):  # a row moved ahead of the iteration comes again
            if row == 0:
                break
            successor = following(row)
            number = store.number(table, row)
            rows = expected()
            assert number in rows
            assert store.number(table, successor) == next(iter(rows[rows.index(number) + 1 :]), None)
            outcome = self.on_the_way(table, row, number)
            if outcome != 0:
                return outcome
            outcome, new_token, model_new_token = self.both(
                lambda row=row, token=token: store.iteration_check(table, token, row),
                lambda number=number, token=model_token: model.iteration_check(table, token, number),
            )
            if outcome != 0:
                return outcome
            token, model_token, row = new_token, model_new_token, successor
        return 0

    def on_the_way(self, table: int, row: int, number: int) -> int:
        choice = self.random.random()
        if choice < 0.1:
            return self.edit(table, row, number)
        if choice < 0.15:
            return self.delete(table, row, number)
        if choice < 0.25:
            return self.move(table, row, number)
        if choice < 0.3:
            return self.operation(table)
        return 0

    # transactions

    def step(self) -> int:
        """One transaction; its outcome."""
        self.sequence += 1
        self.store.begin(self.sequence)
        self.model.begin(self.sequence)
        before = self.store.image()
        outcome = 0
        if self.random.random() < 0.15:
            outcome = self.operations()
            if outcome == 0:
                outcome, _, _ = self.both(lambda: self.store.savepoint(), self.model.savepoint)
            if outcome == 0:
                before = self.store.image()
                self.mirror_from_model()
        if outcome == 0:
            outcome = self.operations()
        if outcome == 0 and self.random.random() < 0.2:
            outcome = 1  # the handler rejects
        if outcome == 0 and self.random.random() < 0.1:
            outcome = self.preview()
        if outcome == 0:
            outcome = self.commit()
        if outcome != 0:
            self.store.rollback()
            self.model.rollback()
            assert self.store.image() == before
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        return outcome

    def operations(self) -> int:
        for _ in range(self.random.randrange(1, 9)):
            outcome = self.operation(self.random.choice([0, 0, 0, 1, 2]))
            if outcome != 0:
                return outcome
        return 0

    def preview(self) -> int:
        """What a commit would give; the caller takes it back."""
        model = copy.deepcopy(self.model)
        outcome, length, expected = self.both(
            lambda: self.committed(self.store.entry.size, self.store.preview),
            lambda: model.commit(self.store.entry.size),
        )
        if outcome == 0:
            assert self.store.delta(length) == expected
        return outcome or PREVIEWED

    def commit(self) -> int:
        limit = self.random.randrange(0, 300, 8) if self.random.random() < 0.1 else self.store.entry.size
        outcome, length, expected = self.both(
            lambda: self.committed(limit, self.store.commit), lambda: self.model.commit(limit)
        )
        if outcome == 0:
            assert self.store.delta(length) == expected
            self.apply(expected)
        return outcome

    def committed(self, limit: int, commit: Callable[[int], int]) -> int:
        """The delta's length; a negative outcome is raised, as the oracle does it."""
        length = commit(limit)
        if length < 0:
            # The space for the delta is the only capacity that can be short here when undo memory is not.
            short = length == CAPACITY_EXHAUSTED and self.exact_capacity
            assert self.store.tx.load_i64(layout.SPACE_EXHAUSTED) == 1 or not short
            raise FAULTS[length]
        return length

    # what is compared between transactions

    def apply(self, delta: list[tuple]) -> None:
        """Follow a delta as a projector would that keeps records by key, and refuses what makes no sense."""
        for table, _, operation, version, previous, fields in delta:
            place = (table, fields[self.model.tables[table].key])
            record = {"version": version, "last_changed": self.sequence, "fields": fields}
            if operation == DELETED:
                assert self.mirror.pop(place)["last_changed"] == previous
            elif version == 1:
                assert place not in self.mirror
                assert previous == 0
                self.mirror[place] = record
            else:
                assert self.mirror[place]["version"] == version - 1
                assert self.mirror[place]["last_changed"] == previous
                self.mirror[place] = record

    def mirror_from_model(self) -> None:
        """What a savepoint keeps is in no delta."""
        self.mirror = self.records_of_model()

    def records_of_model(self) -> dict[tuple[int, int], dict]:
        return {
            (number, record.fields[table.key]): {
                "version": record.version,
                "last_changed": record.last_changed,
                "fields": dict(record.fields),
            }
            for number, table in enumerate(self.model.tables)
            if table.in_delta
            for record in table.records.values()
        }

    def compare(self) -> None:
        """Records, versions, every order, every look-up; the arena's structure; the mirror that followed the deltas."""
        verify(self.store.layout, self.store.arena)
        assert self.mirror == self.records_of_model()
        for number, described in enumerate(self.model.tables):
            found = {}
            for record in read_rows(self.store.arena, self.store.tables[number]):
                start = self.store.row(number, record.number) + 24
                image = bytes(self.store.arena.view[start : start + self.store.tables[number].spec.record.size])
                found[record.number] = (record.version, record.last_changed, self.store.fields(number, image))
            wanted = {row: (r.version, r.last_changed, r.fields) for row, r in described.records.items()}
            assert found == wanted
            assert self.store.row_count(number) == len(wanted)
            self.compare_indexes(number, described)

    def compare_indexes(self, number: int, described: ModelTable) -> None:
        store = self.store
        for name, kind in described.indexes.items():
            index = store.index(number, name)
            for value in VALUES[described.kinds[name]]:
                rows = described.arrivals.get(name, {}).get(value, [])
                if kind == "unique":
                    assert store.number(number, store.find_unique(number, index, value)) == next(iter(rows), None)
                elif kind == "group":
                    assert self.rows(number, store.group_first(number, index, value), store.group_next, index) == rows
            if kind == "ordered":
                for down, start in ((False, LOW), (True, HIGH)):
                    first = store.ordered_from(number, index, start, down)
                    found = self.rows(number, first, store.ordered_next, index, down)
                    assert found == described.in_order(name, down)

    def rows(self, number: int, first: int, following: Callable[..., int], index: int, *more: bool) -> list:
        found, row = [], first
        while row:
            found.append(self.store.number(number, row))
            row = following(number, index, row, *more)
        return found
