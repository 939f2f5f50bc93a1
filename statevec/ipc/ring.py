"""Rings for Python: making one, offering to it, polling from it.

`RingProducer.offer` and `RingConsumer.poll` are built-in methods (`ring_methods`) around the kernels of `ring_kernels`:
one call for one message, no allocation but the result.

Invariants
    One producer: it holds the ring's lock. One consumer: the engine, which made the ring and needs no lock.
    A producer has at most one claim at a time.

Layout: `ring_layout`. A crash of either side: see `ring_kernels` and `ring_repair`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from statevec.ipc import ring_methods as methods
from statevec.ipc import segment_layout
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.python_method import Storage
from statevec.ipc.ring_kernels import (
    CONSUMER_HEAD,
    CONSUMER_SIZE,
    PRODUCER_CAPACITY,
    PRODUCER_LAST_SEQUENCE,
    PRODUCER_SIZE,
    RING_CODES,
    check_positions,
    open_consumer,
    open_producer,
)
from statevec.ipc.ring_layout import (
    APPENDED_SEQUENCE,
    HEAD,
    INGRESS_HEADER_SIZE,
    MAX_BODY_SHIFT,
    MAX_CAPACITY,
    MIN_CAPACITY,
    PRODUCER_SEQUENCE,
    RELEASED_SEQUENCE,
    SENT_NS,
    TAIL,
    segment_size,
)
from statevec.ipc.ring_repair import Repair, RingError, lock_producer, records_region, repair, unlock_producer
from statevec.ipc.segment import Segment, segment_name


def create_ring(
    name: str, capacity: int, instance_id: int, *, last_sequence: int = 0, group: str | int | None = None
) -> Segment:
    """Make the segment of an empty ring; `name` as in the configuration, `capacity` in bytes, a power of two.

    `last_sequence` is the source's last sequence in the log: a producer that attaches goes on after it.
    """
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY or capacity & (capacity - 1):
        limits = f"min={MIN_CAPACITY} max={MAX_CAPACITY}"
        raise RingError(f"capacity is not a power of two within limits: capacity={capacity} {limits} ring={name!r}")
    segment = Segment.create(
        segment_name(instance_id, f"ring-{name}"),
        segment_layout.RING,
        segment_size(capacity),
        capacity,
        instance_id,
        group=group,
    )
    segment.region.store_i64(APPENDED_SEQUENCE, last_sequence)
    segment.region.store_i64(RELEASED_SEQUENCE, last_sequence)
    segment.publish()
    return segment


def attach_ring(
    name: str, instance_id: int, *, writable: bool = True, owner: int | None = None, populate: bool = True
) -> Segment:
    """Attach to the ring called `name` in the configuration; `RingError` when its size does not fit its capacity.

    `populate` as in `Segment.attach`.
    """
    full_name = segment_name(instance_id, f"ring-{name}")
    segment = Segment.attach(
        full_name, segment_layout.RING, instance_id, writable=writable, owner=owner, populate=populate
    )
    if segment.size != segment_size(segment.capacity) or segment.capacity & (segment.capacity - 1):
        sizes = f"size={segment.size} capacity={segment.capacity}"
        segment.close()
        raise RingError(f"ring's size does not fit its capacity: {sizes} ring={full_name!r}")
    return segment


class Claim:
    """Space in a ring for one message: write it to `buffer`, then `commit()` or `abort()`."""

    __slots__ = ("_body", "_producer", "buffer")

    def __init__(self, producer: RingProducer, body: int, length: int) -> None:
        self._producer = producer
        self._body = body
        start = body + INGRESS_HEADER_SIZE
        self.buffer = producer.view[start : start + length]

    def commit(self, sent_ns: int = 0) -> int:
        """Make the message visible; its producer sequence. `sent_ns` is now when 0."""
        sequence = self._producer.finish(self._open_body(), sent_ns)
        self._end()
        return sequence

    def abort(self) -> None:
        """Give the space up; the consumer passes over it."""
        self._producer.finish(self._open_body())
        self._end()

    def _open_body(self) -> int:
        if self._body < 0:  # the same place may be another claim's by now
            raise RingError(f"claim was committed or aborted already: ring={self._producer.segment.name!r}")
        return self._body

    def _end(self) -> None:
        self._body = -1
        self.buffer.release()


class _End:
    """What both ends of a ring have in common: the segment, the private block, figures and checks."""

    def __init__(self, segment: Segment, size: int, error: str, call: str, *keeps: Region) -> None:
        """`size` of the kernels' private memory; texts for what cannot be and for a wrong call."""
        self.segment = segment
        self.ring = records_region(segment)
        name = segment.name.encode()
        claimed = "a claim is open, commit or abort it first: open=%lld most=%lld"
        texts = [Region.of(text.encode() + b" ring=" + name + b"\0") for text in (error, call, claimed)]
        self._storage = Storage(methods.SIDE + size, (self.ring, RingError, *texts, *keeps))
        self.block = self._storage.region()
        self.private = self.block.slice(methods.SIDE, size)
        self.block.store_i64(methods.RING_ADDRESS, self.ring.address)
        self.block.store_i64(methods.RING_SIZE, self.ring.size)
        self.block.store_i64(methods.ERROR_CLASS, id(RingError))  # in CPython an object's address
        self.block.store_i64(methods.ERROR_TEXT, texts[0].address)
        self.block.store_i64(methods.CALL_TEXT, texts[1].address)
        self.block.store_i64(methods.OPEN_TEXT, texts[2].address)

    def statistics(self) -> dict[str, Any]:
        """Positions and sequences of the ring now."""
        capacity = self.segment.capacity
        # SYNC POINT: pairs with `release_head`, `_advance_tail` and the engine's stores of the two sequences.
        head = load_acquire(self.ring, capacity + HEAD)
        tail = load_acquire(self.ring, capacity + TAIL)
        return {
            **self.segment.statistics(),
            "head": head,
            "tail": tail,
            "used_bytes": max(tail - head, 0),
            "appended_sequence": load_acquire(self.segment.region, APPENDED_SEQUENCE),
            "released_sequence": load_acquire(self.segment.region, RELEASED_SEQUENCE),
        }

    def verify(self) -> None:
        """The slow check (rule 5): `SegmentError` or `RingError` when file, first page, head or tail are not right."""
        self.segment.verify()
        code = check_positions(self.ring, self.segment.capacity)
        if code < 0:
            raise RingError(f"ring is corrupt: ring={self.segment.name!r} code={RING_CODES[code]} {self.statistics()}")

    def close(self) -> None:
        """Give the segment up."""
        self.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RingProducer(_End):
    """The one producer of a ring. Takes the ring's lock and repairs it (rule 3); `repaired` says what was found.

    `last_sequence` is the producer sequence of the last message; it begins with the highest that the log or the ring
    has. Messages get the numbers after it.
    """

    def __init__(self, segment: Segment) -> None:
        lock_producer(segment)
        try:
            self.repaired: Repair = repair(segment)
        except BaseException:
            unlock_producer(segment)
            raise
        error = "message too long: length=%lld max=%lld"
        super().__init__(segment, PRODUCER_SIZE, error, "offer takes a message and a time: given=%lld takes=%lld")
        open_producer(self.ring, self.private, segment.capacity, self.repaired.last_sequence)
        self.max_length = (segment.capacity >> MAX_BODY_SHIFT) - INGRESS_HEADER_SIZE
        self.view = self.ring.view
        self._claim = methods.claim_method.bind(self._storage)
        self.finish: Callable[..., int] = methods.finish_method.bind(self._storage)
        """Behind `Claim`: `finish(body, sent_ns)` commits the record there, `finish(body)` aborts it."""
        self.offer: Callable[..., int] = methods.offer_method.bind(self._storage)
        """`offer(message, sent_ns=0)`: append a copy of `message` (bytes or the like; positional arguments): its
        producer sequence, or BACK_PRESSURED. `sent_ns` is now when 0. Longer than `max_length` is a `RingError`."""

    @classmethod
    def attach(cls, name: str, instance_id: int, *, owner: int | None = None) -> Self:
        """The producer of the ring called `name` in the configuration."""
        segment = attach_ring(name, instance_id, owner=owner)
        try:
            return cls(segment)
        except BaseException:
            segment.close()
            raise

    def try_claim(self, length: int) -> Claim | None:
        """Space for a message of `length` bytes, to be encoded in place; None when there is none (BACK_PRESSURED).

        Longer than `max_length` is a `RingError`.
        """
        body = self._claim(length)
        return Claim(self, body, length) if body >= 0 else None

    def close(self) -> None:
        """Give the segment and the producer's lock up; any later offer is a `RingError`."""
        self.private.store_i64(PRODUCER_CAPACITY, 0)  # every message is too long now, however `offer` was kept
        if self.segment.descriptor >= 0:
            unlock_producer(self.segment)  # the mapping, which may live on, keeps the same open file
        super().close()

    @property
    def last_sequence(self) -> int:
        return self.private.load_i64(PRODUCER_LAST_SEQUENCE)

    @last_sequence.setter
    def last_sequence(self, sequence: int) -> None:
        """Who keeps messages until they are released sets this back to offer them again under their numbers."""
        self.private.store_i64(PRODUCER_LAST_SEQUENCE, sequence)

    @property
    def appended_sequence(self) -> int:
        """Messages up to this one are in the log."""
        return load_acquire(self.segment.region, APPENDED_SEQUENCE)

    @property
    def released_sequence(self) -> int:
        """Messages up to this one may be forgotten."""
        return load_acquire(self.segment.region, RELEASED_SEQUENCE)


