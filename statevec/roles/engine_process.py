"""The engine process: configuration, instance, lock, state from the journal, then lead until told to stop.

    lock ─► halt mark? ─► take over (journal, log, state, who decides) ─► clock ─► epoch ─► lead ─► stop

Invariants
    The lock comes first: whoever does not get it is told who leads, and has changed nothing.
    A halt mark is never passed over (protocol rule 11).
    Standard error has one JSON event a line (`events`).

Exit status: 0 after SIGTERM or SIGINT with everything on disk; the command line makes 1 of every error here.
A crash at any point leaves what the next engine process needs; see the modules that this one puts together.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from statevec.engine.config import Config
from statevec.engine.instance import (
    INSTANCE_FILE,
    Instance,
    LeaderLock,
    LeaderRecord,
    create_instance,
    open_instance,
    prepare_directory,
    replace_file,
)
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.roles.configured_plugin import check_before_genesis, check_gateways
from statevec.roles.events import report
from statevec.roles.leader import Leader
from statevec.roles.locked_memory import lock_memory
from statevec.roles.takeover import check_clock, take_over


class StopRequest:
    """Becomes set when SIGTERM or SIGINT arrives."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal_name = ""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; whether the request is there."""
        return self._event.wait(seconds)


def run_engine(
    config: Config,
    *,
    accept_clock: bool = False,
    ready_file: Path | None = None,
    ready_descriptor: int | None = None,
) -> None:
    """Lead the configured instance until SIGTERM or SIGINT; call it in a process's main thread.

    Once it leads, `ready_file` is written and a line goes to `ready_descriptor`, both a JSON object.
    """
    started = time.monotonic()
    request = StopRequest()
    check_before_genesis(config)
    prepare_directory(config.directory)
    with LeaderLock(config.directory) as lock:
        lock.record()
        genesis = not (config.directory / INSTANCE_FILE).exists()
        instance = create_instance(config.directory) if genesis else open_instance(config.directory)
        instance.refuse_when_halted()
        report("started", instance=instance.genesis.instance_id, directory=str(instance.directory), genesis=genesis)
        facts = {
            "durability": config.instance.durability,
            "gateways": {gateway.name: gateway.messages for gateway in config.gateway},
        }

        def configured() -> LoadedPlugin:
            """The plugin that decides first in a new log; kept and named before there is a log to attach to."""
            plugin = load_plugin(config.plugin_directory)
            check_gateways(config, plugin)
            PluginStore(instance.directory).keep(plugin)
            lock.record(**facts, content_hash=plugin.content_hash)
            return plugin

        leader = _take_lead(instance, config, configured, accept_clock, lock.previous)
        try:
            check_gateways(config, leader.plugin)
            _say_who_decides(config, leader.plugin)
            leader.begin()
            leading = {**facts, "epoch": leader.epoch, "rings": leader.sources}
            lock.record(**leading, content_hash=leader.plugin.content_hash)
            problem = lock_memory()
            if problem is not None:
                report("memory_not_locked", reason=problem)
            reached = {
                "instance": instance.genesis.instance_id,
                "epoch": leader.epoch,
                "sequence": leader.sequence,
                "position": leader.position,
            }
            report("leading", **reached, seconds=round(time.monotonic() - started, 3))
            _say_ready(reached, ready_file, ready_descriptor)
            leader.control(request.wait, lambda content_hash: lock.record(**leading, content_hash=content_hash))
        finally:
            leader.stop()
        report("stopped", by=request.signal_name, sequence=leader.sequence, position=leader.position)


def _take_lead(
    instance: Instance,
    config: Config,
    configured: Callable[[], LoadedPlugin],
    accept_clock: bool,
    previous: LeaderRecord | None,
) -> Leader:
    taken = take_over(instance, config, configured, previous)
    leader = Leader(instance, config, taken)
    if not accept_clock:
        try:
            check_clock(leader.execution, config, time.time_ns())
        except BaseException:
            leader.stop()
            raise
    return leader


def _say_who_decides(config: Config, plugin: LoadedPlugin) -> None:
    """Say it when the configured plugin is not the one that decides: only a cutover lets another version decide."""
    try:
        configured = load_plugin(config.plugin_directory)
    except (OSError, PluginError) as error:
        report("configured_plugin_unusable", path=str(config.plugin_directory), error=str(error))
        return
    if configured.content_hash != plugin.content_hash:
        report(
            "configured_plugin_waits",
            configured=f"{configured.name}@{configured.version}",
            decides=f"{plugin.name}@{plugin.version}",
            content_hash=plugin.content_hash,
        )


def _say_ready(reached: dict[str, object], ready_file: Path | None, ready_descriptor: int | None) -> None:
    line = msgspec.json.encode({"pid": os.getpid(), **reached}) + b"\n"
    if ready_file is not None:
        replace_file(ready_file, line, durable=False)
    if ready_descriptor is not None:
        os.write(ready_descriptor, line)
        os.close(ready_descriptor)
