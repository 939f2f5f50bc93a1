"""The admin ring as its consumer takes it: commands in order, and nonsense that closes it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from statevec.engine import loop_layout
from statevec.engine.config import RingConfig
from statevec.ipc import ring_layout
from statevec.ipc.memory import Region
from statevec.ipc.ring import RingProducer, create_ring
from statevec.ipc.ring_kernels import CONSUMER_SIZE, open_consumer
from statevec.ipc.ring_repair import records_region
from statevec.ipc.segment import Segment
from statevec.roles.admin_ring import AdminRing
from statevec.roles.engine_rings import EngineRing

CAPACITY = 1 << 12


@pytest.fixture
def instance_id() -> Iterator[int]:
    number = secrets.randbelow((1 << 63) - 1) + 1
    yield number
    for path in Path("/dev/shm").glob(f"sv-{number:016x}-*"):
        path.unlink()


def opened(segment: Segment, last_sequence: int) -> AdminRing:
    block = Region.allocate(loop_layout.RING_SIZE)
    block.store_i64(loop_layout.RING_LAST_SEQUENCE, last_sequence)
    block.store_i64(loop_layout.RING_PAGE_ADDRESS, segment.region.address)
    open_consumer(records_region(segment), block.slice(loop_layout.RING_CONSUMER, CONSUMER_SIZE), CAPACITY, 0)
    return AdminRing(EngineRing(RingConfig("admin"), 1, segment, block))


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_sequence_too_far_ahead_closes_the_ring(
    instance_id: int, beyond: int, capsys: pytest.CaptureFixture[str]
) -> None:
    furthest = 5 + ring_layout.MAX_SEQUENCE_JUMP
    with create_ring("admin", CAPACITY, instance_id, last_sequence=furthest + beyond - 1) as segment:
        ring = opened(segment, 5)
        RingProducer(segment).offer(b"command")
        taken = ring.take()
        if not beyond:
            assert taken is not None
            assert (taken.sequence, taken.message[:7]) == (furthest, b"command")
            return
        assert taken is None
        said = json.loads(capsys.readouterr().err)
        assert (said["event"], said["reason"]) == ("admin_ring_closed", "CORRUPT_SEQUENCE")
        assert ring.take() is None


def test_a_sequence_that_the_log_has_is_skipped(instance_id: int) -> None:
    with create_ring("admin", CAPACITY, instance_id, last_sequence=3) as segment:
        ring = opened(segment, 4)
        producer = RingProducer(segment)
        producer.offer(b"known")
        producer.offer(b"new")
        assert ring.take() is None
        taken = ring.take()
        assert taken is not None
        assert (taken.sequence, taken.message[:3]) == (5, b"new")
