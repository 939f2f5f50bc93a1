"""Requests of the main thread and cutovers inside the loop, with versions written in the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from statevec.engine import loop_layout
from statevec.engine.cutover import MISSED, switch_version
from statevec.engine.execute import book_recorded, preview_entry, replay_entry
from statevec.engine.execution import Execution
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.ipc import faults
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import admin_layout
from statevec.journal import entry_layout as layout
from statevec.state import tables, transaction, transaction_layout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from tests.engine.harness import COUNTER_RECORD, COUNTER_TABLE, COUNTERS, CallbackDispatch, Engine

VALUE = ROW_HEADER_SIZE + COUNTER_RECORD.offset("value")


def adding(amount: int) -> Callable[[Region, Region], int]:
    """A version that adds `amount` to the counter that the message's second byte names."""

    def handler(tx: Region, message: Region) -> int:
        key = message.load_u8(1)
        row = tables.find(tx, COUNTER_TABLE, key)
        if row == 0:
            row = tables.insert_row(tx, COUNTER_TABLE, key)
        tables.edit_row(tx, COUNTER_TABLE, row)
        arena = Region(tx.load_i64(transaction_layout.ARENA_ADDRESS), tx.load_i64(transaction_layout.ARENA_SIZE))
        arena.store_i64(row + VALUE, arena.load_i64(row + VALUE) + amount)
        return faults.COMMITTED

    return handler


def doubling(old_tx: Region, new_tx: Region) -> int:
    """A migration: each counter with twice its value; a negative value cannot be migrated."""
    old = Region(old_tx.load_i64(transaction_layout.ARENA_ADDRESS), old_tx.load_i64(transaction_layout.ARENA_SIZE))
    new = Region(new_tx.load_i64(transaction_layout.ARENA_ADDRESS), new_tx.load_i64(transaction_layout.ARENA_SIZE))
    transaction.begin(new_tx)
    row = tables.first_row(old_tx, COUNTER_TABLE)
    while row != 0:
        if old.load_i64(row + VALUE) < 0:
            return faults.VALUE_OUT_OF_RANGE
        made = tables.insert_row(new_tx, COUNTER_TABLE, old.load_i64(row + ROW_HEADER_SIZE))
        new.store_i64(made + VALUE, 2 * old.load_i64(row + VALUE))
        row = tables.next_row(old_tx, COUNTER_TABLE, row)
    transaction.savepoint(new_tx)
    return transaction_layout.DISPATCH_OK


class Migration:
    """`doubling` as a C function."""

    def __init__(self) -> None:
        import ctypes

        from statevec.ipc.memory import DISPATCH

        size = transaction_layout.TRANSACTION_SIZE
        self._callback = DISPATCH(lambda old, new, _: doubling(Region(old, size), Region(new, size)))
        self.address = int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)


