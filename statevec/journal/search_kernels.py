"""Looking for values in the parts of entries, natively: the records of a key, the messages that carry an id.

Invariants
    Only an entry's frame is checked on the way, not its hash: who is told of a find reads that entry again, checked.
    Nothing is read outside the entry, whatever lengths stand in it.
    A version whose needles are not described yet ends the search before its first entry: it is described and goes on.

Who writes and who reads
    The segment is read only; cursor and search block belong to the caller. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_size
from statevec.journal import column_layout as columns
from statevec.journal import entry_layout as entries
from statevec.journal import reader_layout
from statevec.journal import search_layout as layout
from statevec.journal.column_kernels import load_unsigned, template_of
from statevec.journal.entry import BAD_SEQUENCE, VALID, VALID_PADDING, check_frame
from statevec.journal.reader_kernels import END_OF_RANGE, STOPPED

UNKNOWN_VERSION = -30
"""The search block does not describe the version that decided the next entry; UNKNOWN says which."""
NO_ROOM = -31
"""There is no room for another find."""


@kernel
def next_frame(segment: Region, first: int, cursor: Region) -> int:
    """As `reader_kernels.next_entry`, but frame and sequence are all that is checked."""
    unit = cursor.load_i64(reader_layout.UNIT)
    limit = min(cursor.load_i64(reader_layout.LIMIT), first + region_size(segment))
    position = cursor.load_i64(reader_layout.POSITION)
    while position < limit:
        unit_end = (position & -unit) + unit
        entry = segment.slice(position - first, min(unit_end, limit) - position)
        code = check_frame(entry, position)
        if code == VALID:
            sequence = entry.load_i64(entries.SEQUENCE)
            if cursor.load_i64(reader_layout.CHAINED) == 0 or sequence == cursor.load_i64(reader_layout.SEQUENCE) + 1:
                cursor.store_i64(reader_layout.POSITION, position + entry.load_i32(entries.LENGTH))
                cursor.store_i64(reader_layout.SEQUENCE, sequence)
                cursor.store_i64(reader_layout.CHAINED, 1)
                return position - first
            code = BAD_SEQUENCE
        if code != VALID_PADDING:
            cursor.store_i64(reader_layout.CODE, code)
            return STOPPED
        position += entry.load_i32(entries.LENGTH)
        cursor.store_i64(reader_layout.POSITION, position)
    return END_OF_RANGE


@kernel
def note_find(block: Region, entry: Region, kind: int, index: int) -> None:
    """Keep a find, in the place of the one before when only the last is wanted."""
    found = 0 if block.load_i64(layout.KEEP_LAST) != 0 else block.load_i64(layout.FOUND)
    place = layout.FINDS_AT + found * layout.FIND_SIZE
    block.store_i64(place + layout.FIND_POSITION, entry.load_i64(entries.POSITION))
    block.store_i64(place + layout.FIND_SEQUENCE, entry.load_i64(entries.SEQUENCE))
    block.store_i64(place + layout.FIND_KIND, kind)
    block.store_i64(place + layout.FIND_INDEX, index)
    block.store_i64(layout.FOUND, found + 1)


@kernel
def has_room(block: Region) -> bool:
    """Whether there is room for another find."""
    return block.load_i64(layout.KEEP_LAST) != 0 or block.load_i64(layout.FOUND) < block.load_i64(layout.ROOM)


@kernel
def is_sought(block: Region, version: Region, kind: int, part_id: int, body: Region) -> bool:
    """Whether a part of an entry carries a value that is looked for; `body` is its block or image."""
    needle = layout.NEEDLES_AT + (version.load_i32(layout.FIRST_NEEDLE) - 1) * layout.NEEDLE_SIZE
    for _ in range(version.load_i32(layout.NEEDLE_COUNT)):
        if block.load_i64(needle + layout.NEEDLE_KIND) == kind and block.load_i64(needle + layout.NEEDLE_ID) == part_id:
            offset = block.load_i64(needle + layout.NEEDLE_OFFSET)
            size = block.load_i64(needle + layout.NEEDLE_BYTES)
            sought = block.load_i64(needle + layout.NEEDLE_WORD)
            if offset + size <= region_size(body) and load_unsigned(body, offset, size, 0) == sought:
                return True
        needle += layout.NEEDLE_SIZE
    return False


@kernel
def message_is_sought(block: Region, version: Region, schema: Region, kind: int, message: Region) -> bool:
    """Whether a message carries a value that is looked for."""
    template = template_of(message, schema)
    if template < 0:
        return False
    header = schema.load_i64(columns.HEADER_SIZE)
    return is_sought(block, version, kind, template, message.slice(header, region_size(message) - header))


@kernel
def search_outputs(block: Region, version: Region, entry: Region, start: int, end: int) -> None:
    """Look at an entry's outputs."""
    schema = version.slice(layout.SCHEMA, columns.SCHEMA_SIZE)
    place = start
    number = 0
    while place + entries.OUTPUT_MESSAGE <= end:
        length = entry.load_i32(place + entries.OUTPUT_LENGTH)
        if length < entries.OUTPUT_MESSAGE or place + length > end:
            return  # what follows is not outputs
        message = entry.slice(place + entries.OUTPUT_MESSAGE, length - entries.OUTPUT_MESSAGE)
        if message_is_sought(block, version, schema, columns.OUTPUTS, message):
            note_find(block, entry, columns.OUTPUTS, number)
            if not has_room(block):
                return
        place += length
        number += 1


