"""The admin ring's consuming side: the engine's main thread takes one command at a time.

Invariants
    A command is copied out of the ring before it is looked at. The head moves only after the command's entry (rule 2).
    A sequence that the log has is skipped (rule 4). Nonsense in the ring closes it: nobody can command until it is
    made anew, the other rings go on (rule 5).

The ring's block is private memory of the main thread. A crash leaves a command that the next leader takes again, or
skips when its entry is in the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.engine import loop_layout
from statevec.engine.rings import tell_appended
from statevec.ipc import ring_layout
from statevec.ipc.ring_kernels import (
    CONSUMER_BODY,
    CONSUMER_HEAD,
    CONSUMER_SIZE,
    CORRUPT_SEQUENCE,
    EMPTY,
    RING_CODES,
    next_record,
    release_head,
)
from statevec.ipc.ring_repair import records_region
from statevec.roles.engine_rings import EngineRing
from statevec.roles.events import report


@dataclass(frozen=True)
class Received:
    """One command: producer sequence, position of its record's end, bytes of the message."""

    sequence: int
    position: int
    message: bytes


class AdminRing:
    """Takes commands out of an opened ring that the loop does not poll."""

    def __init__(self, ring: EngineRing) -> None:
        self._ring = ring
        self.source = ring.source
        self._open = ring.segment is not None and ring.status == loop_layout.RING_OPEN
        self._consumer = ring.block.slice(loop_layout.RING_CONSUMER, CONSUMER_SIZE)

    def take(self) -> Received | None:
        """The next command that the log does not have; None when there is none."""
        if not self._open or self._ring.segment is None:
            return None
        records = records_region(self._ring.segment)
        length = int(next_record(records, self._consumer))
        if length < 0:
            if length != EMPTY:
                self._open = False
                report("admin_ring_closed", reason=RING_CODES[length])
            return None
        body = self._consumer.load_i64(CONSUMER_BODY)
        content = bytes(records.view[body : body + length])
        sequence = int.from_bytes(content[:8], "little", signed=True)
        received = Received(
            sequence, self._consumer.load_i64(CONSUMER_HEAD), content[ring_layout.INGRESS_HEADER_SIZE :]
        )
        last = self._ring.block.load_i64(loop_layout.RING_LAST_SEQUENCE)
        if sequence - last > ring_layout.MAX_SEQUENCE_JUMP:
            self._open = False
            report("admin_ring_closed", reason=RING_CODES[CORRUPT_SEQUENCE])
            return None
        if sequence <= last:
            release_head(records, self._consumer)
            return None
        return received

    def done(self, received: Received) -> None:
        """The command's entry is published: tell the producer, give the space back."""
        assert self._ring.segment is not None
        self._ring.block.store_i64(loop_layout.RING_LAST_SEQUENCE, received.sequence)
        tell_appended(self._ring.block)
        release_head(records_region(self._ring.segment), self._consumer)
