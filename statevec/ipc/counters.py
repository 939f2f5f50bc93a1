"""Counters and latency histograms of a process, for itself and for whoever wants to look while it runs.

    counters = create_counters("engine", instance_id, ["entries"], ["offer_to_release_ns"])
    kernel:  add(region, counters.offset("entries"), 1); record(region, counters.offset("offer_to_release_ns"), 840)
    anyone:  attach_counters("engine", instance_id).snapshot()

Invariants
    Names and their order never change once the segment is there.
    A percentile is the upper end of its bucket (never less than what was measured, at most 1/32 more) or the highest
    value if that is lower.

Layout: `counters_layout`. A crash leaves the last values; `clean` removes the segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from statevec.ipc import counters_layout as layout
from statevec.ipc import segment_layout
from statevec.ipc.counters_kernels import add, copy_words, record
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.segment import SHARED_MEMORY, Segment, SegmentError, remove_dead, segment_name

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Lowest and highest value of a bucket (of the last one: as if it had the width of its neighbour)."""
    if bucket < 2 * layout.SUB_BUCKETS:
        return bucket, bucket
    shift = (bucket >> layout.SUB_BUCKET_BITS) - 1
    low = (layout.SUB_BUCKETS + (bucket & (layout.SUB_BUCKETS - 1))) << shift
    return low, low + (1 << shift) - 1


