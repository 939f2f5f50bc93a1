"""Transactions: what a delta says, versions, savepoints, rollback, faults; each in the compiled and the plain form."""

from __future__ import annotations

import pytest

from statevec.ipc.faults import (
    CAPACITY_EXHAUSTED,
    COMMITTED,
    DUPLICATE_KEY,
    CapacityExhausted,
    DuplicateKey,
    Fault,
    IterationModified,
    MissingKey,
    ValueOutOfRange,
)
from statevec.state import transaction_layout as layout
from statevec.state.delta_layout import DELETED, INSERTED, UPDATED
from statevec.state.reading import read_row
from statevec.state.verify import verify
from tests.state.state_harness import FORMS, MARKS, NOTES, ORDERS, Store, small_tables


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest) -> Store:
    """Orders 1 and 2 and mark 1, committed as sequence 1."""
    made = Store(small_tables(), request.param)
    made.begin(sequence=1)
    for key in (1, 2):
        row = made.insert_row(ORDERS, key)
        made.set_indexed(ORDERS, row, made.index(ORDERS, "ticket"), key)
    made.insert_row(MARKS, 1)
    assert made.commit() > 0
    return made


def edit(store: Store, table: int, key: int, name: str, value: int) -> int:
    row = store.find(table, key)
    store.edit_row(table, row)
    store.store_field(table, row, name, value)
    return int(row)


def operations(store: Store, length: int) -> list[tuple]:
    """(table, row, operation, version, sequence before) of a delta."""
    return [change[:5] for change in store.delta(length)]


def test_a_delta_holds_what_changed_in_the_order_of_first_touch(store: Store) -> None:
    store.begin(sequence=2)
    edit(store, MARKS, 1, "active", 1)
    edit(store, ORDERS, 2, "quantity", 5)
    edit(store, ORDERS, 1, "quantity", 6)
    edit(store, ORDERS, 2, "quantity", 7)
    delta = store.delta(store.commit())
    assert [change[:5] for change in delta] == [
        (MARKS, 0, UPDATED, 2, 1),
        (ORDERS, 1, UPDATED, 2, 1),
        (ORDERS, 0, UPDATED, 2, 1),
    ]
    assert delta[1][5]["quantity"] == 7


def test_a_record_that_is_as_it_was_is_not_in_the_delta_and_keeps_its_version(store: Store) -> None:
    store.begin(sequence=2)
    edit(store, ORDERS, 1, "quantity", 5)
    edit(store, ORDERS, 1, "quantity", 0)
    row = store.find(ORDERS, 2)
    for instrument in (3, 0):  # moved and moved back
        store.set_indexed(ORDERS, row, store.index(ORDERS, "instrument"), instrument)
    store.insert_row(ORDERS, 3)
    store.delete_row(ORDERS, store.find(ORDERS, 3))
    assert store.commit() == 0
    view = read_row(store.arena, store.tables[ORDERS], 0)
    assert view is not None
    assert (view.version, view.last_changed) == (1, 1)
    verify(store.layout, store.arena)


def test_deletions_come_first_so_that_a_record_can_take_their_keys(store: Store) -> None:
    store.begin(sequence=2)
    for key in (1, 2):
        store.delete_row(ORDERS, store.find(ORDERS, key))
    for key in (1, 2):  # each takes the row of the other
        store.insert_row(ORDERS, key)
        store.set_indexed(ORDERS, store.find(ORDERS, key), store.index(ORDERS, "ticket"), key)
    assert operations(store, store.commit()) == [
        (ORDERS, 0, DELETED, 2, 1),
        (ORDERS, 1, DELETED, 2, 1),
        (ORDERS, 0, INSERTED, 1, 0),
        (ORDERS, 1, INSERTED, 1, 0),
    ]
    assert store.number(ORDERS, store.find(ORDERS, 1)) == 1


def test_a_deleted_record_leaves_its_last_image(store: Store) -> None:
    store.begin(sequence=2)
    edit(store, ORDERS, 1, "quantity", 9)
    store.commit()
    store.begin(sequence=3)
    row = edit(store, ORDERS, 1, "quantity", 10)
    store.delete_row(ORDERS, row)
    store.store_field(ORDERS, row, "quantity", 11)  # a handler that goes on writing
    [change] = store.delta(store.commit())
    assert change[:5] == (ORDERS, 0, DELETED, 3, 2)
    assert change[5]["quantity"] == 9
    verify(store.layout, store.arena)


def test_a_table_outside_of_deltas_still_has_versions(store: Store) -> None:
    for sequence in (2, 3):
        store.begin(sequence)
        if sequence == 2:
            store.insert_row(NOTES, 1)
        edit(store, NOTES, 1, "active", sequence - 2)
        assert store.commit() == 0
    view = read_row(store.arena, store.tables[NOTES], 0)
    assert view is not None
    assert (view.version, view.last_changed) == (2, 3)


def test_rollback_returns_to_the_savepoint(store: Store) -> None:
    store.begin(sequence=2)
    store.insert_row(NOTES, 1)
    edit(store, ORDERS, 1, "quantity", 5)
    store.savepoint()
    kept = store.image()
    verify(store.layout, store.arena)
    edit(store, ORDERS, 1, "quantity", 6)
    store.delete_row(NOTES, store.find(NOTES, 1))
    store.rollback()
    assert store.image() == kept
    edit(store, ORDERS, 1, "quantity", 7)
    assert operations(store, store.commit()) == [(ORDERS, 0, UPDATED, 3, 2)]


