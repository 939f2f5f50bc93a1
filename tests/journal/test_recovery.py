"""The journal's end after a crash: the tail is cut, damage below is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statevec.journal import entry_layout as layout
from statevec.journal.errors import JournalDamagedError, SegmentNameError
from statevec.journal.recovery import JournalStart, find_end, recover
from tests.journal.entry_maker import EntryMaker
from tests.journal.segment_files import SEGMENT_SIZE, UNIT, overwrite, path_of, read_journal, write_journal

COUNT = 120


@pytest.fixture(scope="module")
def written():
    """A journal of several segments, durable = 0 in every entry, with all that made it."""
    maker = EntryMaker(unit=UNIT)
    content = maker.entries(COUNT, seed=7)
    assert len(content) > 2 * SEGMENT_SIZE
    return maker, content


def test_an_empty_or_missing_directory_ends_at_genesis(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        end = recover(directory, unit=UNIT)
        assert (end.position, end.sequence, end.digest, end.entries) == (0, 0, 0, 0)


def test_the_end_is_after_the_last_entry(tmp_path, written):
    maker, content = written
    write_journal(tmp_path, content)
    end = recover(tmp_path, unit=UNIT)
    assert (end.position, end.sequence, end.digest) == (maker.position, COUNT, maker.digest)
    assert (end.entries, end.used, end.reason) == (COUNT, maker.position, "nothing there")


def test_a_full_last_segment_ends_at_the_files_end(tmp_path):
    maker = EntryMaker(unit=UNIT)
    content = b""
    while maker.position < SEGMENT_SIZE:
        content += maker.entry(bytes(maker.unit - layout.INPUT))
    write_journal(tmp_path, content, spare=0)
    end = recover(tmp_path, unit=UNIT)
    assert (end.position, end.sequence, end.reason) == (SEGMENT_SIZE, SEGMENT_SIZE // UNIT, "end of the files")


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (2, 3), (1, 3)])
def test_exchanged_segments_are_refused_and_stay_as_they_are(tmp_path, written, first, second):
    """Rule 9: what is whole but lies elsewhere was durable once, it is not cut."""
    _, content = written
    write_journal(tmp_path, content)
    paths = path_of(tmp_path, first), path_of(tmp_path, second)
    contents = [path.read_bytes() for path in paths]
    for path, exchanged in zip(paths, reversed(contents), strict=True):
        path.write_bytes(exchanged)
    with pytest.raises(JournalDamagedError, match="belongs to position"):
        recover(tmp_path, unit=UNIT)
    assert [path.read_bytes() for path in paths] == contents[::-1]


def test_a_torn_last_entry_is_cut_at_every_byte(tmp_path):
    """Rule 9: whatever part of the last entry reached the disk, what remains ends before it and zeros follow."""
    maker = EntryMaker(unit=UNIT)
    before = maker.entries(3, seed=1, largest=60)
    end_before, digest = maker.position, maker.digest
    last = maker.entry(bytes(range(1, 40)))
    write_journal(tmp_path, before + last)
    whole = len(last.rstrip(b"\0"))
    for kept in range(len(last)):
        overwrite(tmp_path, end_before, last[:kept] + bytes(len(last) - kept))
        end = recover(tmp_path, unit=UNIT)
        if kept >= whole:  # the bytes that are missing were zeros
            assert end.sequence == 4
        else:
            assert (end.position, end.sequence, end.digest) == (end_before, 3, digest)
            assert not any(read_journal(tmp_path)[end_before:])


def test_a_torn_last_entry_with_old_bytes_behind_is_cut(tmp_path, written):
    """Rule 9: the bytes that did not reach the disk may be anything that was there before."""
    maker, content = written
    last = maker.positions[-1]
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    source = random.Random(seed)
    write_journal(tmp_path, content)
    for _ in range(40):
        kept = source.randrange(maker.position - last)
        overwrite(tmp_path, last, content[last : last + kept] + source.randbytes(maker.position - last - kept + 64))
        end = recover(tmp_path, unit=UNIT)
        assert (end.position, end.sequence) == (last, COUNT - 1)
        assert not any(read_journal(tmp_path)[last:])


def test_what_is_cut_may_span_segments(tmp_path, written):
    """Rule 9: above the highest durable position everything goes, sound entries included."""
    maker, content = written
    write_journal(tmp_path, content)
    bad = maker.positions[5]
    overwrite(tmp_path, bad + layout.INPUT, b"x")
    end = find_end(tmp_path, unit=UNIT)
    assert (end.position, end.sequence, end.used) == (bad, 5, len(content.rstrip(b"\0") + b"\0" * 7) // 8 * 8)
    assert read_journal(tmp_path)[bad + layout.INPUT :].startswith(b"x"), "finding changes nothing"
    recover(tmp_path, unit=UNIT)
    assert read_journal(tmp_path)[:bad] == content[:bad]
    assert not any(read_journal(tmp_path)[bad:])


def durable_journal(lag=2):
    """Entries of which each knows that all but the last few before it are durable."""
    maker = EntryMaker(unit=UNIT)
    source = random.Random(11)
    content = b""
    for number in range(COUNT):
        durable = maker.positions[number - lag] if number >= lag else 0
        content += maker.entry(source.randbytes(source.randrange(8, 300)), durable_position=durable)
    return maker, content


@pytest.fixture(scope="module")
def durable(tmp_path_factory):
    """A directory with segments, and the journal for it."""
    maker, content = durable_journal()
    directory = tmp_path_factory.mktemp("journal")
    write_journal(directory, content)
    return directory, maker, content


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_is_cut_at_the_tail_and_refused_below(durable, data):
    """Rule 9: damage is found wherever it is, told by position and sequence, and never cut below what was durable."""
    directory, maker, content = durable
    overwrite(directory, 0, content)
    number = data.draw(st.integers(0, COUNT - 1), label="entry")
    start = maker.positions[number]
    length = int.from_bytes(content[start : start + 4], "little")
    bit = data.draw(st.integers(0, 8 * length - 1), label="bit")
    place = start + bit // 8
    overwrite(directory, place, bytes([content[place] ^ 1 << bit % 8]))
    before = read_journal(directory)
    if layout.DURABLE_POSITION <= bit // 8 < layout.DURABLE_POSITION + 8:
        assert recover(directory, unit=UNIT).sequence == COUNT  # not hashed, but never above its own position
    elif start < maker.positions[COUNT - 3]:
        with pytest.raises(JournalDamagedError) as caught:
            recover(directory, unit=UNIT)
        assert (caught.value.position, caught.value.sequence) == (start, number + 1)
        assert read_journal(directory) == before, "damage below is never cut"
    else:
        end = recover(directory, unit=UNIT)
        assert (end.position, end.sequence) == (start, number)
        assert read_journal(directory) == content[:start].ljust(len(before), b"\0")


def test_durable_known_elsewhere_forbids_a_cut(tmp_path, written):
    """Rule 9: a gateway's cursor or a snapshot saw more durable than any entry knew."""
    maker, content = written
    write_journal(tmp_path, content)
    bad = maker.positions[-3]
    overwrite(tmp_path, bad, bytes(64))
    with pytest.raises(JournalDamagedError, match=f"position={bad} sequence={COUNT - 2} durable={maker.position}"):
        recover(tmp_path, durable=maker.position, unit=UNIT)
    assert recover(tmp_path, durable=bad, unit=UNIT).position == bad


