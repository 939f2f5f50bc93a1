"""Time and timers of the loop when the clock, or the plugin, changes its mind. Compiled and as plain Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from statevec.engine import engine_state, loop_layout
from statevec.ipc import faults, ring_kernels
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import admin_layout
from statevec.journal import entry_layout as layout
from statevec.state import transaction_layout
from tests.engine.harness import Engine

HOUR_NS = 3600 * 10**9
MakeEngine = Callable[..., Engine]


def handle(tx: Region, message: Region) -> int:
    """Message: a command and a timer. 'l' sets it for later, 'n' for now, 'c' cancels it; else nothing."""
    if tx.load_i64(transaction_layout.ENTRY_KIND) == layout.TIMER:
        return faults.COMMITTED
    command, timer, now_ns = message.load_u8(0), message.load_u8(1), tx.load_i64(transaction_layout.NOW_NS)
    if command == ord("l"):
        engine_state.set_timer(tx, timer, now_ns + HOUR_NS)
    if command == ord("n"):
        engine_state.set_timer(tx, timer, now_ns)
    if command == ord("c"):
        engine_state.cancel_timer(tx, timer)
    return faults.COMMITTED


@pytest.fixture(params=["compiled", "plain"])
def make(request: pytest.FixtureRequest) -> MakeEngine:
    form = plain if request.param == "plain" else lambda kernel: kernel
    return lambda: Engine(handle, form=form)


def turn_until_idle(engine: Engine) -> None:
    while engine.turn():
        pass


def move_clock(engine: Engine, by_ns: int) -> None:
    engine.block.store_i64(loop_layout.CLOCK_OFFSET_NS, engine.block.load_i64(loop_layout.CLOCK_OFFSET_NS) + by_ns)


def fired(engine: Engine) -> list[int]:
    """Ids of the timers that fired, in order."""
    timers = [entry for entry in engine.entries() if entry.load_i32(layout.KIND) == layout.TIMER]
    return [entry.load_i64(layout.INPUT + admin_layout.TIMER_ID) for entry in timers]


def test_time_does_not_go_back_when_the_clock_does(make: MakeEngine) -> None:
    """Rule 20."""
    engine = make()
    engine.offer(b"-\0")
    turn_until_idle(engine)
    move_clock(engine, -HOUR_NS)
    engine.offer(b"-\0")
    turn_until_idle(engine)
    first, second = [entry.load_i64(layout.TIMESTAMP_NS) for entry in engine.entries()][-2:]
    assert second == first
    move_clock(engine, 2 * HOUR_NS)
    engine.offer(b"-\0")
    turn_until_idle(engine)
    assert engine.entries()[-1].load_i64(layout.TIMESTAMP_NS) > first


def test_time_does_not_go_back_behind_a_duplicate_in_a_batch(make: MakeEngine) -> None:
    """Rule 20."""
    engine = make()
    _, producer = engine.producers[0]
    for last_sequence in (0, 0, 1):
        producer.store_i64(ring_kernels.PRODUCER_LAST_SEQUENCE, last_sequence)
        engine.offer(b"-\0")
    turn_until_idle(engine)
    kinds = [entry.load_i32(layout.KIND) for entry in engine.entries()][-3:]
    assert kinds == [layout.COMMAND, layout.DUPLICATES, layout.COMMAND]
    times = [entry.load_i64(layout.TIMESTAMP_NS) for entry in engine.entries()]
    assert times == sorted(times)


def test_a_timer_that_is_set_again_moves_and_a_cancelled_one_does_not_fire(make: MakeEngine) -> None:
    """Rule 22."""
    engine = make()
    for command in (b"l\x01", b"l\x02", b"n\x01", b"c\x02"):
        engine.offer(command)
    turn_until_idle(engine)
    assert fired(engine) == [1]
    move_clock(engine, 2 * HOUR_NS)
    turn_until_idle(engine)
    assert fired(engine) == [1]
