"""`watch`: a follower that looks at an instance once a second, reports what is wrong, and runs a command on alarms.

    look ─► AlarmJudge, GatewayWatch ─► report (standard error, `alarms/`) ─┐
    alarms/  ◄─ other processes' alarms                                     ├─► AlarmHook
              └─────────────────────────────────────────────────────────────┘

Invariants
    It takes no lock of the instance and writes nothing but events.
    Of the watchers that standbys start (`exclusive`) one reports and runs commands; the others look too, so that the
    next one knows what was before. The right to is flock on `alarms/watcher`.

A crash leaves nothing but that file; another watcher takes its place.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from statevec.engine.config import AlarmsConfig
from statevec.engine.instance import Instance
from statevec.roles.alarm_files import DIRECTORY, last_alarms
from statevec.roles.alarm_gateways import GatewayWatch
from statevec.roles.alarm_hook import AlarmHook
from statevec.roles.alarm_judge import AlarmJudge
from statevec.roles.event_catalogue import ALARM
from statevec.roles.events import Speaker
from statevec.roles.live import Looker

LOOK_SECONDS = 1.0
MOST_EVENTS = 2_000
TURN_FILE = "watcher"


class _Turn:
    """The right to act, among the watchers that standbys started."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / DIRECTORY / TURN_FILE
        self._descriptor = -1

    def taken(self) -> bool:
        """Whether this process has it now; never waits."""
        if self._descriptor >= 0:
            return True
        try:
            self._path.parent.mkdir(exist_ok=True, mode=0o750)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True  # on a full disk better two of them than none
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class AlarmWatch:
    """Watches `instance`; `turn` is one look. `exclusive`: only while no other such watcher acts."""

    def __init__(self, instance: Instance, config: AlarmsConfig, *, exclusive: bool = False) -> None:
        self._instance = instance
        self._speaker = Speaker("watch", instance)
        self._turn = _Turn(instance.directory) if exclusive else None
        self._looker = Looker(instance, watch_log=0)
        self._judge = AlarmJudge(config)
        self._gateways = GatewayWatch(instance, config.gateway_after, config.repeat_after)
        self._hook = AlarmHook(
            config, lambda command, error: self._speaker.report("hook_failed", command=command, error=error)
        )
        self._seen = set(self._kept())
        self._look_fails = False
        self._speaker.report("watching", command=" ".join(config.command))

    def _kept(self) -> dict[bytes, dict[str, Any]]:
        """The events in `alarms/` of other processes, by their text."""
        events = last_alarms(self._instance.directory, MOST_EVENTS)
        return {msgspec.json.encode(event): event for event in events if event.get("pid") != os.getpid()}

    def turn(self) -> int:
        """Look once, report, run commands; how many alarms were found."""
        acts = self._turn is None or self._turn.taken()
        try:
            sample = self._looker.look()
            found = [*self._judge.look(sample), *self._gateways.look(sample)]
            self._look_fails = False
        except OSError as error:
            if acts and not self._look_fails:
                self._speaker.report("look_failed", error=str(error))
            self._look_fails = True
            return 0
        kept = self._kept()
        new = [event for text, event in kept.items() if text not in self._seen]
        self._seen = set(kept)
        if not acts:
            return 0
        told = [self._speaker.report(trouble.event, **trouble.values) for trouble in found]
        for event in [*new, *told]:
            self._hook.offer(event)
        return sum(event["level"] == ALARM for event in told)

    def run(self, wait: Callable[[float], bool]) -> None:
        """Look once a second until `wait`, which waits that many seconds at most, says that it is to end."""
        due = time.monotonic()
        while not wait(max(0.0, due - time.monotonic())):
            self.turn()
            due = max(due + LOOK_SECONDS, time.monotonic())

    def close(self) -> None:
        """Let waiting commands run for a moment, and give everything up."""
        self._hook.end()
        self._looker.close()
        if self._turn is not None:
            self._turn.close()
