"""The log's kernels: what its one writer stores so that readers can trust it, and what a reader does to trust it.

Layout: `log_layout`; of an entry only its first 8 bytes matter here, {int32 length, int32 kind}. `log` is the whole
segment. A reader keeps in private memory:

    0 capacity | 8 UNIT | 16 position of the next entry | 24 limit: the followed position as last loaded |
    32 offset of the followed position in the segment | 40 position of the entry read last

Invariants
    The writer stores fewer than MAX_BATCH_BYTES above the published position before it publishes, and then fences, so
    a reader that finds its position within capacity - MAX_BATCH_BYTES of the published one, after it has copied, has
    copied no byte of a later lap (rule 6).
    A reader uses no length that it has not checked, and nothing of an entry in the log: only its copy.

The leader writes, everybody reads. A crash of the writer leaves bytes above the published position that no reader
looks at; a reader leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.log_layout import APPENDED, DATA, FIRST_POSITION, MAX_BATCH_BYTES, RELEASED_BY_LEADER
from statevec.ipc.memory import Region, fence_acquire, fence_release, region_size

EMPTY = -1
LAPPED = -2
CORRUPT_ENTRY = -3
LOG_CODES = {EMPTY: "EMPTY", LAPPED: "LAPPED", CORRUPT_ENTRY: "CORRUPT_ENTRY"}

PADDING = -1
"""Kind of what fills the rest of a UNIT."""
ENTRY_PREFIX_SIZE = 8

READER_CAPACITY = 0
READER_UNIT = 8
READER_POSITION = 16
READER_LIMIT = 24
READER_FOLLOWED = 32
READER_ENTRY_POSITION = 40
READER_SIZE = 64

MAX_PADDING_RUN = 4


@kernel
def entry_offset(capacity: int, position: int) -> int:
    """Offset in the segment of the byte at `position`."""
    return DATA + (position & (capacity - 1))


@kernel
def start_entry(log: Region, capacity: int, unit: int, position: int, size: int) -> int:
    """Where an entry of up to `size` bytes begins when `position` is the next free one.

    That is `position` itself, or the next multiple of `unit` behind padding when the entry would cross it.
    """
    room = unit - (position & (unit - 1))
    if size <= room:
        return position
    log.store_i64(entry_offset(capacity, position), room | PADDING << 32)
    return position + room


@kernel
def publish(log: Region, position: int, release: bool) -> None:
    """Make all bytes below `position` readable; `release` says that they are also released (`memory` mode)."""
    # SYNC POINT: pairs with the loads of the appended position in `next_entry` and the journaler.
    log.store_release(APPENDED, position)
    if release:
        # SYNC POINT: pairs with the load of the followed position in `next_entry`.
        log.store_release(RELEASED_BY_LEADER, position)
    # SYNC POINT: pairs with `fence_acquire` in `within_window`: a reader that copied a byte of the next batch then
    # sees this published position, and so that it was lapped.
    fence_release()


@kernel
def is_full(log: Region, capacity: int, position: int, flushed_at: int) -> bool:
    """Whether a batch above `position` could overwrite what is not flushed yet (rule 7).

    `flushed_at` is DURABLE in `disk` mode and WRITTEN in `memory` mode.
    """
    # SYNC POINT: pairs with the journaler's stores of its positions.
    return position + MAX_BATCH_BYTES - log.load_acquire(flushed_at) > capacity


@kernel
def within_window(log: Region, capacity: int, position: int) -> bool:
    """Whether all that was loaded so far from `position` upwards belongs to this lap."""
    # SYNC POINT: pairs with `fence_release` in `publish`.
    fence_acquire()
    # SYNC POINT: pairs with the store in `publish`; the fence above orders it behind the copy.
    return log.load_acquire(APPENDED) - position <= capacity - MAX_BATCH_BYTES


@kernel
def open_reader(log: Region, reader: Region, capacity: int, unit: int, followed: int, position: int) -> None:
    """Fill the private memory of a reader that starts at `position` (the start of an entry)."""
    reader.fill_zero(0, READER_SIZE)
    reader.store_i64(READER_CAPACITY, capacity)
    reader.store_i64(READER_UNIT, unit)
    reader.store_i64(READER_FOLLOWED, followed)
    reader.store_i64(READER_POSITION, position)
    reader.store_i64(READER_LIMIT, position)


@kernel
def copy_entry(log: Region, reader: Region, position: int, target: Region) -> int:
    """Copy the entry at `position` to `target`: its length, LAPPED or CORRUPT_ENTRY. Padding is copied as 8 bytes."""
    capacity, unit = reader.load_i64(READER_CAPACITY), reader.load_i64(READER_UNIT)
    offset = entry_offset(capacity, position)
    # SYNC POINT: pairs with `within_window` below: length and kind come from one load, which is checked before use.
    word = log.load_acquire(offset)
    length = (word & 0xFFFFFFFF) - ((word & 0x80000000) << 1)
    room = min(unit - (position & (unit - 1)), reader.load_i64(READER_LIMIT) - position)
    size = ENTRY_PREFIX_SIZE if word >> 32 == PADDING else length
    sound = length >= ENTRY_PREFIX_SIZE and length & 7 == 0 and length <= room and size <= region_size(target)
    if sound:
        target.copy_from(0, log, offset, size)
    if not within_window(log, capacity, position):
        return LAPPED
    return length if sound and target.load_i64(0) == word else CORRUPT_ENTRY


@kernel
def next_entry(log: Region, reader: Region, target: Region) -> int:
    """Copy the next entry to `target` and go on behind it: its length, EMPTY, LAPPED or CORRUPT_ENTRY.

    READER_ENTRY_POSITION then says where the entry begins. Padding is passed over.
    """
    for _ in range(MAX_PADDING_RUN):
        position = reader.load_i64(READER_POSITION)
        if position >= reader.load_i64(READER_LIMIT):
            # SYNC POINT: pairs with `publish`, or with the journaler's store of the released position.
            limit = log.load_acquire(reader.load_i64(READER_FOLLOWED))
            if limit <= position:
                return EMPTY
            reader.store_i64(READER_LIMIT, limit)
        if position < log.load_i64(FIRST_POSITION):
            return LAPPED
        length = copy_entry(log, reader, position, target)
        if length < 0:
            return length
        reader.store_i64(READER_POSITION, position + length)
        if target.load_i32(4) != PADDING:
            reader.store_i64(READER_ENTRY_POSITION, position)
            return length
    return EMPTY
