"""An instance under a kill matrix: one leader, standbys, two producers, a gateway, all of which may be killed.

Invariants
    Who leads is what the log and `leader.json` say, never a guess of the matrix.
    A takeover ends with the first input of the new leadership that is released; it began with the death.

The instance's directory is the matrix's own. A crash leaves it, and the shared memory of its instance.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from statevec.cli.order import Order, OrderError
from statevec.engine.instance import INSTANCE_FILE, Instance, LeaderLock, open_instance
from statevec.engine.store import PluginStore
from statevec.ipc import log_layout
from statevec.ipc.clean import clean
from statevec.ipc.kill_control import KillControl
from statevec.ipc.log import LappedError, LogReader, attach_log, released_position
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.segment import SHARED_MEMORY, Segment
from statevec.journal.admin_layout import CUT_OVER
from statevec.journal.entry_layout import COMMAND, EPOCH, KIND
from statevec.roles.producer import ProducerTimeoutError
from tools.killing import participants
from tools.killing.check import Check
from tools.killing.messages import NEXT_VERSION, PLUGIN, make_next_version
from tools.killing.processes import Child, MatrixError, wait_until

RINGS = ("market", "desk")
GATEWAY = "venue"
SNAPSHOT_EVERY = "3s"
"""So that cold starts and new standbys begin at one."""
START_SECONDS = 600.0
"""The first engine may have to compile."""
ORDER_SECONDS = 20.0
TAKEOVER_SECONDS = 120.0


class KilledInstance:
    """See the module's docstring. `control` is what the children look at; `standbys` how many shall wait."""

    def __init__(self, directory: Path, context: Any, control: KillControl, durability: str, standbys: int) -> None:
        self.directory = directory / "instance"
        self.control = control
        self.started = 0
        self.engines: list[Child] = []
        self.producers: dict[str, Child] = {}
        self.gateway: Child | None = None
        self._folder = directory
        self._context = context
        self._standbys = standbys
        self._configuration = directory / "engine.toml"
        self._pages: dict[str, Region] = {}
        rings = "".join(f'[[ring]]\nname = "{ring}"\ncapacity = "64KiB"\n' for ring in RINGS)
        self._configuration.write_text(
            f'[instance]\ndirectory = "instance"\ndurability = "{durability}"\n[plugin]\npath = "{PLUGIN}"\n'
            f'[log]\ncapacity = "4MiB"\n[journal]\nsegment_size = "1MiB"\n[engine]\nidle = "sleep"\n'
            f'[retention]\nsnapshot_every = "{SNAPSHOT_EVERY}"\n{rings}'
        )

    def begin(self) -> None:
        """Start everything; returns when somebody leads and the first inputs are released."""
        self.start_engine()
        wait_until(lambda: self._leads(self.engines[0]), "the first engine leads", START_SECONDS)
        self.instance: Instance = open_instance(self.directory)
        self.log: Segment = attach_log(self.instance.instance_id)
        leader = self.instance.leader()
        assert leader is not None
        self.sources = {ring: leader.rings[ring] for ring in RINGS}
        store = PluginStore(self.directory)
        self.versions = [leader.content_hash, store.add(make_next_version(self._folder)).content_hash]
        accounts = {self.sources[ring]: account for account, ring in enumerate(RINGS, 1)}
        self.check = Check(self.instance, self._folder / "venue", accounts)
        for ring in RINGS:
            self._pages[ring] = participants.make_page(self._folder / f"{ring}.page")
            self.start_producer(ring)
        self.start_gateway()
        self.fill_up()

    def _child(self, name: str, life: Any, *arguments: Any) -> Child:
        self.started += 1
        errors = self._folder / f"{name}-{self.started}.err"
        return Child(self._context, name, errors, life, *arguments)

    def start_engine(self) -> None:
        self.engines.append(self._child("engine", participants.engine, self._configuration))

    def start_producer(self, ring: str) -> None:
        account = 1 + RINGS.index(ring)
        self.producers[ring] = self._child(
            ring, participants.producer, self.directory, ring, account, self._folder / f"{ring}.page"
        )

    def start_gateway(self) -> None:
        self.gateway = self._child("gateway", participants.gateway, self.directory, GATEWAY, self._folder / "venue")

    def start_snapshot(self) -> Child:
        return self._child("snapshot", participants.snapshot, self.directory)

    def fill_up(self) -> None:
        """Start as many standbys as are missing, and wait until all follow."""
        while len(self.engines) < 1 + self._standbys:
            self.start_engine()
        for engine in self.engines:
            wait_until(partial(self._follows_or_leads, engine), f"engine {engine.pid} follows", START_SECONDS)

    def _follows_or_leads(self, engine: Child) -> bool:
        engine.check()
        return engine.has_said("following") or engine.has_said("leading")

    def _leads(self, engine: Child) -> bool:
        engine.check()
        return engine.has_said("leading")

    @property
    def leader(self) -> Child:
        """The engine that leads; waits until one says so."""
        found: list[Child] = []

        def look() -> bool:
            record = self.instance.leader()
            epoch = load_acquire(self.log.region, log_layout.EPOCH)  # SYNC POINT: pairs with a new leader's release
            found[:] = [each for each in self.engines if record and (record.pid, record.epoch) == (each.pid, epoch)]
            return bool(found)

        wait_until(look, "an engine leads")
        return found[0]

    def standbys(self) -> list[Child]:
        """The engines that do not lead."""
        leader = self.leader
        return [each for each in self.engines if each is not leader]

    @property
    def appended(self) -> int:
        # SYNC POINT: pairs with the leader's release of the appended position.
        return load_acquire(self.log.region, log_layout.APPENDED)

    @property
    def epoch(self) -> int:
        # SYNC POINT: pairs with a new leader's release of its epoch.
        return load_acquire(self.log.region, log_layout.EPOCH)

    def forget_dead(self) -> None:
        """Take engines that the matrix killed off the list."""
        self.engines = [each for each in self.engines if each.alive]

    def wait_for_input(self, position: int, epoch: int) -> int:
        """Wait for the first input behind `position` of an epoch after `epoch` to be released; when, monotonic ns."""
        reader = LogReader(self.log, position)
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while time.monotonic() < deadline:
            try:
                found = reader.poll()
            except LappedError:
                return time.monotonic_ns()
            if found is None:
                self._check_engines()
                time.sleep(0.0001)
            elif _word(found, KIND, 4) == COMMAND and _word(found, EPOCH, 8) > epoch:
                return time.monotonic_ns()
        raise MatrixError(f"no input is released after epoch {epoch}: {[each.said() for each in self.engines]}")

    def _check_engines(self) -> None:
        for each in self.engines:
            each.check()

    def order_cutover(self) -> bool:
        """Order the version that does not decide now to decide; whether the order was taken, as far as was said."""
        decides = self.check.decider or self.versions[0]
        wanted = next(each for each in self.versions if each != decides)
        try:
            with Order(
                self.directory, CUT_OVER, f"to {NEXT_VERSION} or back", ORDER_SECONDS, subject=wanted, forced=True
            ):
                return True
        except (OrderError, ProducerTimeoutError):
            return False

    def checked(self) -> None:
        """Check what is new in the journal and at the venue."""
        # SYNC POINT: pairs with the journaler's release of the written position: the files hold all below it.
        written = load_acquire(self.log.region, log_layout.WRITTEN)
        self.check.advance(min(written, released_position(self.log)))

    def offered(self) -> dict[int, int]:
        """Source number to the highest number that its producer was told is offered."""
        # SYNC POINT: pairs with the producer's release of OFFERED.
        return {self.sources[ring]: load_acquire(self._pages[ring], participants.OFFERED) for ring in RINGS}

    def finish(self) -> None:
        """End everything in order: producers, gateway, standbys, leader; all of it must end well."""
        for ring, child in self.producers.items():
            store_release(self._pages[ring], participants.STOP, 1)  # SYNC POINT: pairs with the producer's acquire
            child.finish()
        assert self.gateway is not None
        wait_until(partial(self.gateway.has_said, "delivering"), "the gateway delivers, and can be told to stop")
        self.gateway.stop()
        for each in [*self.standbys(), self.leader]:
            each.stop()
        self.check.advance(self.appended)
        self.check.finish(self.offered())

    def end(self) -> int:
        """Let no process and no shared memory be left; how many segments could not be cleaned away."""
        for child in [*self.engines, *self.producers.values(), *([self.gateway] if self.gateway else [])]:
            child.end()
        if not (self.directory / INSTANCE_FILE).exists():
            return 0
        instance = open_instance(self.directory)
        with LeaderLock(self.directory):
            clean(lambda _: True, instance_id=instance.instance_id)
        left = self._segments(instance)
        for path in left:
            path.unlink()
        return len(left)

    @staticmethod
    def _segments(instance: Instance) -> list[Path]:
        return list(SHARED_MEMORY.glob(f"{instance.segment_name('')[1:]}*"))


def _word(entry: memoryview, offset: int, size: int) -> int:
    return int.from_bytes(entry[offset : offset + size], "little", signed=True)