def test_zeros_in_the_middle_are_damage_and_not_the_end(tmp_path):
    """Rule 9: reading that meets zeros still looks at what comes behind."""
    maker, content = durable_journal()
    write_journal(tmp_path, content)
    overwrite(tmp_path, maker.positions[30], bytes(SEGMENT_SIZE))
    with pytest.raises(JournalDamagedError, match="nothing there") as caught:
        recover(tmp_path, unit=UNIT)
    assert (caught.value.position, caught.value.sequence) == (maker.positions[30], 31)


def test_a_missing_segment_is_damage(tmp_path, written):
    _, content = written
    write_journal(tmp_path, content)
    path_of(tmp_path, 1).unlink()
    with pytest.raises(JournalDamagedError, match="a segment is missing") as caught:
        recover(tmp_path, unit=UNIT)
    assert caught.value.position == SEGMENT_SIZE
    assert path_of(tmp_path, 2).exists()


def test_a_missing_first_segment_is_damage(tmp_path, written):
    _, content = written
    write_journal(tmp_path, content)
    path_of(tmp_path, 0).unlink()
    with pytest.raises(JournalDamagedError, match="segments before are missing"):
        recover(tmp_path, unit=UNIT)


@pytest.mark.parametrize(("size", "text"), [(UNIT + 100, "was cut"), (0, "was cut"), (UNIT, "is missing")])
def test_a_truncated_segment_is_damage(tmp_path, written, size, text):
    _, content = written
    write_journal(tmp_path, content)
    with open(path_of(tmp_path, 1), "r+b") as file:
        file.truncate(size)
    with pytest.raises(JournalDamagedError, match=text):
        recover(tmp_path, unit=UNIT)


