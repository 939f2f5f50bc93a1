"""What is wrong with an instance, from one look at it and the one before: alarms that only somebody outside can find.

    judge.look(sample)  ─►  [Trouble(event, subject, values), …]

Invariants
    What lasts is found once when it begins, and again when `repeat_after` has gone by and it is still there.
    What happened between two looks (another leader, a standby less, faults) is found once.

Private memory of the watcher; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from statevec.engine.config import AlarmsConfig
from statevec.roles.live_sample import GONE, SILENT, Sample

SILENT_NS = 2_000_000_000


@dataclass(frozen=True)
class Trouble:
    """One event, about `subject` (a ring's name, say; empty for the instance), with the event's fields."""

    event: str
    subject: str = ""
    values: dict[str, Any] = field(default_factory=dict)


class AlarmJudge:
    """Judges the samples of one instance, in order."""

    def __init__(self, limits: AlarmsConfig) -> None:
        self._limits = limits
        self._before: Sample | None = None
        self._told: dict[tuple[str, str], int] = {}
        """When what still lasts was found, monotonic ns."""

    def look(self, sample: Sample) -> list[Trouble]:
        """What to tell after this look."""
        found = [] if self._before is None else list(self._happened(self._before, sample))
        told: dict[tuple[str, str], int] = {}
        for trouble in self._lasts(sample):
            key = trouble.event, trouble.subject
            since = self._told.get(key)
            if since is None or sample.monotonic_ns - since >= self._limits.repeat_after:
                found.append(trouble)
                since = sample.monotonic_ns
            told[key] = since
        self._told, self._before = told, sample
        return found

    def _lasts(self, sample: Sample) -> Iterator[Trouble]:
        limits, leader, log = self._limits, sample.leader, sample.log
        if leader is not None and sample.state == GONE:
            yield Trouble("leader_gone", values={"leader": leader.pid, "epoch": leader.epoch})
        if leader is not None and log is not None and sample.state == SILENT and log.heartbeat_age_ns > SILENT_NS:
            seconds = round(log.heartbeat_age_ns / 1e9, 3)
            yield Trouble("leader_silent", values={"leader": leader.pid, "seconds": seconds, "epoch": leader.epoch})
        if sample.halted or (log is not None and log.halted):
            yield Trouble("halted", values={"reason": sample.halted or "the log says so; there is no halt mark"})
        for name, ring in sample.rings.items():
            if ring.state == "quarantined":
                yield Trouble("ring_quarantined", name, {"ring": name})
        for standby in sample.standbys:
            if standby.behind_bytes > limits.standby_behind:
                lag, most = standby.behind_bytes, int(limits.standby_behind)
                subject = str(standby.pid)
                yield Trouble("standby_behind", subject, {"standby": standby.pid, "bytes": lag, "most": most})
        disk = sample.disk
        if disk.free < limits.disk_free:
            yield Trouble("disk_low", values={"free": disk.free, "least": int(limits.disk_free)})
        if disk.shared_memory_free < limits.shared_memory_free:
            least = int(limits.shared_memory_free)
            yield Trouble("shared_memory_low", values={"free": disk.shared_memory_free, "least": least})

    def _happened(self, before: Sample, now: Sample) -> Iterator[Trouble]:
        was, leader = before.leader, now.leader
        another = was is not None and leader is not None and 0 < was.epoch < leader.epoch
        if was is not None and leader is not None and another:
            yield Trouble("leader_changed", values={"leader": leader.pid, "epoch": leader.epoch, "before": was.pid})
        there = {standby.pid for standby in now.standbys} | ({leader.pid} if leader else set())
        for standby in before.standbys:
            if standby.pid not in there:
                yield Trouble("standby_lost", str(standby.pid), {"standby": standby.pid})
        if another:
            return  # its counters begin anew
        if more := _more("faulted", before, now):
            yield Trouble("inputs_faulted", values={"faulted": now.counters["faulted"], "more": more})
        if more := _more("full_turns", before, now):
            yield Trouble("engine_waits", values={"full_turns": now.counters["full_turns"], "more": more})


def _more(counter: str, before: Sample, now: Sample) -> int:
    """How much a counter grew, 0 where it is not known."""
    if counter not in before.counters or counter not in now.counters:
        return 0
    return max(0, now.counters[counter] - before.counters[counter])
