"""The loop's turns: sequencing, duplicates, gaps, quarantine, timers, space, poison. Compiled and as plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from statevec.engine import engine_state, loop_layout
from statevec.engine.execute import DIGEST_DIFFERS, replay_entry
from statevec.engine.execution import Execution
from statevec.ipc import faults, log_layout, ring_kernels, ring_layout
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as layout
from statevec.journal.entry import VALID, check_entry
from statevec.state import tables, transaction_layout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from tests.engine.harness import COUNTER_RECORD, COUNTER_TABLE, COUNTERS, CallbackDispatch, Engine

VALUE = ROW_HEADER_SIZE + COUNTER_RECORD.offset("value")


def add(tx: Region, message: Region) -> int:
    """Message: a command and a key. 'a' adds, 'r' adds and rejects, 'f' adds and faults, 't' adds and sets a timer."""
    if tx.load_i64(transaction_layout.ENTRY_KIND) == layout.TIMER:
        command, key = ord("a"), tx.load_i64(transaction_layout.TIMER_ID)
    else:
        command, key = message.load_u8(0), message.load_u8(1)
    row = tables.find(tx, COUNTER_TABLE, key)
    if row == 0:
        row = tables.insert_row(tx, COUNTER_TABLE, key)
    tables.edit_row(tx, COUNTER_TABLE, row)
    arena = engine_state.arena_of(tx)
    arena.store_i64(row + VALUE, arena.load_i64(row + VALUE) + 1)
    if command == ord("r"):
        return 7
    if command == ord("f"):
        return faults.PLUGIN_FAULT
    if command == ord("t"):
        engine_state.set_timer(tx, key, tx.load_i64(transaction_layout.NOW_NS) - 1)
    if command == ord("i"):
        engine_state.next_id(tx)
    if command == ord("o"):
        return big_output(tx)
    return faults.COMMITTED


def big_output(tx: Region) -> int:
    """Claim 100,000 bytes of outputs as a plugin's emit would."""
    size = 100_000
    used = tx.load_i64(transaction_layout.OUTPUT_USED)
    if used + size > tx.load_i64(transaction_layout.OUTPUT_SIZE):
        tx.store_i64(transaction_layout.SPACE_EXHAUSTED, 1)
        return faults.CAPACITY_EXHAUSTED
    output = Region(tx.load_i64(transaction_layout.OUTPUT_ADDRESS) + used, size)
    output.fill_zero(0, size)
    output.store_i32(0, size)
    tx.store_i64(transaction_layout.OUTPUT_USED, used + size)
    return faults.COMMITTED


