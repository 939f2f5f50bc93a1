"""Time per transaction, taken in processor cycles and told in nanoseconds.

The cycle counter costs a third of the clock. How long a cycle is follows from both, read at the start and at the end.

Private memory: a crash leaves nothing.
"""

from __future__ import annotations

import numpy as np

from statevec.ipc.counters import Histogram, bucket_bounds
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, cycles, monotonic_ns
from statevec.roles.shadow_report import Times


@kernel
def read_cycles() -> int:
    """The cycle counter now."""
    return cycles()


@kernel
def read_monotonic_ns() -> int:
    """The clock now."""
    return monotonic_ns()


class CycleClock:
    """Measures how long a cycle is, from its making on."""

    def __init__(self) -> None:
        self._cycles = read_cycles()
        self._ns = read_monotonic_ns()

    @property
    def ns_per_cycle(self) -> float:
        passed = read_cycles() - self._cycles
        return (read_monotonic_ns() - self._ns) / passed if passed > 0 else 0.0

    def times(self, region: Region, offsets: dict[str, int]) -> dict[str, Times]:
        """The histograms at `offsets`, those that hold anything."""
        scale = self.ns_per_cycle
        read = {name: Histogram.read(region, offset) for name, offset in offsets.items()}
        return {name: _times(each, scale) for name, each in read.items() if each.count}


def _times(histogram: Histogram, scale: float) -> Times:
    figures = {name: round(value * scale, 1) for name, value in histogram.statistics().items() if name != "count"}
    reached = np.cumsum(histogram.counts) / histogram.count
    curve = [
        (round(bucket_bounds(int(bucket))[1] * scale, 1), round(float(reached[bucket]), 6))
        for bucket in np.flatnonzero(histogram.counts)
    ]
    return Times(count=histogram.count, curve=curve, **figures)
