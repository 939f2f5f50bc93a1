"""Finding entries with outputs, in the log and in segment files: compiled and plain Python give the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statevec.ipc import log_layout
from statevec.ipc.kernel import plain
from statevec.ipc.log_kernels import CORRUPT_ENTRY, EMPTY, READER_ENTRY_POSITION, READER_SIZE, open_reader
from statevec.ipc.memory import Region
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.journal.segments import create_segment
from statevec.roles import segment_scanner
from statevec.roles.output_reader import next_with_outputs
from statevec.roles.segment_scanner import SegmentScanner, scan_unit
from tests.journal.entry_maker import EntryMaker, output_record

SEED = 7
CAPACITY = 4 << 20
FORMS = [pytest.param(lambda kernel: kernel, id="compiled"), pytest.param(plain, id="plain")]
Form = Callable[[Any], Any]


@pytest.fixture
def recorded() -> tuple[bytes, list[int]]:
    """Entries over more than one unit, and the positions of those with outputs."""
    source = random.Random(SEED)
    maker = EntryMaker(unit=log_layout.UNIT)
    content, positions = b"", []
    while maker.position < log_layout.UNIT + (64 << 10):
        outputs = output_record(0, b"order") if source.random() < 0.1 else b""
        content += maker.entry(source.randbytes(source.randrange(12_000)), outputs)
        if outputs:
            positions.append(maker.positions[-1])
    return content, positions


def log_with(content: bytes) -> tuple[Region, Region]:
    """A log in private memory that holds `content`, all of it released, and a reader at its start."""
    log = Region.allocate(log_layout.DATA + CAPACITY, 4096)
    log.view[log_layout.DATA : log_layout.DATA + len(content)] = content
    for offset in (log_layout.APPENDED, log_layout.RELEASED_BY_LEADER):
        log.store_i64(offset, len(content))
    reader = Region.allocate(READER_SIZE)
    open_reader(log, reader, CAPACITY, log_layout.UNIT, log_layout.RELEASED_BY_LEADER, 0)
    return log, reader


@pytest.mark.parametrize("form", FORMS)
def test_only_entries_with_outputs_are_found_in_the_log(form: Form, recorded: tuple[bytes, list[int]]) -> None:
    content, positions = recorded
    log, reader = log_with(content)
    target = Region.allocate(log_layout.MAX_ENTRY)
    found = []
    while form(next_with_outputs)(log, reader, target) != EMPTY:
        assert Entry(target.view).outputs()[0].message.rstrip(b"\0") == b"order"
        found.append(reader.load_i64(READER_ENTRY_POSITION))
    assert found == positions


@pytest.mark.parametrize("form", FORMS)
def test_an_entry_whose_hash_is_wrong_is_not_handed_out(form: Form, recorded: tuple[bytes, list[int]]) -> None:
    content, positions = recorded
    log, reader = log_with(content)
    log.store_i8(log_layout.DATA + positions[0] + 40, 99)
    assert form(next_with_outputs)(log, reader, Region.allocate(log_layout.MAX_ENTRY)) == CORRUPT_ENTRY


@pytest.mark.parametrize("form", FORMS)
def test_the_files_give_what_the_log_gives(
    form: Form, recorded: tuple[bytes, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8: who falls behind the window goes on from the segment files."""
    monkeypatch.setattr(segment_scanner, "scan_unit", form(scan_unit))
    content, positions = recorded
    write_segments(tmp_path, content)
    scanner = SegmentScanner(tmp_path, 0)
    found = []
    while (entry := scanner.next_entry(len(content), True)) is not None:
        found.append(entry.position)
    assert found == positions
    last = scanner.last_passed()
    assert last is not None
    assert last.end_position == len(content) == scanner.position
    halfway = SegmentScanner(tmp_path, positions[1])
    first = halfway.next_entry(len(content), False)
    assert first is not None
    assert first.position == positions[1]
    assert SegmentScanner(tmp_path, 0).next_entry(positions[0], True) is None


@pytest.mark.parametrize("form", FORMS)
def test_damage_in_the_files_is_said(
    form: Form, recorded: tuple[bytes, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_scanner, "scan_unit", form(scan_unit))
    content, positions = recorded
    damaged = bytearray(content)
    damaged[positions[0] + 40] ^= 1
    write_segments(tmp_path, bytes(damaged))
    with pytest.raises(JournalError, match=f"position={positions[0]}: hash differs"):
        SegmentScanner(tmp_path, 0).next_entry(len(content), True)
    with pytest.raises(JournalError, match="does not hold position"):
        SegmentScanner(tmp_path, 2 * log_layout.UNIT).next_entry(3 * log_layout.UNIT, True)
    (tmp_path / "behind").mkdir()
    write_segments(tmp_path / "behind", content)
    with pytest.raises(JournalError, match=f"position={len(content)}: nothing stands there"):
        SegmentScanner(tmp_path / "behind", len(content)).next_entry(len(content) + 8, True)


def write_segments(directory: Path, content: bytes) -> None:
    for start in range(0, len(content), log_layout.UNIT):
        segment = create_segment(directory, start, log_layout.UNIT)
        with open(segment.path, "r+b") as file:
            file.write(content[start : start + log_layout.UNIT])
