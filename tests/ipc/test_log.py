"""The log as its writer and Python readers use it, in each form where kernels do the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from statevec.ipc import log_kernels as kernels
from statevec.ipc import log_layout as layout
from statevec.ipc.log import (
    LappedError,
    LogError,
    LogReader,
    attach_log,
    create_log,
    log_statistics,
    released_position,
    verify_log,
)
from statevec.ipc.memory import Region
from statevec.ipc.python_call import store_release
from statevec.ipc.segment import Segment, SegmentError

CAPACITY = 4 << 20
START = CAPACITY - 4096
Form = Callable[[Any], Any]


class Writer:
    """Writes entries of {length, kind, number} to a log."""

    def __init__(self, segment: Segment, form: Form = lambda kernel: kernel) -> None:
        self.log = segment.region
        self.form = form
        self.position = segment.region.load_i64(layout.APPENDED)
        self.count = 0

    def write(self, size: int) -> None:
        place = self.form(kernels.start_entry)(self.log, CAPACITY, layout.UNIT, self.position, size)
        offset = self.form(kernels.entry_offset)(CAPACITY, place)
        self.log.store_i64(offset, size | 1 << 32)
        self.log.store_i64(offset + 8, self.count)
        self.count += 1
        self.position = place + size

    def publish(self, release: bool = True) -> None:
        self.form(kernels.publish)(self.log, self.position, release)


def numbers(reader: LogReader) -> list[int]:
    found = []
    while (entry := reader.poll()) is not None:
        found.append(int.from_bytes(entry[8:16], "little"))
    return found


@pytest.fixture
def log(instance_id: int) -> Segment:
    return create_log(instance_id, CAPACITY, released_by="leader", position=START)


def test_a_reader_gets_each_entry_once_and_whole(log: Segment, form: Form) -> None:
    writer = Writer(log, form)
    reader = LogReader(attach_log(log.instance_id), START)
    assert reader.poll() is None
    for _ in range(600):
        writer.write(8 * (2 + writer.count * 37 % 3000))
        if writer.count % 5 == 0:
            writer.publish()
            assert numbers(reader) == list(range(writer.count - 5, writer.count))
    assert reader.position == released_position(log) == writer.position > CAPACITY + START
    verify_log(log)


def test_entries_do_not_cross_a_unit(log: Segment) -> None:
    writer = Writer(log)
    reader = LogReader(log, START)
    for _ in range(3):
        writer.write(3000)
    writer.publish()
    positions = []
    while reader.poll() is not None:
        positions.append(reader.entry_position)
    assert positions == [START, CAPACITY, CAPACITY + 3000]


def test_a_reader_of_released_entries_waits_for_the_journaler(instance_id: int) -> None:
    log = create_log(instance_id, CAPACITY, released_by="journaler")
    writer = Writer(log)
    released, appended = LogReader(log, 0), LogReader(log, 0, "appended")
    writer.write(64)
    writer.write(64)
    writer.publish(release=False)
    assert (numbers(released), numbers(appended)) == ([], [0, 1])
    store_release(log.region, layout.RELEASED_BY_JOURNALER, 64)
    assert numbers(released) == [0]


def test_rule_8_a_lapped_reader_gets_a_named_error(log: Segment) -> None:
    writer = Writer(log)
    reader = LogReader(log, START)
    while writer.position - START <= CAPACITY - layout.MAX_BATCH_BYTES:
        writer.write(200_000)
        writer.publish()
    with pytest.raises(LappedError, match=f"position={START}"):
        reader.poll()
    with pytest.raises(LappedError):
        LogReader(log, 64).poll()  # this segment never held it


@pytest.mark.parametrize("word", [0, 7 | 1 << 32, 12 | 1 << 32, (1 << 21) | 1 << 32, -8, 128 | 1 << 32, 72 | -1 << 32])
def test_what_cannot_be_an_entry_is_not_read_as_one(log: Segment, word: int) -> None:
    writer = Writer(log)
    writer.write(64)
    writer.publish()
    log.region.store_i64(kernels.entry_offset(CAPACITY, START), word)
    with pytest.raises(LogError, match=f"no entry stands where one must: position={START}"):
        LogReader(log, START).poll()


@pytest.mark.parametrize("flushed_at", [layout.DURABLE, layout.WRITTEN])
def test_rule_7_full_means_that_a_batch_could_overwrite_what_is_not_flushed(form: Form, flushed_at: int) -> None:
    control = Region.allocate(layout.DATA)
    is_full = form(kernels.is_full)
    limit = CAPACITY - layout.MAX_BATCH_BYTES
    assert not is_full(control, CAPACITY, limit, flushed_at)
    assert is_full(control, CAPACITY, limit + 8, flushed_at)
    control.store_i64(flushed_at, 8)
    assert not is_full(control, CAPACITY, limit + 8, flushed_at)


def test_the_control_page_is_checked(log: Segment, instance_id: int) -> None:
    assert log_statistics(log)["first_position"] == START
    log.region.store_i64(layout.WRITTEN, START + 8)
    with pytest.raises(LogError, match="out of order"):
        verify_log(log)
    log.region.store_i64(layout.WRITTEN, START)
    log.region.store_i64(layout.RELEASED_AT, 16)
    with pytest.raises(LogError, match="who releases: offset=16"):
        attach_log(instance_id)
    log.region.store_i64(24, CAPACITY // 2)
    with pytest.raises(SegmentError, match="does not fit its capacity"):
        attach_log(instance_id)


@pytest.mark.parametrize(("capacity", "position"), [(3 << 20, 0), (1 << 20, 0), (CAPACITY, 4), (CAPACITY, -8)])
def test_capacity_and_position_are_checked(instance_id: int, capacity: int, position: int) -> None:
    with pytest.raises(LogError, match="must be"):
        create_log(instance_id, capacity, released_by="leader", position=position)
