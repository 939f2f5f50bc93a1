"""Walking over the entries of a mapped segment, natively: `next_entry` is the loop head of every reader and replay.

Invariants
    An entry is handed out only after its frame, its hash, its sequence and its digest (against the entry before) were
    checked; nothing is read outside the segment, whatever its bytes are.
    The cursor stands before the first entry that was not handed out.

Who writes and who reads
    The segment is read only. The cursor (`reader_layout`) belongs to the caller.

A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_size
from statevec.journal import entry_layout as entries
from statevec.journal import reader_layout as layout
from statevec.journal.entry import (
    BAD_DIGEST,
    BAD_HASH,
    BAD_SEQUENCE,
    VALID,
    VALID_PADDING,
    check_entry,
    check_frame,
    determined_hash,
    entry_hash,
)
from statevec.journal.fold import mix

END_OF_RANGE = -1
"""The cursor is at its limit or at the end of the segment."""
STOPPED = -2
"""What follows is no entry that follows: the cursor's CODE says why."""


@kernel
def check_following(entry: Region, cursor: Region) -> int:
    """Whether an entry with a valid frame is sound and follows the cursor's last one: VALID or a BAD_ code."""
    determined = determined_hash(entry)
    if entry.load_i64(entries.HASH) != entry_hash(entry, determined):
        return BAD_HASH
    if cursor.load_i64(layout.CHAINED) == 0:
        return VALID
    if entry.load_i64(entries.SEQUENCE) != cursor.load_i64(layout.SEQUENCE) + 1:
        return BAD_SEQUENCE
    if entry.load_i64(entries.DIGEST) != mix(cursor.load_i64(layout.DIGEST), determined):
        return BAD_DIGEST
    return VALID


@kernel
def advance(entry: Region, cursor: Region, position: int) -> None:
    """Let the cursor go past the entry at `position`."""
    cursor.store_i64(layout.POSITION, position + entry.load_i32(entries.LENGTH))
    cursor.store_i64(layout.SEQUENCE, entry.load_i64(entries.SEQUENCE))
    cursor.store_i64(layout.DIGEST, entry.load_i64(entries.DIGEST))
    cursor.store_i64(layout.LOGIC_VERSION, entry.load_i32(entries.LOGIC_VERSION))
    cursor.store_i64(layout.CHAINED, 1)
    cursor.store_i64(layout.ENTRIES, cursor.load_i64(layout.ENTRIES) + 1)
    durable = entry.load_i64(entries.DURABLE_POSITION)
    # Not covered by the hash: a value that no leader can have written counts for nothing.
    if cursor.load_i64(layout.DURABLE) < durable <= position:
        cursor.store_i64(layout.DURABLE, durable)


@kernel
def next_entry(segment: Region, first: int, cursor: Region) -> int:
    """Offset in the segment of the next entry, and the cursor past it; END_OF_RANGE or STOPPED.

    `first` is the position of the segment's first byte; the cursor's position lies in the segment or at its end.
    """
    unit = cursor.load_i64(layout.UNIT)
    limit = min(cursor.load_i64(layout.LIMIT), first + region_size(segment))
    position = cursor.load_i64(layout.POSITION)
    while position < limit:
        unit_end = (position & -unit) + unit
        entry = segment.slice(position - first, min(unit_end, limit) - position)
        code = check_frame(entry, position)
        if code == VALID:
            code = check_following(entry, cursor)
            if code == VALID:
                advance(entry, cursor, position)
                return position - first
        if code != VALID_PADDING:
            cursor.store_i64(layout.CODE, code)
            return STOPPED
        position += entry.load_i32(entries.LENGTH)
        cursor.store_i64(layout.POSITION, position)
    return END_OF_RANGE


@kernel
def walk(segment: Region, first: int, cursor: Region) -> int:
    """Go over all entries of a segment up to the cursor's limit: END_OF_RANGE or STOPPED."""
    answer = 0
    while answer >= 0:
        answer = next_entry(segment, first, cursor)
    return answer


@kernel
def walk_to(segment: Region, first: int, cursor: Region, sequence: int) -> int:
    """Offset of the first entry of at least that sequence, the cursor past it; else END_OF_RANGE or STOPPED."""
    while True:
        offset = next_entry(segment, first, cursor)
        if offset < 0 or segment.load_i64(offset + entries.SEQUENCE) >= sequence:
            return offset


@kernel
def durable_beyond(segment: Region, first: int, cursor: Region) -> int:
    """Highest durable position that any valid entry from the cursor's position on knows of, 0 when there is none.

    The way from one entry to the next is lost, so each multiple of 8 is tried: an entry holds its own position. The
    cursor ends at the segment's end, its ENTRIES count those found (rule 9).
    """
    unit = cursor.load_i64(layout.UNIT)
    end = first + region_size(segment)
    position = cursor.load_i64(layout.POSITION)
    highest = 0
    while position + entries.ENTRY_HEADER_SIZE <= end:
        step = 8
        if segment.load_i64(position - first + entries.POSITION) == position:
            unit_end = (position & -unit) + unit
            entry = segment.slice(position - first, unit_end - position)
            if check_entry(entry, position) == VALID:
                durable = entry.load_i64(entries.DURABLE_POSITION)
                if highest < durable <= position:
                    highest = durable
                cursor.store_i64(layout.ENTRIES, cursor.load_i64(layout.ENTRIES) + 1)
                step = entry.load_i32(entries.LENGTH)
        position += step
    cursor.store_i64(layout.POSITION, end)
    return highest


@kernel
def used_end(segment: Region, start: int) -> int:
    """Offset after the last 8-byte word from `start` (a multiple of 8) on that is not zero; `start` if all are."""
    offset = region_size(segment)
    while offset > start and segment.load_i64(offset - 8) == 0:
        offset -= 8
    return offset
