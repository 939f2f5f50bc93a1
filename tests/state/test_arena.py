"""The arena's layout, an empty arena, and the check that memory holds one."""

from __future__ import annotations

import pytest

from statevec.ipc.memory import Region
from statevec.state import arena_layout, transaction_layout
from statevec.state.arena import ArenaLayout, digest_of
from statevec.state.errors import ArenaMismatchError
from statevec.state.reading import read_rows, statistics
from statevec.state.records import IndexSpec, RecordLayout, SpecificationError, TableSpec
from statevec.state.verify import verify
from tests.state.state_harness import MARKS, ORDERS, Store, small_tables


def test_every_part_lies_where_the_layout_says() -> None:
    layout = ArenaLayout(small_tables())
    tables = list(layout.tables.values())
    assert [table.number for table in tables] == [0, 1, 2]
    end = arena_layout.DIRECTORY + 3 * arena_layout.TABLE_SIZE
    for table in tables:
        assert table.rows >= end
        assert table.rows % arena_layout.PART_ALIGNMENT == 0
        assert table.row_size % 8 == 0
        end = table.rows_end
        assert end == table.rows + table.spec.capacity * table.row_size
        links = table.linked + arena_layout.LINKED_SIZE
        for index in table.indexes:
            assert index.links == links
            links += arena_layout.LINKS_SIZE[index.kind]
            if index.buckets:
                assert index.buckets >= end
                assert index.mask + 1 >= table.spec.capacity
                end = index.buckets + (index.mask + 1) * arena_layout.LINK_SIZE
        assert links <= table.row_size
    assert layout.size >= end


def test_offsets_of_the_arena_are_what_the_documentation_says() -> None:
    assert (arena_layout.ROW_VERSION, arena_layout.ROW_LAST_CHANGED) == (0, 8)
    assert (arena_layout.ROW_STATUS, arena_layout.ROW_TOUCHED, arena_layout.ROW_HEADER_SIZE) == (16, 20, 24)
    assert (arena_layout.DIRECTORY, arena_layout.TABLE_SIZE, arena_layout.INDEX_SIZE) == (4096, 768, 64)
    assert (transaction_layout.UNDO_USED, transaction_layout.TOUCHED_COUNT) == (32, 56)
    assert transaction_layout.OPEN_LEVEL_LINES == 256 + 64 * 64
    assert transaction_layout.TRANSACTION_SIZE == transaction_layout.OPEN_LEVEL_LINES + 16 * 32


def test_an_empty_arena_is_sound_and_the_same_wherever_it_is() -> None:
    layout = ArenaLayout(small_tables())
    images = []
    for _ in range(2):
        region = Region.allocate(layout.size)
        region.view[:] = b"\xff" * layout.size
        layout.format(region)
        verify(layout, region)
        images.append(digest_of(region))
    assert images[0] == images[1]


def test_an_image_works_at_another_address() -> None:
    store = Store(small_tables())
    store.begin()
    row = store.insert_row(ORDERS, 5)
    assert store.commit() > 0
    moved = Region.allocate(store.layout.size)
    moved.copy_from(0, store.arena, 0, store.layout.size)
    store.layout.check(moved)
    store.tx.store_i64(transaction_layout.ARENA_ADDRESS, moved.address)
    assert store.find(ORDERS, 5) == row
    verify(store.layout, moved)


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (arena_layout.HEADER_MAGIC, "magic differs"),
        (arena_layout.HEADER_VERSION, "layout version differs: found=2 wants=1"),
        (arena_layout.HEADER_TABLES, "tables differs"),
        (arena_layout.HEADER_SIZE, "size differs"),
        (arena_layout.HEADER_HASH, "hash differs"),
        (arena_layout.DIRECTORY + arena_layout.TABLE_ROW_SIZE, "description of table 'orders', \\+8 differs"),
    ],
)
def test_an_arena_of_another_layout_is_refused_naming_what_differs(offset: int, message: str) -> None:
    layout = ArenaLayout(small_tables())
    region = Region.allocate(layout.size)
    layout.format(region)
    layout.check(region)
    region.store_i64(offset, region.load_i64(offset) + 1)
    with pytest.raises(ArenaMismatchError, match=message):
        layout.check(region)


def test_memory_of_another_size_is_refused() -> None:
    layout = ArenaLayout(small_tables())
    with pytest.raises(ArenaMismatchError, match="size differs"):
        layout.check(Region.allocate(layout.size - 8))
    with pytest.raises(ArenaMismatchError, match="wrong size"):
        layout.format(Region.allocate(layout.size + 8))


def test_the_hash_tells_arenas_apart() -> None:
    record = RecordLayout.of("record", a="i64", b="i64")

    def hash_of(name: str, capacity: int, *indexes: IndexSpec, in_delta: bool = True) -> str:
        return ArenaLayout([TableSpec(name, record, capacity, indexes, in_delta)]).hash

    key, group, ordered = IndexSpec("key", "a"), IndexSpec("group", "b"), IndexSpec("ordered", "b")
    hashes = {
        hash_of("table", 4, key),
        hash_of("another", 4, key),
        hash_of("table", 5, key),
        hash_of("table", 4, key, group),
        hash_of("table", 4, key, ordered),
        hash_of("table", 4, key, in_delta=False),
    }
    assert len(hashes) == 6
    assert hash_of("table", 4, key) == hash_of("table", 4, key)


def test_too_much_is_refused() -> None:
    record = RecordLayout.of("record", **{f"f{number}": "i64" for number in range(12)})
    key = IndexSpec("key", "f0")
    with pytest.raises(SpecificationError, match="two tables of one name"):
        ArenaLayout([TableSpec("table", record, 1, [key]), TableSpec("table", record, 1, [key])])
    with pytest.raises(SpecificationError, match="too many tables: tables=65 max=64"):
        ArenaLayout([TableSpec(f"table{number}", record, 1, [key]) for number in range(65)])
    with pytest.raises(SpecificationError, match="too many indexes"):
        ArenaLayout([TableSpec("table", record, 1, [key, *(IndexSpec("group", f"f{n}") for n in range(1, 12))])])
    with pytest.raises(SpecificationError, match="arena too large"):
        ArenaLayout([TableSpec("table", record, 1 << 30, [key])])


def test_records_read_as_dictionaries_in_row_order() -> None:
    store = Store(small_tables())
    store.begin(sequence=7)
    for key in (4, 2, 9):
        row = store.insert_row(MARKS, key)
        store.store_field(MARKS, row, "active", 1)
    store.delete_row(MARKS, store.find(MARKS, 2))
    store.commit()
    found = list(read_rows(store.arena, store.tables[MARKS]))
    assert [(view.number, view.version, view.last_changed) for view in found] == [(0, 1, 7), (2, 1, 7)]
    assert found[1].fields == {"name": 9, "level": 0, "active": True}
    assert statistics(store.arena, store.tables[MARKS]) == {
        "records": 2,
        "rows_used_max": 3,
        "capacity": 5,
        "row_size_bytes": store.tables[MARKS].row_size,
    }
