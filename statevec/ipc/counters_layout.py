"""Layout of a process's counters segment: names, 64-bit counters, latency histograms.

    0      4096 B  segment page (`segment_layout`); capacity = bytes behind it
    4096   int64   number of counters
    4104   int64   number of histograms
    4160   64 B    for each counter and then each histogram: its name, UTF-8, zero-padded
    ...    64 B    for each counter: int64 value, alone on its cache line
    ...    9088 B  for each histogram:
                   0    int64  sum of all values
                   8    int64  highest value
                   128  int64  x 1120 how many values fell into each bucket

A histogram is log-linear like HdrHistogram's: values 0..63 have buckets of their own, then each power of two is
divided into 32, so that a bucket's width is at most 1/32 of its values; the last one takes all that is higher.

The process that made the segment writes, several of its threads if each word has one; everybody reads while it runs.
A crash leaves the last values.
"""

from __future__ import annotations

from statevec.ipc.segment_layout import PAGE_SIZE

COUNTER_COUNT = PAGE_SIZE
HISTOGRAM_COUNT = PAGE_SIZE + 8
NAMES = PAGE_SIZE + 64
NAME_SIZE = 64
COUNTER_SIZE = 64

SUM = 0
HIGHEST = 8
BUCKETS = 128
SUB_BUCKET_BITS = 5
SUB_BUCKETS = 1 << SUB_BUCKET_BITS
HIGHEST_EXPONENT = 38
"""Values up to 2^39 - 1 have buckets: 549 s in nanoseconds."""
BUCKET_COUNT = (HIGHEST_EXPONENT - SUB_BUCKET_BITS + 2) * SUB_BUCKETS
HISTOGRAM_SIZE = BUCKETS + 8 * BUCKET_COUNT

assert BUCKET_COUNT == 1120 and HISTOGRAM_SIZE % 64 == 0
assert (1 << HIGHEST_EXPONENT) > 100 * 10**9


def counter_offset(number: int, counters: int, histograms: int) -> int:
    """Where counter `number` stands in a segment with so many counters and histograms."""
    return NAMES + NAME_SIZE * (counters + histograms) + COUNTER_SIZE * number


def histogram_offset(number: int, counters: int, histograms: int) -> int:
    """Where histogram `number` begins."""
    return counter_offset(counters, counters, histograms) + HISTOGRAM_SIZE * number
