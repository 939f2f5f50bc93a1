"""What must hold of a disk image after the power was gone: recovered with statevec's own code, then compared.

    take over ─► a prefix of the log, with all that was durable or released; its digest ─► the gateway goes on
              ─► the next epoch is a new one ─► (of some images) lead: new outputs have new identities

Invariants
    In `disk` mode everything that anybody could have acted on is there. In `memory` mode it may be gone, but what is
    durable is not, and no identity comes again (rule 18).
    An image is used up: recovery changes it.

The shared memory of the image's instance is removed again.
"""

from __future__ import annotations

import traceback
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from statevec.engine.config import Config
from statevec.engine.engine_state import CLOCK, CLOCK_EPOCH
from statevec.engine.instance import (
    Instance,
    InstanceError,
    LeaderLock,
    create_instance,
    open_instance,
    prepare_directory,
)
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.journal.entry_layout import COMMAND
from statevec.roles.cursor import CursorError, read_cursor
from statevec.roles.gateway import CursorDisagreesError, Gateway, Output
from statevec.roles.producer import Producer
from statevec.roles.takeover import take_over
from statevec.state.tables import find
from tools.killing.messages import message
from tools.power.history import Seen
from tools.power.reference import Reference
from tools.power.scenario import ACCOUNT, GATEWAY, RING, WAIT_SECONDS, configuration, lead, no_shared_memory_left

NEW_MESSAGES = 6


@dataclass
class Recovered:
    """What recovery made of an image."""

    position: int
    digest: int
    next_epoch: int
    snapshot: bool
    """Whether there were snapshots."""


