"""Gathering parts of entries into rows of one size for each message and table, natively: what columns are made of.

Invariants
    Only entries that `next_entry` checked are taken, each once, whole: before an entry is begun, every destination has
    room for all that an entry can hold.
    A message is taken when its header names the schema and its block is all there; others are no message of any name.
    Nothing is read outside the entry, whatever lengths stand in it.

Who writes and who reads
    The segment is read only; cursor, plan and rows belong to the caller. A crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at, region_size
from statevec.journal import column_layout as layout
from statevec.journal import entry_layout as entries
from statevec.journal import reader_layout
from statevec.journal.reader_kernels import next_entry

FULL = -20
"""A destination is full: take its rows, clear it, go on."""
OTHER_VERSION = -21
"""The next entry was decided by another logic version than the plan is for."""
PAST_LAST = -22
"""The next entry is behind the last one wanted."""


@kernel
def load_unsigned(region: Region, offset: int, size: int, big_endian: int) -> int:
    """The unsigned integer of 1, 2, 4 or 8 bytes at `offset`; of 8 bytes, its bits as signed."""
    if big_endian != 0:
        value = 0
        for number in range(size):
            value = value << 8 | region.load_u8(offset + number)
        return value
    if size == 2:
        return region.load_u16(offset)
    if size == 8:
        return region.load_i64(offset)
    if size == 4:
        return region.load_u32(offset)
    return region.load_u8(offset)


@kernel
def header_member(message: Region, schema: Region, member: int) -> int:
    """A member of a message's header, which is all there; `schema` is that part of the plan."""
    place = layout.MEMBERS + member * layout.MEMBER_SIZE
    offset = schema.load_i32(place)
    size = schema.load_i32(place + 4)
    return load_unsigned(message, offset, size, schema.load_i64(layout.BIG_ENDIAN)) if size != 0 else offset


@kernel
def template_of(message: Region, schema: Region) -> int:
    """Template id of a message of that schema whose block is all there; -1 for all others."""
    size = region_size(message)
    header = schema.load_i64(layout.HEADER_SIZE)
    if header == 0 or size < header:
        return -1
    if header_member(message, schema, layout.SCHEMA_ID_MEMBER) != schema.load_i64(layout.SCHEMA_ID):
        return -1
    block = header_member(message, schema, layout.BLOCK_LENGTH)
    if block < 0 or header + block > size:
        return -1
    return header_member(message, schema, layout.TEMPLATE_ID)


@kernel
def destination_of(plan: Region, kind: int, part_id: int) -> int:
    """Where the destination of a part stands in the plan, 0 when nobody wants it."""
    if part_id < 0 or part_id >= layout.LOOKUP_IDS:
        return 0
    number = plan.load_i32(layout.LOOKUP_AT + (kind * layout.LOOKUP_IDS + part_id) * 4)
    return layout.DESTINATIONS_AT + (number - 1) * layout.DESTINATION_SIZE if number > 0 else 0


@kernel
def new_row(plan: Region, destination: int, entry: Region) -> Region:
    """The next row of a destination, with the entry's header; its body is not written yet."""
    size = layout.ROW_BODY + plan.load_i64(destination + layout.BODY_SIZE)
    count = plan.load_i64(destination + layout.COUNT)
    memory = region_at(plan.load_i64(destination + layout.ADDRESS), plan.load_i64(destination + layout.MEMORY_SIZE))
    row = memory.slice(count * size, size)
    row.copy_from(0, entry, 0, entries.ENTRY_HEADER_SIZE)
    plan.store_i64(destination + layout.COUNT, count + 1)
    if count + 1 >= plan.load_i64(destination + layout.ROOM):
        plan.store_i64(layout.FULL, 1)
    return row


@kernel
def fill_body(row: Region, source: Region, offset: int, available: int) -> None:
    """The body of a row, from at most `available` bytes of `source`."""
    wanted = region_size(row) - layout.ROW_BODY
    copied = min(wanted, available)
    row.copy_from(layout.ROW_BODY, source, offset, copied)
    if copied < wanted:
        row.fill_zero(layout.ROW_BODY + copied, wanted - copied)


@kernel
def take_message(plan: Region, kind: int, entry: Region, offset: int, size: int, index: int, expires_ns: int) -> None:
    """Make a row of the message at `offset` of an entry if it is wanted."""
    message = entry.slice(offset, size)
    schema_at = layout.OWN_SCHEMA if kind == layout.OWN_INPUTS else layout.PLUGIN_SCHEMA
    schema = plan.slice(schema_at, layout.SCHEMA_SIZE)
    destination = destination_of(plan, kind, template_of(message, schema))
    if destination == 0:
        return
    row = new_row(plan, destination, entry)
    block = header_member(message, schema, layout.BLOCK_LENGTH)
    row.store_i64(layout.ROW_BLOCK_LENGTH, block)
    row.store_i64(layout.ROW_SCHEMA_VERSION, header_member(message, schema, layout.VERSION))
    row.store_i64(layout.ROW_INDEX, index)
    row.store_i64(layout.ROW_EXPIRES_NS, expires_ns)
    fill_body(row, message, schema.load_i64(layout.HEADER_SIZE), block)


