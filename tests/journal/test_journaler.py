"""The journaler copies, syncs, publishes; and halts for good when the disk fails."""

from __future__ import annotations

import errno
import os
import random
import threading

import pytest

from statevec.ipc import log_layout
from statevec.ipc.kernel import plain
from statevec.journal import disk, journaler_kernels, segment_keeper
from statevec.journal import journaler as journaler_module
from statevec.journal import journaler_layout as layout
from statevec.journal.errors import JournalError, JournalHaltedError
from statevec.journal.journaler import Journaler
from statevec.journal.segments import create_segment, list_segments
from tests.journal.private_log import PrivateLog, wait_until

UNIT = 1 << 12
CAPACITY = 2 * log_layout.MAX_BATCH_BYTES
SEGMENT_SIZE = 1 << 16


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "journal"


def make_journaler(directory, log, durability="disk", **options):
    return Journaler(
        directory, log.region, durability, **{"segment_size": SEGMENT_SIZE, "unit": UNIT, "idle_ns": 10_000} | options
    )


def content_of(directory, start, end):
    whole = b"".join(segment.path.read_bytes() for segment in list_segments(directory, UNIT))
    first = list_segments(directory, UNIT)[0].first
    return whole[start - first : end - first]


@pytest.mark.parametrize("durability", ["disk", "memory"])
@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_what_was_appended_lies_at_its_position_and_is_durable_after_stop(directory, durability, form, monkeypatch):
    if form == "plain":
        monkeypatch.setattr(journaler_module, "journal_loop", plain(journaler_kernels.journal_loop))
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    source = random.Random(seed)
    log = PrivateLog(CAPACITY)
    journaler = make_journaler(directory, log, durability)
    journaler.start()
    expected = b""
    while len(expected) < 3 * SEGMENT_SIZE + 2 * CAPACITY:  # over several segments, and the log wraps
        piece = source.randbytes(source.randrange(8, SEGMENT_SIZE, 8))
        wait_until(lambda: log.appended - log.load(log_layout.WRITTEN) + SEGMENT_SIZE < CAPACITY, "space in the log")
        log.append(piece)
        expected += piece
        if source.random() < 0.5:
            journaler.prepare()
    journaler.stop()
    assert content_of(directory, 0, len(expected)) == expected
    assert log.load(log_layout.WRITTEN) == log.load(log_layout.DURABLE) == len(expected)
    released = log.load(log_layout.RELEASED_BY_JOURNALER)
    assert released == (len(expected) if durability == "disk" else 0)
    assert not any(content_of(directory, len(expected), 1 << 40)), "zeros follow"
    statistics = journaler.statistics()
    assert statistics["bytes_written"] == len(expected)
    assert statistics["syncs"] >= (1 if durability == "memory" else len(expected) // SEGMENT_SIZE)


@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_a_large_backlog_is_published_up_to_ends_of_units(directory, form):
    """Readers take written, durable and released as limits, so these must be ends of entries; none crosses a unit."""
    step = journaler_kernels.journal_step if form == "compiled" else plain(journaler_kernels.journal_step)
    log = PrivateLog(16 << 20)
    first, appended = 1_000, layout.MAX_SYNC_BYTES + 3 * log_layout.UNIT + 808
    log.append(bytes(first))
    journaler = make_journaler(directory, log, segment_size=16 << 20, unit=log_layout.UNIT)
    block = journaler._block
    ends = [step(log.region, block, first)]
    log.append(bytes(appended - first))
    while log.load(log_layout.WRITTEN) < appended:
        assert step(log.region, block, appended) > 0
        ends.append(log.load(log_layout.RELEASED_BY_JOURNALER))
    journaler.stop()
    assert ends == [first, layout.MAX_SYNC_BYTES, appended]


def test_a_new_journaler_writes_again_from_durable_to_appended(directory):
    """Rule 11: what the one before wrote without a sync cannot be trusted."""
    log = PrivateLog(CAPACITY)
    first = make_journaler(directory, log)
    first.start()
    log.append(b"A" * 8_192)
    first.stop()
    log.append(b"B" * 8_192)
    segment = list_segments(directory, UNIT)[0]
    torn = bytearray(segment.path.read_bytes())
    torn[8_192:12_288] = b"x" * 4_096
    segment.path.write_bytes(torn)
    log.region.store_i64(log_layout.WRITTEN, 12_288)
    second = make_journaler(directory, log)
    second.start()
    second.stop()
    assert content_of(directory, 0, 16_384) == b"A" * 8_192 + b"B" * 8_192
    assert log.load(log_layout.DURABLE) == 16_384


def test_in_memory_mode_a_new_journaler_writes_again_what_the_log_still_holds(directory):
    """Rule 11, where durable may lie further back than the log reaches."""
    log = PrivateLog(CAPACITY)
    first = make_journaler(directory, log, "memory", segment_size=4 * CAPACITY)
    first.start()
    for letter in (b"A", b"B"):
        log.append(letter * CAPACITY)
        wait_until(lambda: log.load(log_layout.WRITTEN) == log.appended, "written")
    assert log.load(log_layout.DURABLE) == 0
    first.stop()
    log.region.store_i64(log_layout.DURABLE, 0)  # as if it had died without a sync
    second = make_journaler(directory, log, "memory", segment_size=4 * CAPACITY)
    second.start()
    wait_until(lambda: second.statistics()["bytes_written"] > 0, "written again")
    second.stop()
    assert second.statistics()["bytes_written"] == CAPACITY - log_layout.MAX_BATCH_BYTES
    assert content_of(directory, 0, 2 * CAPACITY) == b"A" * CAPACITY + b"B" * CAPACITY
    assert log.load(log_layout.DURABLE) == 2 * CAPACITY


def break_file(journaler, path):
    """Let the journaler's open segment be another file, without its noticing."""
    file = os.open(path, os.O_RDWR)
    os.dup2(file, journaler._block.load_i64(layout.CURRENT_FILE))
    os.close(file)


@pytest.mark.parametrize(
    ("path", "operation", "number"),
    [("/dev/full", "pwrite", errno.ENOSPC), ("/dev/null", "fdatasync", errno.EINVAL)],
    ids=["disk full", "fdatasync fails"],
)
def test_a_disk_error_halts_for_good_and_leaves_the_mark(directory, path, operation, number):
    """Rule 11: nothing unsafe is released, the halt mark says why, nothing is retried."""
    log = PrivateLog(CAPACITY)
    journaler = make_journaler(directory, log)
    journaler.start()
    log.append(b"A" * 4_096)
    wait_until(lambda: log.load(log_layout.DURABLE) == 4_096, "durable")
    break_file(journaler, path)
    log.append(b"B" * 4_096)
    wait_until(lambda: not journaler.running, "halted")
    assert log.load(log_layout.HALTED) == 1
    assert log.load(log_layout.DURABLE) == log.load(log_layout.RELEASED_BY_JOURNALER) == 4_096
    with pytest.raises(JournalHaltedError) as caught:
        journaler.stop()
    assert (caught.value.operation, caught.value.errno) == (operation, number)
    mark = (directory.parent / "halt").read_text()
    assert operation in mark
    assert errno.errorcode[number] in mark
    assert "position=" in mark
    assert str(list_segments(directory, UNIT)[0].path) in mark


def test_no_space_for_the_next_segment_halts_when_it_is_needed(directory, monkeypatch):
    log = PrivateLog(CAPACITY)
    journaler = make_journaler(directory, log)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segment_keeper, "create_segment", full)
    with pytest.raises(OSError, match="No space"):
        journaler.prepare()
    journaler.start()
    wait_until(lambda: journaler.prepare_problem is not None, "the keeper tried as well")
    assert log.load(log_layout.HALTED) == 0, "not needed yet"
    log.append(b"A" * (SEGMENT_SIZE + 8))
    wait_until(lambda: not journaler.running, "halted")
    assert log.load(log_layout.DURABLE) == SEGMENT_SIZE
    with pytest.raises(JournalHaltedError, match="preparing a segment failed: ENOSPC"):
        journaler.stop()


