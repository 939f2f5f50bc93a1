"""`RecordedLog`: all entries of an instance that may be told, as they were at one moment, under one reader.

    cold segments ─► segment files, up to what is written ─► a copy of the live log, from there to the released position

Where a log is in shared memory, it ends the reading: what is not released yet may still be lost, so nobody is told of
it. Without one (a stopped instance, a copy on another machine) the files end where what was written ends.

Invariants
    Nothing is written or locked, and of the live log nothing is used that was not copied within its window.
    The parts meet: each entry follows from the one before, whichever part it lies in.
    A log in shared memory counts only when the files reach to its written position: a copied directory has none.

Private memory; a crash leaves nothing.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from statevec.engine.instance import Instance
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log, released_position
from statevec.ipc.log_kernels import entry_offset, within_window
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SHARED_MEMORY, Segment, SegmentError
from statevec.journal import reader_layout
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.errors import JournalError, SegmentProblemError, SequenceNotFoundError
from statevec.journal.reader import NO_LIMIT, JournalReader, make_cursor
from statevec.journal.reader_kernels import END_OF_RANGE, walk
from statevec.journal.segments import SegmentFile, StoredSegment, contiguous_segments

TRIES = 16
"""How often the end of a log is copied before a writer that laps every copy is taken for a broken one."""


@dataclass(frozen=True, slots=True)
class LogTail:
    """What the files did not have yet: released bytes of the live log, copied."""

    path: Path
    first: int
    content: Region

    @property
    def size(self) -> int:
        return self.content.size

    @property
    def end(self) -> int:
        return self.first + self.size

    def load(self) -> Region:
        return self.content


class RecordedLog(JournalReader):
    """A reader of everything an instance recorded; see the module's docstring. It does not follow what comes later.

    Raises a `JournalError` for files that are no journal, `ColdSegmentError` for cold segments that are damaged.
    """

    def __init__(self, instance: Instance, cold: Path | None = None) -> None:
        self.instance = instance
        self._problem: SegmentProblemError | None = None
        self._archived = [] if cold is None else list_cold_segments(cold, instance.instance_id)
        super().__init__(instance.journal_directory, instance.genesis.unit, self._files())
        try:
            log = attach_log(instance.instance_id, owner=instance.owner)
        except (SegmentError, LogError):
            return  # no engine has made one here, or it is being made
        with log:
            self._end_with(log)

    def _files(self) -> list[StoredSegment]:
        files, self._problem = contiguous_segments(self.instance.journal_directory, self.instance.genesis.unit)
        return list(join_segments(self._archived, files))

    def _end_with(self, log: Segment) -> None:
        """Let the reading end where the log's released position is now."""
        for _ in range(TRIES):
            # SYNC POINT: pairs with the journaler's release of the written position: the files hold all below it.
            written = load_acquire(log.region, log_layout.WRITTEN)
            released = released_position(log)
            self.segments = self._files()
            if not self._reaches(written):
                return
            tail = _copy(log, written, released)
            if tail is not None:
                cut = [_cut(each, min(written, released)) for each in self.segments]
                self._regions.clear()
                self.segments = [each for each in cut if each.size > 0]
                if tail.size > 0:
                    self.segments.append(LogTail(SHARED_MEMORY / log.name[1:], written, tail))
                return
        raise JournalError(f"log's writer laps whoever copies its end: written={written} released={released}")

    def _reaches(self, written: int) -> bool:
        """Whether the files hold whole entries up to `written`: then the log is the one that they are written from."""
        first = max(self.first_position, (written - 1) // self.unit * self.unit)
        if written <= self.first_position:
            return written == 0
        if written > self.end_of_files:
            return False
        cursor = make_cursor(first, self.unit, written)
        self._walk_on(cursor)
        return cursor.load_i64(reader_layout.POSITION) == written

    def _walk_on(self, cursor: Region) -> bool:
        """Let a cursor go as far as there are whole entries; whether it met what is none."""
        while (segment := self.segment_at(cursor.load_i64(reader_layout.POSITION))) is not None:
            if walk(self.region(segment), segment.first, cursor) != END_OF_RANGE:
                return True
            if cursor.load_i64(reader_layout.POSITION) >= cursor.load_i64(reader_layout.LIMIT):
                return False
        return False

    def refresh(self) -> None:
        """It stays what it was when it was opened."""

    @cached_property
    def first_sequence(self) -> int:
        """Of the first entry there is, 0 when there is none."""
        first = self.first_entry_of_unit(self.first_position) if self.segments else None
        return first.sequence if first is not None else 0

    @cached_property
    def newest_sequence(self) -> int:
        """Of the last entry, 0 when there is none.

        Raises `JournalDamagedError` where durable bytes are not whole, `SegmentProblemError` where a segment does not
        fit: which entry was the last is not known then.
        """
        if self._problem is not None:
            raise self._problem
        return self._newest_at_hand

    @cached_property
    def _newest_at_hand(self) -> int:
        if not self.segments:
            return 0
        cursor = self._cursor_in_last_unit(NO_LIMIT)
        if self._walk_on(cursor):
            self.judge(cursor)
        return cursor.load_i64(reader_layout.SEQUENCE)

    def find(self, sequence: int) -> int:
        """Position of an entry by its sequence. Raises `SequenceNotFoundError`, `JournalDamagedError`."""
        try:
            return super().find(sequence)
        except SequenceNotFoundError as error:
            if self._problem is not None and sequence > self._newest_at_hand:
                raise self._problem from error
            raise SequenceNotFoundError(sequence, self.first_sequence, self._newest_at_hand) from error


def _cut(segment: StoredSegment, end: int) -> StoredSegment:
    """The part of a segment below position `end`."""
    if not isinstance(segment, SegmentFile) or segment.end <= end:
        return segment
    return replace(segment, size=max(0, end - segment.first))


def _copy(log: Segment, start: int, end: int) -> Region | None:
    """A copy of the log from `start` to `end`; None when the writer overwrote some of it meanwhile."""
    size, capacity = max(0, end - start), log.capacity
    if size > capacity:
        return None
    copied = Region.allocate(max(size, 8)).slice(0, size)
    place = start & (capacity - 1)
    before_the_end = min(size, capacity - place)
    offset = entry_offset(capacity, start)
    ctypes.memmove(copied.address, log.region.slice(offset, before_the_end).address, before_the_end)
    ctypes.memmove(
        copied.address + before_the_end,
        log.region.slice(log_layout.DATA, size - before_the_end).address,
        size - before_the_end,
    )
    return copied if within_window(log.region, capacity, start) else None