def test_a_misnamed_segment_is_refused(tmp_path, written):
    write_journal(tmp_path, written[1])
    path_of(tmp_path, 1).rename(tmp_path / "0000000000001001.seg")
    with pytest.raises(SegmentNameError, match="misnamed"):
        recover(tmp_path, unit=UNIT)


def test_temporary_and_foreign_files_are_left_alone(tmp_path, written):
    """Rule 10: a crash while a segment is made leaves a temporary file, which is not part of the journal."""
    maker, content = written
    write_journal(tmp_path, content)
    (tmp_path / ".00000000000ff000.seg.tmp").write_bytes(b"half a segment")
    (tmp_path / "notes.txt").write_text("not ours")
    assert recover(tmp_path, unit=UNIT).position == maker.position


def test_recovery_starts_where_a_snapshot_ends(tmp_path, written):
    maker, content = written
    write_journal(tmp_path, content)
    half = EntryMaker(unit=UNIT)
    half.entries(60, seed=7)
    end = recover(tmp_path, start=JournalStart(half.position, half.sequence, half.digest), unit=UNIT)
    assert (end.sequence, end.digest, end.entries) == (COUNT, maker.digest, COUNT - 60)
    with pytest.raises(JournalDamagedError, match="digest does not follow"):
        recover(tmp_path, start=JournalStart(half.position, half.sequence, 1), durable=maker.position, unit=UNIT)


def test_recovery_twice_changes_nothing_more(tmp_path, written):
    _, content = written
    write_journal(tmp_path, content[:-3] + b"torn")
    first = recover(tmp_path, unit=UNIT)
    after = read_journal(tmp_path)
    second = recover(tmp_path, unit=UNIT)
    assert (first.position, first.digest) == (second.position, second.digest)
    assert read_journal(tmp_path) == after


def test_a_cut_that_was_interrupted_is_finished_by_the_next_recovery(tmp_path, written):
    """Rule 9: what is cut is zeroed from its start on, so a crash in between leaves the same end."""
    maker, content = written
    write_journal(tmp_path, content)
    bad = maker.positions[20]
    overwrite(tmp_path, bad + layout.INPUT, b"x")
    for zeroed in (8, 500, UNIT, SEGMENT_SIZE):
        overwrite(tmp_path, bad, bytes(zeroed))
        assert find_end(tmp_path, unit=UNIT).position == bad
    assert recover(tmp_path, unit=UNIT).position == bad
    assert not any(read_journal(tmp_path)[bad:])