def test_an_existing_halt_mark_keeps_its_first_reason(directory):
    mark = directory.parent / "halt"
    mark.write_text("the first reason\n")
    log = PrivateLog(CAPACITY)
    journaler = make_journaler(directory, log)
    break_file(journaler, "/dev/full")
    journaler.start()
    log.append(b"A" * 8)
    wait_until(lambda: not journaler.running, "halted")
    with pytest.raises(JournalHaltedError):
        journaler.stop()
    assert mark.read_text() == "the first reason\n"


def test_short_and_interrupted_writes_are_continued(directory):
    """The kernel goes on where a write stopped, and repeats one that a signal interrupted."""
    kernel = plain(journaler_kernels.write_range)
    taken = []

    def short(file, source, offset, size, position):
        if len(taken) == 1:
            taken.append(None)
            return journaler_kernels.INTERRUPTED
        size = min(size, 1_000)
        taken.append((position, bytes(source.view[offset : offset + size])))
        return size

    kernel.__globals__["pwrite"] = short
    log = PrivateLog(CAPACITY, position=CAPACITY - UNIT)
    journaler = make_journaler(directory, log)
    log.append(bytes(range(250)) * 20)  # over the log's end
    assert kernel(log.region, journaler._block, log.appended) == 0
    pieces = [piece for piece in taken if piece]
    assert b"".join(content for _, content in pieces) == bytes(range(250)) * 20
    assert [len(content) for _, content in pieces] == [1_000, 1_000, 1_000, 1_000, 96, 904]
    assert [position for position, _ in pieces] == [0, 1_000, 2_000, 3_000, 4_000, 4_096]
    journaler.stop()