@pytest.fixture(params=["compiled", "plain"])
def make(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    form = plain if request.param == "plain" else lambda kernel: kernel
    return lambda amount=1: Engine(adding(amount), form=form)


class Request:
    """What the main thread posts."""

    def __init__(
        self,
        engine: Engine,
        *,
        at: int = 0,
        handler: Callable[[Region, Region], int] | None = None,
        migrated: bool = False,
        version: int = 2,
        probation: admin_layout.Probation = admin_layout.NO_PROBATION,
        slot: int = loop_layout.CUTOVER_REQUEST,
        state: int = loop_layout.POSTED,
    ) -> None:
        engine.kept.append(self)  # the engine calls what it posts as long as it lives
        self.block = engine.block.slice(slot, loop_layout.REQUEST_SIZE)
        self.dispatch = CallbackDispatch(handler or adding(10))
        cutover = admin_layout.Cutover(
            version, 1, admin_layout.BY_OPERATOR, "test", "2.0.0", "f" * 64, probation=probation
        )
        self.message = Region.of(bytearray(cutover.encode()))
        self.next = Execution([COUNTERS], self.dispatch) if migrated else None
        self.migration = Migration()
        for offset, value in (
            (loop_layout.REQUEST_KIND, layout.CUTOVER),
            (loop_layout.REQUEST_AT, at),
            (loop_layout.REQUEST_MESSAGE, self.message.address),
            (loop_layout.REQUEST_LENGTH, self.message.size),
            (loop_layout.REQUEST_OUTCOME, 0),
            (loop_layout.NEXT_DISPATCH, self.dispatch.address),
            (loop_layout.NEXT_LOGIC_VERSION, version),
            (loop_layout.NEXT_TRANSACTION, self.next.tx.address if self.next else 0),
            (loop_layout.NEXT_MIGRATE, self.migration.address if migrated else 0),
            (loop_layout.REQUEST_STATE, state),
        ):
            self.block.store_i64(offset, value)

    @property
    def result(self) -> tuple[int, int]:
        """Sequence and outcome of the entry."""
        assert self.block.load_i64(loop_layout.REQUEST_STATE) == loop_layout.DONE
        load = self.block.load_i64
        return load(loop_layout.RESULT_SEQUENCE), load(loop_layout.RESULT_OUTCOME)


def run_all(engine: Engine) -> None:
    while engine.turn():
        pass


def values(engine: Engine, arena: Region | None = None) -> dict[int, int]:
    from statevec.state.reading import read_rows

    table = engine.execution.layout.tables["counters"]
    rows = read_rows(arena or engine.execution.arena, table)
    return {row.fields["key"]: row.fields["value"] for row in rows}


def versions(engine: Engine) -> list[int]:
    return [entry.load_i32(layout.LOGIC_VERSION) for entry in engine.entries()]


def replay(engine: Engine, amount: int, migrated: bool) -> Execution:
    """Follow the log through its cutovers; every digest must be reproduced."""
    execution = Execution([COUNTERS], CallbackDispatch(adding(1)))
    kept: list[Any] = []
    for entry in engine.entries():
        assert replay_entry(execution.tx, execution.block, entry, execution.scratch) == entry.size
        if entry.load_i32(layout.KIND) == layout.CUTOVER and entry.load_i32(layout.OUTCOME) == 0:
            made = Execution([COUNTERS], CallbackDispatch(adding(amount)))
            kept.append(made)
            if migrated:
                assert doubling(execution.tx, made.tx) == transaction_layout.DISPATCH_OK
                digest = plugin_tables_digest(made.tx)
                assert digest == entry.load_i64(layout.INPUT + admin_layout.CUTOVER_STATE_DIGEST)
            next_tx = made.tx.address if migrated else 0
            switch_version(execution.tx, execution.block, next_tx, made.dispatch.address, 2)
    assert execution.digest == engine.execution.digest
    return execution


def test_the_next_entry_is_the_cutover_and_the_one_after_is_decided_by_the_new_version(
    make: Callable[..., Engine],
) -> None:
    engine = make()
    engine.offer(b"a\x01")
    run_all(engine)
    request = Request(engine)
    engine.offer(b"a\x01")
    run_all(engine)
    assert request.result == (4, faults.COMMITTED)
    assert [entry.load_i32(layout.KIND) for entry in engine.entries()][-2:] == [layout.CUTOVER, layout.COMMAND]
    assert versions(engine) == [1, 1, 1, 1, 2]
    assert values(engine) == {1: 11}
    replay(engine, 10, False)


@pytest.mark.parametrize("ahead", range(1, 12))
def test_a_cutover_has_exactly_the_sequence_that_was_asked_for(make: Callable[..., Engine], ahead: int) -> None:
    engine = make()
    at = engine.execution.sequence + ahead
    request = Request(engine, at=at)
    for _ in range(15):
        engine.offer(b"a\x01")
    run_all(engine)
    assert request.result == (at, faults.COMMITTED)
    assert engine.entries()[at - 1].load_i32(layout.KIND) == layout.CUTOVER
    assert values(engine) == {1: (ahead - 1) + 10 * (15 - ahead + 1)}
    replay(engine, 10, False)


def test_a_sequence_that_has_gone_by_is_missed_and_leaves_no_entry(make: Callable[..., Engine]) -> None:
    engine = make()
    engine.offer(b"a\x01")
    run_all(engine)
    before = len(engine.entries())
    request = Request(engine, at=2)
    run_all(engine)
    assert request.result == (0, MISSED)
    assert len(engine.entries()) == before
    assert engine.dispatch.calls == 1


def test_a_cutover_with_migration_goes_on_with_the_migrated_tables(make: Callable[..., Engine]) -> None:
    engine = make()
    for _ in range(3):
        engine.offer(b"a\x01")
        engine.offer(b"a\x02")
    run_all(engine)
    request = Request(engine, migrated=True)
    engine.offer(b"a\x01")
    run_all(engine)
    assert request.result[1] == faults.COMMITTED
    assert request.next is not None
    assert values(engine, request.next.arena) == {1: 16, 2: 6}
    assert values(engine) == {1: 3, 2: 3}, "the old tables are as they were"
    replay(engine, 10, True)


def test_a_migration_that_fails_leaves_the_old_version_deciding_and_an_entry(make: Callable[..., Engine]) -> None:
    engine = make(-1)
    engine.offer(b"a\x01")
    run_all(engine)
    request = Request(engine, migrated=True)
    engine.offer(b"a\x01")
    run_all(engine)
    assert request.result[1] == faults.VALUE_OUT_OF_RANGE
    assert values(engine) == {1: -2}
    assert versions(engine) == [1] * 5


def test_an_admin_entry_keeps_the_outcome_that_it_was_given(make: Callable[..., Engine]) -> None:
    engine = make()
    command = admin_layout.AdminCommand(admin_layout.CUT_OVER, 0, False, "a" * 64, "ops", "why not", "no such version")
    message = Region.of(bytearray(command.encode()))
    request = Request(engine)
    for offset, value in (
        (loop_layout.REQUEST_KIND, layout.ADMIN),
        (loop_layout.REQUEST_MESSAGE, message.address),
        (loop_layout.REQUEST_LENGTH, message.size),
        (loop_layout.REQUEST_OUTCOME, admin_layout.REFUSED),
        (loop_layout.REQUEST_SOURCE, 9),
        (loop_layout.REQUEST_SOURCE_SEQUENCE, 1),
    ):
        request.block.store_i64(offset, value)
    engine.turn()
    assert request.result[1] == admin_layout.REFUSED
    entry = engine.entries()[-1]
    content = bytes(entry.view[layout.INPUT : layout.INPUT + entry.load_i32(layout.INPUT_LENGTH)])
    assert admin_layout.AdminCommand.decode(content) == command
    assert versions(engine) == [1, 1, 1]
    replay(engine, 10, False)


def failing(tx: Region, message: Region) -> int:
    """A version whose outcome is the message's first byte: 'f' a fault, 'v' a violated invariant, 'r' a rejection."""
    outcomes = {ord("f"): faults.MISSING_KEY, ord("v"): faults.INVARIANT_VIOLATED, ord("r"): 7, ord("m"): -1}
    return outcomes.get(message.load_u8(0), faults.COMMITTED)


@pytest.mark.parametrize(
    ("limits", "messages", "decided"),
    [
        ((100, 0, -1, 0), b"aaf", 3),
        ((100, 2, -1, 0), b"fafaf", 5),
        ((100, 0, -1, 0), b"aav", 3),
        ((100, 0, 1, 0), b"rar", 3),
        ((3, 0, -1, 0), b"aaaf", 100),
        ((100, 0, -1, 0), b"rrrmmm", 100),
        ((0, 0, 0, 0), b"fvr", 100),
    ],
)
def test_beyond_its_probations_limits_a_version_decides_no_further_entry(
    make: Callable[..., Engine], limits: tuple[int, int, int, int], messages: bytes, decided: int
) -> None:
    engine = make()
    fallback = Request(
        engine, handler=adding(1), version=1, slot=loop_layout.FALLBACK_REQUEST, state=loop_layout.PREPARED
    )
    Request(engine, handler=failing, probation=admin_layout.Probation(*limits))
    for command in messages + b"aa":
        engine.offer(bytes([command, 1]))
    run_all(engine)
    kinds = [entry.load_i32(layout.KIND) for entry in engine.entries()][3:]
    if decided < 100:
        assert kinds.index(layout.CUTOVER) == decided
        assert fallback.result[1] == faults.COMMITTED
        assert values(engine) == {1: len(messages) + 2 - decided}
        assert versions(engine)[-1] == 1
    else:
        assert layout.CUTOVER not in kinds
        assert versions(engine)[-1] == 2


def test_a_preview_leaves_a_probation_as_it_was(make: Callable[..., Engine]) -> None:
    """Who looks at what a version would do (a shadow, an explanation) has the state of the log afterwards."""
    engine = make()
    cutover = Request(engine, handler=failing, probation=admin_layout.Probation(100, 5))
    engine.offer(b"f\x01")
    run_all(engine)
    recorded = engine.entries()[-1]
    scratch = Region.allocate(engine.execution.scratch.size)
    book_recorded(engine.execution.tx, engine.block, recorded, scratch)
    block = Region.allocate(engine.block.size)
    block.copy_from(0, engine.block, 0, block.size)
    before = bytes(engine.execution.arena.view)
    preview_entry(engine.execution.tx, block, scratch)
    assert cutover.result[1] == faults.COMMITTED
    assert scratch.load_i32(layout.OUTCOME) == faults.MISSING_KEY
    assert bytes(engine.execution.arena.view) == before


def test_a_version_on_probation_that_is_slow_is_left(make: Callable[..., Engine]) -> None:
    engine = make()
    Request(engine, handler=adding(1), version=1, slot=loop_layout.FALLBACK_REQUEST, state=loop_layout.PREPARED)
    Request(engine, probation=admin_layout.Probation(100))
    engine.block.store_i64(loop_layout.SLOW_NS, 1)  # every transaction takes longer
    engine.block.store_i64(loop_layout.MAX_SLOW, 2)
    for _ in range(6):
        engine.offer(b"a\x01")
    run_all(engine)
    assert values(engine) == {1: 3 * 10 + 3}
