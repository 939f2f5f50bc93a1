"""A standby's counters, where everybody can read them: how far it is, for `statevec status` and for a handover.

The standby writes the segment `counters-standby-PID`, everybody reads it. A crash leaves the last values; `clean`
removes them, and who reads believes a living process only.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from statevec.engine.instance import Instance
from statevec.ipc import segment_layout
from statevec.ipc.counters import attach_counters, create_counters
from statevec.ipc.segment import SHARED_MEMORY, SegmentError, read_header
from statevec.roles.standby import Standby

PREFIX = "standby-"
NAMES = ("sequence", "position", "behind_bytes", "times_lapped", "updated_ns")
FRESH_SECONDS = 1.0


class StandbyCounters:
    """Makes the segment; `update` copies."""

    def __init__(self, instance: Instance, group: str | None) -> None:
        self._counters = create_counters(f"{PREFIX}{os.getpid()}", instance.instance_id, NAMES, group=group)

    def update(self, standby: Standby) -> None:
        """Say how far it is."""
        values = (standby.sequence, standby.following.position, standby.behind_bytes, standby.times_lapped)
        for name, value in zip(NAMES, (*values, time.monotonic_ns()), strict=True):
            self._counters.set(name, value)

    def remove(self) -> None:
        """No standby any more."""
        self._counters.segment.unlink()
        self._counters.close()


@dataclass(frozen=True)
class StandbyState:
    """What a living standby said last."""

    pid: int
    sequence: int
    position: int
    behind_bytes: int
    times_lapped: int
    silent_seconds: float

    @property
    def follows(self) -> bool:
        """Whether it gave a sign of life within the last moment."""
        return self.silent_seconds < FRESH_SECONDS


def standbys(instance: Instance) -> list[StandbyState]:
    """The standbys of an instance that live, by pid."""
    prefix = instance.segment_name(f"counters-{PREFIX}")[1:]
    found = []
    for path in sorted(SHARED_MEMORY.glob(f"{prefix}*")):
        try:
            with open(path, "rb") as file:
                header = read_header(file.fileno())
            if header is None or header.magic != segment_layout.MAGIC or header.creator.is_dead():
                continue
            role = path.name.removeprefix(instance.segment_name("counters-")[1:])
            with attach_counters(role, instance.instance_id, owner=instance.owner) as counters:
                values = counters.snapshot().counters
        except (OSError, SegmentError):
            continue  # it went meanwhile
        silent = (time.monotonic_ns() - values.pop("updated_ns")) / 1e9
        found.append(StandbyState(pid=header.creator.pid, silent_seconds=round(silent, 3), **values))
    return found
