"""The ring's producer and consumer in every order, with a crash of either side at every access (protocol rules 1-4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from statevec.ipc import ring_kernels, ring_repair
from statevec.ipc import ring_layout as layout
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from tests.ipc.interleavings import Explored, Scenario, StepCopiedRegion, SteppedRegion, Stepper, explore

CAPACITY = 256
MAX_MESSAGE = (CAPACITY >> layout.MAX_BODY_SHIFT) - layout.INGRESS_HEADER_SIZE
MEMO: dict[object, object] = {}
claim, commit, abort, offer = (
    plain(getattr(ring_kernels, name), MEMO) for name in ("claim", "commit", "abort", "offer")
)
open_producer, open_consumer = (plain(getattr(ring_kernels, name), MEMO) for name in ("open_producer", "open_consumer"))
next_record, release_head, check_positions, resume_position = (
    plain(getattr(ring_kernels, name), MEMO)
    for name in ("next_record", "release_head", "check_positions", "resume_position")
)
repair_records = plain(ring_repair.repair_records, MEMO)


@dataclass
class Ring:
    """A ring in private memory that starts at a given position, and what both sides did with it."""

    stepper: Stepper
    start: int
    accepted: list[bytes] = field(default_factory=list)
    in_flight: bytes | None = None
    journal: list[tuple[int, bytes, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page = Region.allocate(layout.DATA)
        self.sequences = self.page.slice(layout.APPENDED_SEQUENCE, 8)
        self.memory = Region.allocate(CAPACITY + layout.TRAILER_SIZE)
        self.memory.view[:CAPACITY] = b"\xcc" * CAPACITY  # what a lap before may have left
        self.memory.store_i64(self.start % CAPACITY, 0)
        for offset in (layout.TAIL, layout.HEAD, layout.HEAD_CACHE):
            self.memory.store_i64(CAPACITY + offset, self.start)
        self.ring = SteppedRegion.over(self.memory, self.stepper)
        self.stepped_page = SteppedRegion.over(self.page, self.stepper)
        self.producer = Region.allocate(ring_kernels.PRODUCER_SIZE)
        self.consumer = Region.allocate(ring_kernels.CONSUMER_SIZE)
        open_producer(self.memory, self.producer, CAPACITY, 0)
        open_consumer(self.memory, self.consumer, CAPACITY, self.start)

    def offer(self, message: bytes) -> int:
        self.in_flight = message
        result: int = offer(self.ring, self.producer, Region.of(message), 1)
        if result > 0:
            self.accepted.append(message)
        self.in_flight = None
        return result

    def take(self) -> int:
        """What the engine does with one record: journal it, say so, and only then move the head (rule 2)."""
        length: int = next_record(self.ring, self.consumer)
        if length >= 0:
            body = StepCopiedRegion(*_address_and_size(Region.allocate(64)))
            body.copy_from(0, self.ring, self.consumer.load_i64(ring_kernels.CONSUMER_BODY), length)
            sequence = body.load_i64(layout.PRODUCER_SEQUENCE)
            message = bytes(body.view[layout.INGRESS_HEADER_SIZE : length])
            self.journal.append((sequence, message, self.consumer.load_i64(ring_kernels.CONSUMER_HEAD)))
            self.stepped_page.store_release(layout.APPENDED_SEQUENCE, sequence)
        release_head(self.ring, self.consumer)
        return length

    def drain(self) -> None:
        for _ in range(16):
            length = self.take()
            if length == ring_kernels.EMPTY:
                break
            assert length >= 0
        assert self.memory.load_i64(CAPACITY + layout.HEAD) == self.memory.load_i64(CAPACITY + layout.TAIL)

    def restart_consumer(self) -> None:
        """A new leader: it knows the journal and the head in the ring (rule 1)."""
        journaled = self.journal[-1][2] if self.journal else 0
        head = self.memory.load_i64(CAPACITY + layout.HEAD)
        position = resume_position(CAPACITY, journaled or head, head)
        assert position >= 0
        open_consumer(self.memory, self.consumer, CAPACITY, position)

    def restart_producer(self) -> None:
        """A new producer: repair, and go on after the highest sequence that the log or the ring has (rule 3)."""
        result = Region.allocate(ring_repair.RESULT_SIZE)
        assert repair_records(self.memory, CAPACITY, result) == 0
        tail = self.memory.load_i64(CAPACITY + layout.TAIL)
        assert self.memory.load_i64(tail % CAPACITY) == 0
        last = max(result.load_i64(ring_repair.RESULT_LAST_SEQUENCE), self.page.load_i64(layout.APPENDED_SEQUENCE))
        open_producer(self.memory, self.producer, CAPACITY, last)

    def check(self, crashed: int | None) -> None:
        """After it all: repair what crashed, send one more, read everything; nothing lost, doubled or invented."""
        assert check_positions(self.memory, CAPACITY) == 0
        expected = list(self.accepted)
        if crashed == 1:
            self.restart_consumer()
        if crashed == 0:
            maybe = self.in_flight
            self.restart_producer()
            self.drain()
            if maybe is not None and len(self.journal) == len(expected) + 1:
                expected.append(maybe)  # it was committed before the crash
        self.drain()
        self.accepted = expected
        assert self.offer(b"last") > 0
        self.drain()
        assert [message for _, message, _ in self.journal] == self.accepted
        sequences = [sequence for sequence, _, _ in self.journal]
        assert sequences == list(range(1, len(sequences) + 1))


def _address_and_size(region: Region) -> tuple[int, int, object]:
    return region.address, region.size, region.owner


def explore_offers(start: int, lengths: list[int], takes: int, before: int = 0, crashes: bool = False) -> Explored:
    def make(stepper: Stepper) -> Scenario:
        ring = Ring(stepper, start)
        for number in range(before):
            assert ring.offer(bytes([64 + number]) * 8) > 0

        def produce() -> None:
            for number, length in enumerate(lengths):
                ring.offer(bytes([97 + number]) * length)

        def consume() -> None:
            for _ in range(takes):
                ring.take()

        return Scenario([produce, consume], [ring.memory, ring.sequences], ring.check)

    return explore(make, crashes=crashes)


@pytest.mark.parametrize("start", [0, 208, 224, 5 * CAPACITY + 248])
def test_nothing_is_lost_or_doubled_in_any_order(start: int) -> None:
    """Before the end of the ring: fits, fits exactly, needs padding of every length."""
    assert explore_offers(start, [8, MAX_MESSAGE], takes=3).schedules > 50


@pytest.mark.parametrize("start", [0, 216, 5 * CAPACITY + 240])
def test_a_crash_of_either_side_at_any_step_loses_nothing(start: int) -> None:
    assert explore_offers(start, [8, 3], takes=2, crashes=True).crashes > 50


@pytest.mark.parametrize("start", [0, 24, 232])
def test_a_full_ring_presses_back_in_any_order(start: int) -> None:
    """Seven records of 32 bytes leave 32: the next needs what the consumer gives back, or pads and fails."""
    assert explore_offers(start, [8, 8], takes=2, before=6, crashes=True).crashes > 50


def test_claims_commit_and_abort_in_any_order() -> None:
    def make(stepper: Stepper) -> Scenario:
        ring = Ring(stepper, 224)

        def produce() -> None:
            dropped = claim(ring.ring, ring.producer, layout.INGRESS_HEADER_SIZE + 5)
            assert abort(ring.ring, dropped) == 0
            kept = claim(ring.ring, ring.producer, layout.INGRESS_HEADER_SIZE + 5)
            ring.in_flight = b"12345"
            ring.ring.copy_from(kept + layout.INGRESS_HEADER_SIZE, Region.of(b"12345"), 0, 5)
            assert commit(ring.ring, ring.producer, kept, 1) == 1
            ring.accepted.append(b"12345")
            ring.in_flight = None

        def consume() -> None:
            for _ in range(3):
                ring.take()

        return Scenario([produce, consume], [ring.memory, ring.sequences], ring.check)

    assert explore(make, crashes=True).crashes > 50


def test_repair_survives_its_own_crash_and_a_consumer_that_goes_on() -> None:
    """A producer died with a claim that padding precedes; the repairer dies at every step as well."""

    def make(stepper: Stepper) -> Scenario:
        ring = Ring(stepper, 224)
        assert ring.offer(b"") > 0
        ring.memory.store_i64(CAPACITY + layout.TAIL, 256 + 40)  # padding to the end and a record; none is there
        ring.memory.store_i64(248, 0)

        def repair() -> None:
            assert repair_records(ring.ring, CAPACITY, Region.allocate(ring_repair.RESULT_SIZE)) == 0

        def consume() -> None:
            for _ in range(3):
                ring.take()

        def check(crashed: int | None) -> None:
            ring.restart_producer()
            ring.check(crashed)

        return Scenario([repair, consume], [ring.memory, ring.sequences], check)

    assert explore(make, crashes=True).crashes > 20


def mistaken(change: Callable[[Ring], None]) -> None:
    """A ring with a mistake in it must not pass."""

    def make(stepper: Stepper) -> Scenario:
        ring = Ring(stepper, 0)
        for number in range(6):
            assert ring.offer(bytes([64 + number]) * 8) > 0
        change(ring)

        def produce() -> None:
            for number in range(2):
                ring.offer(bytes([97 + number]) * 8)

        def consume() -> None:
            for _ in range(3):
                ring.take()

        return Scenario([produce, consume], [ring.memory, ring.sequences], ring.check)

    with pytest.raises(AssertionError):
        explore(make, crashes=True)


def test_the_explorer_finds_a_head_that_moves_too_early() -> None:
    def release_first(ring: Ring) -> None:
        original = ring.take

        def take() -> int:
            head = ring.consumer.load_i64(ring_kernels.CONSUMER_HEAD)
            word = ring.memory.load_i64(head % CAPACITY)
            if word & 0xFFFFFFFF:
                ring.ring.store_release(CAPACITY + layout.HEAD, head + ((word & 0xFFFFFFFF) + 7 & -8))
            return original()

        ring.take = take  # type: ignore[method-assign]

    mistaken(release_first)


def test_the_explorer_finds_a_journal_that_comes_after_the_head() -> None:
    def forget_journal(ring: Ring) -> None:
        ring.restart_consumer = lambda: open_consumer(  # type: ignore[method-assign]
            ring.memory, ring.consumer, CAPACITY, ring.memory.load_i64(CAPACITY + layout.HEAD)
        )

    mistaken(forget_journal)
