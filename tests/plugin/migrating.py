"""Versions of a plugin whose records differ, states of them made at random, and their migration in either tier."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from statevec.codecs.accessors import view_class
from statevec.engine.engine_state import set_timer
from statevec.engine.execution import Execution
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.plugin.migration import MigrationPlan
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, call_dispatch
from statevec.state import transaction_layout as layout
from statevec.state.arena import TableLayout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.reading import read_rows
from statevec.state.tables import (
    delete_row,
    edit_row,
    find,
    first_row,
    group_first,
    group_next,
    insert_row,
    next_row,
    ordered_from,
    ordered_next,
    set_indexed,
)
from statevec.state.transaction import begin, savepoint
from tests.plugin.writing import write_plugin

LOWEST = -(1 << 63)
HEAD = '''"""A version."""

from statevec import Index, Key, Ordered, Plugin, Unique, chars, f64, i8, i16, i32, i64, u8, u16, u32, u64

probe = Plugin("probe", version="VERSION", schema="probe.xml")
Side = probe.schema.enum("Side")

'''
ORDER = """
@probe.record(capacity=64)
class Order:
    order_id: Key[u64]
    instrument: Index[u32]
    price: Ordered[i64]
    venue_id: Unique[i64]
    side: Side
    quantity: i64
    active: bool
    weight: f64
    name: chars[8]
"""
SMALL = """
@probe.record(capacity=64)
class Small:
    small_id: Key[i32]
    value: i64
"""
HANDLER = """
@probe.on("Probe")
def on_probe(tx, message):
    return
"""


def version(directory: Path, number: str, *parts: str) -> LoadedPlugin:
    """The plugin of these parts (records, migrate functions) as version `number`."""
    made = directory / number
    write_plugin(made, "\n".join((*parts, HANDLER)), head=HEAD.replace("VERSION", number))
    return load_plugin(made)


@kernel
def _fill(tx: Region, table: int, count: int, instrument: int, price: int, venue: int) -> None:
    for number in range(count):
        begin(tx)
        scattered = number * 7_919 % count
        row = insert_row(tx, table, scattered * 1_000_003)
        set_indexed(tx, table, row, instrument, scattered % 100)
        set_indexed(tx, table, row, price, scattered * 31 % 50_021)
        set_indexed(tx, table, row, venue, number)
        savepoint(tx)


class State:
    """A private arena of a plugin, with records that tests make, and what they read of it."""

    def __init__(self, plugin: LoadedPlugin, *, empty: bool = False) -> None:
        self.plugin = plugin
        self.execution = Execution(plugin.table_specs, plugin.dispatch("interpreted"))
        if empty:
            self.execution.layout.format(self.execution.arena)
        self.tx = self.execution.tx
        self.arena = self.execution.arena
        self.sequence = 0

    def table(self, name: str) -> TableLayout:
        return self.execution.layout.tables[name]

    def record(self, table: str) -> RecordDeclaration:
        return next(each for each in self.plugin.declarations.records.values() if each.table == table)

    def put(self, table: str, key: int, **fields: Any) -> None:
        """Insert or update one record, in a transaction of its own."""
        made = self.table(table)
        self.sequence += 1
        self.tx.store_i64(layout.SEQUENCE, self.sequence)
        begin(self.tx)
        set_timer(self.tx, key, self.sequence)
        row = find(self.tx, made.number, key)
        if row == 0:
            row = insert_row(self.tx, made.number, key)
        else:
            edit_row(self.tx, made.number, row)
        record = self.record(table)
        view: Any = view_class(record.name, record.fields, True)(self.arena.view, row + ROW_HEADER_SIZE)
        for name, value in fields.items():
            index = record.indexes.get(name)
            if index is None:
                setattr(view, name, value)
            else:
                set_indexed(self.tx, made.number, row, made.index_number(index, name), int(value))
        savepoint(self.tx)

    def fill_orders(self, count: int) -> None:
        """Insert that many orders with values that are all over their indexes, quickly."""
        made = self.table("orders")
        _fill(self.tx, made.number, count, *(index.number for index in made.indexes[1:]))

    def delete(self, table: str, key: int) -> None:
        made = self.table(table)
        begin(self.tx)
        delete_row(self.tx, made.number, find(self.tx, made.number, key))
        savepoint(self.tx)

    def rows(self, table: str) -> list[tuple[int, int, dict[str, Any]]]:
        """Version, sequence of the last change, and fields of all records in row order."""
        return [(each.version, each.last_changed, each.fields) for each in read_rows(self.arena, self.table(table))]

    def rows_of_engine(self, table: str) -> list[Any]:
        return list(read_rows(self.arena, self.table(table)))

    def row_numbers(self, table: str) -> list[int]:
        return [each.number for each in read_rows(self.arena, self.table(table))]

    def order(self, table: str, kind: str, field: str) -> dict[int, list[int]]:
        """Keys of the records by the value of a group or ordered index, in the order of the index."""
        made = self.table(table)
        index = made.index_number(kind, field)
        key = made.spec.indexes[0].field
        view = view_class("Row", self.record(table).fields, False)
        found: dict[int, list[int]] = {}

        def note(row: int) -> None:
            each: Any = view(self.arena.view, row + ROW_HEADER_SIZE)
            found.setdefault(int(getattr(each, field)), []).append(getattr(each, key))

        if kind == "ordered":
            row = ordered_from(self.tx, made.number, index, LOWEST, False)
            while row:
                note(row)
                row = ordered_next(self.tx, made.number, index, row, False)
            return found
        row = first_row(self.tx, made.number)
        values = []
        while row:
            values.append(int(getattr(view(self.arena.view, row + ROW_HEADER_SIZE), field)))
            row = next_row(self.tx, made.number, row)
        for value in dict.fromkeys(values):
            row = group_first(self.tx, made.number, index, value)
            while row:
                note(row)
                row = group_next(self.tx, made.number, index, row)
        return found


def migrate(plan: MigrationPlan, old: State, tier: Any) -> tuple[int, State]:
    """What the plan's function answers in one tier, and the new state."""
    new = State(plan.new, empty=True)
    function = plan.function(tier)
    return call_dispatch(function.address, old.tx.address, new.tx.address, 0), new


def random_orders(plugin: LoadedPlugin, seed: int, operations: int = 150, records: int = 60) -> State:
    """A state of `orders` after inserts, updates and deletions, and a timer."""
    source = random.Random(seed)
    state = State(plugin)
    keys: set[int] = set()
    for number in range(operations):
        key = source.randrange(1, 200)
        if keys and source.random() < 0.25:
            key = source.choice(sorted(keys))
            state.delete("orders", key)
            keys.discard(key)
        elif key in keys or len(keys) < records:
            keys.add(key)
            state.put(
                "orders",
                key,
                instrument=source.randrange(4),
                price=source.choice([-5, 0, 7, 100, 1 << 40]),
                venue_id=1_000 + number,
                side=state.plugin.schema.enum("Side")(source.choice([1, 2])),
                quantity=source.randrange(-100, 100),
                active=source.random() < 0.5,
                weight=source.random(),
                name=bytes(source.choices(b"abc", k=source.randrange(9))),
            )
    return state
