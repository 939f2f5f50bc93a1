"""A run whose writes are recorded: one instance led three times, with all that writes in its directory.

    each leadership: messages of every size, a gateway that acknowledges, snapshots, retention; then an orderly end, or
    a death: all threads of the leader write nothing any more, and the next leader adopts the log

Everything is the product's own code in this process; what it writes goes through `Recorder`. The instance's shared
memory is removed at the end, whatever happens; its directory is the caller's.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from statevec.engine.config import Config, parse_config
from statevec.engine.instance import (
    INSTANCE_FILE,
    Instance,
    LeaderLock,
    create_instance,
    open_instance,
    prepare_directory,
)
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.ipc.memory import Region
from statevec.ipc.segment import SHARED_MEMORY
from statevec.roles.gateway import Gateway
from statevec.roles.leader import Leader
from statevec.roles.producer import Producer
from statevec.roles.retention import retain
from statevec.roles.snapshot_taker import take_snapshot
from statevec.roles.standby import Standby
from statevec.roles.takeover import take_over
from tools.killing.messages import PLUGIN, message
from tools.power.history import History
from tools.power.recorder import Recorder

INSTANCE = "instance"
RING, GATEWAY = "market", "venue"
WAIT_SECONDS = 60.0
LEADERSHIPS = 3
ROUNDS = 4
"""Bursts of messages in a leadership; between them the gateway acknowledges."""
BURST = 14
LONGEST = 24_000
"""Bytes of the longest message: nonsense that is recorded all the same, so that segments become full soon."""
ACCOUNT = 1


def configuration(folder: Path, durability: str) -> Config:
    """The instance in `folder / INSTANCE`, with the smallest log and segments that there are."""
    return parse_config(
        f'[instance]\ndirectory = "{INSTANCE}"\ndurability = "{durability}"\n[plugin]\npath = "{PLUGIN}"\n'
        f'[log]\ncapacity = "4MiB"\n[journal]\nsegment_size = "1MiB"\n[engine]\nidle = "sleep"\n'
        f'[[ring]]\nname = "{RING}"\ncapacity = "256KiB"\n[[gateway]]\nname = "{GATEWAY}"\n',
        folder,
    )


@dataclass
class Led:
    """An instance that is led in this process."""

    instance: Instance
    lock: LeaderLock
    leader: Leader

    def stop(self) -> None:
        """The orderly end."""
        self.leader.stop()
        self.close()

    def close(self) -> None:
        """Give lock and log up."""
        self.lock.release()
        self.leader.log.close()


def lead(
    config: Config,
    taken_over: Callable[[Region], None] = lambda log: None,
    lock: LeaderLock | None = None,
    standby: Standby | None = None,
) -> Led:
    """Take the lead as an engine process does (`roles/engine_process`), and begin.

    `taken_over` is called with the log, before the epoch begins. Who has the lock and stood by says so.
    """
    prepare_directory(config.directory)
    lock = lock or LeaderLock(config.directory)
    try:
        lock.record()
        genesis = not (config.directory / INSTANCE_FILE).exists()
        instance = create_instance(config.directory) if genesis else open_instance(config.directory)
        instance.refuse_when_halted()

        def configured() -> LoadedPlugin:
            plugin = load_plugin(config.plugin_directory)
            PluginStore(instance.directory).keep(plugin)
            return plugin

        taken = take_over(instance, config, configured, lock.previous, standby)
        taken_over(taken.log.region)
        leader = Leader(instance, config, taken)
        leader.begin()
        gateways = {each.name: each.messages for each in config.gateway}
        lock.record(
            epoch=leader.epoch,
            rings=leader.sources,
            durability=config.instance.durability,
            gateways=gateways,
            content_hash=leader.plugin.content_hash,
        )
    except BaseException:
        lock.release()
        raise
    return Led(instance, lock, leader)


@contextmanager
def no_shared_memory_left(directory: Path) -> Iterator[None]:
    """Remove the shared memory of the instance in `directory` at the end."""
    try:
        yield
    finally:
        with suppress(Exception):
            number = open_instance(directory).instance_id
            for path in SHARED_MEMORY.glob(f"sv-{number:016x}-*"):
                path.unlink(missing_ok=True)


class Scenario:
    """One run in `folder`; `record` gives its history."""

    def __init__(self, folder: Path, durability: str, seed: int) -> None:
        self.config = configuration(folder, durability)
        self._recorder = Recorder(folder)
        self._draws = random.Random(seed)
        self._number = 0

    def record(self) -> History:
        """Run it all. The shared memory of the instance is there afterwards only if the caller made some."""
        with self._recorder.recording(), no_shared_memory_left(self.config.directory):
            for number in range(LEADERSHIPS):
                self._leadership(dies=number % 2 == 0, last=number == LEADERSHIPS - 1)
            return self._recorder.history()

    def _leadership(self, dies: bool, last: bool) -> None:
        before = set(threading.enumerate())
        led = lead(self.config, self._recorder.follow)
        with (
            Producer(self.config.directory, RING) as producer,
            Gateway(self.config.directory, GATEWAY) as gateway,
        ):
            self._number = producer.sequence
            for number in range(ROUNDS):
                self._burst(producer)
                self._acknowledge(gateway)
                if number % 2 == 1:
                    self._snapshot(led.instance, producer, number == ROUNDS - 1)
            if dies and not last:
                self._die(led, producer, set(threading.enumerate()) - before)
                return
            producer.wait_released(self._number, WAIT_SECONDS)
            self._acknowledge(gateway)
        led.stop()

    def _burst(self, producer: Producer) -> None:
        """Some messages; what comes next waits for some of them, and for others not."""
        for _ in range(BURST):
            self._number += 1
            content = message(ACCOUNT, self._number)
            if self._draws.random() < 0.5:
                content = self._draws.randbytes(self._draws.randrange(8, LONGEST))
            assert producer.send(content, WAIT_SECONDS) == self._number
            if self._draws.random() < 0.2:
                producer.wait_appended(self._number, WAIT_SECONDS)
        producer.wait_released(self._draws.randint(self._number - BURST, self._number), WAIT_SECONDS)

    def _acknowledge(self, gateway: Gateway) -> None:
        """Take what is released, acknowledge every few outputs and the last one."""
        last = None
        while (output := gateway.poll()) is not None:
            last = output
            if self._draws.random() < 0.2:
                gateway.acknowledge(output)
                self._recorder.acknowledge(output.entry.position, output.index + 1)
        if last is not None:
            gateway.acknowledge(last)
            self._recorder.acknowledge(last.entry.position, last.index + 1)

    def _snapshot(self, instance: Instance, producer: Producer, retains: bool) -> None:
        """A snapshot while messages go on; then what it makes unnecessary may go."""
        taker = threading.Thread(target=take_snapshot, args=[instance], kwargs={"keep": 1})
        taker.start()
        self._burst(producer)
        taker.join()
        if retains:
            retain(instance, keep=1, delete=True)

    def _die(self, led: Led, producer: Producer, threads: set[threading.Thread]) -> None:
        """The leader's process is killed while messages come; what it did not write until then it never will."""
        count = self._draws.randrange(2, BURST)
        killed = self._draws.randrange(count)
        for number in range(count):
            if number == killed:
                self._recorder.kill(threads)
            self._number += 1
            producer.send(message(ACCOUNT, self._number), WAIT_SECONDS)
        this = threading.current_thread()
        self._recorder.kill({this})
        try:
            with suppress(SystemExit):
                led.leader.stop()
        finally:
            self._recorder.revive(this)
        led.close()