@dataclass
class ImageCheck:
    """The check of one image in `folder`; `problems` says in words what did not hold."""

    folder: Path
    durability: str
    reference: Reference
    seen: Seen

    def __post_init__(self) -> None:
        self.config: Config = configuration(self.folder, self.durability)
        self.problems: list[str] = []

    def run(self, leads: bool) -> list[str]:
        """What is wrong with the image, nothing if all is well. With `leads` the instance is led afterwards."""
        with no_shared_memory_left(self.config.directory):
            instance = self._open()
            if instance is None:
                return self.problems
            try:
                recovered = self._recover(instance)
                self._compare(recovered)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self.problems.append(f"recovery failed in {where.name}: {type(error).__name__}: {error}")
                return self.problems
        if leads and not self.problems:
            with no_shared_memory_left(self.config.directory):
                self._lead(recovered)
        return self.problems

    def _expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def _open(self) -> Instance | None:
        """The instance; None where genesis is not durable yet, which is as good as nothing."""
        prepare_directory(self.config.directory)
        try:
            return open_instance(self.config.directory)
        except InstanceError as error:
            self._expect(self.seen == Seen(), f"the instance is lost: {error}")
        create_instance(self.config.directory)
        return None

    def _recover(self, instance: Instance) -> Recovered:
        """Take over as an engine process does, look at the gateway, give all up."""

        def configured() -> LoadedPlugin:
            plugin = load_plugin(self.config.plugin_directory)
            PluginStore(instance.directory).keep(plugin)
            return plugin

        with LeaderLock(instance.directory) as lock:
            lock.record()
            instance.refuse_when_halted()
            taken = take_over(instance, self.config, configured, lock.previous)
            try:
                following = taken.following
                row = find(following.execution.tx, CLOCK, 0)
                in_log = following.execution.arena.load_i64(row + CLOCK_EPOCH)
                self._check_gateway(instance, following.position)
                return Recovered(
                    following.position,
                    following.execution.digest,
                    max(instance.read_epoch(), in_log) + 1,
                    instance.snapshots_directory.is_dir(),
                )
            finally:
                taken.journaler.stop()
                taken.log.close()

    def _compare(self, found: Recovered) -> None:
        """The journal is a prefix of the log with everything that must be there."""
        seen, last = self.seen, self.reference.last_before(found.position)
        self._expect(
            self.reference.next_begins(found.position), f"the journal ends within an entry: position={found.position}"
        )
        digest = 0 if last is None else last.digest
        self._expect(found.digest == digest, f"digest={found.digest:x} expected={digest:x} position={found.position}")
        self._expect(found.position >= seen.durable, f"position={found.position} below durable={seen.durable}")
        if self.durability == "disk":
            self._expect(found.position >= seen.released, f"position={found.position} below released={seen.released}")
        self._expect(found.next_epoch > seen.epoch, f"epoch={found.next_epoch} was given before: last={seen.epoch}")

    def _check_gateway(self, instance: Instance, end: int) -> None:
        """The gateway goes on behind what it acknowledged, with the outputs that the log had."""
        if not (instance.gateways_directory / GATEWAY).is_dir():
            self._expect(self.seen.acknowledged == (0, 0), "the gateway's cursor is lost")
            return
        try:
            cursor = read_cursor(instance.gateways_directory / GATEWAY)
        except CursorError as error:
            self._expect(self.durability == "memory", str(error))  # there it is replaced without waiting for the disk
            return
        reached = (cursor.position, cursor.outputs)
        if self.durability == "disk":
            known = self.seen.acknowledged
            self._expect(reached >= known, f"cursor={reached} below what was acknowledged={known}")
            self._expect(cursor.sequence == 0 or cursor.position < end, f"cursor={reached} is beyond the log's {end}")
        try:
            gateway = Gateway(instance.directory, GATEWAY)
        except CursorDisagreesError as error:
            self._expect(self.durability == "memory" and cursor.position >= end, f"the gateway stops: {error}")
            return
        with closing(gateway):
            given = [(each.identity, each.message) for each in _all(gateway)]
        skip = cursor.outputs if cursor.sequence else 0
        wanted = [(each.identity, each.message) for each in self.reference.outputs(cursor.position, skip, end)]
        self._expect(given == wanted, f"the gateway hands out {len(given)} outputs, not {len(wanted)}, from {reached}")

    def _lead(self, recovered: Recovered) -> None:
        """Lead what was recovered: it goes on with the producer's next number, and identities that nobody has seen."""
        commands = [each for each in self.reference.entries if each.kind == COMMAND]  # all of one producer
        last = max((each.source_sequence for each in commands if each.end_position <= recovered.position), default=0)
        led = lead(self.config)
        try:
            with Producer(self.config.directory, RING) as producer:
                self._expect(
                    producer.sequence == last, f"producer goes on after {producer.sequence}, the log has {last}"
                )
                for number in range(NEW_MESSAGES):
                    producer.send(message(ACCOUNT, 3 * number), WAIT_SECONDS)
                producer.wait_released(producer.sequence, WAIT_SECONDS)
            self._expect(led.leader.epoch == recovered.next_epoch, f"epoch={led.leader.epoch} is not the next one")
            try:
                gateway = Gateway(self.config.directory, GATEWAY)
            except (CursorDisagreesError, CursorError):
                self._expect(self.durability == "memory", "the gateway stops behind the new leader")
                return
            with closing(gateway):
                self._check_new(recovered, _all(gateway))
        finally:
            led.stop()

    def _check_new(self, recovered: Recovered, outputs: list[Output]) -> None:
        known = {
            output.identity
            for entry in self.reference.entries
            if entry.epoch <= self.seen.epoch
            for output in entry.outputs()
        }
        new = [each for each in outputs if each.entry.position >= recovered.position]
        self._expect(bool(new), "the new leader's outputs do not come")
        again = [each.identity for each in new if each.identity in known]
        self._expect(not again, f"identities come again: {again[:3]}")


def _all(gateway: Gateway) -> list[Output]:
    """Everything that is released for the gateway."""
    found = []
    while (output := gateway.poll()) is not None:
        found.append(output)
    return found
