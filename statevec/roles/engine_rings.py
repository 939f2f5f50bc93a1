"""The leader's rings: made or taken over when it starts, checked slowly while it leads.

Invariants
    A ring that the last leader left is resumed at max(journaled end, ring's head), when the two can both be right
    (protocol rule 1); a new ring instance begins at 0 and becomes an entry (RING_ATTACH) before its first message.
    A new ring says from its first moment what the log has of its source, so that a producer numbers on from there.
    What cannot be right is quarantined, as an entry; the other rings go on.

The main thread writes a ring's block while the loop does not run; later only its reason and status, from open to
suspect: the loop makes the quarantine entry.

A crash after a ring was made and before its entry leaves a ring whose instance the log does not know and whose head
is 0: the next leader attaches it.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.engine import engine_state, loop_layout
from statevec.engine.append import append_admin, log_of
from statevec.engine.config import ADMIN_RING, ADMIN_RING_CAPACITY, ConfigError, RingConfig, Size
from statevec.engine.engine_state import MAX_SOURCES, SOURCES
from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.engine.rings import quarantine_ring
from statevec.ipc import ring_layout
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.ring import attach_ring, create_ring
from statevec.ipc.ring_kernels import (
    CONSUMER_SIZE,
    CORRUPT_HEAD,
    CORRUPT_PAGE,
    RING_CODES,
    check_positions,
    open_consumer,
    resume_position,
)
from statevec.ipc.ring_layout import APPENDED_SEQUENCE, HEAD
from statevec.ipc.ring_repair import RingError, records_region
from statevec.ipc.segment import SHARED_MEMORY, Segment, SegmentError
from statevec.ipc.sigbus import guard
from statevec.journal import admin_layout
from statevec.journal.entry_layout import RING_ATTACH
from statevec.roles.events import report
from statevec.roles.takeover import was_finished
from statevec.state.tables import find

FIRST_SOURCE = 1


@dataclass(frozen=True)
class SourceState:
    """What the engine's own table says of a source; all zero for one that no entry is from."""

    sequence: int = 0
    position: int = 0
    ring_instance: int = 0
    quarantined: int = 0
    duplicate_run: int = 0


def source_state(execution: Execution, source: int) -> SourceState:
    """Read one source's row from the arena."""
    row = find(execution.tx, SOURCES, source)
    if row == 0:
        return SourceState()
    load = execution.arena.load_i64
    return SourceState(
        sequence=load(row + engine_state.SOURCE_SEQUENCE),
        position=load(row + engine_state.SOURCE_POSITION),
        ring_instance=load(row + engine_state.SOURCE_RING_INSTANCE),
        quarantined=load(row + engine_state.SOURCE_QUARANTINED),
        duplicate_run=load(row + engine_state.SOURCE_DUPLICATE_RUN),
    )


def number_sources(rings: list[RingConfig], known: dict[str, int]) -> dict[str, int]:
    """Source numbers by ring name: the ones that the log knows stay, new ones follow in the configuration's order."""
    following = max(known.values(), default=FIRST_SOURCE - 1) + 1
    new = [ring.name for ring in rings if ring.name not in known]
    if following + len(new) - 1 > MAX_SOURCES:
        raise ConfigError(f"ring: {new} would be sources beyond {MAX_SOURCES}, the most an instance ever knows")
    numbers: dict[str, int] = {}
    for ring in rings:
        numbers[ring.name] = known.get(ring.name, following)
        following += ring.name not in known
    return numbers


class EngineRing:
    """One ring as the leader has it: its segment (None when there is none to trust) and its block for the loop.

    Without a segment the loop tells what is released to a page that nobody reads.
    """

    def __init__(self, config: RingConfig, source: int, segment: Segment | None, block: Region) -> None:
        self.config = config
        self.name = config.name
        self.source = source
        self.segment = segment
        self.block = block
        self._unread = Region.allocate(ring_layout.DATA) if segment is None else None
        if self._unread is not None:
            block.store_i64(loop_layout.RING_PAGE_ADDRESS, self._unread.address)

    def map_segment(self, segment: Segment) -> None:
        """Let the block name this segment's memory; the loop may look at its page from now on."""
        guard(segment.region)  # a producer that shrinks the file must not end this process (rule 5)
        records = records_region(segment)
        self.segment = segment
        self.block.store_i64(loop_layout.RING_ADDRESS, records.address)
        self.block.store_i64(loop_layout.RING_BYTES, records.size)
        self.block.store_i64(loop_layout.RING_PAGE_ADDRESS, segment.region.address)
        self.block.store_i64(loop_layout.RING_INSTANCE, segment.own_id)

    @property
    def status(self) -> int:
        # SYNC POINT: pairs with the loop's store of RING_QUARANTINED and this thread's of RING_SUSPECT.
        return load_acquire(self.block, loop_layout.RING_STATUS)

    def check(self) -> str | None:
        """The slow check (rule 5): None, or why the ring is suspect from now on; the loop quarantines it."""
        if self.segment is None or self.status != loop_layout.RING_OPEN:
            return None
        try:
            self.segment.verify()
        except SegmentError as error:
            return self.suspect(CORRUPT_PAGE, str(error))
        code = check_positions(records_region(self.segment), self.segment.capacity)
        return self.suspect(code, RING_CODES[code]) if code < 0 else None

    def suspect(self, reason: int, text: str) -> str:
        """Ask the loop to quarantine this ring; returns the text."""
        self.block.store_i64(loop_layout.RING_REASON, reason)
        # SYNC POINT: pairs with the loop's acquire of the status: the reason is there before it.
        store_release(self.block, loop_layout.RING_STATUS, loop_layout.RING_SUSPECT)
        return text

    def statistics(self) -> dict[str, int]:
        """Figures of the loop's block."""
        return {
            "source": self.source,
            "status": self.status,
            "messages": self.block.load_i64(loop_layout.RING_MESSAGES),
            "duplicates": self.block.load_i64(loop_layout.RING_DUPLICATES),
            "last_sequence": self.block.load_i64(loop_layout.RING_LAST_SEQUENCE),
            "released_sequence": self.block.load_i64(loop_layout.RING_TOLD_RELEASED),
        }