class RingConsumer(_End):
    """The one consumer of a ring, for tests and tools: the engine uses the kernels. Goes on at the ring's head."""

    def __init__(self, segment: Segment) -> None:
        self._scratch = Region.allocate(segment.capacity >> MAX_BODY_SHIFT)
        error = "a record's header is nonsense: position=%lld code=%lld"
        call = "poll takes nothing: given=%lld takes=%lld"
        super().__init__(segment, CONSUMER_SIZE, error, call, self._scratch)
        self.block.store_i64(methods.SCRATCH_ADDRESS, self._scratch.address)
        self.block.store_i64(methods.SCRATCH_SIZE, self._scratch.size)
        # SYNC POINT: pairs with `release_head` by the consumer before this one.
        head = load_acquire(self.ring, segment.capacity + HEAD)
        open_consumer(self.ring, self.private, segment.capacity, head)
        self.poll: Callable[[], bytes | None] = methods.poll_method.bind(self._storage)
        """`poll()`: the next message, or None. `RingError` when the producer wrote nonsense."""

    @property
    def sequence(self) -> int:
        """Producer sequence of the message that `poll` returned last."""
        return self._scratch.load_i64(PRODUCER_SEQUENCE)

    @property
    def sent_ns(self) -> int:
        """When that message was sent."""
        return self._scratch.load_i64(SENT_NS)

    @property
    def position(self) -> int:
        """Where that message's record ends in the ring."""
        return self.private.load_i64(CONSUMER_HEAD)
