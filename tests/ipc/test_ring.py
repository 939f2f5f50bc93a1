"""Rings as Python uses them: two ends in one process, the lock, repair, what a producer finds when it comes back."""

from __future__ import annotations

import pytest

from statevec.ipc import ring_layout as layout
from statevec.ipc.python_call import store_release
from statevec.ipc.ring import RingConsumer, RingProducer, attach_ring, create_ring
from statevec.ipc.ring_kernels import BACK_PRESSURED
from statevec.ipc.ring_repair import RingError
from statevec.ipc.segment import Segment, SegmentError

CAPACITY = 4096


@pytest.fixture
def ring(instance_id: int) -> Segment:
    return create_ring("a", CAPACITY, instance_id)


def test_messages_of_any_kind_of_buffer_arrive(ring: Segment) -> None:
    with RingProducer.attach("a", ring.instance_id) as producer, RingConsumer(ring) as consumer:
        assert consumer.poll() is None
        for number, message in enumerate([b"bytes", bytearray(b"array"), memoryview(b"a view")[2:], b""], start=1):
            assert producer.offer(message, number * 10) == number
            assert consumer.poll() == bytes(message)
            assert (consumer.sequence, consumer.sent_ns) == (number, number * 10)
        with pytest.raises(TypeError, match="bytes-like"):
            producer.offer("text")
        with pytest.raises(TypeError, match="integer"):
            producer.offer(b"x", "now")
        with pytest.raises(RingError, match="offer takes a message and a time: given=3 takes=2"):
            producer.offer(b"x", 1, 2)
        with pytest.raises(RingError, match="poll takes nothing: given=1"):
            consumer.poll(1)  # type: ignore[call-arg]
        assert producer.last_sequence == 4
        assert consumer.position == producer.statistics()["tail"] == consumer.statistics()["head"]
        producer.verify()


def test_a_message_without_a_time_gets_this_one(ring: Segment) -> None:
    with RingProducer.attach("a", ring.instance_id) as producer, RingConsumer(ring) as consumer:
        producer.offer(b"x")
        producer.offer(b"y")
        times = [consumer.sent_ns for _ in range(2) if consumer.poll()]
        assert 10**18 < times[0] <= times[1]


def test_a_claim_is_encoded_in_place(ring: Segment) -> None:
    with RingProducer.attach("a", ring.instance_id) as producer, RingConsumer(ring) as consumer:
        claim = producer.try_claim(4)
        assert claim is not None
        claim.buffer[:] = b"four"
        assert consumer.poll() is None
        with pytest.raises(TypeError, match="integer"):
            claim.commit("now")  # type: ignore[arg-type]
        assert claim.commit() == 1
        assert consumer.poll() == b"four"
        with pytest.raises(RingError, match="already"):
            claim.commit()
        assert producer.last_sequence == 1
        with pytest.raises(ValueError, match="released"):
            claim.buffer[0] = 1
        early = producer.try_claim(4)
        assert early is not None
        for attempt in (lambda: producer.offer(b"x"), lambda: producer.try_claim(4)):
            # It would become visible behind the claim with a lower sequence, and the engine would drop the claim's.
            with pytest.raises(RingError, match="a claim is open"):
                attempt()
        early.buffer[:] = b"long"
        assert early.commit(-5) == 2  # any time but 0 is kept as it is
        assert (consumer.poll(), consumer.sent_ns) == (b"long", -5)
        dropped = producer.try_claim(4)
        assert dropped is not None
        dropped.abort()
        assert producer.offer(b"next") == 3
        assert consumer.poll() == b"next"


def test_a_full_ring_presses_back(ring: Segment) -> None:
    with RingProducer.attach("a", ring.instance_id) as producer, RingConsumer(ring) as consumer:
        sent = 0
        while producer.offer(b"x" * 100) != BACK_PRESSURED:
            sent += 1
        assert producer.try_claim(100) is None
        assert sum(1 for _ in range(sent) if consumer.poll() == b"x" * 100) == sent
        assert producer.offer(b"x" * 100) == sent + 1