@pytest.fixture(params=["compiled", "plain"])
def make(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    form = plain if request.param == "plain" else lambda kernel: kernel
    return lambda handler=add, **options: Engine(handler, form=form, **options)


def outcomes(engine: Engine) -> list[int]:
    return [entry.load_i32(layout.OUTCOME) for entry in engine.entries()]


def kinds(engine: Engine) -> list[int]:
    return [entry.load_i32(layout.KIND) for entry in engine.entries()]


def replay(engine: Engine, handler: Any = add) -> Execution:
    """Everything again in other memory; each entry must check and give the same digest."""
    dispatch = CallbackDispatch(handler)
    execution = Execution([COUNTERS], dispatch)
    for entry in engine.entries():
        assert check_entry(entry, entry.load_i64(layout.POSITION)) == VALID
        length = replay_entry(execution.tx, execution.block, entry, execution.scratch)
        assert length == entry.load_i32(layout.LENGTH)
    assert execution.digest == engine.execution.digest
    assert bytes(execution.arena.view) == bytes(engine.execution.arena.view)
    return execution


def test_messages_of_two_rings_become_one_dense_sequence(make: Callable[..., Engine]) -> None:
    engine = make(rings=2)
    for number in range(5):
        assert engine.offer(b"a\x01") == number + 1
        assert engine.offer(b"a\x02", ring=1) == number + 1
    while engine.turn():
        pass
    entries = engine.entries()
    assert [entry.load_i64(layout.SEQUENCE) for entry in entries] == list(range(1, 14))
    assert kinds(engine) == [layout.LEADERSHIP, layout.RING_ATTACH, layout.RING_ATTACH] + [layout.COMMAND] * 10
    assert engine.rows() == {1: 5, 2: 5}
    assert [entry.load_i64(layout.SENT_NS) for entry in entries[3:]] == [123] * 10
    assert engine.execution.counts == {"committed": 13, "rejected": 0, "faulted": 0}
    replay(engine)


def test_a_rejected_or_faulted_transaction_changes_nothing_and_is_an_entry(make: Callable[..., Engine]) -> None:
    engine = make()
    engine.offer(b"a\x01")
    engine.turn()
    table = engine.execution.layout.tables["counters"]
    before = bytes(engine.execution.arena.view[table.at :])
    for command in (b"r\x01", b"r\x02", b"f\x01", b"f\x03"):
        engine.offer(command)
    engine.turn()
    assert outcomes(engine)[-4:] == [7, 7, faults.PLUGIN_FAULT, faults.PLUGIN_FAULT]
    assert all(entry.load_i32(layout.DELTA_LENGTH) == 0 for entry in engine.entries()[-4:])
    assert bytes(engine.execution.arena.view[table.rows :]) == before[table.rows - table.at :]
    replay(engine)


def test_the_head_moves_after_the_entries_are_published(make: Callable[..., Engine]) -> None:
    """Rule 2. Whatever the head has passed, the published part of the log holds."""
    engine = make()
    records, _ = engine.producers[0]
    for _ in range(20):
        engine.offer(b"a\x01")
    while engine.turn():
        head = records.load_i64(RING_HEAD)
        assert engine.entries()[-1].load_i64(layout.SOURCE_POSITION) == head


RING_HEAD = (1 << 16) + ring_layout.HEAD


def test_equal_or_lower_sequences_are_skipped_and_the_first_of_a_run_is_an_entry(make: Callable[..., Engine]) -> None:
    """Rule 4."""
    engine = make()
    _, producer = engine.producers[0]
    for _ in range(3):
        engine.offer(b"a\x01")
    for _ in range(2):
        producer.store_i64(ring_kernels.PRODUCER_LAST_SEQUENCE, 1)
        engine.offer(b"a\x01")
        engine.offer(b"a\x01")
        engine.offer(b"a\x01")
    while engine.turn():
        pass
    assert kinds(engine)[2:] == [layout.COMMAND] * 3 + [layout.DUPLICATES, layout.COMMAND, layout.DUPLICATES]
    assert engine.rows() == {1: 4}
    assert engine.ring_block(0).load_i64(loop_layout.RING_DUPLICATES) == 5
    replay(engine)


def test_a_jump_of_the_sequence_is_marked(make: Callable[..., Engine]) -> None:
    """Rule 4."""
    engine = make()
    _, producer = engine.producers[0]
    engine.offer(b"a\x01")
    producer.store_i64(ring_kernels.PRODUCER_LAST_SEQUENCE, 5)
    engine.offer(b"a\x01")
    engine.offer(b"a\x01")
    while engine.turn():
        pass
    assert [entry.load_i32(layout.FLAGS) for entry in engine.entries()[2:]] == [0, layout.FLAG_GAP, 0]
    replay(engine)


def test_a_ring_with_nonsense_is_quarantined_and_the_others_go_on(make: Callable[..., Engine]) -> None:
    """Rule 5."""
    engine = make(rings=2)
    records, _ = engine.producers[0]
    engine.offer(b"a\x01")
    engine.turn()
    head = engine.ring_block(0).load_i64(loop_layout.RING_CONSUMER + ring_kernels.CONSUMER_HEAD)
    records.store_i64(head, 0x7FFFFFF0 | 1 << 32)
    engine.offer(b"a\x02", ring=1)
    while engine.turn():
        pass
    engine.offer(b"a\x02", ring=1)
    while engine.turn():
        pass
    assert layout.RING_QUARANTINE in kinds(engine)
    assert engine.ring_block(0).load_i64(loop_layout.RING_STATUS) == loop_layout.RING_QUARANTINED
    assert engine.rows() == {1: 1, 2: 2}
    replay(engine)


def test_a_fired_timer_is_an_entry_and_fires_once_even_when_its_handler_faults(make: Callable[..., Engine]) -> None:
    """Rules 21 and 22."""

    def handler(tx: Region, message: Region) -> int:
        if tx.load_i64(transaction_layout.ENTRY_KIND) == layout.TIMER and tx.load_i64(transaction_layout.TIMER_ID) == 2:
            return faults.PLUGIN_FAULT
        return add(tx, message)

    engine = make(handler)
    engine.offer(b"t\x01")
    engine.offer(b"t\x02")
    while engine.turn():
        pass
    assert kinds(engine)[2:] == [layout.COMMAND, layout.COMMAND, layout.TIMER, layout.TIMER]
    assert outcomes(engine)[-2:] == [faults.COMMITTED, faults.PLUGIN_FAULT]
    assert engine.rows() == {1: 2, 2: 1}
    assert engine.turn() == 0
    replay(engine, handler)


def test_an_entry_that_does_not_fit_before_the_end_of_its_unit_moves_to_the_next(make: Callable[..., Engine]) -> None:
    engine = make()
    for _ in range(25):
        engine.offer(b"o\x01")
    while engine.turn():
        pass
    unit = log_layout.UNIT
    entries = engine.entries()
    assert all(
        entry.load_i64(layout.POSITION) // unit == (entry.load_i64(layout.POSITION) + entry.size - 1) // unit
        for entry in entries
    )
    assert engine.block.load_i64(loop_layout.MOVED_ENTRIES) == 2
    assert [entry.load_i32(layout.OUTPUTS_LENGTH) for entry in entries[2:]] == [100_000] * 25
    assert engine.rows() == {1: 25}
    replay(engine)


def test_ids_carry_the_epoch_and_are_never_given_twice(make: Callable[..., Engine]) -> None:
    """Rule 18."""
    given: list[int] = []

    def handler(tx: Region, message: Region) -> int:
        given.append(engine_state.next_id(tx))
        return faults.COMMITTED if message.load_u8(0) == ord("a") else 3

    engine = make(handler)
    for command in (b"a\x01", b"a\x01", b"r\x01", b"a\x01"):
        engine.offer(command)
    engine.turn()
    assert given == [1 << 47 | 1, 1 << 47 | 2, 1 << 47 | 3, 1 << 47 | 3]


def test_an_input_that_killed_its_leaders_is_recorded_without_being_run(make: Callable[..., Engine]) -> None:
    """Rule 17."""
    engine = make()
    for offset, value in ((loop_layout.POISON_SOURCE, 1), (loop_layout.POISON_SEQUENCE, 2)):
        engine.block.store_i64(offset, value)
    engine.block.store_i64(loop_layout.POISON_ATTEMPTS, 3)
    for _ in range(3):
        engine.offer(b"a\x01")
    engine.turn()
    assert outcomes(engine)[2:] == [faults.COMMITTED, faults.POISONED, faults.COMMITTED]
    assert engine.rows() == {1: 2}
    replay(engine)


def test_a_timer_that_killed_its_leaders_is_passed_over_once(make: Callable[..., Engine]) -> None:
    """Rule 17: a timer's id comes again, and what comes then is another input."""
    engine = make()
    for offset, value in ((loop_layout.POISON_SOURCE, 0), (loop_layout.POISON_SEQUENCE, 1)):
        engine.block.store_i64(offset, value)
    engine.block.store_i64(loop_layout.POISON_ATTEMPTS, 3)
    for _ in range(2):
        engine.offer(b"t\x01")
        engine.turn()
        engine.turn()
    fired = [
        entry.load_i32(layout.OUTCOME) for entry in engine.entries() if entry.load_i32(layout.KIND) == layout.TIMER
    ]
    assert fired == [faults.POISONED, faults.COMMITTED]
    replay(engine)


def test_a_leader_that_dies_behind_a_timer_did_not_die_of_it(make: Callable[..., Engine]) -> None:
    """Rule 17: what the control page names is no longer running once its entry is published."""
    engine = make()
    engine.offer(b"t\x01")
    engine.turn()
    engine.turn()
    assert engine.entries()[-1].load_i32(layout.KIND) == layout.TIMER
    assert [engine.log.load_i64(offset) for offset in RUNNING] == [0, 1, 0]


def test_the_control_page_says_what_runs_before_it_runs(make: Callable[..., Engine]) -> None:
    """Rule 17."""
    seen = []

    def handler(tx: Region, message: Region) -> int:
        seen.append(tuple(engine.log.load_i64(offset) for offset in RUNNING))
        return faults.COMMITTED

    engine = make(handler)
    engine.offer(b"a\x01")
    engine.offer(b"a\x01")
    engine.turn()
    assert seen == [(1, 1, 1), (1, 2, 1)]


RUNNING = (log_layout.RUNNING_SOURCE, log_layout.RUNNING_SEQUENCE, log_layout.RUNNING_ATTEMPTS)


def test_a_message_longer_than_the_limit_is_an_entry_with_what_fits_and_its_true_length(
    make: Callable[..., Engine],
) -> None:
    engine = make()
    engine.block.store_i64(loop_layout.MAX_INPUT, 64)
    engine.offer(bytes(range(100)))
    engine.turn()
    entry = engine.entries()[-1]
    assert entry.load_i32(layout.OUTCOME) == faults.OVERSIZE_MESSAGE
    assert entry.load_i32(layout.INPUT_LENGTH) == 64
    assert entry.load_i32(layout.INPUT_TRUE_LENGTH) == 100
    assert bytes(entry.view[layout.INPUT : layout.INPUT + 64]) == bytes(range(64))
    assert engine.dispatch.calls == 0
    replay(engine)


def test_a_full_log_stops_polling_and_the_ring_says_back_pressured(make: Callable[..., Engine]) -> None:
    """Rule 7: nothing is dropped; the engine goes on when the journaler has caught up."""
    engine = make()
    sent = 0
    while engine.block.load_i64(loop_layout.FULL_TURNS) == 0:
        engine.offer(b"o\x01")
        sent += 1
        engine.turn()
        assert sent < 50, "the log never filled"
    appended = engine.log.load_i64(log_layout.APPENDED)
    capacity = engine.block.load_i64(loop_layout.LOG_CAPACITY)
    assert capacity - log_layout.MAX_BATCH_BYTES < appended <= capacity, "what is not written may not be overwritten"
    while engine.offer(b"a\x01") != ring_kernels.BACK_PRESSURED:
        sent += 1
    assert engine.turn() == 0
    assert engine.log.load_i64(log_layout.APPENDED) == appended
    while engine.ring_block(0).load_i64(loop_layout.RING_MESSAGES) < sent:
        engine.log.store_i64(log_layout.WRITTEN, engine.log.load_i64(log_layout.APPENDED))
        engine.turn()
    assert engine.rows() == {1: sent}


def test_replay_says_when_another_version_decides_otherwise(make: Callable[..., Engine]) -> None:
    engine = make()
    engine.offer(b"a\x01")
    engine.turn()
    execution = Execution([COUNTERS], CallbackDispatch(lambda tx, message: 5))
    answers = [replay_entry(execution.tx, execution.block, entry, execution.scratch) for entry in engine.entries()]
    assert answers[-1] == DIGEST_DIFFERS
    assert DIGEST_DIFFERS not in answers[:-1]


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (loop_layout.STOP, 1, loop_layout.STOPPED),
        (loop_layout.EPOCH, 9, loop_layout.SUPERSEDED),
    ],
)
def test_the_loop_ends_when_told_or_superseded(
    make: Callable[..., Engine], offset: int, value: int, reason: int
) -> None:
    """Rule 14 for the epoch."""
    engine = make()
    engine.block.store_i64(offset, value)
    assert engine.kernels.run_loop(engine.block, engine.tx) == reason


def test_the_loop_ends_after_a_disk_error(make: Callable[..., Engine]) -> None:
    """Rule 11."""
    engine = make()
    engine.log.store_i64(log_layout.HALTED, 1)
    assert engine.kernels.run_loop(engine.block, engine.tx) == loop_layout.HALTED
