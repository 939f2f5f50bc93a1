"""Writing groups and variable data of an output where it lies in the entry: one kernel each, called by both tiers.

    open_output      an output with groups or data was begun: its message may now be written
    append_entry     a new entry behind the others of its group; the address of its block
    put_data         the bytes of a variable data

Invariants
    Only the output that was begun last is written; behind it is free space. It is a whole message at any time: what was
    not written yet is null, zero or empty, so what lies behind the part being written is always the same few bytes (its
    *tail*), which move up.
    An entry is appended to the last group that was begun, at any depth, or to a later one; data is written once, in the
    schema's order. Anything else is the fault READ_ONLY. A count or length that does not fit is VALUE_OUT_OF_RANGE,
    an entry without room CAPACITY_EXHAUSTED, with SPACE_EXHAUSTED noted. All of it is checked before a byte is stored.
    The output's length, OUTPUT_USED and the padding up to a multiple of 8 are right after each call.

Memory layout: the transaction block (`state/transaction_layout.py`), part descriptors (`output_layout.py`), outputs in
the entry (`journal/entry_layout.py`). Blocks and descriptors are passed as addresses.

What a crash leaves lies above the appended position of the log, where nobody reads.
"""

from __future__ import annotations

from statevec.engine.plugin import output_layout as part_layout
from statevec.engine.plugin.operations import block_at
from statevec.ipc.faults import CAPACITY_EXHAUSTED, READ_ONLY, VALUE_OUT_OF_RANGE, fault_if
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, region_at
from statevec.journal.entry_layout import OUTPUT_LENGTH, OUTPUT_MESSAGE
from statevec.state import transaction_layout as layout


@kernel
def store_unsigned(region: Region, offset: int, width: int, big_endian: bool, value: int) -> None:
    """Store the low `width` bytes (1, 2, 4 or 8) of a number."""
    for index in range(width):
        place = width - 1 - index if big_endian else index
        region.store_i8(offset + place, (value >> (8 * index)) & 0xFF)


@kernel
def _outputs(tx: Region) -> Region:
    return region_at(tx.load_i64(layout.OUTPUT_ADDRESS), tx.load_i64(layout.OUTPUT_SIZE))


@kernel
def _part_at(address: int) -> Region:
    head = region_at(address, part_layout.PART_IMAGE)
    image = head.load_i64(part_layout.PART_ENTRY_SIZE) + head.load_i64(part_layout.PART_TAIL_SIZE)
    return region_at(address, part_layout.PART_IMAGE + image)


@kernel
def _line(depth: int) -> int:
    """Offset of the line of an open level in the transaction block."""
    return layout.OPEN_LEVEL_LINES + depth * layout.OPEN_LEVEL_SIZE


@kernel
def _open(tx: Region, depth: int, block: int) -> None:
    """Open the level whose block is at an offset of the outputs; those below it are closed."""
    line = _line(depth)
    tx.store_i64(line + layout.OPEN_BLOCK, block)
    tx.store_i64(line + layout.OPEN_MEMBER, -1)
    tx.store_i64(layout.OPEN_LEVELS, depth + 1)


@kernel
def open_output(transaction: int, frame: int, message_size: int, block: int) -> None:
    """Note an output with groups or data that was just begun: addresses of its frame and block."""
    tx = block_at(transaction)
    outputs = tx.load_i64(layout.OUTPUT_ADDRESS)
    tx.store_i64(layout.OUTPUT_FRAME, frame - outputs)
    tx.store_i64(layout.OUTPUT_END, frame - outputs + OUTPUT_MESSAGE + message_size)
    _open(tx, 0, block - outputs)


@kernel
def _check_open(tx: Region, part: Region, block: int, is_data: bool) -> int:
    """The line of the part's level, which must be open and not beyond the part; else READ_ONLY."""
    depth = part.load_i64(part_layout.PART_DEPTH)
    line = _line(depth)
    is_open = depth < tx.load_i64(layout.OPEN_LEVELS) and tx.load_i64(line + layout.OPEN_BLOCK) == block
    fault_if(not is_open, READ_ONLY)
    written = tx.load_i64(line + layout.OPEN_MEMBER)
    member = part.load_i64(part_layout.PART_MEMBER)
    fault_if(written > member or (is_data and written == member), READ_ONLY)
    return line


