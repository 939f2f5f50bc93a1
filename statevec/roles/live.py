"""`look(instance) -> Sample`: everything about an instance that can be seen from outside, while it runs or not.

    files (leader.json, cursors, reports, headers)  ─┐
    shared memory (log, rings, counters), read-only ─┼─► Looker.look() ─► Sample ─► rate(before, after) (`live_rates`)
    /proc (who holds which lock, who lives)         ─┘

Invariants
    Nothing is written, no lock is taken, and nobody who is looked at knows of it.
    What other processes write is not believed: numbers are bounded, names are those of files and configuration, and a
    file that shrinks while it is looked at ends in a `problem`, not in a signal.
    Leaders, segments and files may come and go between any two steps: what is not there is missing in the sample.

A `Looker` keeps segments attached, for who looks again and again; its memory is private. A crash leaves nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from statevec.engine.config import NAME
from statevec.engine.instance import Instance, LeaderRecord
from statevec.engine.snapshot_file import SnapshotError, list_snapshots, read_header, sequence_of
from statevec.engine.store import PluginStore, StoreError
from statevec.ipc import ring_layout
from statevec.ipc.counters import attach_counters
from statevec.ipc.log import LogError, attach_log, log_statistics
from statevec.ipc.memory import Region
from statevec.ipc.process_identity import START_TOLERANCE_MS, started_ms
from statevec.ipc.python_call import load_acquire
from statevec.ipc.ring import attach_ring
from statevec.ipc.ring_repair import RingError, records_region
from statevec.ipc.segment import Segment, SegmentError, free_bytes
from statevec.ipc.sigbus import guard, unguard
from statevec.roles.alarm_files import last_alarms
from statevec.roles.cursor import CursorError, read_cursor
from statevec.roles.flock_holders import FlockHolders
from statevec.roles.live_log import LOOK_BYTES, LogWatch, entries_behind
from statevec.roles.live_sample import (
    BEGINS,
    GONE,
    LEADS,
    NONE,
    SILENT,
    UNKNOWN,
    DiskSeen,
    GatewaySeen,
    LeaderSeen,
    LogSeen,
    RingSeen,
    Sample,
    ShadowSeen,
    SnapshotSeen,
)
from statevec.roles.shadow_report import SHADOWS_DIRECTORY, ShadowReport
from statevec.roles.standby_counters import standbys

LEADS_WITHIN_NS = 1_000_000_000
MOST_RINGS = 80
MOST_GATEWAYS = 64
MOST_SHADOWS = 16
MOST_SNAPSHOTS = 64
ALARMS_SHOWN = 20
MOST_FILES = 256
REPORT_BYTES = 8 << 20
RING_STATES = ("open", "suspect", "quarantined")


class _Attached:
    """Segments by name, kept while they are what they were; a mapping whose file shrinks reads as zeros."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Segment, Region | None]] = {}

    def get(self, name: str, attach: Callable[[], Segment]) -> Segment:
        """The segment of that name now. Raises what attaching raises."""
        kept = self._kept.get(name)
        if kept is not None:
            segment, flag = kept
            try:
                segment.verify()
                if flag is None or flag.load_i64(0) == 0:
                    return segment
            except SegmentError:
                pass
            self._drop(name)
        segment = attach()
        try:
            flag = guard(segment.region)
        except ValueError:
            flag = None  # more ranges than the handler has room for: such a file is not expected to shrink
        self._kept[name] = segment, flag
        return segment

    def _drop(self, name: str) -> None:
        segment, flag = self._kept.pop(name)
        if flag is not None:
            unguard(flag)
        segment.close()

    def close(self) -> None:
        for name in list(self._kept):
            self._drop(name)


