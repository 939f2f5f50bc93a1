"""Releasing a quarantined ring: it is made anew while its leader goes on, and its producer may come back.

    order ─► refuse, or ADMIN entry ─► all that came from it is released ─► the old segment goes, a new one is made
          ─► RING_ATTACH entry with the new instance ─► the loop polls it

Invariants
    A ring is released only while no producer has it: what lies unread in it was never taken, and its producer, which
    sends again what the log does not have, numbers on after what the log has.
    The loop polls the new ring only after its RING_ATTACH entry (rule 4).
    The old memory stays mapped until this process ends: the loop may be looking at its page.

The main thread writes the block of a ring that the loop has quarantined, its status last.

A crash before the old segment is gone leaves the ring quarantined: the operator orders it again. A crash after it
leaves no ring, or one that the log does not know and whose head is 0: the next leader makes or attaches it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from statevec.engine import loop_layout
from statevec.engine.instance import Instance
from statevec.ipc.python_call import store_release
from statevec.ipc.ring import create_ring
from statevec.ipc.ring_kernels import CONSUMER_SIZE, open_consumer
from statevec.ipc.ring_repair import records_region
from statevec.ipc.segment import SHARED_MEMORY
from statevec.journal.admin_layout import ring_attach
from statevec.roles.cutover_rules import RefusedError
from statevec.roles.engine_rings import EngineRing


class RingRelease:
    """The release of one ring, from the accepted order on; `make`, then an entry with its answer, then `open`."""

    def __init__(self, instance: Instance, ring: EngineRing, group: str | None) -> None:
        """Raises `RefusedError` when the ring is not quarantined, or a producer has it."""
        if ring.status != loop_layout.RING_QUARANTINED:
            raise RefusedError(f"ring {ring.name!r} is not quarantined")
        self.ring = ring
        self.is_made = False
        self._instance = instance
        self._group = group
        os.close(self._lock_old())

    @property
    def is_ready(self) -> bool:
        """Whether all that came from the ring is released, so that the loop has nothing more to tell its producer."""
        block = self.ring.block
        return block.load_i64(loop_layout.RING_TOLD_RELEASED) == block.load_i64(loop_layout.RING_LAST_SEQUENCE)

    def make(self) -> bytes:
        """Let the new ring take the place of the old one; the input of its RING_ATTACH entry.

        Raises `RefusedError` when a producer came meanwhile, `OSError` where there is no memory for it.
        """
        ring = self.ring
        last = ring.block.load_i64(loop_layout.RING_LAST_SEQUENCE)
        held = self._lock_old()
        try:
            self._path.unlink(missing_ok=True)
            segment = create_ring(
                ring.name, ring.config.capacity, self._instance.instance_id, last_sequence=last, group=self._group
            )
        finally:
            os.close(held)
        ring.map_segment(segment)
        self.is_made = True
        return ring_attach(segment.own_id, ring.source, ring.name)

    def open(self) -> None:
        """Let the loop poll the new ring: the log knows it."""
        ring, segment = self.ring, self.ring.segment
        assert segment is not None
        consumer = ring.block.slice(loop_layout.RING_CONSUMER, CONSUMER_SIZE)
        consumer.fill_zero(0, CONSUMER_SIZE)
        open_consumer(records_region(segment), consumer, segment.capacity, 0)
        for offset in (loop_layout.RING_REASON, loop_layout.RING_QUARANTINE_ENTERED):
            ring.block.store_i64(offset, 0)
        # SYNC POINT: pairs with the loop's acquire of the status: the block is there before it.
        store_release(ring.block, loop_layout.RING_STATUS, loop_layout.RING_OPEN)

    @property
    def _path(self) -> Path:
        return SHARED_MEMORY / self._instance.segment_name(f"ring-{self.ring.name}")[1:]

    def _lock_old(self) -> int:
        """A descriptor with the producer's lock of the old segment; of nothing when that is gone."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RefusedError(f"a producer has ring {self.ring.name!r}: end it first, it must attach anew") from None
        return descriptor
