"""What bounds a turn of the loop: sequences that cannot be, one quarantine of a ring, timers set meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from statevec.engine import engine_state, loop_layout
from statevec.ipc import ring_kernels, ring_layout
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as layout
from statevec.state import transaction_layout
from tests.engine.harness import Engine
from tests.engine.test_loop import add, kinds, replay


@pytest.fixture(params=["compiled", "plain"])
def make(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    form = plain if request.param == "plain" else lambda kernel: kernel
    return lambda handler=add, **options: Engine(handler, form=form, **options)


@pytest.mark.parametrize("jump", [2**63 - 1, 2**62, ring_layout.MAX_SEQUENCE_JUMP + 2])
def test_a_sequence_too_far_ahead_quarantines_its_ring_and_leaves_the_source_its_numbers(
    make: Callable[..., Engine], jump: int
) -> None:
    """Rules 4 and 5."""
    engine = make(rings=2)
    _, producer = engine.producers[0]
    engine.offer(b"a\x01")
    producer.store_i64(ring_kernels.PRODUCER_LAST_SEQUENCE, jump - 1)
    engine.offer(b"a\x01")
    engine.offer(b"a\x02", ring=1)
    while engine.turn():
        pass
    block = engine.ring_block(0)
    assert block.load_i64(loop_layout.RING_STATUS) == loop_layout.RING_QUARANTINED
    assert block.load_i64(loop_layout.RING_REASON) == ring_kernels.CORRUPT_SEQUENCE
    assert block.load_i64(loop_layout.RING_LAST_SEQUENCE) == 1
    assert engine.rows() == {1: 1, 2: 1}
    replay(engine)


def test_a_ring_that_loop_and_main_thread_both_find_broken_is_quarantined_once(make: Callable[..., Engine]) -> None:
    engine = make()
    records, _ = engine.producers[0]
    records.store_i64(0, 0x7FFFFFF0 | 1 << 32)
    engine.turn()
    engine.ring_block(0).store_i64(loop_layout.RING_STATUS, loop_layout.RING_SUSPECT)
    while engine.turn():
        pass
    assert kinds(engine).count(layout.RING_QUARANTINE) == 1
    assert engine.ring_block(0).load_i64(loop_layout.RING_STATUS) == loop_layout.RING_QUARANTINED
    replay(engine)


def test_a_timer_set_into_the_past_fires_in_the_next_turn_and_no_sooner(make: Callable[..., Engine]) -> None:
    """Rules 21 and 22. One that sets itself again and again does not keep the others from firing either."""

    def handler(tx: Region, message: Region) -> int:
        is_timer = tx.load_i64(transaction_layout.ENTRY_KIND) == layout.TIMER
        if is_timer and tx.load_i64(transaction_layout.TIMER_ID) == 1:
            engine_state.set_timer(tx, 1, 0)
        return add(tx, message)

    engine = make(handler)
    for key in range(1, 4):
        engine.offer(bytes((ord("t"), key)))
    engine.turn()
    for turn in range(1, 4):
        assert engine.turn() == (3 if turn == 1 else 1)
        assert engine.rows() == {1: 1 + turn, 2: 2, 3: 2}
    replay(engine, handler)
