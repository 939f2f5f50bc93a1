"""Cold segments: the same bytes, chained, read unit by unit; whatever is changed in them is found."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.journal import cold_layout
from statevec.journal.cold_segments import (
    GENESIS_HEAD,
    ColdSegment,
    ColdSegmentError,
    first_head,
    join_segments,
    list_cold_segments,
    read_cold_segment,
    verify_content,
    write_cold_segment,
)
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader
from statevec.journal.segments import list_segments
from tests.journal.entry_maker import EntryMaker
from tests.journal.segment_files import SEGMENT_SIZE, UNIT, overwrite, write_journal

INSTANCE = 0x1234_5678_9ABC_DEF0
COUNT = 400


@pytest.fixture(scope="module")
def made() -> tuple[EntryMaker, bytes]:
    maker = EntryMaker(unit=UNIT)
    return maker, maker.entries(COUNT, seed=3)


def archived(directory: Path, content: bytes, count: int = 3) -> tuple[Path, Path, list[ColdSegment]]:
    """A journal and its first `count` segments in a cold directory."""
    journal, cold = directory / "journal", directory / "cold"
    write_journal(journal, content)
    cold.mkdir()
    head, written = GENESIS_HEAD, []
    for segment in list_segments(journal, UNIT)[:count]:
        written.append(write_cold_segment(cold, segment, head, instance_id=INSTANCE, unit=UNIT))
        head = written[-1].head
    return journal, cold, written


def test_units_hold_the_bytes_of_the_segments(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    _, content = made
    assert len(content) > 4 * SEGMENT_SIZE
    _, cold, written = archived(tmp_path, content)
    units = [unit for segment in written for unit in segment.units]
    assert b"".join(bytes(unit.load().view) for unit in units) == content[: 3 * SEGMENT_SIZE]
    assert [unit.first for unit in units] == list(range(0, 3 * SEGMENT_SIZE, UNIT))
    assert list_cold_segments(cold, INSTANCE) == written
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in cold.iterdir())


def test_a_reader_goes_from_cold_segments_on_to_files(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    maker, content = made
    journal, _, written = archived(tmp_path, content)
    segments = list_segments(journal, UNIT)
    for hot in (segments, segments[1:], segments[3:]):
        reader = JournalReader(journal, UNIT, join_segments(written, hot))
        assert [entry.position for entry in reader.entries()] == maker.positions
        for sequence in (1, 2, 77, 200, COUNT):
            assert reader.read(reader.find(sequence)).sequence == sequence
        assert reader.last_sequence() == COUNT
    for segment in segments[:3]:
        segment.path.unlink()
    reader.refresh()
    assert [entry.sequence for entry in reader.entries(sequence=5)] == list(range(5, COUNT + 1))
    with pytest.raises(ColdSegmentError, match="segments are missing"):
        join_segments(written[:2], segments[3:])


def test_a_sequence_is_found_in_the_table_without_decompressing(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    maker, content = made
    _, _, written = archived(tmp_path, content)
    for unit in (unit for segment in written for unit in segment.units):
        assert maker.positions[unit.sequence - 1] == unit.first
    assert [segment.first_sequence for segment in written[1:]] == [each.last_sequence + 1 for each in written[:-1]]


def test_the_chain_covers_everything_before(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    _, content = made
    _, cold, written = archived(tmp_path, content)
    assert [segment.previous_hash for segment in written] == [bytes(32), *(each.chain_hash for each in written[:-1])]
    other = EntryMaker(unit=UNIT)
    changed = other.entries(COUNT, seed=4)
    other_journal, other_cold, others = (
        archived(tmp_path / "other", changed) if (tmp_path / "other").mkdir() is None else ()
    )
    assert others[-1].chain_hash != written[-1].chain_hash
    (cold / written[0].path.name).write_bytes((other_cold / written[0].path.name).read_bytes())
    with pytest.raises(ColdSegmentError):
        list_cold_segments(cold, INSTANCE)
    assert other_journal.is_dir()


def test_every_flipped_bit_is_found(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    _, content = made
    _, cold, written = archived(tmp_path, content, 2)
    path = written[1].path
    whole = path.read_bytes()
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    source = random.Random(seed)
    table_end = cold_layout.PAGE_SIZE + len(written[1].units) * cold_layout.UNIT_ENTRY_SIZE
    for start, end in [
        (0, 256),
        (0, cold_layout.PAGE_SIZE),
        (cold_layout.PAGE_SIZE, table_end),
        (table_end, len(whole)),
    ]:
        for _ in range(40):
            place = source.randrange(start, end)
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << source.randrange(8)]) + whole[place + 1 :])
            with pytest.raises(ColdSegmentError):
                verify_content(list_cold_segments(cold, INSTANCE)[1])
    for cut in (0, 100, cold_layout.PAGE_SIZE, table_end - 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ColdSegmentError):
            verify_content(read_cold_segment(path))
    path.write_bytes(whole)
    verify_content(list_cold_segments(cold, INSTANCE)[1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda cold, written: written[1].path.unlink(), "a cold segment is missing"),
        (lambda cold, written: written[2].path.rename(cold / "0000000000fff000.cold"), "misnamed"),
        (lambda cold, written: None, "another instance"),
    ],
)
def test_what_is_not_one_chain_of_one_instance_is_refused(
    tmp_path: Path, made: tuple[EntryMaker, bytes], change: Callable[[Path, list[ColdSegment]], None], reason: str
) -> None:
    _, cold, written = archived(tmp_path, made[1])
    change(cold, written)
    instance = 77 if reason == "another instance" else INSTANCE
    with pytest.raises(ColdSegmentError, match=reason):
        list_cold_segments(cold, instance)


def test_a_damaged_segment_is_not_archived(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    maker, content = made
    journal, cold, written = archived(tmp_path, content, 1)
    damaged = next(number for number, position in enumerate(maker.positions) if position > SEGMENT_SIZE + UNIT)
    overwrite(journal, maker.positions[damaged] + 130, b"\xff\xfe\xfd")
    segment = list_segments(journal, UNIT)[1]
    with pytest.raises(JournalDamagedError, match=f"sequence={damaged + 1} "):
        write_cold_segment(cold, segment, written[0].head, instance_id=INSTANCE, unit=UNIT)
    assert [path.name for path in cold.glob("[0-9]*")] == [written[0].path.name]


def test_a_segment_of_another_history_does_not_follow(tmp_path: Path, made: tuple[EntryMaker, bytes]) -> None:
    _, _, written = archived(tmp_path, made[1], 1)
    other = tmp_path / "other"
    write_journal(other, EntryMaker(unit=UNIT).entries(COUNT, seed=4))
    segment = list_segments(other, UNIT)[1]
    with pytest.raises(JournalDamagedError):
        write_cold_segment(tmp_path, segment, written[0].head, instance_id=INSTANCE, unit=UNIT)
    alone = write_cold_segment(tmp_path, segment, first_head(segment.first), instance_id=INSTANCE, unit=UNIT)
    assert alone.first_sequence > 1
