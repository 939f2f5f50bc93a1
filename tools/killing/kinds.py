"""The kinds of kills: who dies where, and what must go on afterwards. Each function kills once or twice.

    at a point    armed (`kill_points`), then waited for; a point that is not reached in time is told as such
    at random     after a random time under load

Invariant: when a kind is done, somebody leads and inputs are released again; `Killing.killed` has every kill.

Nothing here keeps anything but figures. A crash of the matrix leaves what `instance` says.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from statevec.ipc import kill_points as points
from statevec.ipc.kill_control import Death
from tools.killing.instance import RINGS, KilledInstance
from tools.killing.processes import PAUSE_SECONDS, Child, MatrixError, wait_until

REACH_SECONDS = 60.0
RANDOM_SECONDS_MOST = 0.1
IN_THE_LOOP = {
    points.BEFORE_CLAIM: 200,
    points.AFTER_COPY: 200,
    points.AFTER_HANDLER: 200,
    points.BEFORE_PUBLISH: 50,
    points.AFTER_PUBLISH: 50,
    points.BEFORE_HEAD: 50,
}
"""Point to the most passings before the death."""
IN_THE_JOURNALER = {
    points.AFTER_WRITE: 20,
    points.BEFORE_FDATASYNC: 1,
    points.AFTER_FDATASYNC: 1,
    points.BEFORE_SEGMENT_NAME: 1,
    points.AFTER_SEGMENT_NAME: 1,
}
IN_A_TAKEOVER = (
    points.AFTER_LOCK,
    points.AFTER_LOG_ADOPTED,
    points.AFTER_EPOCH,
    points.AFTER_LEADERSHIP,
)
AT_THE_FIRST_ENTRY = (points.BEFORE_PUBLISH, points.AFTER_PUBLISH)
"""Of the leadership entry, or of the first inputs: a leader passes them all the time."""
IN_A_CUTOVER = (points.BEFORE_MIGRATION, points.BEFORE_CUTOVER_ENTRY, points.BEFORE_SWITCH)


@dataclass(frozen=True)
class Takeover:
    """`took_ns` from a leader's death at `point` to the first released input of the next; `exit_ns` of them until the
    dead process was gone, which is when its lock is free."""

    took_ns: int
    exit_ns: int
    point: str


@dataclass
class Killing:
    """Kills processes of one instance, as `draws` decides."""

    instance: KilledInstance
    draws: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    """Kills by point, or by who died at a random time."""
    not_reached: Counter[str] = field(default_factory=Counter)
    takeovers: list[Takeover] = field(default_factory=list)
    """Those where a standby followed."""

    def _pause(self) -> None:
        time.sleep(self.draws.random() * RANDOM_SECONDS_MOST)

    def _after(self, position: int, epoch: int, died_ns: int, point: str) -> None:
        """Wait until the next leadership works, and fill up what is missing; `point` is empty where nobody followed."""
        gone_ns = time.monotonic_ns()
        self.instance.forget_dead()
        if not self.instance.engines:
            self.instance.start_engine()
        released_ns = self.instance.wait_for_input(position, epoch)
        if point:
            self.takeovers.append(Takeover(released_ns - died_ns, gone_ns - died_ns, point))
        self.instance.fill_up()

    def _die_at(self, point: int, victim: Child | None) -> Death | None:
        """Wait until somebody died at the armed point; None when nobody came there in time."""
        deadline = time.monotonic() + REACH_SECONDS
        while (died := self.instance.control.died) is None:
            if time.monotonic() > deadline:
                self.instance.control.disarm()
                self.not_reached[points.NAMES[point]] += 1
                return None
            if victim is not None and not victim.alive and self.instance.control.died is None:
                raise MatrixError(f"{victim.name} ended before its point: {victim.said()}")
            time.sleep(PAUSE_SECONDS)
        dead = victim or next(each for each in self.instance.engines if each.pid == died.process)
        dead.wait_dead()
        self.instance.control.disarm()
        self.killed[points.NAMES[point]] += 1
        return died

    def leader_at(self, point: int, passings_most: int) -> None:
        """The leader, at a point of its loop or its journaler."""
        self._pause()
        leader, position, epoch = self.instance.leader, self.instance.appended, self.instance.epoch
        self.instance.control.arm(point, leader.pid, self.draws.randint(1, passings_most))
        died = self._die_at(point, leader)
        if died is not None:
            self._after(position, epoch, died.monotonic_ns, points.NAMES[point])

    def leader_at_random(self) -> None:
        """The leader, whatever it does."""
        self._pause()
        leader, position, epoch = self.instance.leader, self.instance.appended, self.instance.epoch
        died_ns = leader.kill()
        self.killed["leader"] += 1
        self._after(position, epoch, died_ns, "leader")

    def leader_and_successor_at(self, point: int) -> None:
        """The leader at a random time, and who takes over at a point of the takeover."""
        self._pause()
        leader, position, epoch = self.instance.leader, self.instance.appended, self.instance.epoch
        followed = len(self.instance.standbys()) > 1
        if point in IN_A_TAKEOVER:
            self.instance.control.arm(point)
        leader.kill()
        self.killed["leader"] += 1
        self.instance.engines.remove(leader)  # only this one: its successor may be dead by now, and is looked at below
        if point in AT_THE_FIRST_ENTRY:
            self.instance.control.arm(point)
        died = self._die_at(point, None)
        if died is None:
            self._after(position, epoch, 0, "")
            return
        reached = epoch + 1 if point in AT_THE_FIRST_ENTRY else epoch  # only there it may have taken inputs itself
        self._after(position, reached, died.monotonic_ns, points.NAMES[point] if followed else "")

    def leader_in_cutover(self, point: int) -> None:
        """The leader in the middle of a cutover, which the next leader carries out."""
        leader, position, epoch = self.instance.leader, self.instance.appended, self.instance.epoch
        self.instance.checked()
        before = self.instance.check.cutovers
        self.instance.control.arm(point, leader.pid)
        if not self.instance.order_cutover() and self.instance.control.died is None:
            self.instance.control.disarm()
            self.not_reached[points.NAMES[point]] += 1
            return
        died = self._die_at(point, leader)
        if died is None:
            return
        self._after(position, epoch, died.monotonic_ns, points.NAMES[point])
        wait_until(lambda: self._cutovers() > before, "the cutover that was accepted happens")

    def _cutovers(self) -> int:
        self.instance.checked()
        return self.instance.check.cutovers

    def everybody(self) -> None:
        """The leader and all standbys: the next engine starts cold."""
        self._pause()
        standbys, leader = self.instance.standbys(), self.instance.leader
        position, epoch = self.instance.appended, self.instance.epoch
        for each in standbys:
            each.kill()
            self.killed["standby"] += 1
        leader.kill()
        self.killed["leader"] += 1
        self._after(position, epoch, 0, "")

    def standby(self) -> None:
        """A standby, whatever it does."""
        self._pause()
        self.draws.choice(self.instance.standbys()).kill()
        self.killed["standby"] += 1
        self.instance.forget_dead()
        self.instance.fill_up()

    def gateway(self) -> None:
        """The gateway between any two instructions."""
        self._pause()
        assert self.instance.gateway is not None
        self.instance.gateway.check()
        self.instance.gateway.kill()
        self.killed["gateway"] += 1
        self.instance.start_gateway()

    def producer(self) -> None:
        """A producer, perhaps between a claim and its commit."""
        self._pause()
        ring = self.draws.choice(RINGS)
        self.instance.producers[ring].check()
        self.instance.producers[ring].kill()
        self.killed["producer"] += 1
        self.instance.start_producer(ring)

    def snapshot(self) -> None:
        """Whoever takes a snapshot by hand, before it gets its name; then another takes it whole."""
        taker = self.instance.start_snapshot()
        self.instance.control.arm(points.BEFORE_SNAPSHOT_NAME, taker.pid)
        self._die_at(points.BEFORE_SNAPSHOT_NAME, taker)
        self.instance.start_snapshot().finish()

    def standby_in_snapshot(self) -> None:
        """A standby, before its snapshot gets its name."""
        self.instance.control.arm(points.BEFORE_SNAPSHOT_NAME)
        self._die_at(points.BEFORE_SNAPSHOT_NAME, None)
        self.instance.forget_dead()
        self.instance.fill_up()


def kinds(killing: Killing, only: Collection[str] = ()) -> list[Callable[[], None]]:
    """Every kind once, those of a random time more often, in a random order; or those named in `only`."""
    found: list[tuple[str, Callable[[], None]]] = []
    for point, most in (IN_THE_LOOP | IN_THE_JOURNALER).items():
        found.append((points.NAMES[point], partial(killing.leader_at, point, most)))
    for point in IN_A_TAKEOVER + AT_THE_FIRST_ENTRY:
        found.append((f"takeover:{points.NAMES[point]}", partial(killing.leader_and_successor_at, point)))
    for point in IN_A_CUTOVER:
        found.append((points.NAMES[point], partial(killing.leader_in_cutover, point)))
    once = {"everybody": killing.everybody, "snapshot": killing.snapshot, "standby": killing.standby}
    once["standby_in_snapshot"] = killing.standby_in_snapshot
    often = {"leader": killing.leader_at_random, "gateway": killing.gateway, "producer": killing.producer}
    found += [*once.items(), *list(often.items()) * 3]
    if unknown := set(only) - {name for name, _ in found}:
        raise MatrixError(f"no such kind: {sorted(unknown)}; there are {sorted({name for name, _ in found})}")
    chosen = [kind for name, kind in found if not only or name in only]
    killing.draws.shuffle(chosen)
    return chosen