def test_only_what_changed_since_the_savepoint_is_in_the_delta(store: Store) -> None:
    store.begin(sequence=2)
    edit(store, ORDERS, 1, "quantity", 5)
    store.savepoint()
    edit(store, ORDERS, 2, "quantity", 5)
    assert operations(store, store.commit()) == [(ORDERS, 1, UPDATED, 2, 1)]


def test_a_delta_without_room_is_an_outcome_and_is_rolled_back(store: Store) -> None:
    before = store.image()
    for limit in (0, 8, 80, 159):
        store.begin(sequence=2)
        store.delete_row(ORDERS, store.find(ORDERS, 2))
        edit(store, ORDERS, 1, "quantity", 5)
        assert store.commit(limit) == CAPACITY_EXHAUSTED
        assert store.tx.load_i64(layout.SPACE_EXHAUSTED) == 1
        store.rollback()
        assert store.image() == before
    store.begin(sequence=2)
    store.delete_row(ORDERS, store.find(ORDERS, 2))
    edit(store, ORDERS, 1, "quantity", 5)
    assert store.commit(160) == 160


def test_an_unassigned_index_gets_the_value_zero_at_commit(store: Store) -> None:
    group = store.index(ORDERS, "instrument")
    store.begin(sequence=2)
    row = store.insert_row(ORDERS, 3)
    store.set_indexed(ORDERS, row, store.index(ORDERS, "ticket"), 3)
    assert store.number(ORDERS, store.group_next(ORDERS, group, store.group_first(ORDERS, group, 0))) == 1
    assert store.link_inserted() == COMMITTED
    last = store.group_next(ORDERS, group, store.group_next(ORDERS, group, store.group_first(ORDERS, group, 0)))
    assert last == row
    assert store.commit() > 0


def test_two_records_that_never_assigned_a_unique_field_are_duplicates_at_commit(store: Store) -> None:
    before = store.image()
    store.begin(sequence=2)
    store.insert_row(ORDERS, 3)
    store.insert_row(ORDERS, 4)
    assert store.commit() == DUPLICATE_KEY
    store.rollback()
    assert store.image() == before


def test_undo_memory_that_runs_out_at_commit_is_an_outcome(store: Store) -> None:
    before = store.image()
    store.begin(sequence=2)
    store.insert_row(ORDERS, 3)
    store.tx.store_i64(layout.UNDO_SIZE, store.tx.load_i64(layout.UNDO_USED) + 16)
    assert store.commit() == CAPACITY_EXHAUSTED
    store.rollback()
    assert store.image() == before


@pytest.mark.parametrize(
    ("fault", "act"),
    [
        (MissingKey, lambda store: store.edit_row(ORDERS, 0)),
        (MissingKey, lambda store: store.edit_row(ORDERS, store.row(ORDERS, 2))),
        (MissingKey, lambda store: store.delete_row(ORDERS, 0)),
        (MissingKey, lambda store: store.delete_row(ORDERS, store.row(ORDERS, 3))),
        (MissingKey, lambda store: store.set_indexed(ORDERS, 0, 1, 5)),
        (DuplicateKey, lambda store: store.insert_row(ORDERS, 2)),
        (DuplicateKey, lambda store: store.set_indexed(ORDERS, store.find(ORDERS, 1), 3, 2)),
        (ValueOutOfRange, lambda store: store.insert_row(MARKS, 128)),
        (ValueOutOfRange, lambda store: store.set_indexed(ORDERS, store.find(ORDERS, 1), 1, 2**32)),
        (CapacityExhausted, lambda store: [store.insert_row(MARKS, key) for key in range(2, 8)]),
    ],
)
def test_each_fault_leaves_every_byte_as_it_was(store: Store, fault: type[Fault], act: object) -> None:
    assert callable(act)
    before = store.image()
    store.begin(sequence=2)
    edit(store, ORDERS, 2, "quantity", 5)
    store.delete_row(MARKS, store.find(MARKS, 1))
    with pytest.raises(fault):
        act(store)
    store.rollback()
    assert store.image() == before
    verify(store.layout, store.arena)


def test_the_current_row_of_nested_iterations_may_change_and_no_other(store: Store) -> None:
    store.begin(sequence=2)
    first, second = store.find(ORDERS, 1), store.find(ORDERS, 2)
    price = store.index(ORDERS, "price")
    outer = store.iteration_begin(ORDERS)
    store.set_indexed(ORDERS, first, price, 5)
    inner = store.iteration_begin(ORDERS)
    inner = store.iteration_check(ORDERS, inner, second)
    store.set_indexed(ORDERS, first, price, 6)
    inner = store.iteration_check(ORDERS, inner, first)
    outer = store.iteration_check(ORDERS, outer, first)
    store.delete_row(ORDERS, second)
    inner = store.iteration_check(ORDERS, inner, second)
    with pytest.raises(IterationModified):
        store.iteration_check(ORDERS, outer, first)


def test_an_assignment_of_the_same_value_moves_nothing(store: Store) -> None:
    store.begin(sequence=2)
    first, price = store.find(ORDERS, 1), store.index(ORDERS, "price")
    token = store.iteration_begin(ORDERS)
    store.set_indexed(ORDERS, first, price, 0)
    assert store.iteration_check(ORDERS, token, store.find(ORDERS, 2)) == token
    rows = [store.ordered_from(ORDERS, price, 0, False)]
    rows.append(store.ordered_next(ORDERS, price, rows[0], False))
    assert rows == [first, store.find(ORDERS, 2)]


def test_changes_of_another_table_do_not_disturb_an_iteration(store: Store) -> None:
    store.begin(sequence=2)
    token = store.iteration_begin(ORDERS)
    store.insert_row(MARKS, 2)
    assert store.iteration_check(ORDERS, token, 0) == token
