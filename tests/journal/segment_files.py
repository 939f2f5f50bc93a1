"""Segment files for tests, written from bytes."""

from __future__ import annotations

from pathlib import Path

from statevec.journal.segments import create_segment, list_segments, segment_path

UNIT = 1 << 12
SEGMENT_SIZE = 4 * UNIT


def write_journal(directory: Path, content: bytes, *, segment_size: int = SEGMENT_SIZE, spare: int = 1) -> None:
    """Segments with `content` from position 0 on, and `spare` prepared ones behind."""
    directory.mkdir(parents=True, exist_ok=True)
    whole = -(-len(content) // segment_size) + spare
    for number in range(whole):
        create_segment(directory, number * segment_size, segment_size, unit=UNIT)
    overwrite(directory, 0, content)


def overwrite(directory: Path, position: int, content: bytes) -> None:
    """Put bytes at a position, over segments where need be."""
    for segment in list_segments(directory, UNIT):
        start, end = max(position, segment.first), min(position + len(content), segment.end)
        if start < end:
            with open(segment.path, "r+b") as file:
                file.seek(start - segment.first)
                file.write(content[start - position : end - position])


def read_journal(directory: Path) -> bytes:
    """The bytes of all segments, one after the other."""
    return b"".join(segment.path.read_bytes() for segment in list_segments(directory, UNIT))


def path_of(directory: Path, number: int) -> Path:
    """The file of the segment with that number, all being of the same size."""
    return segment_path(directory, number * SEGMENT_SIZE)
