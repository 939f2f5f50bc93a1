"""Entries out of segment files: in order, by position, by sequence, while the journal grows."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statevec.ipc.kernel import plain
from statevec.journal import entry_layout as layout
from statevec.journal import reader_layout
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError, JournalError, SequenceNotFoundError
from statevec.journal.reader import MOST_MAPPED, JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_kernels import durable_beyond, used_end, walk
from tests.journal.entry_maker import EntryMaker, delta_record, output_record, region_of
from tests.journal.segment_files import SEGMENT_SIZE, UNIT, overwrite, write_journal

COUNT = 150


@pytest.fixture
def journal(tmp_path):
    maker = EntryMaker(unit=UNIT)
    write_journal(tmp_path, maker.entries(COUNT, seed=3))
    return maker, tmp_path


def test_entries_come_in_order_and_whole(journal):
    maker, directory = journal
    entries = list(JournalReader(directory, UNIT).entries())
    assert [entry.sequence for entry in entries] == list(range(1, COUNT + 1))
    assert [entry.position for entry in entries] == maker.positions
    assert entries[-1].digest == maker.digest


def test_a_reader_of_many_segments_holds_few_file_descriptors(tmp_path):
    maker = EntryMaker(unit=UNIT)
    write_journal(tmp_path, maker.entries(COUNT, seed=3), segment_size=UNIT, spare=2 * MOST_MAPPED)
    reader = JournalReader(tmp_path, UNIT)
    before = len(os.listdir("/proc/self/fd"))
    regions = [reader.region(segment).load_i64(0) for segment in reader.segments for _ in range(2)]
    assert len(regions) > 4 * MOST_MAPPED
    assert len(os.listdir("/proc/self/fd")) - before <= MOST_MAPPED
    assert len(list(reader.entries(limit=maker.positions[-1]))) == COUNT - 1
    reader.unmap()
    assert len(os.listdir("/proc/self/fd")) == before


def test_every_sequence_is_found(journal):
    maker, directory = journal
    reader = JournalReader(directory, UNIT)
    for sequence in range(1, COUNT + 1):
        assert reader.find(sequence) == maker.positions[sequence - 1]
    for sequence in (0, -3, COUNT + 1):
        with pytest.raises(SequenceNotFoundError):
            reader.find(sequence)
    assert reader.last_sequence() == COUNT


def test_reading_starts_at_a_sequence_or_position_and_ends_at_a_limit(journal):
    maker, directory = journal
    reader = JournalReader(directory, UNIT)
    assert [entry.sequence for entry in reader.entries(sequence=140)] == list(range(140, COUNT + 1))
    taken = reader.entries(position=maker.positions[9], limit=maker.positions[12])
    assert [entry.sequence for entry in taken] == [10, 11, 12]


def test_one_entry_is_read_by_its_position(journal):
    maker, directory = journal
    reader = JournalReader(directory, UNIT)
    assert reader.read(maker.positions[70]).sequence == 71
    with pytest.raises(JournalError, match="no entry begins"):
        reader.read(maker.positions[70] + 8)
    with pytest.raises(JournalError, match="no entry begins"):
        reader.read(maker.position)


def test_an_empty_journal_has_no_entries(tmp_path):
    reader = JournalReader(tmp_path, UNIT)
    assert list(reader.entries()) == []
    assert reader.last_sequence() == 0
    with pytest.raises(SequenceNotFoundError):
        reader.find(1)


def test_damage_below_durable_raises_where_it_is(journal):
    """Rule 9, for readers: what was durable and is not readable is never silently the end."""
    maker, directory = journal
    reader = JournalReader(directory, UNIT)
    overwrite(directory, maker.positions[4] + layout.INPUT, b"\xff\xff")
    with pytest.raises(JournalDamagedError, match="sequence=5 "):
        list(reader.entries(limit=maker.position))
    assert len(list(reader.entries())) == 4, "nobody knew it durable: the journal ends there"
    late = maker.entry(b"late", durable_position=maker.positions[20])
    overwrite(directory, maker.positions[-1], late)
    with pytest.raises(JournalDamagedError, match="sequence=5 "):
        list(reader.entries())


def test_what_is_written_while_the_end_is_judged_is_no_damage(tmp_path):
    """Rule 9 on a live instance: a reader that stopped, and then finds newer entries behind, looks again."""
    maker = EntryMaker(unit=UNIT)
    write_journal(tmp_path, maker.entries(5, seed=1))
    reader = JournalReader(tmp_path, UNIT)
    cursor = make_cursor(0, UNIT)
    while reader.next(cursor) is not None:
        pass
    stopped_at = maker.position
    overwrite(tmp_path, stopped_at, maker.entry(b"next") + maker.entry(b"after", durable_position=maker.position))
    assert cursor.load_i64(reader_layout.POSITION) == stopped_at
    assert reader.judge(cursor) > stopped_at
    overwrite(tmp_path, stopped_at + layout.INPUT, b"bad")
    with pytest.raises(JournalDamagedError):
        reader.judge(cursor)


def test_a_reader_follows_a_growing_journal(tmp_path):
    maker = EntryMaker(unit=UNIT)
    write_journal(tmp_path, maker.entries(5, seed=1))
    reader = JournalReader(tmp_path, UNIT)
    cursor = make_cursor(0, UNIT)
    chain_cursor(cursor, 0, 0)
    seen = []
    while maker.position < 4 * SEGMENT_SIZE:
        while (entry := reader.next(cursor)) is not None:
            seen.append(entry.sequence)
        start = maker.position
        more = maker.entries(5, seed=maker.sequence)
        known = tmp_path / "known"
        write_journal(known, bytes(start) + more)
        for path in sorted(known.iterdir()):
            path.rename(tmp_path / path.name) if not (tmp_path / path.name).exists() else path.unlink()
        overwrite(tmp_path, start, more)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 100


def test_the_view_takes_an_entry_apart():
    maker = EntryMaker()
    maker.entry(b"first")
    outputs = output_record(0, b"abc", expires_ns=9) + output_record(1, b"x" * 20)
    delta = delta_record(4, 2, layout.UPDATED, 3, 1, b"image...") + delta_record(5, 0, layout.DELETED, 1, 1, b"q" * 12)
    entry = Entry(maker.entry(b"message", outputs, delta, flags=layout.FLAG_GAP, outcome=0, source=7) + b"behind")
    assert (entry.sequence, entry.source, entry.kind_name, entry.outcome_name) == (2, 7, "command", "COMMITTED")
    assert (entry.input, entry.gap, entry.end_position) == (b"message", True, maker.position)
    assert [(output.identity, output.expires_ns) for output in entry.outputs()] == [((1, 2, 0), 9), ((1, 2, 1), 0)]
    assert entry.outputs()[0].message == b"abc".ljust(8, b"\0")
    first, second = entry.changes()
    assert (first.table, first.row, first.operation_name, first.version) == (4, 2, "updated", 3)
    assert (first.previous_sequence, first.image) == (1, b"image...")
    assert (second.operation_name, second.image) == ("deleted", b"q" * 12 + bytes(4))
    with pytest.raises(ValueError, match="not an entry"):
        Entry(bytes(200))


@settings(deadline=None)
@given(st.binary(max_size=512), st.integers(0, 400))
def test_any_bytes_at_all_end_a_walk_inside_the_segment(noise, at):
    """No length, offset or count is used unchecked: in the checked and the plain form an access outside would raise."""
    maker = EntryMaker(unit=1 << 9)
    content = maker.entries(6, seed=5, largest=100)[: 4 << 9].ljust(4 << 9, b"\0")
    content = content[:at] + noise + content[at + len(noise) :]
    segment = region_of(content[: 4 << 9])
    answers = []
    for form in (walk, plain(walk)):
        cursor = make_cursor(0, 1 << 9)
        chain_cursor(cursor, 0, 0)
        answers.append((form(segment, 0, cursor), bytes(cursor.view)))
    assert answers[0] == answers[1]
    beyond = [(form(segment, 0, make_cursor(0, 1 << 9))) for form in (durable_beyond, plain(durable_beyond))]
    assert beyond[0] == beyond[1]
    assert used_end(segment, 0) == plain(used_end)(segment, 0)
    assert cursor.load_i64(reader_layout.POSITION) <= segment.size
