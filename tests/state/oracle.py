"""An independent model of tables and transactions, on dictionaries and lists: what the arena is compared with.

It shares the contract with the implementation (outcome numbers, operation numbers) and no code. Everything is done the
slow, obvious way: a transaction begins with a deep copy, a rollback takes it back, an order is a sorted list.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

CAPACITY_EXHAUSTED = -5
VALUE_OUT_OF_RANGE = -8
MISSING_KEY = -9
DUPLICATE_KEY = -10
ITERATION_MODIFIED = -11
INSERTED, UPDATED, DELETED = 1, 2, 3

RANGES = {
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (-(2**63), 2**63 - 1),  # opaque: its bits seen as signed
    "bool": (0, 1),
}


class ModelFaultError(Exception):
    """An operation that the contract forbids, with the outcome that it must give."""

    def __init__(self, outcome: int) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def fault_if(condition: bool, outcome: int) -> None:
    if condition:
        raise ModelFaultError(outcome)


@dataclass
class ModelRecord:
    fields: dict
    version: int = 0
    last_changed: int = 0
    linked: set = field(default_factory=set)


@dataclass
class ModelTable:
    """One table: records by row number, free row numbers (the last freed is taken first), indexes as lists of rows."""

    kinds: dict  # field -> kind
    capacity: int
    key: str
    indexes: dict  # field -> "unique" | "group" | "ordered"
    in_delta: bool
    delta_size: int  # bytes of a delta record
    records: dict = field(default_factory=dict)
    free: list = field(default_factory=list)
    never_used: int = 0
    arrivals: dict = field(default_factory=dict)  # field -> value -> rows in the order they came

    def row_of_key(self, key: int) -> int | None:
        for row, record in self.records.items():
            if record.fields[self.key] == key:
                return row
        return None

    def rows_of(self, index: str, value: int) -> list:
        return self.arrivals.setdefault(index, {}).setdefault(value, [])

    def in_order(self, index: str, descending: bool) -> list:
        values = sorted(self.arrivals.get(index, {}), reverse=descending)
        return [row for value in values for row in self.rows_of(index, value)]

    def row_order(self) -> list:
        return sorted(self.records)


class Model:
    """Tables and one transaction at a time."""

    def __init__(self, tables: list[ModelTable]) -> None:
        self.tables = tables
        self.sequence = 0
        self.changes: dict[int, list] = {number: [] for number in range(len(tables))}
        self.begin(0)

    # transactions

    def begin(self, sequence: int) -> None:
        self.sequence = sequence
        self._keep()

    def _keep(self) -> None:
        self.before = copy.deepcopy(self.tables)
        self.touched: list[tuple[int, int]] = []
        self.deleted: set[tuple[int, int]] = set()

    def rollback(self) -> None:
        self.tables = self.before
        self._keep()

    def savepoint(self) -> None:
        self._finish(2**63)

    def commit(self, limit: int) -> list[tuple]:
        """The delta: (table, row, operation, version, sequence before, fields) of each record changed."""
        return self._finish(limit)

    def _finish(self, limit: int) -> list[tuple]:
        self._link_unassigned()
        delta = []
        for number, row in self.touched:
            old = self.before[number].records.get(row)
            if (number, row) in self.deleted and old is not None:
                delta.append((number, row, DELETED, old.version + 1, old.last_changed, dict(old.fields)))
        for number, row in self.touched:
            old, new = self.before[number].records.get(row), self.tables[number].records.get(row)
            if new is None:
                continue
            is_new = old is None or (number, row) in self.deleted
            if is_new or old.fields != new.fields:
                previous = new.last_changed
                new.version += 1
                new.last_changed = self.sequence
                operation = INSERTED if is_new else UPDATED
                delta.append((number, row, operation, new.version, previous, dict(new.fields)))
        kept = [change for change in delta if self.tables[change[0]].in_delta]
        fault_if(sum(self.tables[change[0]].delta_size for change in kept) > limit, CAPACITY_EXHAUSTED)
        self._keep()
        return kept

    def _link_unassigned(self) -> None:
        for number, row in self.touched:
            table = self.tables[number]
            record = table.records.get(row)
            if record is None:
                continue
            for index, kind in table.indexes.items():
                if index not in record.linked:
                    value = record.fields[index]
                    fault_if(kind == "unique" and bool(table.rows_of(index, value)), DUPLICATE_KEY)
                    record.linked.add(index)
                    table.rows_of(index, value).append(row)

    def _touch(self, number: int, row: int) -> None:
        if (number, row) not in self.touched:
            self.touched.append((number, row))

    # operations

    def find(self, number: int, key: int) -> int | None:
        return self.tables[number].row_of_key(key)

    def insert(self, number: int, key: int) -> int:
        table = self.tables[number]
        low, high = RANGES[table.kinds[table.key]]
        fault_if(not low <= key <= high, VALUE_OUT_OF_RANGE)
        fault_if(table.row_of_key(key) is not None, DUPLICATE_KEY)
        fault_if(not table.free and table.never_used == table.capacity, CAPACITY_EXHAUSTED)
        if table.free:
            row = table.free.pop()
        else:
            row = table.never_used
            table.never_used += 1
        fields: dict = {name: b"" if kind.startswith("char") else 0 for name, kind in table.kinds.items()}
        fields[table.key] = key
        table.records[row] = ModelRecord(fields)
        self._touch(number, row)
        self.changes[number].append(row)
        return row

    def delete(self, number: int, row: int) -> None:
        table = self.tables[number]
        fault_if(row not in table.records, MISSING_KEY)
        self._touch(number, row)
        record = table.records.pop(row)
        for index in record.linked:
            self._leave(table, index, record.fields[index], row)
        table.free.append(row)
        self.deleted.add((number, row))
        self.changes[number].append(row)

    def edit(self, number: int, row: int, name: str, value: object) -> None:
        fault_if(row not in self.tables[number].records, MISSING_KEY)
        self._touch(number, row)
        self.tables[number].records[row].fields[name] = value

    def set_indexed(self, number: int, row: int, index: str, value: int) -> None:
        table = self.tables[number]
        fault_if(row not in table.records, MISSING_KEY)
        low, high = RANGES[table.kinds[index]]
        fault_if(not low <= value <= high, VALUE_OUT_OF_RANGE)
        record = table.records[row]
        if index in record.linked and record.fields[index] == value:
            self._touch(number, row)
            return
        fault_if(table.indexes[index] == "unique" and bool(table.rows_of(index, value)), DUPLICATE_KEY)
        self._touch(number, row)
        if index in record.linked:
            self._leave(table, index, record.fields[index], row)
        record.fields[index] = value
        record.linked.add(index)
        table.rows_of(index, value).append(row)
        self.changes[number].append(row)

    @staticmethod
    def _leave(table: ModelTable, index: str, value: int, row: int) -> None:
        table.rows_of(index, value).remove(row)
        if not table.rows_of(index, value):
            del table.arrivals[index][value]

    # iteration

    def rows_from(self, number: int, index: str, value: int, descending: bool) -> list:
        """Rows of an ordered index from `value` on, in the direction asked for."""
        table = self.tables[number]
        rows = table.in_order(index, descending)
        if descending:
            return [row for row in rows if table.records[row].fields[index] <= value]
        return [row for row in rows if table.records[row].fields[index] >= value]

    def iteration_begin(self, number: int) -> int:
        return len(self.changes[number])

    def iteration_check(self, number: int, token: int, current: int) -> int:
        fault_if(any(row != current for row in self.changes[number][token:]), ITERATION_MODIFIED)
        return len(self.changes[number])
