"""When each tick is due: at a rate, at the speed it was recorded, or all at once.

A plan is made once, before anything starts, from a start time that all processes of a demonstration share
(CLOCK_MONOTONIC, which is one clock for the whole host). So the venue's market, the desk and the feed keep step without
talking to each other, and a late tick does not delay the ones behind it (open loop).
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right

from statevec.demo.ticks import SECOND_NS, Ticks

SLEEP_SECONDS_MAX = 0.05


class Pace:
    """The planned time of every tick, nanoseconds of CLOCK_MONOTONIC, never going back."""

    def __init__(self, planned_ns: array[int], start_ns: int) -> None:
        self.planned_ns = planned_ns
        self.start_ns = start_ns

    @classmethod
    def at_rate(cls, ticks: Ticks, start_ns: int, ticks_per_second: float) -> Pace:
        """Evenly, so many ticks each second, whatever their recorded times."""
        planned = (start_ns + round(index * SECOND_NS / ticks_per_second) for index in range(len(ticks)))
        return cls(array("q", planned), start_ns)

    @classmethod
    def as_recorded(cls, ticks: Ticks, start_ns: int, speed: float) -> Pace:
        """With the gaps they were recorded with, `speed` times as fast."""
        first_ns = ticks.times_ns[0]
        planned = (start_ns + round((time_ns - first_ns) / speed) for time_ns in ticks.times_ns)
        return cls(array("q", planned), start_ns)

    @classmethod
    def flat_out(cls, ticks: Ticks, start_ns: int) -> Pace:
        """All of them at once, as fast as the ring takes them."""
        return cls(array("q", [start_ns]) * len(ticks), start_ns)

    @property
    def end_ns(self) -> int:
        """When the last tick is due."""
        return self.planned_ns[-1]

    def count_due(self, now_ns: int) -> int:
        """How many ticks are due at that time."""
        return bisect_right(self.planned_ns, now_ns)


def wait_until(planned_ns: int) -> None:
    """Sleep until that time of CLOCK_MONOTONIC."""
    while (left_ns := planned_ns - time.monotonic_ns()) > 0:
        time.sleep(min(left_ns / SECOND_NS, SLEEP_SECONDS_MAX))
