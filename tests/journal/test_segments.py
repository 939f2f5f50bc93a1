"""Segment files are whole before they have their name."""

from __future__ import annotations

import errno
import os

import pytest

from statevec.journal import segments as module
from statevec.journal.errors import SegmentGapError, SegmentNameError, SegmentSizeError
from statevec.journal.segments import SegmentFile, create_segment, list_segments, zero_range

UNIT = 1 << 12


@pytest.mark.parametrize("zeros", [True, False])
def test_a_new_segment_holds_zeros_under_the_name_of_its_position(tmp_path, zeros):
    made = create_segment(tmp_path, 5 * UNIT, 3 * UNIT, zeros, UNIT)
    assert made == SegmentFile(tmp_path / "0000000000005000.seg", 5 * UNIT, 3 * UNIT)
    assert made.path.read_bytes() == bytes(3 * UNIT)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert list_segments(tmp_path, UNIT) == [made]


@pytest.mark.parametrize("call", ["posix_fallocate", "fsync", "rename", "pwrite"])
def test_a_segment_that_was_not_finished_has_no_name(tmp_path, call, monkeypatch):
    """Rule 10: temporary name, zeros, fsync, rename; a failure at any step leaves no segment."""

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, call, fail)
    with pytest.raises(OSError, match="No space"):
        create_segment(tmp_path, 0, UNIT, unit=UNIT)
    monkeypatch.undo()
    assert list_segments(tmp_path, UNIT) == []
    assert create_segment(tmp_path, 0, UNIT, unit=UNIT).path.read_bytes() == bytes(UNIT)


def test_the_steps_of_making_a_segment_come_in_their_order(tmp_path, monkeypatch):
    """Rule 10: nothing counts before the last of them."""
    steps = []
    for name in ("fsync", "rename"):
        original = getattr(os, name)

        def record(*arguments, _name=name, _original=original):
            steps.append(_name)
            return _original(*arguments)

        monkeypatch.setattr(module.os, name, record)
    create_segment(tmp_path, 0, UNIT, unit=UNIT)
    assert steps == ["fsync", "rename", "fsync"]


def test_an_existing_segment_is_never_made_again(tmp_path):
    create_segment(tmp_path, 0, UNIT, unit=UNIT).path.write_bytes(b"x" * UNIT)
    with pytest.raises(FileExistsError):
        create_segment(tmp_path, 0, UNIT, unit=UNIT)
    assert (tmp_path / "0000000000000000.seg").read_bytes() == b"x" * UNIT


@pytest.mark.parametrize(("first", "size"), [(1, UNIT), (UNIT // 2, UNIT), (0, 0), (0, UNIT + 8)])
def test_segments_are_whole_units(tmp_path, first, size):
    with pytest.raises(ValueError, match="whole units"):
        create_segment(tmp_path, first, size, unit=UNIT)


@pytest.mark.parametrize("name", ["1000.seg", "000000000000100g.seg", "0000000000001008.seg", "000000000000ABCD.seg"])
def test_names_that_are_no_position_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(UNIT))
    with pytest.raises(SegmentNameError, match="misnamed"):
        list_segments(tmp_path, UNIT)


def test_gaps_overlaps_and_sizes_are_told_apart(tmp_path):
    create_segment(tmp_path, 0, 2 * UNIT, unit=UNIT)
    gap = create_segment(tmp_path, 3 * UNIT, UNIT, unit=UNIT)
    with pytest.raises(SegmentGapError, match=f"missing: expected position={2 * UNIT} found={3 * UNIT}"):
        list_segments(tmp_path, UNIT)
    gap.path.unlink()
    overlap = create_segment(tmp_path, UNIT, UNIT, unit=UNIT)
    with pytest.raises(SegmentGapError, match="overlapping"):
        list_segments(tmp_path, UNIT)
    overlap.path.write_bytes(b"")
    overlap.path.rename(tmp_path / "0000000000002000.seg")
    with pytest.raises(SegmentSizeError, match="size=0"):
        list_segments(tmp_path, UNIT)


def test_zeroing_stays_inside_its_segment(tmp_path):
    made = create_segment(tmp_path, UNIT, UNIT, unit=UNIT)
    made.path.write_bytes(b"x" * UNIT)
    zero_range(made, UNIT + 10, UNIT + 20)
    assert made.path.read_bytes() == b"x" * 10 + bytes(10) + b"x" * (UNIT - 20)
    with pytest.raises(ValueError, match="outside its segment"):
        zero_range(made, UNIT, 2 * UNIT + 1)