@kernel
def take_outputs(plan: Region, entry: Region, start: int, end: int) -> None:
    """Rows of the outputs that are wanted."""
    place = start
    while place + entries.OUTPUT_MESSAGE <= end:
        length = entry.load_i32(place + entries.OUTPUT_LENGTH)
        if length < entries.OUTPUT_MESSAGE or place + length > end:
            return  # what follows is not outputs: nobody that seals entries writes such
        message = place + entries.OUTPUT_MESSAGE
        index = entry.load_i32(place + entries.OUTPUT_INDEX)
        expires_ns = entry.load_i64(place + entries.OUTPUT_EXPIRES_NS)
        take_message(plan, layout.OUTPUTS, entry, message, length - entries.OUTPUT_MESSAGE, index, expires_ns)
        place += length


@kernel
def take_changes(plan: Region, entry: Region, start: int, end: int) -> None:
    """Rows of the delta records that are wanted."""
    place = start
    while place + entries.DELTA_IMAGE <= end:
        length = entry.load_i32(place + entries.DELTA_RECORD_LENGTH)
        if length < entries.DELTA_IMAGE or place + length > end:
            return  # as in `take_outputs`
        destination = destination_of(plan, layout.CHANGES, entry.load_i32(place + entries.DELTA_TABLE))
        if destination != 0:
            row = new_row(plan, destination, entry)
            row.copy_from(layout.ROW_PART, entry, place, entries.DELTA_IMAGE)
            fill_body(row, entry, place + entries.DELTA_IMAGE, length - entries.DELTA_IMAGE)
        place += length


@kernel
def input_template(plan: Region, entry: Region, input_length: int) -> int:
    """What the row of an entry says about its input: see `column_layout`."""
    message = entry.slice(entries.INPUT, input_length)
    if entry.load_i32(entries.KIND) == entries.COMMAND:
        return template_of(message, plan.slice(layout.PLUGIN_SCHEMA, layout.SCHEMA_SIZE))
    template = template_of(message, plan.slice(layout.OWN_SCHEMA, layout.SCHEMA_SIZE))
    return template + layout.OWN_TEMPLATES if template >= 0 else -1


@kernel
def take_entry(plan: Region, entry: Region) -> None:
    """Rows of all parts of an entry that are wanted."""
    input_length = entry.load_i32(entries.INPUT_LENGTH)
    destination = destination_of(plan, layout.ENTRIES, 0)
    if destination != 0:
        new_row(plan, destination, entry).store_i64(layout.ROW_TEMPLATE, input_template(plan, entry, input_length))
    if input_length > 0:
        kind = layout.INPUTS if entry.load_i32(entries.KIND) == entries.COMMAND else layout.OWN_INPUTS
        take_message(plan, kind, entry, entries.INPUT, input_length, 0, 0)
    outputs = entries.INPUT + (input_length + 7) // 8 * 8
    delta = outputs + entry.load_i32(entries.OUTPUTS_LENGTH)
    take_outputs(plan, entry, outputs, delta)
    take_changes(plan, entry, delta, delta + entry.load_i32(entries.DELTA_LENGTH))


@kernel
def gather(segment: Region, first: int, cursor: Region, plan: Region) -> int:
    """Take entries of a mapped segment from the cursor on: FULL, OTHER_VERSION, PAST_LAST, or a code of `next_entry`.

    Leadership and cutover entries end it too, with their offset: from the next entry on another version may decide.
    """
    version = plan.load_i64(layout.LOGIC_VERSION)
    last = plan.load_i64(layout.LAST_SEQUENCE)
    while plan.load_i64(layout.FULL) == 0:
        sequence = cursor.load_i64(reader_layout.SEQUENCE)
        digest = cursor.load_i64(reader_layout.DIGEST)
        chained = cursor.load_i64(reader_layout.CHAINED)
        offset = next_entry(segment, first, cursor)
        if offset < 0:
            return offset
        entry = segment.slice(offset, segment.load_i32(offset + entries.LENGTH))
        other = version != 0 and entry.load_i32(entries.LOGIC_VERSION) != version
        if other or entry.load_i64(entries.SEQUENCE) > last:
            cursor.store_i64(reader_layout.POSITION, first + offset)
            cursor.store_i64(reader_layout.SEQUENCE, sequence)
            cursor.store_i64(reader_layout.DIGEST, digest)
            cursor.store_i64(reader_layout.CHAINED, chained)
            return OTHER_VERSION if other else PAST_LAST
        take_entry(plan, entry)
        kind = entry.load_i32(entries.KIND)
        if kind == entries.LEADERSHIP or kind == entries.CUTOVER:
            return offset
    return FULL
