"""The kernels that look at a log's entries: what they count, compiled and plain, and what they refuse to believe."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from statevec.ipc.counters import Histogram
from statevec.ipc.kernel import plain
from statevec.ipc.log_kernels import CORRUPT_ENTRY, LAPPED
from statevec.ipc.log_layout import DATA, MAX_BATCH_BYTES, UNIT
from statevec.ipc.memory import Region
from statevec.journal.entry_layout import LENGTH, TIMER
from statevec.roles import live_kernels
from statevec.roles.live_kernels import (
    ENTRIES,
    LATENCY,
    MAX_OUTCOMES,
    NEXT,
    OTHER_OUTCOMES,
    OUTCOME_COUNT,
    OUTCOMES,
    UNSEEN,
    WATCH_SIZE,
)
from tests.journal.entry_maker import EntryMaker
from tests.journal.private_log import PrivateLog

CAPACITY = 4 << 20
FORMS: list[Callable[[Any], Any]] = [lambda kernel: kernel, plain]


@pytest.fixture(params=FORMS, ids=["compiled", "plain"])
def watch_unit(request: pytest.FixtureRequest) -> Any:
    return request.param(live_kernels.watch_unit)


def outcomes(watch: Region) -> dict[int, int]:
    slots = [OUTCOMES + 16 * number for number in range(watch.load_i64(OUTCOME_COUNT))]
    return {watch.load_i64(slot): watch.load_i64(slot + 8) for slot in slots}


def test_all_entries_of_a_log_are_counted_by_outcome_and_time(watch_unit: Any) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    source = random.Random(seed)
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    expected: Counter[int] = Counter()
    late = []
    for _ in range(3_000):
        outcome, late_ns = source.choice([0, 0, 0, 1, 7, -3, -1_004]), source.randrange(1 << 30)
        kind = {"kind": TIMER} if source.random() < 0.1 else {}
        times = {"sent_ns": 10**18, "timestamp_ns": 10**18 + late_ns}
        log.append(maker.entry(source.randbytes(source.randrange(900)), outcome=outcome, **times, **kind))
        expected[outcome] += 1
        late += [] if kind else [late_ns]
    watch, scratch = Region.allocate(WATCH_SIZE), Region.allocate(WATCH_SIZE)
    while watch.load_i64(NEXT) < log.appended:
        assert watch_unit(log.region, watch, scratch, CAPACITY, UNIT, log.appended) == watch.load_i64(NEXT)
    assert watch.load_i64(ENTRIES) == 3_000
    assert watch.load_i64(UNSEEN) == 0
    assert outcomes(watch) == expected
    histogram = Histogram.read(watch, LATENCY)
    assert (histogram.count, histogram.sum, histogram.highest) == (len(late), sum(late), max(late))


def test_entries_that_were_passed_over_are_unseen(watch_unit: Any) -> None:
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    for _ in range(10):
        log.append(maker.entry(b"x"))
    watch, scratch = Region.allocate(WATCH_SIZE), Region.allocate(WATCH_SIZE)
    watch_unit(log.region, watch, scratch, CAPACITY, UNIT, maker.positions[2])
    watch.store_i64(NEXT, maker.positions[7])
    watch_unit(log.region, watch, scratch, CAPACITY, UNIT, log.appended)
    assert (watch.load_i64(ENTRIES), watch.load_i64(UNSEEN)) == (5, 5)


def test_outcomes_beyond_the_table_are_counted_together(watch_unit: Any) -> None:
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    for outcome in range(MAX_OUTCOMES + 3):
        log.append(maker.entry(b"", outcome=outcome))
    watch, scratch = Region.allocate(WATCH_SIZE), Region.allocate(WATCH_SIZE)
    watch_unit(log.region, watch, scratch, CAPACITY, UNIT, log.appended)
    assert (watch.load_i64(OUTCOME_COUNT), watch.load_i64(OTHER_OUTCOMES)) == (MAX_OUTCOMES, 3)


@pytest.mark.parametrize("length", [0, 4, 120, 132, 1 << 20, -8])
def test_a_length_that_cannot_be_is_not_followed(watch_unit: Any, length: int) -> None:
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    for _ in range(3):
        log.append(maker.entry(b"x"))
    log.region.store_i32(DATA + maker.positions[1] + LENGTH, length)
    watch, scratch = Region.allocate(WATCH_SIZE), Region.allocate(WATCH_SIZE)
    assert watch_unit(log.region, watch, scratch, CAPACITY, UNIT, log.appended) == CORRUPT_ENTRY
    assert (watch.load_i64(NEXT), watch.load_i64(ENTRIES)) == (0, 0)


def test_what_the_writer_may_have_overwritten_does_not_count(watch_unit: Any) -> None:
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    log.append(maker.entry(b"x"))
    end = log.appended
    while log.appended <= CAPACITY - MAX_BATCH_BYTES:
        log.append(maker.entry(bytes(60_000)))
    watch, scratch = Region.allocate(WATCH_SIZE), Region.allocate(WATCH_SIZE)
    assert watch_unit(log.region, watch, scratch, CAPACITY, UNIT, end) == LAPPED
    assert watch.load_i64(ENTRIES) == 0


@pytest.mark.parametrize("form", FORMS, ids=["compiled", "plain"])
def test_a_sequence_is_found_at_a_position_or_behind_padding(form: Callable[[Any], Any]) -> None:
    sequence_at = form(live_kernels.sequence_at)
    maker, log = EntryMaker(unit=UNIT), PrivateLog(CAPACITY)
    for _ in range(30):
        log.append(maker.entry(bytes(100_000)))
    for sequence, position in enumerate(maker.positions, 1):
        assert sequence_at(log.region, CAPACITY, UNIT, position) == sequence
    before_padding = maker.positions[9] + maker.positions[1]
    assert maker.positions[10] == UNIT > before_padding
    assert sequence_at(log.region, CAPACITY, UNIT, before_padding) == 11
    assert sequence_at(log.region, CAPACITY, UNIT, CAPACITY - 8) == LAPPED
