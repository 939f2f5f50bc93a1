"""Counters and histograms, in each form, and as another process sees them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statevec.ipc import counters_kernels as kernels
from statevec.ipc import counters_layout as layout
from statevec.ipc import segment_layout
from statevec.ipc.counters import Histogram, attach_counters, bucket_bounds, create_counters
from statevec.ipc.memory import Region
from statevec.ipc.segment import SegmentError

Form = Callable[[Any], Any]


def test_buckets_follow_each_other_without_gaps(form: Form) -> None:
    bucket_of = form(kernels.bucket_of)
    expected_low = 0
    for bucket in range(layout.BUCKET_COUNT):
        low, high = bucket_bounds(bucket)
        assert low == expected_low
        assert (bucket_of(low), bucket_of(high)) == (bucket, bucket)
        assert (high - low) * 32 <= low
        expected_low = high + 1
    assert expected_low > 100 * 10**9
    assert bucket_of(expected_low) == bucket_of((1 << 63) - 1) == layout.BUCKET_COUNT - 1
    assert bucket_of(-5) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers(0, 10**11), min_size=1))
def test_percentiles_are_within_one_part_in_32(form: Form, values: list[int]) -> None:
    region = Region.allocate(layout.HISTOGRAM_SIZE + 64)
    for value in values:
        form(kernels.record)(region, 64, value)
    histogram = Histogram.read(region, 64)
    assert (histogram.count, histogram.sum, histogram.highest) == (len(values), sum(values), max(values))
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        exact = sorted(values)[max(1, int(np.ceil(fraction * len(values)))) - 1]
        assert exact <= histogram.percentile(fraction) <= exact + exact // 32 + 1
    assert histogram.percentile(1.0) == max(values)


def test_histograms_merge() -> None:
    regions = [Region.allocate(layout.HISTOGRAM_SIZE) for _ in range(2)]
    for value in range(100):
        kernels.record(regions[value % 2], 0, value * 1000)
    merged = Histogram.merge(Histogram.read(region) for region in regions)
    assert merged.statistics()["count"] == 100
    assert merged.mean == 49_500
    assert merged.percentile(0.5) >= 49_000
    assert Histogram.merge([]).statistics() == {
        "count": 0,
        "mean": 0.0,
        "p50": 0,
        "p90": 0,
        "p99": 0,
        "p999": 0,
        "max": 0,
    }
    with pytest.raises(ValueError, match="between 0 and 1"):
        merged.percentile(50)


def test_values_beyond_the_last_bucket_keep_their_highest() -> None:
    region = Region.allocate(layout.HISTOGRAM_SIZE)
    kernels.record(region, 0, 10**15)
    kernels.record(region, 0, -3)
    assert Histogram.read(region).percentile(1.0) == 10**15
    assert Histogram.read(region).sum == 10**15


def test_another_process_reads_them_while_they_are_written(instance_id: int) -> None:
    with create_counters("engine", instance_id, ["entries", "rejected"], ["latency_ns"]) as counters:
        counters.add("entries", 5)
        counters.add("entries")
        counters.set("rejected", 2)
        counters.record("latency_ns", 840)
        source = f"""
from statevec.ipc.counters import attach_counters
counters = attach_counters("engine", {instance_id})
counters.verify()
print(counters.value("entries"), counters.statistics())
"""
        run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
        figures = {"count": 1, "mean": 840.0, "p50": 840, "p90": 840, "p99": 840, "p999": 840, "max": 840}
        assert run.stdout.strip() == f"6 { ({'entries': 6, 'rejected': 2, 'latency_ns': figures}) }"


def test_a_dead_predecessors_segment_is_replaced(instance_id: int) -> None:
    with create_counters("engine", instance_id, ["old"]) as old:
        old.region.store_i64(segment_layout.CREATOR_STARTED_AT, 1)  # the pid belongs to a later process now
    with create_counters("engine", instance_id, ["new"]), pytest.raises(SegmentError, match="exists already"):
        create_counters("engine", instance_id, ["newer"])
    with attach_counters("engine", instance_id) as attached:
        assert attached.snapshot().counters == {"new": 0}


@pytest.mark.parametrize("names", [["a", "a"], [""], ["x" * 65], ["a\0"]])
def test_names_are_checked(instance_id: int, names: list[str]) -> None:
    with pytest.raises(ValueError, match="names must differ"):
        create_counters("engine", instance_id, names)


def test_a_damaged_name_table_is_noticed(instance_id: int) -> None:
    with create_counters("engine", instance_id, ["a"], ["b"]) as counters:
        counters.region.view[layout.NAMES] = 99
        with pytest.raises(SegmentError, match="names changed"):
            counters.verify()
        counters.region.store_i64(layout.COUNTER_COUNT, 10**9)
        with pytest.raises(SegmentError, match="does not fit"):
            attach_counters("engine", instance_id)
