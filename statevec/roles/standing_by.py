"""Waiting for the lead: an engine process follows whoever leads until the lock is free, or until it is told to stop.

    main thread    runs the leader's entries (`standby`), looks after the leader, copies counters
    lock thread    blocks in flock: the kernel gives it the lock the moment the leader is gone, however it went

Invariants
    Nothing of the instance is written before the lock is there.
    A leader is ended only through a descriptor of that very process (rule 16), never by its number alone.

Standard error has events: `standing_by`, `leader_silent`, `leader_killed`, `leader_back`, and those of its snapshots.
A crash leaves the counters segment `counters-standby-PID`.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from statevec.engine.config import Config
from statevec.engine.instance import INSTANCE_FILE, Instance, LeaderLock, LeaderRecord, open_instance
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log
from statevec.ipc.process_identity import START_TOLERANCE_MS, boot_id, started_ms
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SHARED_MEMORY, Segment, SegmentError
from statevec.roles.events import report
from statevec.roles.standby import Standby, StandbyError
from statevec.roles.standby_counters import StandbyCounters
from statevec.roles.standby_snapshots import StandbySnapshots

IDLE_SECONDS = 0.001
LOOK_SECONDS = 0.1
"""How often the leader is looked after and counters are copied."""
SILENT_SECONDS = 2.0
BLIND_SECONDS = 5.0
"""A leader says which log it has before it leads; for so long another one may be seen meanwhile."""


def log_identity(instance: Instance) -> str:
    """Boot, device and inode of the instance's log as this process sees it; empty when it sees none."""
    try:
        status = os.stat(SHARED_MEMORY / instance.segment_name("log")[1:])
    except FileNotFoundError:
        return ""
    return f"{boot_id().hex()}:{status.st_dev}:{status.st_ino}"


class LockWaiter:
    """Waits for the lock in a thread of its own; `taken` is set once it is there, or cannot be had."""

    def __init__(self, instance: Instance) -> None:
        self.taken = threading.Event()
        self._directory = instance.directory
        self._lock: LeaderLock | None = None
        self._failure: Exception | None = None
        threading.Thread(target=self._wait, name="lock", daemon=True).start()

    def _wait(self) -> None:
        try:
            self._lock = LeaderLock(self._directory, wait=True)
        except Exception as failure:
            self._failure = failure
        self.taken.set()

    def lock(self) -> LeaderLock:
        """The lock, once `taken` is set."""
        if self._failure is not None:
            raise self._failure
        assert self._lock is not None
        return self._lock


class LeaderWatch:
    """What a standby sees of its leader: whether it lives, and whether it is the one whose log is followed."""

    def __init__(self, instance: Instance, kill_hung_after: float | None) -> None:
        self._instance = instance
        self._kill_hung_after = kill_hung_after
        self._log: Segment | None = None
        self._silent = False
        self._blind_since: float | None = None

    def look(self) -> None:
        """Look once. Raises `StandbyError` for a leader whose log is not to be seen here."""
        leader = self._instance.leader()
        if leader is None or leader.epoch == 0:
            return  # it is beginning
        self._check_sight(leader)
        silent = self._silent_seconds()
        if silent is None:
            return
        if silent > SILENT_SECONDS and not self._silent:
            report("leader_silent", leader=leader.pid, seconds=round(silent, 3), epoch=leader.epoch)
        elif silent <= SILENT_SECONDS and self._silent:
            report("leader_back", leader=leader.pid, epoch=leader.epoch)
        self._silent = silent > SILENT_SECONDS
        if self._kill_hung_after is not None and silent > self._kill_hung_after:
            end_process(leader)

    def _check_sight(self, leader: LeaderRecord) -> None:
        seen = log_identity(self._instance)
        if not leader.log or seen == leader.log:
            self._blind_since = None
            return
        now = time.monotonic()
        self._blind_since = self._blind_since or now
        if now - self._blind_since > BLIND_SECONDS:
            raise StandbyError(
                f"does not see the log of the leader, process {leader.pid} on {leader.host}: its log is {leader.log}, "
                f"here is {seen or 'none'}; a standby must share boot and /dev/shm with its leader"
            )

    def _silent_seconds(self) -> float | None:
        try:
            if self._log is not None:
                self._log.verify()
            else:
                self._log = attach_log(self._instance.instance_id, owner=self._instance.owner, populate=False)
        except (SegmentError, LogError):
            self.close()
            return None
        # SYNC POINT: pairs with the loop's release of its heartbeat.
        beat = load_acquire(self._log.region, log_layout.HEARTBEAT_NS)
        return (time.monotonic_ns() - beat) / 1e9 if beat else None

    def close(self) -> None:
        """Give the log up."""
        if self._log is not None:
            self._log.close()
            self._log = None


def end_process(leader: LeaderRecord) -> bool:
    """Kill a leader that hangs and wait until it is gone; whether that very process was there."""
    try:
        descriptor = os.pidfd_open(leader.pid)
    except ProcessLookupError:
        return False
    try:
        started = started_ms(leader.pid)  # asked after the descriptor was opened: it means the same process
        if started is None or abs(started - leader.started_ms) > START_TOLERANCE_MS:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        report("leader_killed", leader=leader.pid, epoch=leader.epoch)
        select.select([descriptor], [], [], 10.0)
    finally:
        os.close(descriptor)
    return True


@dataclass
class Waited:
    """What a process has that waited for the lead: the lock, and the state if it followed."""

    lock: LeaderLock
    standby: Standby | None


def stand_by(
    config: Config, stop_asked: Callable[[], bool], kill_hung_after: float | None, prepare: Callable[[Standby], None]
) -> Waited | None:
    """Follow the leader of the configured instance until it is gone; None when told to stop before.

    `prepare` is called once there is something to follow: for what a leader needs and should not take time later.
    """
    while not (config.directory / INSTANCE_FILE).exists():  # the leader is making it
        if stop_asked():
            return None
        time.sleep(IDLE_SECONDS)
    instance = open_instance(config.directory)
    waiter = LockWaiter(instance)
    watch = LeaderWatch(instance, kill_hung_after)
    standby: Standby | None = None
    counters: StandbyCounters | None = None
    retention = config.retention
    snapshots = StandbySnapshots(instance, retention.snapshot_every, retention.keep_snapshots)
    looked = 0.0
    try:
        while not waiter.taken.is_set():
            if stop_asked():
                return None
            worked = standby.step() if standby is not None else False
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                watch.look()
                if standby is None:
                    standby = Standby.of(instance, config.engine.tier)
                    if standby is not None:
                        counters = StandbyCounters(instance, config.instance.group)
                        prepare(standby)
                if standby is not None and counters is not None:
                    counters.update(standby)
                    snapshots.turn(standby.following)
            if not worked:
                waiter.taken.wait(IDLE_SECONDS)
        return Waited(waiter.lock(), standby)
    finally:
        snapshots.stop()
        watch.close()
        if counters is not None:
            counters.remove()