def test_the_threads_stay_on_the_cores_they_are_given(directory):
    journaler = make_journaler(directory, PrivateLog(CAPACITY))
    journaler.start()
    core = min(os.sched_getaffinity(0))
    journaler.pin_to({core})
    threads = {thread.name: thread.native_id for thread in threading.enumerate()}
    for name in ("journaler", "segment-keeper"):
        assert os.sched_getaffinity(threads[name]) == {core}
    journaler.stop()


def test_a_journal_that_does_not_reach_the_log_is_refused(directory):
    directory.mkdir()
    create_segment(directory, 0, SEGMENT_SIZE, unit=UNIT)
    with pytest.raises(JournalError, match="does not reach"):
        make_journaler(directory, PrivateLog(CAPACITY, position=2 * SEGMENT_SIZE))


def test_names_that_a_dead_process_gave_are_durable_before_anything_is_written(directory, monkeypatch):
    """Rule 11: between rename and fsync of the directory; bytes that are synced later would be in no file."""
    directory.mkdir()
    create_segment(directory, 0, UNIT, unit=UNIT)
    synced = []
    monkeypatch.setattr(disk, "sync_file", lambda file, path: synced.append(path))
    journaler = make_journaler(directory, PrivateLog(CAPACITY))
    journaler.start()
    try:
        assert synced[0] == directory
    finally:
        journaler.stop()


def test_segments_prepared_with_another_size_are_used_as_they_are(directory):
    directory.mkdir()
    create_segment(directory, 0, UNIT, unit=UNIT)
    create_segment(directory, UNIT, 3 * UNIT, unit=UNIT)
    log = PrivateLog(CAPACITY)
    journaler = make_journaler(directory, log)
    journaler.start()
    log.append(b"A" * (5 * UNIT))
    journaler.stop()
    assert [segment.size for segment in list_segments(directory, UNIT)][:3] == [UNIT, 3 * UNIT, SEGMENT_SIZE]
    assert content_of(directory, 0, 5 * UNIT) == b"A" * (5 * UNIT)
