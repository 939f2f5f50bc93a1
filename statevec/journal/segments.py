"""Segment files: the log's bytes on disk, the same bytes at the same positions.

    journal/0000000000000000.seg    positions 0 … size - 1
    journal/0000000004000000.seg    the next ones; named by the position of their first byte, 16 hex digits

Invariants
    A segment's first position and its size are multiples of UNIT. Segments meet without gap or overlap; their sizes may
    differ, since the configuration may change. What was not written yet reads as zeros.
    A name ending in `.seg` is a whole segment: it got that name after all its bytes were allocated and synced
    (rule 10).

Who writes and who reads
    The engine process creates segments (`create_segment`), its journaler writes them, recovery zeroes a torn tail,
    retention removes the first ones. Anybody reads, without a lock.

A crash leaves at most a temporary file (`.NAME.tmp`), which the next creation replaces, and segments prepared ahead,
which hold zeros.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from statevec.ipc.kill_points import AFTER_SEGMENT_NAME, BEFORE_SEGMENT_NAME, kill_point
from statevec.ipc.log_layout import UNIT
from statevec.ipc.memory import Region
from statevec.journal.disk import allocate, open_file, rename, share_file, sync_directory, sync_file, write_all
from statevec.journal.errors import SegmentGapError, SegmentNameError, SegmentProblemError, SegmentSizeError

SUFFIX = ".seg"
SEGMENT_SIZE = 64 << 20
"""Default size of a segment, bytes."""
READABLE_BY_GROUP = 0o640
"""Mode of a segment where the instance has a group."""

_NAME = re.compile(r"[0-9a-f]{16}\.seg")
_ZEROS = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment: positions `first` … `end` - 1 of the log lie in `path`."""

    path: Path
    first: int
    size: int

    @property
    def end(self) -> int:
        return self.first + self.size

    def load(self) -> Region:
        """The segment's bytes, read-only; the region keeps the mapping alive."""
        file = open_file(self.path, os.O_RDONLY)
        try:
            return Region.of(mmap.mmap(file, self.size, mmap.MAP_SHARED, mmap.PROT_READ))
        finally:
            os.close(file)


class StoredSegment(Protocol):
    """What a reader needs of a part of the log that lies somewhere: in a segment file, or compressed."""

    @property
    def path(self) -> Path: ...
    @property
    def first(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def end(self) -> int: ...

    def load(self) -> Region:
        """Its bytes, which nobody may write."""


def segment_path(directory: Path, first: int) -> Path:
    """Where the segment that begins at position `first` lies."""
    return directory / f"{first:016x}{SUFFIX}"


def list_segments(directory: Path, unit: int = UNIT) -> list[SegmentFile]:
    """All segments in the order of their positions, checked to meet.

    Raises `SegmentNameError`, `SegmentSizeError` or `SegmentGapError`. An empty or missing directory has none.
    """
    found, problem = contiguous_segments(directory, unit)
    if problem is not None:
        raise problem
    return found


def contiguous_segments(directory: Path, unit: int = UNIT) -> tuple[list[SegmentFile], SegmentProblemError | None]:
    """The segments up to the first that does not fit, and what is wrong with it; None when all fit."""
    found: list[SegmentFile] = []
    paths = directory.iterdir() if directory.is_dir() else ()
    named = sorted(path for path in paths if path.suffix == SUFFIX and not path.name.startswith("."))
    for path in named:
        if not _NAME.fullmatch(path.name) or int(path.stem, 16) % unit != 0:
            raise SegmentNameError(path)  # before a gap is found that is only its consequence
    for path in named:
        try:
            segment = SegmentFile(path, int(path.stem, 16), path.stat().st_size)
        except FileNotFoundError:
            continue  # retention took it away just now
        if found and found[-1].end != segment.first:
            return found, SegmentGapError(found[-1].end, segment.first, path)
        if segment.size == 0 or segment.size % unit != 0:
            return found, SegmentSizeError(segment.first, path, segment.size, unit)
        found.append(segment)
    return found, None


def create_segment(
    directory: Path, first: int, size: int, zeros: bool = True, unit: int = UNIT, group: int | None = None
) -> SegmentFile:
    """Make the segment at `first` and return it once its name is durable; one that exists is an error.

    `zeros` writes every byte, which makes a later fdatasync about half as long; without, the space is only allocated.
    The group of that number may read it. Raises `DiskError`.
    """
    if first % unit != 0 or size <= 0 or size % unit != 0:
        raise ValueError(f"segments are whole units: first={first} size={size} unit={unit}")
    path = segment_path(directory, first)
    temporary = path.with_name(f".{path.name}.tmp")
    file = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        if group is not None:
            share_file(file, group, READABLE_BY_GROUP, temporary)
        allocate(file, size, temporary)  # a full disk is noticed here, not in the journaler
        if zeros:
            for offset in range(0, size, len(_ZEROS)):
                write_all(file, _ZEROS[: size - offset], offset, temporary)
        sync_file(file, temporary)
    finally:
        os.close(file)
    if path.exists():
        raise FileExistsError(f"segment exists already: {path}")
    kill_point(BEFORE_SEGMENT_NAME)
    rename(temporary, path)
    kill_point(AFTER_SEGMENT_NAME)
    sync_directory(directory)
    return SegmentFile(path, first, size)


def zero_range(segment: SegmentFile, start: int, end: int) -> None:
    """Overwrite positions `start` … `end` - 1 of a segment with zeros and sync them."""
    if not segment.first <= start <= end <= segment.end:
        raise ValueError(f"range is outside its segment: start={start} end={end} segment={segment}")
    file = open_file(segment.path, os.O_WRONLY)
    try:
        for position in range(start, end, len(_ZEROS)):
            write_all(file, _ZEROS[: end - position], position - segment.first, segment.path)
        sync_file(file, segment.path)
    finally:
        os.close(file)


def sync_segment(segment: SegmentFile) -> None:
    """Make what others wrote into a segment durable."""
    file = open_file(segment.path, os.O_RDONLY)
    try:
        sync_file(file, segment.path)
    finally:
        os.close(file)
