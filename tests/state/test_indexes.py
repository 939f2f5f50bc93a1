"""Indexes with many rows, and the structural check's answer to damage."""

from __future__ import annotations

import random

import pytest

from statevec.state import arena_layout
from statevec.state.errors import ArenaDamageError
from statevec.state.records import IndexSpec, RecordLayout, TableSpec
from statevec.state.verify import verify
from tests.state.state_harness import ORDERS, Store, small_tables

ITEM = RecordLayout.of("item", key="i64", value="i64", group="i32")
ITEMS = TableSpec(
    "items", ITEM, 4096, [IndexSpec("key", "key"), IndexSpec("ordered", "value"), IndexSpec("group", "group")]
)


def churn(store: Store, keys: list[int]) -> None:
    """One transaction for each key: insert it, or delete it if it is there."""
    for key in keys:
        store.begin()
        row = store.find(0, key)
        if row != 0:
            store.delete_row(0, row)
        else:
            row = store.insert_row(0, key)
            store.set_indexed(0, row, 1, key * 7919 % 1009 - 500)
            store.set_indexed(0, row, 2, key % 17)
        assert store.commit() >= 0


@pytest.mark.parametrize("seed", [1, 2])
def test_indexes_hold_thousands_of_rows_in_their_order(seed: int) -> None:
    print(f"seed={seed}")
    store = Store([ITEMS])
    keys = random.Random(seed).choices(range(4000), k=8000)
    churn(store, keys)
    verify(store.layout, store.arena)
    arrived: dict[int, int] = {}  # key -> when it came
    for moment, key in enumerate(keys):
        if key in arrived:
            del arrived[key]
        else:
            arrived[key] = moment
    for down, start in ((False, -(2**63)), (True, 2**63 - 1)):
        sign = -1 if down else 1
        expected = sorted(arrived, key=lambda key, sign=sign: (sign * (key * 7919 % 1009 - 500), arrived[key]))
        found, row = [], store.ordered_from(0, 1, start, down)
        while row:
            found.append(store.arena.load_i64(row + arena_layout.ROW_HEADER_SIZE))
            row = store.ordered_next(0, 1, row, down)
        assert found == expected


@pytest.mark.parametrize("step", [1, -1])
def test_values_in_order_do_not_make_the_tree_deep(step: int) -> None:
    store = Store([TableSpec("items", ITEM, 1024, [IndexSpec("key", "key"), IndexSpec("ordered", "value")])])
    for key in range(1000):
        store.begin()
        store.set_indexed(0, store.insert_row(0, key), 1, key * step)
        store.commit()
    depths = {0: 0}
    index = store.tables[0].indexes[1]
    waiting = [(store.arena.load_u32(index.at + arena_layout.INDEX_ROOT) << 3, 1)]
    while waiting:
        node, depth = waiting.pop()
        if node:
            depths[node] = depth
            for side in (arena_layout.LEFT, arena_layout.RIGHT):
                waiting.append((store.arena.load_u32(node + index.links + side) << 3, depth + 1))
    assert len(depths) == 1001
    assert max(depths.values()) < 40


def filled() -> Store:
    store = Store(small_tables())
    store.begin()
    for key in range(7):
        row = store.insert_row(ORDERS, key)
        for name, value in (("instrument", key % 2), ("price", key // 2), ("ticket", key)):
            store.set_indexed(ORDERS, row, store.index(ORDERS, name), value)
    store.commit()
    store.begin()
    for key in (2, 5):
        store.delete_row(ORDERS, store.find(ORDERS, key))
    store.commit()
    verify(store.layout, store.arena)
    return store


def test_damage_is_found_whatever_word_of_a_row_it_hits() -> None:
    """Every status, touched mark, link and indexed field of every row; the rest of a record is the handler's own."""
    store = filled()
    table = store.tables[ORDERS]
    randomly = random.Random(3)
    places = {arena_layout.ROW_STATUS: 4, arena_layout.ROW_TOUCHED: 4}
    places |= {index.field: table.spec.record.field(index.field_name).size for index in table.indexes}
    places |= dict.fromkeys(range(table.linked, table.indexes[-1].links + 12, 4), 4)
    unused = 0
    for number in range(table.spec.capacity):
        for place, size in places.items():
            at = table.row(number) + place
            before = bytes(store.arena.view[at : at + size])
            damage = randomly.choice([b"\x01", b"\x07", b"\xff"]) + bytes(size - 1)
            if damage == before:
                continue
            store.arena.view[at : at + size] = damage
            try:
                verify(store.layout, store.arena)
                unused += 1
            except ArenaDamageError:
                pass
            store.arena.view[at : at + size] = before
    verify(store.layout, store.arena)
    assert unused == 0


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (arena_layout.TABLE_FREE_HEAD, "free list leads|free rows are missing"),
        (arena_layout.TABLE_NEVER_USED, "first row never used is no row"),
        (arena_layout.TABLE_ROW_COUNT, "row count is wrong: found=13 wants=5"),
    ],
)
def test_damage_of_a_description_is_found(offset: int, message: str) -> None:
    store = filled()
    at = store.tables[ORDERS].at + offset
    store.arena.store_i64(at, store.arena.load_i64(at) + 8)
    with pytest.raises(ArenaDamageError, match=f"table='orders' ({message})"):
        verify(store.layout, store.arena)


def test_damaged_links_do_not_send_the_check_into_a_loop() -> None:
    store = filled()
    table = store.tables[ORDERS]
    before = store.image()
    end = table.indexes[-1].links + arena_layout.LINKS_SIZE[table.indexes[-1].kind]
    for place in range(table.indexes[0].links, end, arena_layout.LINK_SIZE):
        for number in range(7):
            row = table.row(number)
            store.arena.store_i32(row + place, row >> arena_layout.LINK_SHIFT)
            if store.image() != before:
                with pytest.raises(ArenaDamageError):
                    verify(store.layout, store.arena)
            store.arena.view[:] = before