def test_too_long_a_message_is_an_error_with_the_limit(ring: Segment) -> None:
    with RingProducer.attach("a", ring.instance_id) as producer:
        assert producer.max_length == CAPACITY // 8 - 16
        rule = r"message too long: length=497 max=496 ring=/sv-"
        with pytest.raises(RingError, match=rule):
            producer.offer(b"x" * 497)
        with pytest.raises(RingError, match=rule):
            producer.try_claim(497)
        with pytest.raises(RingError, match="length=-1"):
            producer.try_claim(-1)


def test_a_ring_has_one_producer(ring: Segment) -> None:
    producer = RingProducer.attach("a", ring.instance_id)
    with pytest.raises(RingError, match="has a producer already"):
        RingProducer.attach("a", ring.instance_id)
    producer.close()
    RingProducer.attach("a", ring.instance_id).close()
    with pytest.raises(RingError, match="too long"):
        producer.offer(b"x")  # a closed producer does not write to a ring that may be another's


def test_rule_3_a_producer_goes_on_after_what_log_and_ring_have(ring: Segment) -> None:
    consumer = RingConsumer(ring)
    with RingProducer.attach("a", ring.instance_id) as producer:
        for _ in range(3):
            producer.offer(b"x")
        consumer.poll()
        assert producer.try_claim(30) is not None  # and then it dies
    store_release(ring.region, layout.APPENDED_SEQUENCE, 1)
    store_release(ring.region, layout.RELEASED_SEQUENCE, 1)
    with RingProducer.attach("a", ring.instance_id) as producer:
        repaired = producer.repaired
        assert (repaired.last_sequence, repaired.appended_sequence, repaired.released_sequence) == (3, 1, 1)
        assert repaired.padded_bytes == 56
        assert (producer.appended_sequence, producer.released_sequence) == (1, 1)
        assert producer.offer(b"y") == 4
        assert [consumer.poll() for _ in range(4)] == [b"x", b"x", b"y", None]
    store_release(ring.region, layout.APPENDED_SEQUENCE, 9)
    with RingProducer.attach("a", ring.instance_id) as producer:
        assert producer.last_sequence == 9
        producer.last_sequence = 6  # who has kept 7..9 offers them again under their numbers
        assert producer.offer(b"again") == 7


def test_rule_5_a_ring_that_holds_nonsense_is_refused_and_reported(ring: Segment) -> None:
    consumer = RingConsumer(ring)
    with RingProducer.attach("a", ring.instance_id) as producer:
        producer.offer(b"x")
        ring.region.store_i32(layout.DATA, 5)
        with pytest.raises(RingError, match="nonsense"):
            consumer.poll()
    with pytest.raises(RingError, match="code=CORRUPT_LENGTH"):
        RingProducer.attach("a", ring.instance_id)
    store_release(ring.region, layout.DATA + CAPACITY + layout.TAIL, CAPACITY * 2)
    with pytest.raises(RingError, match="code=CORRUPT_TAIL"):
        consumer.verify()
    store_release(ring.region, 0, 1)
    with pytest.raises(SegmentError, match="first page changed"):
        consumer.verify()


@pytest.mark.parametrize("capacity", [0, 128, 3000, 1 << 31])
def test_capacity_is_a_power_of_two_within_limits(instance_id: int, capacity: int) -> None:
    with pytest.raises(RingError, match=f"capacity={capacity} min=256"):
        create_ring("a", capacity, instance_id)


def test_a_size_that_does_not_fit_is_refused(ring: Segment, instance_id: int) -> None:
    ring.region.store_i64(24, CAPACITY // 2)
    with pytest.raises(RingError, match="size=8960 capacity=2048"):
        attach_ring("a", instance_id)
