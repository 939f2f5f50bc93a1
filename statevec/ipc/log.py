"""The log for Python: making its segment, attaching to it, reading entries one after the other.

Invariants
    Only the leader writes entries; followers map the segment read-only (rule 5 of the architecture: copy before trust).
    An entry that `LogReader.poll` returns is a private copy, checked for having been copied whole.

Layout: `log_layout`. A reader leaves nothing behind; its position is its own to keep.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from numba import types

from statevec.ipc import log_layout as layout
from statevec.ipc import segment_layout
from statevec.ipc.log_kernels import (
    CORRUPT_ENTRY,
    EMPTY,
    LAPPED,
    READER_ENTRY_POSITION,
    READER_POSITION,
    READER_SIZE,
    next_entry,
    open_reader,
)
from statevec.ipc.memory import Region, region_at
from statevec.ipc.python_call import PythonCall, load_acquire
from statevec.ipc.segment import Segment, SegmentError, segment_name

LOG_ADDRESS = 0
LOG_SIZE = 8
TARGET_ADDRESS = 16
TARGET_SIZE = 24
KERNEL_PART = 64
"""A Python reader's private block: where log and copy lie; at KERNEL_PART the kernels' own private memory."""

Releaser = Literal["leader", "journaler"]
RELEASED_OFFSETS = {
    "leader": layout.RELEASED_BY_LEADER - layout.CONTROL,
    "journaler": layout.RELEASED_BY_JOURNALER - layout.CONTROL,
}


class LogError(Exception):
    """The log holds what it must not, or not what was asked for; the text has rule and values."""


class LappedError(LogError):
    """The writer overwrote the position, or this segment never held it: go on from the segment files (rule 8)."""


def create_log(
    instance_id: int,
    capacity: int,
    *,
    released_by: Releaser,
    position: int = 0,
    unit: int = layout.UNIT,
    group: str | int | None = None,
) -> Segment:
    """Make the segment of an instance's log, whose first entry will begin at `position`.

    `released_by` is `leader` in `memory` mode and `journaler` in `disk` mode. All positions stand at `position`.
    """
    power = capacity > 0 and capacity & (capacity - 1) == 0
    if not power or capacity % unit or capacity < 4 * layout.MAX_BATCH_BYTES:
        rule = "must be a power of two, a multiple of UNIT and at least four batches"
        raise LogError(f"log's capacity {rule}: capacity={capacity} unit={unit} batch={layout.MAX_BATCH_BYTES}")
    if position < 0 or position & 7:
        raise LogError(f"log's position must be a multiple of 8: position={position}")
    name = segment_name(instance_id, "log")
    segment = Segment.create(name, segment_layout.LOG, layout.DATA + capacity, capacity, instance_id, group=group)
    positions = ("APPENDED", "RELEASED_BY_LEADER", "DURABLE", "WRITTEN", "RELEASED_BY_JOURNALER", "FIRST_POSITION")
    for each in positions:
        segment.region.store_i64(getattr(layout, each), position)
    segment.region.store_i64(layout.RELEASED_AT, RELEASED_OFFSETS[released_by])
    segment.publish()
    return segment


def attach_log(instance_id: int, *, writable: bool = False, owner: int | None = None, populate: bool = True) -> Segment:
    """Attach to an instance's log, read-only unless told otherwise; `populate` as in `Segment.attach`."""
    name = segment_name(instance_id, "log")
    segment = Segment.attach(name, segment_layout.LOG, instance_id, writable=writable, owner=owner, populate=populate)
    try:
        verify_log(segment)
    except BaseException:
        segment.close()
        raise
    return segment


def released_offset(segment: Segment) -> int:
    """Where the released position stands in the segment."""
    offset = segment.region.load_i64(layout.RELEASED_AT)
    if offset not in RELEASED_OFFSETS.values():
        raise LogError(f"log does not say who releases: offset={offset} log={segment.name!r}")
    return layout.CONTROL + offset


def released_position(segment: Segment) -> int:
    """The position below which entries may be acted on."""
    # SYNC POINT: pairs with the release of that position by leader or journaler.
    return load_acquire(segment.region, released_offset(segment))


