"""Migrate functions: renamed and computed fields, changed keys, what they may not do, and plans that need one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.plugin.migration import MigrationError, plan_migration
from statevec.ipc.faults import (
    ARITHMETIC_OVERFLOW,
    DIVISION_BY_ZERO,
    DUPLICATE_KEY,
    PLUGIN_FAULT,
    VALUE_OUT_OF_RANGE,
)
from statevec.ipc.memory import call_dispatch
from statevec.state.arena import digest_of
from statevec.state.transaction_layout import DISPATCH_OK
from statevec.state.verify import verify
from tests.plugin.migrating import ORDER, SMALL, State, migrate, random_orders, version

TIERS = ("compiled", "interpreted")
FUNCTION = '\n@probe.migrate("{record}", since="{since}")\ndef migrate_{name}(old, new):\n    {body}\n'


def function(body: str, record: str = "Order", since: str = "1.0.0", name: str = "order") -> str:
    return FUNCTION.format(record=record, since=since, name=name, body=body.replace("\n", "\n    "))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> LoadedPlugin:
    return version(tmp_path_factory.mktemp("first"), "1.0.0", ORDER, SMALL)


def both(first: LoadedPlugin, second: LoadedPlugin, old: State) -> tuple[int, State]:
    """The answer and the new state, the same in both tiers; the old arena is untouched."""
    plan = plan_migration(first, second)
    before = digest_of(old.arena)
    found = [migrate(plan, old, tier) for tier in TIERS]
    assert digest_of(old.arena) == before
    (answer, new), (other_answer, other) = found
    assert answer == other_answer
    if answer == DISPATCH_OK:
        verify(new.execution.layout, new.arena)
        assert digest_of(new.arena) == digest_of(other.arena)
    return answer, new


RENAMED = (
    ORDER.replace("instrument: Index[u32]", "product: Index[u32]")
    .replace("price: Ordered[i64]", "ticks: Ordered[i64]")
    .replace("quantity: i64", "open_quantity: i64\n    side_text: chars[4]")
)


@pytest.mark.parametrize("seed", range(3))
def test_renamed_fields_keep_values_and_the_order_of_their_indexes(
    first: LoadedPlugin, tmp_path: Path, seed: int
) -> None:
    body = """new.product = old.instrument
