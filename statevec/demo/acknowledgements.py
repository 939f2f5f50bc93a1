"""How the venue's answers come back: late, doubled, or lost at first and sent again, by seeded chance.

A lost answer is sent again after `retry_ns`, as a venue does that sees no receipt; so every answer arrives at least
once, and answers overtake each other. The engine's plugin has to cope with all of it.

Invariant: `pending` counts the answers that have not left yet; an answer leaves once, or twice when doubled.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from statevec.demo.exchange import Report


@dataclass(frozen=True)
class Mischief:
    """What may happen to an answer: delays in nanoseconds, chances between 0 and 1."""

    delay_ns_max: int = 2_000_000
    drop: float = 0.02
    double: float = 0.02
    retry_ns: int = 50_000_000


class Acknowledgements:
    """A queue of answers ordered by when they leave; ties leave in the order they came."""

    def __init__(self, mischief: Mischief, seed: int) -> None:
        self.mischief = mischief
        self.dropped = 0
        self.doubled = 0
        self._chance = random.Random(f"acknowledgements {seed}")
        self._number = 0
        self._queue: list[tuple[int, int, Report]] = []

    @property
    def pending(self) -> int:
        return len(self._queue)

    def put(self, report: Report, now_ns: int) -> None:
        """Take one answer that the venue gives at `now_ns`."""
        mischief = self.mischief
        due_ns = now_ns + self._chance.randint(0, mischief.delay_ns_max)
        if self._chance.random() < mischief.drop:
            self.dropped += 1
            due_ns += mischief.retry_ns
        self._push(due_ns, report)
        if self._chance.random() < mischief.double:
            self.doubled += 1
            self._push(due_ns + self._chance.randint(0, mischief.delay_ns_max), report)

    def due(self, now_ns: int) -> list[Report]:
        """Take out the answers that leave at or before `now_ns`, in order."""
        leaving = []
        while self._queue and self._queue[0][0] <= now_ns:
            leaving.append(heapq.heappop(self._queue)[2])
        return leaving

    def _push(self, due_ns: int, report: Report) -> None:
        self._number += 1
        heapq.heappush(self._queue, (due_ns, self._number, report))