def log_statistics(segment: Segment) -> dict[str, Any]:
    """The control page now."""
    region = segment.region
    # SYNC POINT: pairs with the stores of these words by leader and journaler. Read from the lowest position to the
    # highest, so that durable <= written <= appended also holds in what is read.
    words = {
        name.lower(): load_acquire(region, getattr(layout, name))
        for name in ("DURABLE", "WRITTEN", "APPENDED", "LAST_SEQUENCE", "EPOCH", "HALTED", "HEARTBEAT_NS")
    }
    released = released_position(segment)
    first = region.load_i64(layout.FIRST_POSITION)
    return {**segment.statistics(), **words, "released": released, "first_position": first}


def verify_log(segment: Segment) -> None:
    """`LogError` or `SegmentError` when the control page contradicts itself."""
    if segment.size != layout.DATA + segment.capacity or segment.capacity & (segment.capacity - 1):
        sizes = f"size={segment.size} capacity={segment.capacity}"
        raise SegmentError(f"log's size does not fit its capacity: {sizes} log={segment.name!r}")
    found = log_statistics(segment)
    order = [found[name] for name in ("first_position", "durable", "written", "appended")]
    if order != sorted(order) or any(position & 7 for position in order):
        raise LogError(f"log's positions are out of order: {found}")


@PythonCall((types.int64,))
def _next_entry(block):  # type: ignore[no-untyped-def]
    private = region_at(block, KERNEL_PART + READER_SIZE)
    log = region_at(private.load_i64(LOG_ADDRESS), private.load_i64(LOG_SIZE))
    target = region_at(private.load_i64(TARGET_ADDRESS), private.load_i64(TARGET_SIZE))
    return next_entry(log, private.slice(KERNEL_PART, READER_SIZE), target)


class LogReader:
    """Reads entries from `position` on. `follow` says how far: to the released or to the appended position."""

    def __init__(
        self,
        segment: Segment,
        position: int,
        follow: Literal["released", "appended"] = "released",
        *,
        unit: int = layout.UNIT,
        max_entry: int = layout.MAX_ENTRY,
    ) -> None:
        self.segment = segment
        self.entry = Region.allocate(max_entry)
        """The copy of the last entry; overwritten by the next `poll`."""
        self._log = segment.region
        self._block = Region.allocate(KERNEL_PART + READER_SIZE)
        self._private = self._block.slice(KERNEL_PART, READER_SIZE)
        self._block.store_i64(LOG_ADDRESS, self._log.address)
        self._block.store_i64(LOG_SIZE, self._log.size)
        self._block.store_i64(TARGET_ADDRESS, self.entry.address)
        self._block.store_i64(TARGET_SIZE, self.entry.size)
        followed = layout.APPENDED if follow == "appended" else released_offset(segment)
        open_reader(self._log, self._private, segment.capacity, unit, followed, position)
        self._address = self._block.address
        self._next = _next_entry.entry
        self._view = self.entry.view

    def poll(self) -> memoryview | None:
        """The next entry's bytes, valid until the next call; None when there is none yet.

        `LappedError` when the writer is so far ahead that the entry is gone, `LogError` when it cannot be one.
        """
        return self.taken(self._next(self._address))

    def taken(self, length: int) -> memoryview | None:
        """What a kernel's answer `length` means for the caller of `poll`; see there."""
        if length >= 0:
            return self._view[:length]
        if length == EMPTY:
            return None
        where = f"position={self.position} {log_statistics(self.segment)}"
        if length == LAPPED:
            raise LappedError(f"reader fell behind the log's window: {where}")
        assert length == CORRUPT_ENTRY
        raise LogError(f"no entry stands where one must: {where}")

    @property
    def position(self) -> int:
        """Where the next entry begins."""
        return self._private.load_i64(READER_POSITION)

    @property
    def entry_position(self) -> int:
        """Where the entry that `poll` returned last begins."""
        return self._private.load_i64(READER_ENTRY_POSITION)

    def close(self) -> None:
        """Give the segment up."""
        self.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
