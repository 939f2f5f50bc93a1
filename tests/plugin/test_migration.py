"""Migrations: what is carried over, what is refused, before or while it runs; both tiers leave the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.plugin.migration import MigrationPlan, plan_migration
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.plugin.migration_run import bind, migrate_template
from statevec.ipc.faults import CAPACITY_EXHAUSTED, DUPLICATE_KEY, VALUE_OUT_OF_RANGE
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.state.arena import digest_of
from statevec.state.migration import place_rows
from statevec.state.migration_indexes import link_rows
from statevec.state.tables import first_row, next_row
from statevec.state.transaction_layout import DISPATCH_OK
from statevec.state.verify import verify
from tests.plugin.migrating import ORDER, SMALL, State, migrate, random_orders, version

TIERS = ("compiled", "interpreted")
INDEXES = (("group", "instrument"), ("ordered", "price"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> LoadedPlugin:
    return version(tmp_path_factory.mktemp("first"), "1.0.0", ORDER)


PLAIN = {each.__name__: plain(each) for each in (place_rows, link_rows, first_row, next_row)}


def migrated_in_plain_python(plan: MigrationPlan, old: State) -> State:
    """The same functions with kernels that are plain Python too."""
    new = State(plan.new, empty=True)
    program = Region.of(bytearray(plan.program))
    run = bind(migrate_template, {**PLAIN, "program_region": lambda unused: program})
    assert run(old.tx.address, new.tx.address, 0) == DISPATCH_OK
    return new


def migrated(first: LoadedPlugin, second: LoadedPlugin, old: State) -> State:
    """The new state, sound, the same in both tiers; the old arena untouched, the engine's tables as they were."""
    plan = plan_migration(first, second)
    before = digest_of(old.arena)
    states = []
    for tier in TIERS:
        answer, new = migrate(plan, old, tier)
        assert answer == DISPATCH_OK, tier
        assert digest_of(old.arena) == before
        verify(new.execution.layout, new.arena)
        states.append(new)
    assert digest_of(states[0].arena) == digest_of(states[1].arena)
    assert plugin_tables_digest(states[0].tx) == plugin_tables_digest(states[1].tx)
    for table in ("engine_clock", "engine_sources", "engine_timers", "engine_ids"):
        assert states[0].rows_of_engine(table) == old.rows_of_engine(table)
    return states[0]


def refused(first: LoadedPlugin, second: LoadedPlugin, old: State, outcome: int) -> None:
    plan = plan_migration(first, second)
    before = digest_of(old.arena)
    for tier in TIERS:
        answer, _ = migrate(plan, old, tier)
        assert answer == outcome, tier
        assert digest_of(old.arena) == before


def orders(*changes: tuple[str, str]) -> str:
    """The record Order with replaced lines."""
    made = ORDER
    for before, after in changes:
        assert before in made
        made = made.replace(before, after)
    return made


def same_orders(old: State, new: State, table: str = "orders") -> None:
    for kind, field in INDEXES:
        assert new.order(table, kind, field) == old.order(table, kind, field)


def test_versions_of_one_layout_need_no_migration(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "1.1.0", ORDER, "\nLIMIT = 3\n")
    plan = plan_migration(first, second)
    assert (plan.needed, plan.identity, plan.changes) == (False, "", ())


@pytest.mark.parametrize("capacity", [64, 20])
def test_plain_kernels_leave_the_same_bytes(first: LoadedPlugin, tmp_path: Path, capacity: int) -> None:
    changed = orders(("capacity=64", f"capacity={capacity}"), ("    active: bool\n", ""), ("i64", "i32"))
    second = version(tmp_path, "2.0.0", changed)
    old = random_orders(first, 9, operations=40, records=15)
    old.put("orders", 1, venue_id=-1, price=-7)
    for _, _, fields in old.rows("orders"):
        old.put("orders", fields["order_id"], price=fields["price"] % 5)
    new = migrated(first, second, old)
    assert digest_of(migrated_in_plain_python(plan_migration(first, second), old).arena) == digest_of(new.arena)


def test_the_digest_tells_states_apart(first: LoadedPlugin) -> None:
    states = [random_orders(first, 6), random_orders(first, 6), random_orders(first, 7)]
    digests = [plugin_tables_digest(each.tx) for each in states]
    assert digests[0] == digests[1] != digests[2]
    states[0].put("orders", states[0].rows("orders")[0][2]["order_id"], quantity=1_000)
    assert plugin_tables_digest(states[0].tx) != digests[1]
    assert plugin_tables_digest(states[1].tx) == plain(plugin_tables_digest)(states[1].tx)


@pytest.mark.parametrize("seed", range(4))
def test_fields_are_added_and_removed_and_everything_else_stays(first: LoadedPlugin, tmp_path: Path, seed: int) -> None:
    second = version(
        tmp_path, "2.0.0", orders(("    active: bool\n", ""), ("    side: Side", "    limit: i32\n    side: Side"))
    )
    old = random_orders(first, seed)
    new = migrated(first, second, old)
    wanted = []
    for version_, changed, fields in old.rows("orders"):
        fields.pop("active")
        wanted.append((version_, changed, {**fields, "limit": 0}))
    assert new.rows("orders") == wanted
    assert new.row_numbers("orders") == old.row_numbers("orders")
    same_orders(old, new)
    assert plan_migration(first, second).changes == (
        "orders.limit: added (i32, zero)",
        "orders.active: removed",
    )