class Looker:
    """Looks at one instance again and again. `watch_log` is how many bytes of entries at most each time, 0 none."""

    def __init__(self, instance: Instance, watch_log: int = LOOK_BYTES) -> None:
        self.instance = instance
        self._attached = _Attached()
        self._watch = LogWatch(instance.genesis.unit, watch_log) if watch_log else None
        self._versions: dict[str, str] = {}
        self._files: dict[Path, tuple[tuple[int, int, int], Any]] = {}

    def look(self) -> Sample:
        """One look."""
        instance = self.instance
        problems: list[str] = []
        leader = self._leader(problems)
        log, segment = self._log(leader, problems)
        holders = FlockHolders()
        counters = self._counters(problems)
        observed = LogWatch.nothing() if self._watch is None else self._watch.observed()
        if self._watch is not None and segment is not None:
            observed = self._watch.look(segment)
        return Sample(
            instance=instance.genesis.instance_id,
            directory=str(instance.directory),
            at_ns=time.time_ns(),
            monotonic_ns=time.monotonic_ns(),
            state=_state(leader, log),
            halted=(instance.halt_reason() or "")[:1000],
            leader=_leader_seen(leader),
            decides=self._decides(leader),
            content_hash=leader.content_hash if leader else "",
            log=log,
            rings=self._rings(leader, counters, holders),
            gateways=self._gateways(leader, log, holders),
            standbys=standbys(instance),
            shadows=self._shadows(),
            snapshots=self._snapshots(),
            counters=counters,
            observed=observed,
            disk=_disk(instance),
            alarms=last_alarms(instance.directory, ALARMS_SHOWN),
            problems=problems,
        )

    def _leader(self, problems: list[str]) -> LeaderRecord | None:
        try:
            return self.instance.leader()
        except OSError as error:
            problems.append(str(error))
            return None

    def _log(self, leader: LeaderRecord | None, problems: list[str]) -> tuple[LogSeen | None, Segment | None]:
        instance = self.instance
        try:
            segment = self._attached.get("log", lambda: attach_log(instance.instance_id, owner=instance.owner))
            found = log_statistics(segment)
        except (SegmentError, LogError, OSError) as error:
            problems.append(str(error))
            return None, None
        unit, last = instance.genesis.unit, found["last_sequence"]
        names = ("capacity", "last_sequence", "epoch", "appended", "written", "durable", "released")
        return LogSeen(
            **{name: found[name] for name in names},
            halted=found["halted"] != 0,
            heartbeat_age_ns=max(0, time.monotonic_ns() - found["heartbeat_ns"]),
            unkept_entries=entries_behind(segment, unit, found[_kept_by(leader)], last),
            unkept_bytes=max(0, found["appended"] - found[_kept_by(leader)]),
            unreleased_entries=entries_behind(segment, unit, found["released"], last),
            own_id=segment.own_id,
        ), segment

    def _counters(self, problems: list[str]) -> dict[str, int]:
        instance = self.instance
        try:
            with attach_counters("engine", instance.instance_id, owner=instance.owner) as counters:
                return counters.snapshot().counters
        except (SegmentError, OSError) as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"counters have names that are none: {error}")
        return {}

    def _decides(self, leader: LeaderRecord | None) -> str:
        """name@version by content hash, looked up once."""
        if leader is None or not leader.content_hash:
            return ""
        known = self._versions.get(leader.content_hash)
        if known is None:
            try:
                known = PluginStore(self.instance.directory).version(leader.content_hash).spec
            except (StoreError, OSError, ValueError):
                return leader.content_hash[:12]
            self._versions = {leader.content_hash: known}
        return known

    def _rings(
        self, leader: LeaderRecord | None, counters: dict[str, int], holders: FlockHolders
    ) -> dict[str, RingSeen]:
        names = [name for name in (leader.rings if leader else {}) if NAME.fullmatch(name)]
        return {name: self._ring(name, counters, holders) for name in names[:MOST_RINGS]}

    def _ring(self, name: str, counters: dict[str, int], holders: FlockHolders) -> RingSeen:
        instance = self.instance
        state = counters.get(f"ring.{name}.status", -1)
        try:
            segment = self._attached.get(
                f"ring-{name}",
                lambda: attach_ring(name, instance.instance_id, writable=False, owner=instance.owner),
            )
            holder = holders.of(os.fstat(segment.descriptor))
        except (SegmentError, RingError, OSError) as error:
            return RingSeen(problem=str(error))
        records = records_region(segment)
        # SYNC POINT: pairs with the stores of these words by engine and producer.
        head = load_acquire(records, segment.capacity + ring_layout.HEAD)
        tail = load_acquire(records, segment.capacity + ring_layout.TAIL)
        return RingSeen(
            capacity=segment.capacity,
            used=min(max(tail - head, 0), segment.capacity),
            appended=load_acquire(segment.region, ring_layout.APPENDED_SEQUENCE),
            released=load_acquire(segment.region, ring_layout.RELEASED_SEQUENCE),
            producer=holder,
            state=RING_STATES[state] if 0 <= state < len(RING_STATES) else "unknown",
            messages=counters.get(f"ring.{name}.messages", 0),
            duplicates=counters.get(f"ring.{name}.duplicates", 0),
            problem="" if 0 <= tail - head <= segment.capacity else f"head and tail cannot be: head={head} tail={tail}",
        )

    def _gateways(
        self, leader: LeaderRecord | None, log: LogSeen | None, holders: FlockHolders
    ) -> dict[str, GatewaySeen]:
        directory = self.instance.gateways_directory
        configured = set(leader.gateways) if leader else set()
        there = {each.name for each in directory.iterdir()} if directory.is_dir() else set()
        names = sorted(name for name in configured | there if NAME.fullmatch(name))
        found: dict[str, GatewaySeen] = {}
        for name in names[:MOST_GATEWAYS]:
            try:
                cursor = read_cursor(directory / name)
                pid = holders.of((directory / name).stat()) if name in there else 0
            except (CursorError, OSError) as error:
                found[name] = GatewaySeen(configured=name in configured, problem=str(error))
                continue
            found[name] = GatewaySeen(
                position=cursor.position,
                sequence=cursor.sequence,
                behind_bytes=None if log is None else max(0, log.released - cursor.position),
                behind_entries=None
                if log is None
                else max(0, log.last_sequence - (log.unreleased_entries or 0) - cursor.sequence),
                pid=pid,
                configured=name in configured,
            )
        return found

    def _cached(self, path: Path, read: Callable[[Path], Any]) -> Any:
        """What `read` makes of a file, read again when the file changed. Raises `OSError`."""
        status = path.stat()
        mark = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._files.get(path)
        if known is None or known[0] != mark:
            if len(self._files) == MOST_FILES:
                self._files.clear()  # most of them are gone by now
            known = mark, read(path)
            self._files[path] = known
        return known[1]

    def _shadows(self) -> dict[str, ShadowSeen]:
        directory = self.instance.directory / SHADOWS_DIRECTORY
        found: dict[str, ShadowSeen] = {}
        for path in sorted(directory.glob("*.json"))[:MOST_SHADOWS]:
            try:
                report = self._cached(path, _read_report)
            except OSError:
                continue
            if report is not None:
                found[path.stem] = _shadow_seen(report)
        return found

    def _snapshots(self) -> dict[int, SnapshotSeen]:
        found: dict[int, SnapshotSeen] = {}
        for path in list_snapshots(self.instance.snapshots_directory)[:MOST_SNAPSHOTS]:
            try:
                found[sequence_of(path)] = self._cached(path, _read_snapshot)
            except OSError as error:
                found[sequence_of(path)] = SnapshotSeen(problem=str(error))
        return found

    def close(self) -> None:
        """Give the segments up."""
        self._attached.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def look(instance: Instance) -> Sample:
    """One look at an instance, entries not counted."""
    with Looker(instance, watch_log=0) as looker:
        return looker.look()


