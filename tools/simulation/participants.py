"""The lives of simulated processes: engine, producer, gateway, snapshot. Each is the product's own classes in a loop.

A life ends when its process is killed, or told to stop. Whatever it raises otherwise is a broken rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from statevec.engine.config import Config
from statevec.engine.instance import InstanceError, LeaderActiveError, LeaderLock, open_instance
from statevec.engine.snapshot_file import SnapshotError
from statevec.ipc import ring_kernels
from statevec.ipc.log_layout import APPENDED
from statevec.ipc.memory import Region
from statevec.ipc.ring import RingError
from statevec.ipc.segment import SegmentError
from statevec.journal.segments import contiguous_segments
from statevec.roles.cursor import CursorError
from statevec.roles.gateway import CursorDisagreesError, Gateway
from statevec.roles.producer import Producer
from statevec.roles.retention import retain
from statevec.roles.snapshot_taker import take_snapshot
from statevec.roles.standby import Standby
from tools.power.recorder import Recorder
from tools.power.scenario import Led, lead
from tools.simulation.messages import content_of
from tools.simulation.observer import Observer
from tools.simulation.scheduler import Process, Scheduler

PAUSE_NS = 200_000
LOOKS_FOR_LOCK_EVERY = 8
"""Steps of a standby between two looks whether the lock is free."""


@dataclass
class Stage:
    """What all participants share: one machine between two power losses."""

    scheduler: Scheduler
    observer: Observer
    recorder: Recorder
    config: Config
    rings: list[str]
    power_was_lost: bool = False
    """Then the first leader says where the log goes on."""
    last_number: int = 0
    """Producers send up to this number."""

    def pause(self, longest_ns: int = PAUSE_NS) -> None:
        self.scheduler.step("pause", self.scheduler.draws.randrange(longest_ns))


@dataclass(eq=False)
class Engine(Process):
    """Leads, or follows until the lock is free."""

    stage: Any = None
    lock: LeaderLock | None = None
    led: Led | None = None
    stopping: bool = False
    """Told to give the lead up, as by `statevec handover`."""
    stopped: bool = False

    @property
    def leads(self) -> bool:
        return self.led is not None

    def live(self) -> None:
        stage: Stage = self.stage
        standby = self._stand_by()
        self.led = lead(stage.config, self._taken_over, self.lock, standby)
        self.led.leader.control(self._stop_asked, lambda content_hash: None)
        self.led.stop()
        self.stopped = True

    def _stop_asked(self, seconds: float) -> bool:
        self.stage.scheduler.step("control", int(seconds * 1e9))
        return self.stopping

    def _taken_over(self, log: Region) -> None:
        if self.stage.power_was_lost:
            self.stage.power_was_lost = False
            assert self.stage.observer.log is None
            self.stage.observer.power_lost(log.load_i64(APPENDED))
        self.stage.observer.follow(log)
        self.stage.recorder.follow(log)

    def _stand_by(self) -> Standby | None:
        """Follow until the lock is free and taken; what was followed, None when there was nothing to."""
        stage: Stage = self.stage
        instance = open_instance(stage.config.directory)
        standby: Standby | None = None
        turns = 0
        while not self._take_lock(turns):
            turns += 1
            if standby is None:
                segments, _ = contiguous_segments(instance.journal_directory)
                standby = Standby.of(instance, stage.config.engine.tier) if segments else None
            if standby is None or not standby.step():
                stage.pause()
            if standby is not None:
                stage.observer.standby_at(standby.sequence, standby.following.execution.digest)
        return standby

    def _take_lock(self, turns: int) -> bool:
        if turns % LOOKS_FOR_LOCK_EVERY == 0:
            try:
                self.lock = LeaderLock(self.stage.config.directory)
            except LeaderActiveError:
                return False
            return True
        return False


@dataclass(eq=False)
class Sender(Process):
    """A producer: sends numbers, goes back to some again, leaves some out."""

    stage: Any = None
    ring: int = 0
    producer: Producer | None = None

    def live(self) -> None:
        stage: Stage = self.stage
        draws = stage.scheduler.draws
        while self.producer is None:
            try:
                self.producer = Producer(stage.config.directory, stage.rings[self.ring])
            except (InstanceError, SegmentError, RingError):
                stage.pause()
        ring = self.producer._ring
        while True:
            if ring.last_sequence >= stage.last_number:
                stage.pause()
                continue
            before = ring.last_sequence
            if draws.random() < 0.05 and before > 3:
                ring.last_sequence -= draws.randrange(1, 4)
            elif draws.random() < 0.03:
                ring.last_sequence += draws.randrange(1, 4)
            left_out = {(self.ring, number) for number in range(before + 1, ring.last_sequence + 1)}
            left_out -= stage.observer.left_out
            stage.observer.left_out |= left_out
            content = Region.of(bytearray(content_of(self.ring, ring.last_sequence + 1, stage.observer.heavy)))
            answer = ring_kernels.offer(ring.ring, ring.private, content, stage.scheduler.now_ns)
            if answer < 0 and answer != ring_kernels.BACK_PRESSURED:
                stage.observer.say(f"offer answers {answer}")
            if answer < 0:
                ring.last_sequence = before  # else the last numbers could all be left out, and nothing be sent
                stage.observer.left_out -= left_out
            if answer < 0 or draws.random() < 0.3:
                stage.pause()


@dataclass(eq=False)
class Venue(Process):
    """A gateway, and the outside that it hands outputs to."""

    stage: Any = None
    gateway: Gateway | None = None
    disagrees: bool = False
    """The log is behind its cursor: only after power loss in `memory` mode."""

    def live(self) -> None:
        stage: Stage = self.stage
        draws = stage.scheduler.draws
        while self.gateway is None:
            try:
                self.gateway = Gateway(stage.config.directory, "venue")
            except (InstanceError, SegmentError):
                stage.pause()
            except (CursorDisagreesError, CursorError) as error:
                self.disagrees = True
                if stage.config.instance.durability == "disk":
                    stage.observer.say(f"gateway does not start: {error}")
                return
        while True:
            output = self.gateway.poll()
            if output is None:
                stage.pause()
                continue
            if draws.random() < 0.5:
                stage.pause(10 * PAUSE_NS)  # handing it over takes its time
            stage.observer.handed_over(self, output.identity, output.message)
            if draws.random() < 0.3:
                stage.pause(10 * PAUSE_NS)
            if draws.random() < 0.5:
                self.gateway.acknowledge(output)


@dataclass(eq=False)
class Taker(Process):
    """Takes one snapshot, as `statevec snapshot` does, and then what it makes unnecessary away."""

    stage: Any = None

    def live(self) -> None:
        stage: Stage = self.stage
        instance = open_instance(stage.config.directory)
        try:
            take_snapshot(instance, stage.config.engine.tier, keep=2)
        except SnapshotError:
            return  # no entry was written yet
        try:
            retain(instance, keep=1, delete=True)
        except CursorError as error:
            if stage.config.instance.durability == "disk":
                stage.observer.say(f"a cursor is damaged: {error}")