def open_rings(
    instance: Instance, rings: list[RingConfig], sources: dict[str, int], execution: Execution, group: str | None
) -> list[EngineRing]:
    """Make or take over every ring and append what that needs to the log; the loop does not run yet."""
    loop = execution.block
    opened = []
    for number, config in enumerate(rings):
        block = loop.slice(loop_layout.RINGS + number * loop_layout.RING_SIZE, loop_layout.RING_SIZE)
        opened.append(_open_ring(instance, config, sources[config.name], execution, block, group))
        # What the log has need not be on disk yet: the loop tells the producer once it is.
        block.store_i64(loop_layout.RING_TOLD_RELEASED, 0)
        block.store_i64(loop_layout.RING_CHECKPOINT_POSITION, loop.load_i64(loop_layout.PUBLISHED))
    loop.store_i64(loop_layout.RING_COUNT, len(opened))
    return opened


def open_admin_ring(instance: Instance, source: int, execution: Execution) -> EngineRing:
    """The ring for operators' commands, for the owner alone. The main thread takes from it: its block is of its own."""
    config = RingConfig(ADMIN_RING, Size(ADMIN_RING_CAPACITY))
    return _open_ring(instance, config, source, execution, Region.allocate(loop_layout.RING_SIZE), None)


def _open_ring(
    instance: Instance, config: RingConfig, source: int, execution: Execution, block: Region, group: str | None
) -> EngineRing:
    state = source_state(execution, source)
    block.fill_zero(0, loop_layout.RING_SIZE)
    block.store_i64(loop_layout.RING_SOURCE, source)
    block.store_i64(loop_layout.RING_INSTANCE, state.ring_instance)
    for offset in (loop_layout.RING_LAST_SEQUENCE, loop_layout.RING_TOLD_APPENDED, loop_layout.RING_TOLD_RELEASED):
        block.store_i64(offset, state.sequence)
    block.store_i64(loop_layout.RING_CHECKPOINT_SEQUENCE, state.sequence)
    block.store_i64(loop_layout.RING_DUPLICATE_RUN, state.duplicate_run)
    segment = _attach_or_create(instance, config, state.sequence, group)
    ring = EngineRing(config, source, segment, block)
    if segment is None:
        _quarantine(execution, ring, state, CORRUPT_PAGE)
        return ring
    ring.map_segment(segment)
    capacity, records = segment.capacity, records_region(segment)
    # SYNC POINT: pairs with the last leader's `release_head`.
    head = load_acquire(records, capacity + HEAD)
    position = _start_position(segment, state, head)
    code = position if position < 0 else check_positions(records, capacity)
    if code < 0 or (state.quarantined and segment.own_id == state.ring_instance):
        _quarantine(execution, ring, state, code if code < 0 else CORRUPT_HEAD)
        return ring
    open_consumer(records, block.slice(loop_layout.RING_CONSUMER, CONSUMER_SIZE), capacity, position)
    if segment.own_id != state.ring_instance:
        message = Region.of(admin_layout.ring_attach(segment.own_id, source, config.name))
        append_admin(execution.block, execution.tx, RING_ATTACH, source, message)
    # SYNC POINT: pairs with the producer's acquire of its appended sequence: the log has these messages.
    store_release(segment.region, APPENDED_SEQUENCE, state.sequence)
    return ring


def _start_position(segment: Segment, state: SourceState, head: int) -> int:
    """Where the loop goes on in the ring, or a CORRUPT code (rules 1 and 4)."""
    if segment.own_id == state.ring_instance:
        return int(resume_position(segment.capacity, state.position, head))
    # Messages were taken from a ring that the log has never heard of: by a log that is lost.
    return 0 if head == 0 else CORRUPT_HEAD


def _attach_or_create(instance: Instance, config: RingConfig, last_sequence: int, group: str | None) -> Segment | None:
    """The ring's segment; None when there is one that cannot be what it says."""
    path = SHARED_MEMORY / instance.segment_name(f"ring-{config.name}")[1:]
    if path.exists() and not was_finished(path):
        path.unlink()  # its maker died in the middle, nobody ever attached to it
    if not path.exists():
        return create_ring(config.name, config.capacity, instance.instance_id, last_sequence=last_sequence, group=group)
    try:
        segment = attach_ring(config.name, instance.instance_id, populate=False)
    except (SegmentError, RingError) as error:
        report("ring_damaged", ring=config.name, reason=str(error))
        return None
    if segment.capacity != config.capacity:
        found = segment.capacity
        segment.close()
        raise RingError(
            f"ring has another capacity than the configuration: ring={config.name!r} capacity={found} "
            f"configured={config.capacity}; stop its producer, run `statevec clean`, start again"
        )
    return segment


def _quarantine(execution: Execution, ring: EngineRing, state: SourceState, reason: int) -> None:
    """Leave the ring alone from the start; an entry says so, unless the log knows."""
    block = ring.block
    if state.quarantined and (ring.segment is None or ring.segment.own_id == state.ring_instance):
        block.store_i64(loop_layout.RING_STATUS, loop_layout.RING_QUARANTINED)
        return
    block.store_i64(loop_layout.RING_REASON, reason)
    quarantine_ring(execution.block, execution.tx, log_of(execution.block), block)


assert ring_layout.DATA == 4096
