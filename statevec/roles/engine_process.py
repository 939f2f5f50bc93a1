"""The engine process: configuration, lock or stand by until it is free, state, then lead until told to stop.

    stand by ─► lock ─► halt mark? ─► take over (journal, log, state, who decides) ─► clock ─► epoch ─► lead ─► stop

Invariants
    The lock comes first: whoever does not get it says who leads, follows, and has changed nothing.
    A halt mark is never passed over (protocol rule 11).
    Standard error has one JSON event a line (`events`).

Exit status: 0 after SIGTERM or SIGINT with everything on disk; the command line makes 1 of every error here.
A crash at any point leaves what the next engine process needs; see the modules that this one puts together.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from statevec.engine.config import Config
from statevec.engine.instance import (
    INSTANCE_FILE,
    Instance,
    LeaderActiveError,
    LeaderLock,
    create_instance,
    open_instance,
    prepare_directory,
)
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.ipc.kill_points import AFTER_LOCK, AFTER_LOG_ADOPTED, kill_point
from statevec.ipc.memory import Region
from statevec.journal.disk import replace_file
from statevec.roles.alarm_process import AlarmProcess
from statevec.roles.configured_plugin import check_before_genesis, check_gateways
from statevec.roles.events import report, speak_as, speaker
from statevec.roles.leader import Leader
from statevec.roles.locked_memory import lock_memory
from statevec.roles.memory_holder import hold_memory
from statevec.roles.standby import Standby
from statevec.roles.standing_by import Waited, log_identity, stand_by
from statevec.roles.stop_request import StopRequest
from statevec.roles.takeover import check_clock, take_over
from statevec.roles.warm_up import warm_up


def run_engine(
    config: Config,
    *,
    accept_clock: bool = False,
    kill_hung_after: float | None = None,
    ready_file: Path | None = None,
    ready_descriptor: int | None = None,
) -> None:
    """Lead the configured instance, or stand by until that can be, until SIGTERM or SIGINT.

    Call it in a process's main thread. Once it leads, `ready_file` is written and a line goes to `ready_descriptor`,
    both a JSON object. A leader that gave no sign of life for `kill_hung_after` seconds is ended.
    """
    speak_as("engine", None)
    watchers: list[AlarmProcess] = []
    try:
        _run(config, accept_clock, kill_hung_after, ready_file, ready_descriptor, watchers)
        for watcher in watchers:
            watcher.end()
    except Exception as error:
        if speaker().instance is not None:  # before that there is nothing that an operator would have to save
            report("failed", error=str(error))
        raise


def _run(
    config: Config,
    accept_clock: bool,
    kill_hung_after: float | None,
    ready_file: Path | None,
    ready_descriptor: int | None,
    watchers: list[AlarmProcess],
) -> None:
    """As `run_engine`; a watcher of alarms that a standby started is added to `watchers`."""
    request = StopRequest()
    check_before_genesis(config)
    hold_memory()
    prepare_directory(config.directory)
    waited = _wait_for_lead(config, request, kill_hung_after, watchers)
    if waited is None:
        report("stopped", by=request.signal_name)
        return
    started = time.monotonic()
    with waited.lock as lock:
        kill_point(AFTER_LOCK)
        if waited.standby is None:
            lock.record()  # who stood by leads in a moment, and a file that is replaced may have to wait for the disk
        genesis = not (config.directory / INSTANCE_FILE).exists()
        instance = create_instance(config.directory) if genesis else open_instance(config.directory)
        speak_as("leader", instance)
        instance.refuse_when_halted()
        report("started", directory=str(instance.directory), genesis=genesis)
        leader = _take_lead(instance, config, accept_clock, waited)
        try:
            check_gateways(config, leader.plugin)
            leader.begin()
            leading = {
                "epoch": leader.epoch,
                "rings": leader.sources,
                "log": log_identity(instance),
                **_bound(config),
            }
            lock.record(**leading, content_hash=leader.plugin.content_hash)
            reached = {
                "instance": instance.genesis.instance_id,
                "epoch": leader.epoch,
                "sequence": leader.sequence,
                "position": leader.position,
            }
            seconds = round(time.monotonic() - started, 4)
            report("leading", epoch=leader.epoch, sequence=leader.sequence, position=leader.position, seconds=seconds)
            _say_ready(reached, ready_file, ready_descriptor)
            _lock_memory(leader.memory)
            if waited.standby is None:
                _say_who_decides(config, leader.plugin)
            leader.control(request.wait, lambda content_hash: lock.record(**leading, content_hash=content_hash))
        finally:
            leader.stop()
        by = "handover" if leader.handed_over else request.signal_name
        report("stopped", by=by, sequence=leader.sequence, position=leader.position)


def _wait_for_lead(
    config: Config, request: StopRequest, kill_hung_after: float | None, watchers: list[AlarmProcess]
) -> Waited | None:
    """The lock now, or once whoever has it is gone; None when told to stop before."""
    try:
        return Waited(LeaderLock(config.directory), None)
    except LeaderActiveError as active:
        report("standing_by", behind=str(active))
        if config.alarms.command:
            watchers.append(AlarmProcess(config))  # now, before the lock can be here (rule 13)

    def prepare(standby: Standby) -> None:
        speak_as("standby", standby.instance)
        _check_as_leader(config, standby)
        _say_who_decides(config, standby.following.versions.plugin)
        warm_up()
        _lock_memory(standby.following.execution.memory)
        report("following", sequence=standby.sequence)

    return stand_by(config, request.is_set, kill_hung_after, prepare)


def _check_as_leader(config: Config, standby: Standby) -> None:
    """Refuse now what would be refused when it takes over: gateways that the version which decides does not fit.

    What it follows may be a version of long ago still, so the leader's word counts. Raises `ConfigError`, `StoreError`.
    """
    leader = standby.instance.leader()
    plugin = standby.following.versions.plugin
    if leader is not None and leader.content_hash not in ("", plugin.content_hash):
        plugin = PluginStore(standby.instance.directory).load(leader.content_hash)
    check_gateways(config, plugin)


def _lock_memory(used: list[Region]) -> None:
    problem = lock_memory(used)
    if problem is not None:
        report("memory_not_locked", reason=problem)


def _bound(config: Config) -> dict[str, Any]:
    """What the leader's record says of durability and gateways."""
    return {
        "durability": config.instance.durability,
        "gateways": {gateway.name: gateway.messages for gateway in config.gateway},
    }


def _take_lead(instance: Instance, config: Config, accept_clock: bool, waited: Waited) -> Leader:
    lock = waited.lock

    def configured() -> LoadedPlugin:
        """The plugin that decides first in a new log; kept and named before there is a log to attach to."""
        plugin = load_plugin(config.plugin_directory)
        check_gateways(config, plugin)
        PluginStore(instance.directory).keep(plugin)
        lock.record(**_bound(config), content_hash=plugin.content_hash)
        return plugin

    taken = take_over(instance, config, configured, lock.previous, waited.standby)
    kill_point(AFTER_LOG_ADOPTED)
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