@dataclass(frozen=True)
class Histogram:
    """What a histogram held at one moment. `counts[b]` values fell into bucket b."""

    counts: np.ndarray[Any, np.dtype[np.int64]]
    sum: int
    highest: int

    @classmethod
    def read(cls, region: Region, offset: int = 0) -> Histogram:
        """Copy the histogram at `offset`, perhaps while its owner records."""
        words = Region.allocate(layout.HISTOGRAM_SIZE)
        copy_words(words, region, offset, layout.HISTOGRAM_SIZE // 8)
        counts = np.frombuffer(words.view, np.int64)[layout.BUCKETS // 8 :].copy()
        return cls(counts, words.load_i64(layout.SUM), words.load_i64(layout.HIGHEST))

    @classmethod
    def merge(cls, histograms: Iterable[Histogram]) -> Histogram:
        """All values of several histograms in one."""
        counts = np.zeros(layout.BUCKET_COUNT, np.int64)
        total = highest = 0
        for each in histograms:
            counts += each.counts
            total += each.sum
            highest = max(highest, each.highest)
        return cls(counts, total, highest)

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Of the values themselves, not of buckets; 0 when there are none."""
        return self.sum / self.count if self.count else 0.0

    def percentile(self, fraction: float) -> int:
        """The least value that `fraction` (0 .. 1) of the values do not exceed, within a bucket; 0 when empty."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"a fraction is between 0 and 1: {fraction}")
        reached = np.cumsum(self.counts)
        if reached[-1] == 0:
            return 0
        wanted = max(1, int(np.ceil(fraction * int(reached[-1]))))
        bucket = int(np.searchsorted(reached, wanted))
        if bucket == layout.BUCKET_COUNT - 1:
            return self.highest
        return min(bucket_bounds(bucket)[1], self.highest)

    def statistics(self) -> dict[str, int | float]:
        """Count, mean, percentiles and the highest value."""
        ranks = {name: self.percentile(fraction) for name, fraction in PERCENTILES.items()}
        return {"count": self.count, "mean": self.mean, **ranks, "max": self.highest}


@dataclass(frozen=True)
class CountersSnapshot:
    """All counters and histograms of a process at about one moment."""

    counters: dict[str, int]
    histograms: dict[str, Histogram]


class Counters:
    """A counters segment by names. Kernels take `region` and `offset(name)`."""

    def __init__(self, segment: Segment, counters: Sequence[str], histograms: Sequence[str]) -> None:
        self.segment = segment
        self.region = segment.region
        sizes = (len(counters), len(histograms))
        self._counters = {name: layout.counter_offset(number, *sizes) for number, name in enumerate(counters)}
        self._histograms = {name: layout.histogram_offset(number, *sizes) for number, name in enumerate(histograms)}

    def offset(self, name: str) -> int:
        """Where the counter or histogram of that name stands in `region`."""
        return self._counters[name] if name in self._counters else self._histograms[name]

    def add(self, name: str, delta: int = 1) -> None:
        """Add to a counter; only its one writing thread may."""
        add(self.region, self._counters[name], delta)

    def set(self, name: str, value: int) -> None:
        """Set a counter; only its one writing thread may."""
        # SYNC POINT: pairs with the loads in `copy_words` and `value`.
        store_release(self.region, self._counters[name], value)

    def value(self, name: str) -> int:
        """A counter now."""
        # SYNC POINT: pairs with the stores in `add` and `set`.
        return load_acquire(self.region, self._counters[name])

    def record(self, name: str, value: int) -> None:
        """Count a value in a histogram; only its one writing thread may."""
        record(self.region, self._histograms[name], value)

    def snapshot(self) -> CountersSnapshot:
        """Everything now."""
        return CountersSnapshot(
            {name: self.value(name) for name in self._counters},
            {name: Histogram.read(self.region, offset) for name, offset in self._histograms.items()},
        )

    def statistics(self) -> dict[str, Any]:
        """Counters and the figures of histograms, for people and programs."""
        now = self.snapshot()
        return {**now.counters, **{name: each.statistics() for name, each in now.histograms.items()}}

    def verify(self) -> None:
        """`SegmentError` when the segment or its name table are not what they were when it was mapped."""
        self.segment.verify()
        if _read_names(self.segment) != (list(self._counters), list(self._histograms)):
            raise SegmentError(f"counters' names changed: segment={self.segment.name!r}")

    def close(self) -> None:
        """Give the segment up; another process may still read it."""
        self.segment.close()
        self.region = Region(0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def create_counters(
    role: str,
    instance_id: int,
    counters: Sequence[str],
    histograms: Sequence[str] = (),
    *,
    group: str | int | None = None,
    replace: bool = False,
) -> Counters:
    """Make the counters segment of a process in that role, all zero, in place of what a dead one left.

    `replace` does so even if the one that left it still lives: it has given the role up (a leader: its lock).
    """
    names = [*counters, *histograms]
    wrong = [name for name in names if not name or len(name.encode()) > layout.NAME_SIZE or "\0" in name]
    if wrong or len(set(names)) != len(names):
        raise ValueError(f"names must differ and have 1 to {layout.NAME_SIZE} bytes: wrong={wrong} names={names}")
    size = layout.histogram_offset(len(histograms), len(counters), len(histograms))
    name = segment_name(instance_id, f"counters-{role}")
    capacity = size - segment_layout.PAGE_SIZE
    if replace:
        (SHARED_MEMORY / name[1:]).unlink(missing_ok=True)
    remove_dead(name)
    segment = Segment.create(name, segment_layout.COUNTERS, size, capacity, instance_id, group=group)
    segment.region.store_i64(layout.COUNTER_COUNT, len(counters))
    segment.region.store_i64(layout.HISTOGRAM_COUNT, len(histograms))
    for number, each in enumerate(names):
        start = layout.NAMES + layout.NAME_SIZE * number
        segment.region.view[start : start + layout.NAME_SIZE] = each.encode().ljust(layout.NAME_SIZE, b"\0")
    segment.publish()
    return Counters(segment, counters, histograms)


def _read_names(segment: Segment) -> tuple[list[str], list[str]]:
    region = segment.region
    counters = region.load_i64(layout.COUNTER_COUNT)
    histograms = region.load_i64(layout.HISTOGRAM_COUNT)
    least = min(counters, histograms)
    if least < 0 or layout.histogram_offset(histograms, counters, histograms) != segment.size:
        counts = f"counters={counters} histograms={histograms} size={segment.size}"
        raise SegmentError(f"counters segment's size does not fit: {counts} segment={segment.name!r}")
    raw = [
        bytes(region.view[start : start + layout.NAME_SIZE])
        for start in range(layout.NAMES, layout.NAMES + layout.NAME_SIZE * (counters + histograms), layout.NAME_SIZE)
    ]
    names = [each.rstrip(b"\0").decode() for each in raw]
    return names[:counters], names[counters:]


def attach_counters(role: str, instance_id: int, *, owner: int | None = None) -> Counters:
    """Attach to the counters of a process in that role, to read."""
    name = segment_name(instance_id, f"counters-{role}")
    segment = Segment.attach(name, segment_layout.COUNTERS, instance_id, writable=False, owner=owner)
    try:
        return Counters(segment, *_read_names(segment))
    except BaseException:
        segment.close()
        raise