new.ticks = old.price
new.open_quantity = abs(old.quantity)
new.side_text = b"BUY" if old.side == Side.BUY else b"SELL"
"""
    second = version(tmp_path, "2.0.0", RENAMED, SMALL, function(body))
    old = random_orders(first, seed)
    answer, new = both(first, second, old)
    assert answer == DISPATCH_OK
    for before, after in zip(old.rows("orders"), new.rows("orders"), strict=True):
        assert after[:2] == before[:2]
        assert after[2]["open_quantity"] == abs(before[2]["quantity"])
        assert after[2]["side_text"] == (b"BUY" if before[2]["side"] == 1 else b"SELL")
        assert after[2]["weight"] == before[2]["weight"]
    assert new.order("orders", "group", "product") == old.order("orders", "group", "instrument")
    assert new.order("orders", "ordered", "ticks") == old.order("orders", "ordered", "price")
    changes = plan_migration(first, second).changes
    assert "orders.product: added (u32, set by migrate_order)" in changes
    assert "orders.instrument: removed" in changes
    assert "orders: each record passes through migrate_order" in changes


def test_a_value_that_changes_moves_the_record_in_its_index(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(
        tmp_path, "2.0.0", ORDER, SMALL, function("new.price = old.price % 3\nnew.instrument = old.instrument // 2")
    )
    old = random_orders(first, 21)
    plan = plan_migration(first, second)
    assert plan.needed  # the layout is the same, the values are not
    answer, new = both(first, second, old)
    assert answer == DISPATCH_OK
    by_arrival: dict[int, list[int]] = {}
    for instrument, keys in old.order("orders", "group", "instrument").items():
        by_arrival.setdefault(instrument // 2, []).extend(keys)
    assert new.order("orders", "group", "instrument") == by_arrival
    assert list(new.order("orders", "ordered", "price")) == sorted(
        {each[2]["price"] % 3 for each in old.rows("orders")}
    )


def test_a_new_key_is_indexed_again(first: LoadedPlugin, tmp_path: Path) -> None:
    keyed = ORDER.replace("order_id: Key[u64]", "order_id: u64").replace("venue_id: Unique[i64]", "venue_id: Key[i64]")
    second = version(tmp_path, "2.0.0", keyed, SMALL, function("new.venue_id = old.venue_id + 1"))
    old = random_orders(first, 2)
    answer, new = both(first, second, old)
    assert answer == DISPATCH_OK
    assert [each[2]["venue_id"] for each in new.rows("orders")] == [
        each[2]["venue_id"] + 1 for each in old.rows("orders")
    ]
    assert "orders: key order_id -> venue_id, re-indexed" in plan_migration(first, second).changes
    same = version(tmp_path / "same", "2.0.0", keyed, SMALL, function("new.venue_id = old.quantity // 200"))
    assert both(first, same, old)[0] == DUPLICATE_KEY


def test_a_field_that_the_function_assigns_need_not_fit(first: LoadedPlugin, tmp_path: Path) -> None:
    narrow = ORDER.replace("quantity: i64", "quantity: i8").replace("weight: f64", "weight: i64")
    old = State(first)
    old.put("orders", 1, venue_id=1, quantity=12_700, weight=2.5)
    second = version(
        tmp_path,
        "2.0.0",
        narrow,
        SMALL,
        function("new.quantity = old.quantity // 100\nnew.weight = int(old.weight * 2)"),
    )
    answer, new = both(first, second, old)
    assert answer == DISPATCH_OK
    assert {name: new.rows("orders")[0][2][name] for name in ("quantity", "weight")} == {"quantity": 127, "weight": 5}
    old.put("orders", 1, venue_id=1, quantity=12_800)
    assert both(first, second, old)[0] == VALUE_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("new.quantity = 100 // old.quantity", DIVISION_BY_ZERO),
        ("new.quantity = old.price + 1", ARITHMETIC_OVERFLOW),
        ("if old.quantity == 0:\n    raise ValueError('zero')", PLUGIN_FAULT),
    ],
)
def test_a_function_that_faults_ends_the_migration(
    first: LoadedPlugin, tmp_path: Path, body: str, outcome: int
) -> None:
    second = version(tmp_path, "2.0.0", ORDER, SMALL, function(body))
    old = State(first)
    old.put("orders", 1, venue_id=1, quantity=5)
    assert both(first, second, old)[0] == DISPATCH_OK
    old.put("orders", 2, venue_id=2, quantity=0, price=(1 << 63) - 1)
    assert both(first, second, old)[0] == outcome


def test_the_function_with_the_latest_since_is_used_and_none_on_the_way_back(tmp_path: Path) -> None:
    functions = [function(f"new.value = {number}", "Small", f"{number}.0.0", f"small{number}") for number in (1, 2)]
    plugins = {each: version(tmp_path, each, SMALL) for each in ("0.9.0", "1.5.0", "2.0.0", "2.5.0", "4.0.0")}
    third = version(tmp_path, "3.0.0", SMALL, *functions)
    for number, value in (("0.9.0", 7), ("1.5.0", 1), ("2.0.0", 2), ("2.5.0", 2), ("4.0.0", 7)):
        plan = plan_migration(plugins[number], third)
        assert plan.needed == (value != 7)
        if plan.needed:
            old = State(plugins[number])
            old.put("smalls", 1, value=7)
            _, new = migrate(plan, old, "interpreted")
            assert new.rows("smalls")[0][2]["value"] == value
    assert not plan_migration(third, plugins["4.0.0"]).needed


@pytest.mark.parametrize(
    ("before", "after", "text", "line"),
    [
        ("order_id: Key[u64]", "id: Key[u64]", r"the key of orders changes from order_id to id", "id: Key"),
        ("weight: f64", "weight: i64", r"orders.weight: f64 does not become i64", "weight: i64"),
        ("name: chars[8]", "name: i64", r"orders.name: char\[8\] does not become i64", "name: i64"),
        ("active: bool", "active: chars[1]", r"orders.active: bool does not become char\[1\]", "active: chars"),
    ],
)
def test_what_needs_a_function_is_refused_with_its_line(
    first: LoadedPlugin, tmp_path: Path, before: str, after: str, text: str, line: str
) -> None:
    second = version(tmp_path, "2.0.0", ORDER.replace(before, after), SMALL)
    lines = second.path.read_text().splitlines()
    number = next(place for place, each in enumerate(lines, 1) if line in each)
    with pytest.raises(MigrationError, match=rf"probe.py:{number}: cannot migrate from 1\.0\.0: {text}"):
        plan_migration(first, second)


def test_enums_are_carried_over_by_number_and_never_change_their_meaning(first: LoadedPlugin, tmp_path: Path) -> None:
    def with_sides(number: str, values: str) -> LoadedPlugin:
        made = version(tmp_path, number, ORDER, SMALL)
        schema = made.source.directory / "probe.xml"
        text = schema.read_text()
        start, end = text.index('<validValue name="BUY"'), text.index("</enum>")
        schema.write_text(text[:start] + values + text[end:])
        from statevec.engine.plugin.loader import load_plugin

        return load_plugin(made.source.directory)

    value = '<validValue name="{}">{}</validValue>'.format
    wider = with_sides("2.0.0", value("BUY", 1) + value("SELL", 2) + value("SHORT", 3))
    assert not plan_migration(first, wider).needed
    fewer = with_sides("2.1.0", value("BUY", 1))
    old = State(first)
    old.put("orders", 1, venue_id=1)
    old.put("orders", 2, venue_id=2, side=first.schema.enum("Side").BUY)
    assert plan_migration(first, fewer).changes == ("orders.side: u8, each value must be one of the enum",)
    assert both(first, fewer, old)[0] == DISPATCH_OK
    old.put("orders", 3, venue_id=3, side=first.schema.enum("Side").SELL)
    assert both(first, fewer, old)[0] == VALUE_OUT_OF_RANGE
    swapped = with_sides("2.2.0", value("SELL", 1) + value("BUY", 2))
    with pytest.raises(MigrationError, match="BUY was 1 and is 2 in enum Side"):
        plan_migration(first, swapped)
    renamed = with_sides("2.3.0", value("LONG", 1) + value("SELL", 2))
    with pytest.raises(MigrationError, match="1 meant BUY and means LONG"):
        plan_migration(first, renamed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('@probe.migrate("Nothing", since="1.0.0")\ndef f(old, new):\n    new.value = 1\n', "'Nothing' is no record"),
        ('@probe.migrate("Small", since="1")\ndef f(old, new):\n    new.value = 1\n', "since is the first version"),
        ('@probe.migrate("Small", since="1.0.0")\ndef f(new):\n    new.value = 1\n', "takes two arguments"),
        (
            '@probe.migrate("Small", since="1.0.0")\ndef f(old, new):\n    for n in range(3):\n        new.value = n\n',
            "has a loop",
        ),
        (function("new.value = 1", "Small") + function("new.value = 2", "Small", name="again"), "function already"),
    ],
)
def test_a_migrate_function_that_cannot_be_is_refused_when_loaded(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(PluginError, match=rf"probe\.py:\d+: .*{reason}"):
        version(tmp_path, "1.0.0", SMALL, text)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("new.nothing = 1", "has no field 'nothing'"),
        ("new.value = old.nothing", "has no field 'nothing'"),
        ("old.value = 1", "only read"),
        ("new.value = 1.5", "float"),
    ],
)
def test_what_the_compiler_finds_in_a_migrate_function_has_its_line(tmp_path: Path, body: str, reason: str) -> None:
    old, new = version(tmp_path, "1.0.0", SMALL), version(tmp_path, "2.0.0", SMALL, function(body, "Small"))
    line = next(place for place, each in enumerate(new.path.read_text().splitlines(), 1) if body in each)
    plan = plan_migration(old, new)
    with pytest.raises(PluginError, match=rf"probe\.py:{line}: .*{reason}"):
        plan.function("compiled")
    state = State(old)
    state.put("smalls", 1, value=1)
    assert migrate(plan, state, "interpreted")[0] < 0


def test_a_new_arena_that_holds_records_is_refused(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", ORDER.replace("active: bool", "active: bool\n    more: i8"), SMALL)
    old, new = random_orders(first, 1), State(second)
    for tier in TIERS:
        made: Any = plan_migration(first, second).function(tier)  # type: ignore[arg-type]
        assert call_dispatch(made.address, old.tx.address, new.tx.address, 0) == PLUGIN_FAULT


def test_a_large_state_keeps_rows_and_orders(tmp_path: Path) -> None:
    large = ORDER.replace("capacity=64", "capacity=20_000")
    first = version(tmp_path, "1.0.0", large)
    second = version(tmp_path, "2.0.0", large.replace("quantity: i64", "quantity: i64\n    limit: i64"))
    old = State(first)
    old.fill_orders(20_000)
    answer, new = migrate(plan_migration(first, second), old, "compiled")
    assert answer == DISPATCH_OK
    verify(new.execution.layout, new.arena)
    for kind, field in (("group", "instrument"), ("ordered", "price")):
        assert new.order("orders", kind, field) == old.order("orders", kind, field)


def test_a_migration_is_compiled_once_for_all_processes(first: LoadedPlugin, tmp_path: Path) -> None:
    second = version(tmp_path, "2.0.0", RENAMED, SMALL, function("new.ticks = old.price"))
    plan_migration(first, second).function("compiled")
    again: Any = plan_migration(first, second).function("compiled")
    assert again.cache_hits == 1
