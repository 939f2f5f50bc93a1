"""The ring's kernels, one call after the other, in each form; what a producer may write and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statevec.ipc import ring_kernels as kernels
from statevec.ipc import ring_layout as layout
from statevec.ipc.memory import Region
from statevec.ipc.ring_repair import RESULT_LAST_SEQUENCE, RESULT_PADDED, RESULT_SIZE, repair_records

CAPACITY = 512
LONGEST = (CAPACITY >> 3) - layout.INGRESS_HEADER_SIZE
Form = Callable[[Any], Any]


class Ring:
    """Both ends of a ring in private memory, in one form of the kernels."""

    def __init__(self, form: Form, start: int = 0) -> None:
        self.form = form
        self.memory = Region.allocate(CAPACITY + layout.TRAILER_SIZE)
        for offset in (layout.TAIL, layout.HEAD_CACHE, layout.HEAD):
            self.memory.store_i64(CAPACITY + offset, start)
        self.producer = Region.allocate(kernels.PRODUCER_SIZE)
        self.consumer = Region.allocate(kernels.CONSUMER_SIZE)
        self.target = Region.allocate(CAPACITY >> 3)
        self.call("open_producer", self.producer, CAPACITY, 0)
        self.call("open_consumer", self.consumer, CAPACITY, start)

    def call(self, name: str, *arguments: Any) -> Any:
        return self.form(getattr(kernels, name))(self.memory, *arguments)

    def offer(self, message: bytes) -> int:
        return int(self.call("offer", self.producer, Region.of(message or b"\0").slice(0, len(message)), 9))

    def poll(self) -> bytes | int:
        length = self.call("poll", self.consumer, self.target)
        return length if length < 0 else bytes(self.target.view[layout.INGRESS_HEADER_SIZE : length])

    def word(self, offset: int) -> int:
        return self.memory.load_i64(CAPACITY + offset)


def test_a_message_arrives_with_its_ingress_header(form: Form) -> None:
    ring = Ring(form)
    assert ring.poll() == kernels.EMPTY
    assert ring.offer(b"hello") == 1
    assert ring.poll() == b"hello"
    assert ring.target.load_i64(layout.PRODUCER_SEQUENCE) == 1
    assert ring.target.load_i64(layout.SENT_NS) == 9
    assert ring.word(layout.TAIL) == ring.word(layout.HEAD) == 32
    assert ring.poll() == kernels.EMPTY


def test_a_record_looks_like_agronas(form: Form) -> None:
    ring = Ring(form)
    ring.memory.view[:CAPACITY] = b"\xcc" * CAPACITY
    ring.memory.store_i64(0, 0)
    ring.offer(b"abcde")
    assert ring.memory.load_i32(layout.RECORD_LENGTH) == 8 + 16 + 5
    assert ring.memory.load_i32(layout.RECORD_TYPE) == 1
    assert bytes(ring.memory.view[24:29]) == b"abcde"
    assert ring.memory.load_i64(32) == 0  # the next header


def test_messages_keep_their_order_over_many_laps(form: Form) -> None:
    ring = Ring(form)
    lengths = [0, 1, 7, 8, LONGEST, 3, 20, LONGEST - 1]
    for number in range(200):
        message = bytes([number]) * lengths[number % len(lengths)]
        assert ring.offer(message) == number + 1
        if number % 3 == 2:
            for earlier in (number - 2, number - 1, number):
                assert ring.poll() == bytes([earlier]) * lengths[earlier % len(lengths)]


def test_a_full_ring_presses_back_and_takes_more_once_read(form: Form) -> None:
    ring = Ring(form)
    sent = 0
    while ring.offer(bytes([sent]) * 20) > 0:
        sent += 1
    assert sent == (CAPACITY - 8) // 48
    assert ring.offer(b"x" * 20) == kernels.BACK_PRESSURED
    assert ring.poll() == b"\0" * 20
    assert ring.offer(b"x" * 20) == kernels.BACK_PRESSURED  # the record, and the zeroed header behind it
    assert ring.poll() == b"\1" * 20
    assert ring.offer(b"y" * 20) == sent + 1


def test_too_long_a_message_is_refused(form: Form) -> None:
    ring = Ring(form)
    assert ring.offer(b"x" * LONGEST) == 1
    assert ring.offer(b"x" * (LONGEST + 1)) == kernels.TOO_LONG
    assert ring.call("claim", ring.producer, -1) == kernels.TOO_LONG


def test_poll_stops_at_an_uncommitted_record(form: Form) -> None:
    ring = Ring(form)
    body = ring.call("claim", ring.producer, 16 + 4)
    assert ring.poll() == kernels.EMPTY
    ring.memory.view[body + 16 : body + 20] = b"four"
    assert ring.call("commit", ring.producer, body, 5) == 1
    assert ring.poll() == b"four"
    assert ring.call("commit", ring.producer, body, 5) == kernels.NOT_CLAIMED


def test_an_aborted_claim_is_passed_over(form: Form) -> None:
    ring = Ring(form)
    body = ring.call("claim", ring.producer, 16 + 4)
    assert ring.call("abort", body) == 0
    assert ring.call("abort", body) == kernels.NOT_CLAIMED
    assert ring.offer(b"next") == 1
    assert ring.poll() == b"next"


def test_padding_fills_the_end_even_when_the_offer_then_fails(form: Form) -> None:
    ring = Ring(form, start=CAPACITY - 40)
    assert ring.offer(b"") == 1  # 24 of the 40 bytes before the end
    ring.memory.store_i64(CAPACITY + layout.HEAD, CAPACITY - 40)
    body = ring.call("claim", ring.producer, 64)
    assert body == layout.RECORD_HEADER_SIZE  # 16 bytes of padding, the record at the start
    assert ring.memory.load_i64(CAPACITY - 16) == 16 | layout.PADDING_TYPE << 32

    full = Ring(form, start=8)
    while full.offer(b"") > 0:
        pass
    assert full.word(layout.TAIL) == CAPACITY  # 8 + 21 * 24: nothing before the head is free
    assert full.offer(b"") == kernels.BACK_PRESSURED


def test_padding_runs_are_bounded(form: Form) -> None:
    """A producer that pads for ever does not hold its reader: rule 5."""
    ring = Ring(form)
    for offset in range(0, CAPACITY, 8):
        ring.memory.store_i64(offset, 8 | layout.PADDING_TYPE << 32)
    assert ring.poll() == kernels.EMPTY
    assert ring.word(layout.HEAD) == 8 * kernels.MAX_PADDING_RUN


@pytest.mark.parametrize(
    ("length", "kind", "code"),
    [
        (7, 1, kernels.CORRUPT_LENGTH),
        (8, 1, kernels.CORRUPT_LENGTH),  # no room for the ingress header
        (23, 1, kernels.CORRUPT_LENGTH),
        (8 + (CAPACITY >> 3) + 1, 1, kernels.CORRUPT_LENGTH),
        (CAPACITY + 8, -1, kernels.CORRUPT_LENGTH),
        (-1, 1, kernels.CORRUPT_LENGTH),
        (-(CAPACITY + 1), 1, kernels.CORRUPT_LENGTH),
        (-(1 << 31), 1, kernels.CORRUPT_LENGTH),
        ((1 << 31) - 1, 1, kernels.CORRUPT_LENGTH),
        (24, 0, kernels.CORRUPT_TYPE),
        (24, 2, kernels.CORRUPT_TYPE),
        (24, -2, kernels.CORRUPT_TYPE),
        (-24, 99, kernels.EMPTY),  # claimed; its type may not be stored yet
        (0, 99, kernels.EMPTY),
    ],
)
def test_a_header_that_cannot_be_has_a_name(form: Form, length: int, kind: int, code: int) -> None:
    ring = Ring(form)
    ring.memory.store_i32(0, length)
    ring.memory.store_i32(4, kind)
    assert ring.poll() == code
    assert ring.word(layout.HEAD) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, 200).map(lambda number: 8 * number),
    content=st.binary(min_size=CAPACITY + layout.TRAILER_SIZE, max_size=CAPACITY + layout.TRAILER_SIZE),
    headers=st.lists(st.tuples(st.integers(0, CAPACITY // 8 - 1), st.integers(-300, 300), st.sampled_from([1, -1, 0]))),
)
def test_nonsense_never_leads_outside_the_ring(
    form: Form, start: int, content: bytes, headers: list[tuple[int, int, int]]
) -> None:
    """The plain form raises on any access outside; the answer is a message, EMPTY or a code (rule 5)."""
    ring = Ring(form, start)
    ring.memory.view[:] = content
    for index, length, kind in headers:
        ring.memory.store_i32(8 * index, length)
        ring.memory.store_i32(8 * index + 4, kind)
    for _ in range(40):
        result = ring.poll()
        assert isinstance(result, bytes) or result in kernels.RING_CODES
    assert ring.form(kernels.check_positions)(ring.memory, CAPACITY) in (0, *kernels.RING_CODES)
    assert ring.form(repair_records)(ring.memory, CAPACITY, Region.allocate(RESULT_SIZE)) in (0, *kernels.RING_CODES)
    assert ring.form(kernels.offer)(ring.memory, ring.producer, Region.allocate(8), 0) in (1, kernels.BACK_PRESSURED)


@pytest.mark.parametrize(
    ("head", "tail", "code"),
    [
        (0, 0, 0),
        (8, CAPACITY + 8, 0),
        (8, CAPACITY + 16, kernels.CORRUPT_TAIL),
        (16, 8, kernels.CORRUPT_TAIL),
        (0, 4, kernels.CORRUPT_TAIL),
        (4, 8, kernels.CORRUPT_HEAD),
        (-8, 0, kernels.CORRUPT_HEAD),
    ],
)
def test_the_slow_check_judges_head_and_tail(form: Form, head: int, tail: int, code: int) -> None:
    ring = Ring(form)
    ring.memory.store_i64(CAPACITY + layout.HEAD, head)
    ring.memory.store_i64(CAPACITY + layout.TAIL, tail)
    assert ring.call("check_positions", CAPACITY) == code


@pytest.mark.parametrize(
    ("journaled", "head", "position"),
    [
        (0, 0, 0),
        (64, 32, 64),  # crash between publish and head
        (32, 64, 64),  # padding and duplicates moved the head
        (CAPACITY, 0, CAPACITY),
        (CAPACITY + 8, 0, kernels.CORRUPT_HEAD),
        (0, CAPACITY + 8, kernels.CORRUPT_HEAD),
        (4, 0, kernels.CORRUPT_HEAD),
        (0, 4, kernels.CORRUPT_HEAD),
        (0, -8, kernels.CORRUPT_HEAD),
    ],
)
def test_rule_1_a_new_leader_resumes_at_the_higher_position(
    form: Form, journaled: int, head: int, position: int
) -> None:
    assert form(kernels.resume_position)(CAPACITY, journaled, head) == position


def test_rule_3_repair_pads_to_the_tail(form: Form) -> None:
    ring = Ring(form, start=CAPACITY - 96)
    ring.offer(b"one")
    ring.call("claim", ring.producer, 64)
    ring.memory.store_i64(ring.word(layout.TAIL) % CAPACITY, -1)
    result = Region.allocate(RESULT_SIZE)
    assert form(repair_records)(ring.memory, CAPACITY, result) == 0
    assert (result.load_i64(RESULT_LAST_SEQUENCE), result.load_i64(RESULT_PADDED)) == (1, 72)
    assert ring.memory.load_i64(ring.word(layout.TAIL) % CAPACITY) == 0
    assert ring.poll() == b"one"
    ring.call("open_producer", ring.producer, CAPACITY, 1)
    assert ring.offer(b"two") == 2
    assert ring.poll() == b"two"


def test_repair_refuses_what_it_cannot_believe(form: Form) -> None:
    ring = Ring(form)
    ring.offer(b"one")
    ring.memory.store_i32(4, 3)
    assert form(repair_records)(ring.memory, CAPACITY, Region.allocate(RESULT_SIZE)) == kernels.CORRUPT_TYPE
    ring.memory.store_i64(0, 48 | 1 << 32)  # a record that ends beyond the tail
    assert form(repair_records)(ring.memory, CAPACITY, Region.allocate(RESULT_SIZE)) == kernels.CORRUPT_TAIL
    ring.memory.store_i64(CAPACITY + layout.TAIL, CAPACITY)  # no room for the header behind it
    assert form(repair_records)(ring.memory, CAPACITY, Region.allocate(RESULT_SIZE)) == kernels.CORRUPT_TAIL
