"""Finding the journal's end after a crash, and cutting what lies behind it (rule 9).

A power loss leaves the bytes after the last fdatasync in any state. Reading goes from the start of the journal to the
first entry that is not sound, or does not follow. Is it the torn tail, or damage? Each entry carries the durable
position its writer knew: nothing below the highest of them, or below what somebody else saw durable (a snapshot, a
gateway's cursor), can be a torn tail. So the scan goes on behind the bad entry, and only what lies at or above the
highest durable position is cut: zeroed and synced, before anything is appended there. A segment that begins with a
whole entry of another place is no torn tail either: files were exchanged or renamed.

Invariants
    `find_end` changes nothing. `recover` changes nothing either when it raises.
    After `recover` every byte below the end is durable and every byte from there on zero.

Who writes and who reads: the engine process, with the instance's lock and no journaler running, calls `recover`.

A crash in the middle of cutting leaves a journal whose end is found again at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statevec.ipc.log_layout import UNIT
from statevec.journal import reader_layout as layout
from statevec.journal.entry import CHECK_NAMES, VALID, check_entry
from statevec.journal.entry_layout import POSITION, SEQUENCE
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_kernels import END_OF_RANGE, used_end, walk
from statevec.journal.segments import SegmentFile, contiguous_segments, sync_segment, zero_range


@dataclass(frozen=True, slots=True)
class JournalStart:
    """From where on the journal is needed: genesis, or what a snapshot holds already."""

    position: int = 0
    sequence: int = 0
    digest: int = 0


@dataclass(frozen=True, slots=True)
class JournalEnd:
    """Where the journal ends: `position` is where the next entry goes."""

    position: int
    sequence: int
    digest: int
    entries: int
    """Entries from the start to the end."""
    durable: int
    """Highest position known to be durable."""
    used: int
    """Position after the last byte that is not zero; above `position` there is a tail to cut."""
    reason: str
    """Why reading ended there."""


GENESIS = JournalStart()


def find_end(directory: Path, *, start: JournalStart = GENESIS, durable: int = 0, unit: int = UNIT) -> JournalEnd:
    """Find the journal's end. `durable` is a position that was seen durable elsewhere.

    Raises `JournalDamagedError` for damage below what was durable, and for files that cannot be one journal.
    """
    segments, problem = contiguous_segments(directory, unit)
    reader = JournalReader(directory, unit, segments)
    cursor = make_cursor(start.position, unit)
    chain_cursor(cursor, start.sequence, start.digest)
    needed = [segment for segment in segments if segment.end > start.position]
    if segments and reader.first_position > start.position:
        raise JournalDamagedError(start.position, start.sequence + 1, durable, "the segments before are missing")
    _refuse_misplaced(reader, needed)
    answer = END_OF_RANGE
    for segment in needed:
        answer = walk(reader.region(segment), segment.first, cursor)
        if answer != END_OF_RANGE:
            break
    position, sequence = cursor.load_i64(layout.POSITION), cursor.load_i64(layout.SEQUENCE)
    if problem is not None:
        # A segment that is there had a whole predecessor once: what is between was durable.
        where = min(position, problem.position)
        raise JournalDamagedError(where, sequence + 1, problem.position, problem.what) from problem
    durable = reader.judge(cursor, durable)
    return JournalEnd(
        position=position,
        sequence=sequence,
        digest=cursor.load_i64(layout.DIGEST),
        entries=cursor.load_i64(layout.ENTRIES),
        durable=durable,
        used=_used_end(reader, needed, position),
        reason="end of the files" if answer == END_OF_RANGE else CHECK_NAMES[cursor.load_i64(layout.CODE)],
    )


def _refuse_misplaced(reader: JournalReader, segments: list[SegmentFile]) -> None:
    """Raise `JournalDamagedError` for a segment whose first entry is whole and says that it lies elsewhere."""
    for segment in segments:
        entry = reader.region(segment).slice(0, reader.unit)
        says = entry.load_i64(POSITION)
        if says != segment.first and check_entry(entry, says) == VALID:
            reason = f"the segment's first entry belongs to position {says}: {segment.path}"
            raise JournalDamagedError(segment.first, entry.load_i64(SEQUENCE), says, reason)


def recover(directory: Path, *, start: JournalStart = GENESIS, durable: int = 0, unit: int = UNIT) -> JournalEnd:
    """Find the end, cut the tail, make the rest durable. Raises as `find_end` does, and then nothing was changed."""
    end = find_end(directory, start=start, durable=durable, unit=unit)
    segments, _ = contiguous_segments(directory, unit)
    for segment in segments:
        if segment.end > end.position and segment.first < end.used:
            zero_range(segment, max(segment.first, end.position), min(segment.end, end.used))
        elif segment.end > end.durable and segment.first < end.position:
            sync_segment(segment)  # a dead process may have written it and not synced
    return end


def _used_end(reader: JournalReader, segments: list[SegmentFile], position: int) -> int:
    for segment in reversed(segments):
        if segment.end > position:
            start = max(position, segment.first) - segment.first
            used = used_end(reader.region(segment), start)
            if used > start:
                return segment.first + used
    return position