def _state(leader: LeaderRecord | None, log: LogSeen | None) -> str:
    if leader is None:
        return NONE
    if log is not None and log.heartbeat_age_ns < LEADS_WITHIN_NS and leader.epoch == log.epoch:
        return LEADS
    if leader.host != socket.gethostname():
        return UNKNOWN if log is None else SILENT  # whose log is here is not far: in another container, say
    started = started_ms(leader.pid)
    if started is None or (leader.started_ms and abs(started - leader.started_ms) > START_TOLERANCE_MS):
        return GONE
    return BEGINS if leader.epoch == 0 else SILENT


def _kept_by(leader: LeaderRecord | None) -> str:
    """Which position says what a disk has: in `memory` mode nobody waits for it, and only *written* moves."""
    return "written" if leader is not None and leader.durability == "memory" else "durable"


def _leader_seen(leader: LeaderRecord | None) -> LeaderSeen | None:
    if leader is None:
        return None
    return LeaderSeen(leader.pid, leader.host[:64], leader.since[:32], leader.epoch, leader.durability[:16])


def _disk(instance: Instance) -> DiskSeen:
    status = os.statvfs(instance.directory)
    return DiskSeen(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize, free_bytes())


def _read_report(path: Path) -> ShadowReport | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(REPORT_BYTES), type=ShadowReport)
    except msgspec.MsgspecError:
        return None


def _read_snapshot(path: Path) -> SnapshotSeen:
    try:
        header = read_header(path)
    except SnapshotError as error:
        return SnapshotSeen(problem=str(error))
    return SnapshotSeen(header.position, header.created, f"{header.decider.name}@{header.decider.version}")


def _shadow_seen(report: ShadowReport) -> ShadowSeen:
    return ShadowSeen(
        candidate=f"{report.candidate_name}@{report.candidate_version}",
        mode=report.mode,
        compared=report.compared,
        same=report.same,
        expected=report.expected,
        unexpected=report.unexpected,
        caught_up=report.caught_up,
        finished=report.finished,
        behind_bytes=report.behind_bytes,
        age_seconds=round(max(0, time.time_ns() - report.updated_ns) / 1e9, 1),
    )
