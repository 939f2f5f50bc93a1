"""`Producer`: the way of a process into an instance, through one ring that the configuration names.

    with Producer("instance", "market") as market:
        sequence = market.offer(message)          # ≥ 1, or BACK_PRESSURED: the ring is full, try again
        sequence = market.send(message)           # waits for room instead

Invariants
    One producer per ring: it holds the ring's lock while it is open.
    Producer sequences are dense in the history of a ring: a producer that starts again goes on after the highest
    number that the log or the ring has (protocol rule 3).
    A message may be forgotten when `released_sequence` has reached its number, not before.

The producer writes the ring's records and tail; the engine the head and the two sequences. A producer that dies leaves
at most a claimed record, which the next one turns into padding. A message whose `offer` returned a number is taken
exactly once, whatever dies but the host's memory.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from statevec.engine.config import NAME
from statevec.engine.instance import InstanceError, open_instance
from statevec.ipc.ring import Claim, RingProducer
from statevec.ipc.ring_kernels import BACK_PRESSURED
from statevec.ipc.ring_repair import Repair
from statevec.roles.events import Speaker

__all__ = ["BACK_PRESSURED", "Producer", "ProducerTimeoutError"]

FIRST_PAUSE_SECONDS = 0.000_02
LONGEST_PAUSE_SECONDS = 0.001


class ProducerTimeoutError(Exception):
    """The ring stayed full, or an entry did not come, for longer than the caller would wait."""


class Producer:
    """The one producer of ring `ring` of the instance in directory `instance`.

    Raises `InstanceError`, `SegmentError` (no such ring: no engine made it yet) or `RingError` (it has a producer).
    """

    def __init__(self, instance: str | Path, ring: str) -> None:
        if NAME.fullmatch(ring) is None:
            raise InstanceError(f"not a ring's name: {ring!r} (1 to 31 of a-z, 0-9, - and _)")
        self.instance = open_instance(instance)
        self.name = ring
        self._ring = RingProducer.attach(ring, self.instance.instance_id, owner=self.instance.owner)
        self._offer = self._ring.offer
        if self.repaired.padded_bytes:
            Speaker("producer", self.instance).report(
                "ring_repaired", ring=ring, padded_bytes=self.repaired.padded_bytes, next_sequence=self.next_sequence
            )

    def offer(self, message: Any, sent_ns: int = 0) -> int:
        """Append a copy of `message`, an SBE message with its header (bytes or the like); never waits.

        Returns its producer sequence (≥ 1), or BACK_PRESSURED (negative). `sent_ns` is now when it is 0; a sender with
        a plan gives the planned time. A message that is longer than `max_length` is a `RingError`.
        """
        return self._offer(message, sent_ns)

    def try_claim(self, length: int) -> Claim | None:
        """Space for a message of `length` bytes to encode in place, then `commit()` or `abort()`; None when full."""
        return self._ring.try_claim(length)

    def send(self, message: Any, timeout: float | None = None, sent_ns: int = 0) -> int:
        """As `offer`, but wait for room, at most `timeout` seconds (None: as long as it takes)."""
        sequence = self._offer(message, sent_ns)
        if sequence >= 0:
            return sequence
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE_SECONDS
        while sequence < 0:
            if deadline is not None and time.monotonic() >= deadline:
                raise ProducerTimeoutError(
                    f"ring stayed full: ring={self.name!r} seconds={timeout} appended={self.appended_sequence} "
                    f"last={self.sequence}"
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            sequence = self._offer(message, sent_ns)
        return sequence

    def wait_appended(self, sequence: int, timeout: float) -> None:
        """Wait until the log has the message of that number; `ProducerTimeoutError` after `timeout` seconds."""
        self._wait("appended", sequence, timeout)

    def wait_released(self, sequence: int, timeout: float) -> None:
        """Wait until the entry of that number is released; `ProducerTimeoutError` after `timeout` seconds."""
        self._wait("released", sequence, timeout)

    def _wait(self, what: str, sequence: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        pause = FIRST_PAUSE_SECONDS
        while (reached := getattr(self._ring, f"{what}_sequence")) < sequence:
            if time.monotonic() >= deadline:
                raise ProducerTimeoutError(
                    f"message was not {what}: ring={self.name!r} sequence={sequence} {what}={reached} seconds={timeout}"
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @property
    def sequence(self) -> int:
        """The number of the last message, 0 before the first."""
        return self._ring.last_sequence

    @property
    def next_sequence(self) -> int:
        """The number that the next message will get."""
        return self._ring.last_sequence + 1

    @property
    def appended_sequence(self) -> int:
        """Messages up to this number are in the log."""
        return self._ring.appended_sequence

    @property
    def released_sequence(self) -> int:
        """Entries of messages up to this number are released: the messages may be forgotten."""
        return self._ring.released_sequence

    @property
    def repaired(self) -> Repair:
        """What was found in the ring when it was taken."""
        return self._ring.repaired

    @property
    def max_length(self) -> int:
        """The longest message that the ring takes, in bytes."""
        return self._ring.max_length

    def statistics(self) -> dict[str, Any]:
        """Positions and sequences of the ring now."""
        return self._ring.statistics()

    def close(self) -> None:
        """Give the ring up; another producer may take it."""
        self._ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