def test_what_is_inserted_next_takes_the_row_it_would_have_taken(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", orders(("capacity=64", "capacity=100")))
    old = random_orders(first, 11, records=40)
    for place in (20, 5, 11, 2):
        old.delete("orders", old.rows("orders")[place][2]["order_id"])
    new = migrated(first, second, old)
    for key in range(1_000, 1_005):
        for state in (old, new):
            state.put("orders", key, venue_id=-key)
        assert new.row_numbers("orders") == old.row_numbers("orders")
    verify(new.execution.layout, new.arena)


def test_a_smaller_table_takes_the_records_if_they_fit(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", orders(("capacity=64", "capacity=20")))
    old = random_orders(first, 5, operations=120)
    while len(old.rows("orders")) > 20:
        old.delete("orders", old.rows("orders")[3][2]["order_id"])
    assert max(old.row_numbers("orders")) >= 20
    new = migrated(first, second, old)
    assert new.rows("orders") == old.rows("orders")
    assert new.row_numbers("orders") == list(range(len(new.rows("orders"))))
    same_orders(old, new)
    for key in range(10_000, 10_021):
        old.put("orders", key, venue_id=key)
    refused(first, second, old, CAPACITY_EXHAUSTED)


WIDER = ("    quantity: i64", "    quantity: i16"), ("order_id: Key[u64]", "order_id: Key[i64]")


def test_narrower_kinds_take_what_fits(first: LoadedPlugin, tmp_path: Path) -> None:
    narrow = version(tmp_path, "2.0.0", orders(*WIDER, ("Ordered[i64]", "Ordered[i32]"), ("chars[8]", "chars[4]")))
    old = State(first)
    for key in (3, 1, 2):
        old.put("orders", key, venue_id=key, quantity=-32_768, price=-(1 << 31), name=b"abcd", instrument=1)
    new = migrated(first, narrow, old)
    assert [each[2]["quantity"] for each in new.rows("orders")] == [-32_768] * 3
    same_orders(old, new)
    back = migrated(narrow, first, new)
    assert back.rows("orders") == old.rows("orders")
    assert "orders.quantity: i64 -> i16, each value must fit" in plan_migration(first, narrow).changes
    assert "orders.quantity: i16 -> i64" in plan_migration(narrow, first).changes


@pytest.mark.parametrize(
    "fields",
    [{"quantity": 32_768}, {"quantity": -32_769}, {"price": 1 << 31}, {"name": b"abcde"}, {"order_id": -(1 << 63)}],
)
def test_what_does_not_fit_ends_the_migration(first: LoadedPlugin, tmp_path: Path, fields: dict[str, Any]) -> None:
    narrow = version(tmp_path, "2.0.0", orders(*WIDER, ("Ordered[i64]", "Ordered[i32]"), ("chars[8]", "chars[4]")))
    old = State(first)
    old.put("orders", 1, venue_id=1)
    old.put("orders", fields.pop("order_id", 2), venue_id=2, **fields)
    refused(first, narrow, old, VALUE_OUT_OF_RANGE)


def test_tables_are_added_and_removed(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", SMALL, ORDER)
    third = version(tmp_path, "3.0.0", SMALL)
    old = random_orders(first, 8)
    new = migrated(first, second, old)
    assert (new.rows("orders"), new.rows("smalls")) == (old.rows("orders"), [])
    assert plan_migration(first, second).changes == ("smalls: added, empty",)
    new.put("smalls", 5, value=7)
    last = migrated(second, third, new)
    assert last.rows("smalls") == new.rows("smalls")
    assert plan_migration(second, third).changes == ("orders: removed, its records are dropped",)


def test_indexes_are_added_in_row_order_and_removed(first: LoadedPlugin, tmp_path: Path) -> None:
    changed = orders(("quantity: i64", "quantity: Index[i64]"), ("instrument: Index[u32]", "instrument: Ordered[u32]"))
    second = version(tmp_path, "2.0.0", changed.replace("price: Ordered[i64]", "price: Index[i64]"))
    old = random_orders(first, 3)
    new = migrated(first, second, old)
    by_quantity: dict[int, list[int]] = {}
    for _, _, fields in old.rows("orders"):
        by_quantity.setdefault(fields["quantity"], []).append(fields["order_id"])
    assert new.order("orders", "group", "quantity") == by_quantity
    assert dict(sorted(old.order("orders", "group", "instrument").items())) == new.order(
        "orders", "ordered", "instrument"
    )
    assert old.order("orders", "ordered", "price") == new.order("orders", "group", "price")


def test_a_value_twice_in_a_new_unique_index_ends_the_migration(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", orders(("quantity: i64", "quantity: Unique[i64]")))
    old = State(first)
    old.put("orders", 1, venue_id=1, quantity=5)
    old.put("orders", 2, venue_id=2, quantity=6)
    migrated(first, second, old)
    old.put("orders", 3, venue_id=3, quantity=5)
    refused(first, second, old, DUPLICATE_KEY)
