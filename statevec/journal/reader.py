"""`JournalReader`: entries out of segment files, in order or by sequence, without a lock and without writing.

Finding a sequence needs no index file: no entry crosses a multiple of UNIT, so every unit begins with an entry, and the
first sequences of the units grow. A binary search over unit starts and a walk inside one unit (1 MiB) find any entry.

Invariants
    Every entry handed out was checked: frame, hash, and that sequence and digest follow from the entry before it.
    Where what was written ends, reading ends; where durable bytes are damaged, `JournalDamagedError` is raised.

Who writes and who reads
    The journaler may append meanwhile. Give `limit` (a written, durable or released position) to be sure never to read
    what is being written; without it reading ends before the first entry that is not whole.

A crash leaves nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from statevec.ipc.log_layout import UNIT
from statevec.ipc.memory import Region
from statevec.journal import reader_layout as layout
from statevec.journal.entry import CHECK_NAMES
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError, JournalError, SequenceNotFoundError
from statevec.journal.reader_kernels import END_OF_RANGE, durable_beyond, next_entry, walk, walk_to
from statevec.journal.segments import SegmentFile, StoredSegment, list_segments

NO_LIMIT = (1 << 63) - 1
MOST_MAPPED = 64
"""Segments that a reader keeps mapped: each costs a file descriptor, of which a process has 1,024 by default."""


def make_cursor(position: int, unit: int = UNIT, limit: int = NO_LIMIT) -> Region:
    """A cursor before the entry at `position`, about whose predecessor nothing is known."""
    cursor = Region.allocate(layout.CURSOR_SIZE)
    cursor.store_i64(layout.POSITION, position)
    cursor.store_i64(layout.LIMIT, limit)
    cursor.store_i64(layout.UNIT, unit)
    return cursor


def chain_cursor(cursor: Region, sequence: int, digest: int) -> None:
    """Tell the cursor which entry was before: the next one must follow from it."""
    cursor.store_i64(layout.SEQUENCE, sequence)
    cursor.store_i64(layout.DIGEST, digest)
    cursor.store_i64(layout.CHAINED, 1)


class JournalReader:
    """Reads the journal in `directory`; raises a `JournalError` for files that are not one journal."""

    def __init__(self, directory: Path, unit: int = UNIT, segments: Sequence[StoredSegment] | None = None) -> None:
        """Read all segments of the directory, or only those given, which may begin with compressed ones."""
        self.directory = Path(directory)
        self.unit = unit
        self._regions: dict[int, Region] = {}
        self._unpacked: tuple[int, Region] | None = None
        self.segments: list[StoredSegment] = list(list_segments(self.directory, unit) if segments is None else segments)

    def refresh(self) -> None:
        """Look again which segments there are."""
        packed = [segment for segment in self.segments if not isinstance(segment, SegmentFile)]
        files = list_segments(self.directory, self.unit)
        self.segments = [*packed, *(file for file in files if not packed or file.first >= packed[-1].end)]
        present = {segment.first for segment in self.segments}
        self._regions = {first: region for first, region in self._regions.items() if first in present}

    def unmap(self) -> None:
        """Keep no segment mapped: what retention takes away gives its space back."""
        self._regions.clear()

    @property
    def first_position(self) -> int:
        """Position of the first byte that the files hold."""
        return self.segments[0].first if self.segments else 0

    @property
    def end_of_files(self) -> int:
        """Position after the last byte that the files have room for."""
        return self.segments[-1].end if self.segments else 0

    def region(self, segment: StoredSegment) -> Region:
        """The bytes of a segment: mapped, for the last MOST_MAPPED that were asked for; unpacked, for the last one."""
        found = self._regions.pop(segment.first, None)
        if found is not None:
            self._regions[segment.first] = found  # the one that was asked for last is last
            return found
        if self._unpacked is not None and self._unpacked[0] == segment.first:
            return self._unpacked[1]
        try:
            found = segment.load()
        except FileNotFoundError as error:
            raise JournalError(f"segment is not needed any more and was taken away: {segment.path}") from error
        if isinstance(segment, SegmentFile):
            self._regions[segment.first] = found
            if len(self._regions) > MOST_MAPPED:
                del self._regions[next(iter(self._regions))]
        else:
            self._unpacked = segment.first, found
        return found

    def segment_at(self, position: int) -> StoredSegment | None:
        """The segment that holds `position`, None where the files end. Raises for what lies before the first."""
        if position < self.first_position:
            raise JournalError(f"position is before the journal: position={position} first={self.first_position}")
        if position >= self.end_of_files:
            self.refresh()
        index = bisect_right(self.segments, position, key=lambda segment: segment.first) - 1
        return self.segments[index] if index >= 0 and position < self.segments[index].end else None

    def read(self, position: int) -> Entry:
        """The entry that begins at `position`, checked."""
        cursor = make_cursor(position, self.unit)
        entry = self.next(cursor)
        if entry is None or entry.position != position:
            raise JournalError(f"no entry begins at position={position}: {self._reason(cursor)}")
        return entry

    def next(self, cursor: Region) -> Entry | None:
        """The entry at a cursor, which goes past it; None where no whole entry follows, the cursor's CODE says why."""
        cursor.store_i64(layout.CODE, 0)
        while (segment := self.segment_at(cursor.load_i64(layout.POSITION))) is not None:
            region = self.region(segment)
            offset = next_entry(region, segment.first, cursor)
            if offset >= 0:
                return Entry(region.view[offset:])
            if offset != END_OF_RANGE or cursor.load_i64(layout.POSITION) >= cursor.load_i64(layout.LIMIT):
                return None
        return None

    def entries(
        self, *, position: int | None = None, sequence: int | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Entries from a position (of an entry) or a sequence on, by default from the first one.

        Ends at `limit`, or where what was written ends. Raises `JournalDamagedError` for damage below what is durable,
        at `limit` and below.
        """
        start = self.find(sequence) if sequence is not None else position
        if start is None:
            start = self.first_position
        cursor = make_cursor(start, self.unit, NO_LIMIT if limit is None else limit)
        if start == 0:
            chain_cursor(cursor, 0, 0)
        while (entry := self.next(cursor)) is not None:
            yield entry
        end = cursor.load_i64(layout.POSITION)
        if limit is None:
            self.judge(cursor)
        elif end < limit and end < self.end_of_files:
            raise JournalDamagedError(end, cursor.load_i64(layout.SEQUENCE) + 1, limit, self._reason(cursor))

    def judge(self, cursor: Region, durable: int = 0) -> int:
        """Whether a stopped cursor stands at the journal's end: raises `JournalDamagedError` when it doesn't (rule 9).

        Returns the highest durable position known: `durable`, or what an entry before or behind the cursor knew. It is
        no damage when a journaler at work writes the entry while this looks behind it.
        """
        position = cursor.load_i64(layout.POSITION)
        durable = max(durable, cursor.load_i64(layout.DURABLE))
        beyond = make_cursor(position, self.unit)
        for segment in self.segments:
            if segment.end > position:
                beyond.store_i64(layout.POSITION, max(position, segment.first))
                durable = max(durable, durable_beyond(self.region(segment), segment.first, beyond))
        if position < durable and not self._written_meanwhile(cursor):
            sequence = cursor.load_i64(layout.SEQUENCE) + 1
            raise JournalDamagedError(position, sequence, durable, self._reason(cursor))
        return durable

    def _written_meanwhile(self, cursor: Region) -> bool:
        """Whether a journaler at work has by now written the entry at which a cursor stopped."""
        again = Region.allocate(layout.CURSOR_SIZE)
        again.copy_from(0, cursor, 0, layout.CURSOR_SIZE)
        segment = self.segment_at(again.load_i64(layout.POSITION))
        return segment is not None and next_entry(self.region(segment), segment.first, again) >= 0

    @staticmethod
    def _reason(cursor: Region) -> str:
        return CHECK_NAMES[cursor.load_i64(layout.CODE)]

    def first_entry_of_unit(self, position: int) -> Entry | None:
        """The entry with which the unit at `position` begins; None where nothing whole was written."""
        return self.next(make_cursor(position, self.unit, position + self.unit))

    def find(self, sequence: int) -> int:
        """Position of an entry by its sequence. Raises `SequenceNotFoundError`, `JournalDamagedError`."""
        first = self.first_entry_of_unit(self.first_position) if self.segments else None
        if first is None and self.segments:
            self.judge(make_cursor(self.first_position, self.unit))
        if first is None or sequence < first.sequence:
            raise SequenceNotFoundError(sequence, first.sequence if first else 0, self.last_sequence() if first else 0)
        cursor = self._cursor_in_last_unit(sequence)
        while (segment := self.segment_at(cursor.load_i64(layout.POSITION))) is not None:
            offset = walk_to(self.region(segment), segment.first, cursor, sequence)
            if offset >= 0:
                return segment.first + offset
            if offset != END_OF_RANGE:
                break
        self.judge(cursor)
        raise SequenceNotFoundError(sequence, first.sequence, cursor.load_i64(layout.SEQUENCE))

    def _cursor_in_last_unit(self, sequence: int) -> Region:
        """A cursor at the last unit whose first entry has at most that sequence."""
        low, high = self.first_position // self.unit, self.end_of_files // self.unit
        while high - low > 1:
            middle = (low + high) // 2
            entry = self.first_entry_of_unit(middle * self.unit)
            if entry is not None and entry.sequence <= sequence:
                low = middle
            else:
                high = middle
        return make_cursor(low * self.unit, self.unit)

    def last_sequence(self) -> int:
        """Sequence of the last whole entry, 0 when there is none."""
        return self.last_cursor().load_i64(layout.SEQUENCE) if self.segments else 0

    def last_cursor(self) -> Region:
        """A cursor behind the last whole entry; `judge` says whether that is the journal's end."""
        cursor = self._cursor_in_last_unit(NO_LIMIT)
        while (segment := self.segment_at(cursor.load_i64(layout.POSITION))) is not None:
            if walk(self.region(segment), segment.first, cursor) != END_OF_RANGE:
                break
        return cursor

    def damage_between(self, start: int, end: int) -> JournalDamagedError | None:
        """What `judge` says of the first entry that is not whole from position `start` on, where one begins, to `end`.

        Every hash on the way is checked.
        """
        cursor = make_cursor(start, self.unit, end)
        while (position := cursor.load_i64(layout.POSITION)) < end:
            segment = self.segment_at(position)
            if segment is None:
                return None
            if walk(self.region(segment), segment.first, cursor) != END_OF_RANGE:
                break
        else:
            return None
        if cursor.load_i64(layout.SEQUENCE) == 0 and start > self.first_position:
            return self.damage_between(max((start - self.unit) & -self.unit, self.first_position), end)
        try:
            self.judge(cursor)
        except JournalDamagedError as error:
            return error
        return None