@kernel
def _grow(tx: Region, added: int) -> None:
    """Make the output longer, with zeros up to a multiple of 8 behind it."""
    frame = tx.load_i64(layout.OUTPUT_FRAME)
    end = tx.load_i64(layout.OUTPUT_END) + added
    used = frame + ((end - frame + 7) & ~7)
    is_full = used > tx.load_i64(layout.OUTPUT_SIZE)
    if is_full:
        tx.store_i64(layout.SPACE_EXHAUSTED, 1)
    fault_if(is_full, CAPACITY_EXHAUSTED)
    outputs = _outputs(tx)
    outputs.fill_zero(end, used - end)
    outputs.store_i32(frame + OUTPUT_LENGTH, used - frame)
    tx.store_i64(layout.OUTPUT_USED, used)
    tx.store_i64(layout.OUTPUT_END, end)


@kernel
def _store_number(outputs: Region, part: Region, head: int, value: int) -> None:
    place = head + part.load_i64(part_layout.PART_NUMBER_AT)
    big_endian = part.load_i64(part_layout.PART_NUMBER_BIG) != 0
    store_unsigned(outputs, place, part.load_i64(part_layout.PART_NUMBER_SIZE), big_endian, value)


@kernel
def append_entry(transaction: int, block: int, descriptor: int) -> int:
    """A new entry of a group in the level whose block is at the address `block`; the address of its own block."""
    tx = block_at(transaction)
    part = _part_at(descriptor)
    outputs_at = tx.load_i64(layout.OUTPUT_ADDRESS)
    line = _check_open(tx, part, block - outputs_at, False)
    at = tx.load_i64(layout.OUTPUT_END) - part.load_i64(part_layout.PART_TAIL_SIZE)
    member = part.load_i64(part_layout.PART_MEMBER)
    head = at - part.load_i64(part_layout.PART_HEAD_SIZE)
    count = 1
    if tx.load_i64(line + layout.OPEN_MEMBER) == member:
        head = tx.load_i64(line + layout.OPEN_HEAD)
        count = tx.load_i64(line + layout.OPEN_COUNT) + 1
    fault_if(count > part.load_i64(part_layout.PART_HIGHEST), VALUE_OUT_OF_RANGE)
    entry_size = part.load_i64(part_layout.PART_ENTRY_SIZE)
    _grow(tx, entry_size)
    outputs = _outputs(tx)
    image_size = entry_size + part.load_i64(part_layout.PART_TAIL_SIZE)
    outputs.copy_from(at, part, part_layout.PART_IMAGE, image_size)
    _store_number(outputs, part, head, count)
    tx.store_i64(line + layout.OPEN_MEMBER, member)
    tx.store_i64(line + layout.OPEN_HEAD, head)
    tx.store_i64(line + layout.OPEN_COUNT, count)
    _open(tx, part.load_i64(part_layout.PART_DEPTH) + 1, at)
    return outputs_at + at


@kernel
def put_data(transaction: int, block: int, descriptor: int, source: int, length: int) -> None:
    """The data of the level whose block is at the address `block`: `length` bytes at the address `source`."""
    tx = block_at(transaction)
    part = _part_at(descriptor)
    line = _check_open(tx, part, block - tx.load_i64(layout.OUTPUT_ADDRESS), True)
    fault_if(length > part.load_i64(part_layout.PART_HIGHEST), VALUE_OUT_OF_RANGE)
    tail_size = part.load_i64(part_layout.PART_TAIL_SIZE)
    at = tx.load_i64(layout.OUTPUT_END) - tail_size
    _grow(tx, length)
    outputs = _outputs(tx)
    outputs.copy_from(at, region_at(source, length), 0, length)
    outputs.copy_from(at + length, part, part_layout.PART_IMAGE, tail_size)
    _store_number(outputs, part, at - part.load_i64(part_layout.PART_HEAD_SIZE), length)
    tx.store_i64(line + layout.OPEN_MEMBER, part.load_i64(part_layout.PART_MEMBER))
    tx.store_i64(layout.OPEN_LEVELS, part.load_i64(part_layout.PART_DEPTH) + 1)