@kernel
def search_changes(block: Region, version: Region, entry: Region, start: int, end: int) -> None:
    """Look at an entry's delta; one find is enough, who reads the entry sees the others."""
    place = start
    number = 0
    while place + entries.DELTA_IMAGE <= end:
        length = entry.load_i32(place + entries.DELTA_RECORD_LENGTH)
        if length < entries.DELTA_IMAGE or place + length > end:
            return  # what follows is no delta
        image = entry.slice(place + entries.DELTA_IMAGE, length - entries.DELTA_IMAGE)
        if is_sought(block, version, columns.CHANGES, entry.load_i32(place + entries.DELTA_TABLE), image):
            note_find(block, entry, columns.CHANGES, number)
            return
        place += length
        number += 1


@kernel
def search_entry(block: Region, version: Region, entry: Region) -> None:
    """Look at all parts of an entry; there is room for one more find at least."""
    input_length = entry.load_i32(entries.INPUT_LENGTH)
    if input_length > 0:
        own = entry.load_i32(entries.KIND) != entries.COMMAND
        kind = columns.OWN_INPUTS if own else columns.INPUTS
        message = entry.slice(entries.INPUT, input_length)
        own_schema = block.slice(layout.OWN_SCHEMA, columns.SCHEMA_SIZE)
        schema = own_schema if own else version.slice(layout.SCHEMA, columns.SCHEMA_SIZE)
        if message_is_sought(block, version, schema, kind, message):
            note_find(block, entry, kind, 0)
            if not has_room(block):
                return
    outputs = entries.INPUT + (input_length + 7) // 8 * 8
    delta = outputs + entry.load_i32(entries.OUTPUTS_LENGTH)
    search_outputs(block, version, entry, outputs, delta)
    if has_room(block):
        search_changes(block, version, entry, delta, delta + entry.load_i32(entries.DELTA_LENGTH))


@kernel
def search(segment: Region, first: int, cursor: Region, block: Region) -> int:
    """Look at the entries of a mapped segment from the cursor on: UNKNOWN_VERSION, NO_ROOM, END_OF_RANGE or STOPPED."""
    while has_room(block):
        sequence = cursor.load_i64(reader_layout.SEQUENCE)
        chained = cursor.load_i64(reader_layout.CHAINED)
        offset = next_frame(segment, first, cursor)
        if offset < 0:
            return offset
        entry = segment.slice(offset, segment.load_i32(offset + entries.LENGTH))
        number = entry.load_i32(entries.LOGIC_VERSION)
        known = 0 <= number < layout.MOST_VERSIONS
        version = block.slice(layout.VERSIONS_AT + (number if known else 0) * layout.VERSION_SIZE, layout.VERSION_SIZE)
        if not known or version.load_i32(layout.FIRST_NEEDLE) == 0:
            block.store_i64(layout.UNKNOWN, number)
            cursor.store_i64(reader_layout.POSITION, first + offset)
            cursor.store_i64(reader_layout.SEQUENCE, sequence)
            cursor.store_i64(reader_layout.CHAINED, chained)
            return UNKNOWN_VERSION
        if version.load_i32(layout.NEEDLE_COUNT) > 0:
            search_entry(block, version, entry)
    return NO_ROOM
