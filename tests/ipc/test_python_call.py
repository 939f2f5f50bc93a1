"""Calls from Python into compiled code: single words, and that a message costs no memory for good."""

from __future__ import annotations

import gc
import sys

import psutil
import pytest

from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.ring import RingConsumer, RingProducer, create_ring


@pytest.mark.parametrize("offset", [-8, 4, 16, 60, 1 << 40])
def test_words_outside_or_askew_are_refused(offset: int) -> None:
    region = Region.allocate(16)
    with pytest.raises(IndexError, match=f"not an aligned word of the region: offset={offset} region=16"):
        load_acquire(region, offset)
    with pytest.raises(IndexError, match="not an aligned word"):
        store_release(region, offset, 0)


@pytest.mark.parametrize("value", [0, -1, (1 << 63) - 1, -(1 << 63)])
def test_a_word_keeps_its_value(value: int) -> None:
    region = Region.allocate(16)
    store_release(region, 8, value)
    assert (load_acquire(region, 8), load_acquire(region, 0)) == (value, 0)


def test_messages_leave_nothing_behind(instance_id: int) -> None:
    message = bytearray(b"x" * 400)
    with create_ring("a", 1 << 14, instance_id) as ring, RingProducer.attach("a", instance_id) as producer:
        consumer = RingConsumer(ring)
        references = sys.getrefcount(message)
        before = psutil.Process().memory_info().rss
        for _ in range(100_000):
            producer.offer(message)
            consumer.poll()
            consumer.poll()
        assert psutil.Process().memory_info().rss - before < 10 << 20
        assert sys.getrefcount(message) == references
        message.append(1)  # nobody holds its memory any more


def test_a_method_outlives_its_producer(instance_id: int) -> None:
    """What `offer` works on stays as long as somebody has `offer`."""
    ring = create_ring("a", 1 << 12, instance_id)
    producer = RingProducer.attach("a", instance_id)
    offer = producer.offer
    del producer
    gc.collect()
    assert offer(b"still there") == 1
    assert RingConsumer(ring).poll() == b"still there"
