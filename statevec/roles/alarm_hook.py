"""Running an operator's command on alarms, in a thread of the watcher: never in a leader (protocol rule 13).

    offer(event) ─► queue, 32 at most ─► thread: command, with the event as a line of JSON on its standard input

Invariants
    The same event about the same thing runs the command at most once in `repeat_after`.
    A command that fails or takes longer than `timeout` is killed and reported once, until one succeeds again. Nothing
    that it does or prints reaches the watcher.

A crash of the watcher may leave a command running; it ends by itself.
"""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from statevec.engine.config import AlarmsConfig
from statevec.roles.event_catalogue import ALARM, COMMON_FIELDS

MOST_WAITING = 32
SUBJECT_FIELDS = ("ring", "gateway", "standby", "candidate", "path")
END_SECONDS = 15.0


class AlarmHook:
    """Runs the command of `config` on alarms; without one it does nothing. `failed(command, error)` reports."""

    def __init__(self, config: AlarmsConfig, failed: Callable[[str, str], object]) -> None:
        self._config = config
        self._failed = failed
        self._told: dict[tuple[str, str], float] = {}
        self._failing = False
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="hook", daemon=True)
        self._thread.start()

    def offer(self, event: dict[str, Any]) -> bool:
        """Run the command on an event, if it is an alarm and was not told lately; whether it will be run."""
        if not self._config.command or event.get("level") != ALARM:
            return False
        subject = " ".join(str(event[name]) for name in SUBJECT_FIELDS if name in event)
        key, now = (str(event["event"]), subject), time.monotonic()
        since = self._told.get(key)
        if since is not None and now - since < self._config.repeat_after / 1e9:
            return False
        self._told = {each: at for each, at in self._told.items() if now - at < self._config.repeat_after / 1e9}
        try:
            self._waiting.put_nowait(msgspec.json.encode(event) + b"\n")
        except queue.Full:
            return False
        self._told[key] = now
        return True

    def _work(self) -> None:
        while (line := self._waiting.get()) is not None:
            problem = self._run(line)
            if problem and not self._failing:
                self._failed(" ".join(self._config.command), problem)
            self._failing = bool(problem)

    def _run(self, line: bytes) -> str:
        """Run it once: empty, or what went wrong."""
        try:
            ended = subprocess.run(
                self._config.command,
                input=line,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self._config.timeout / 1e9,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {self._config.timeout / 1e9:g} s and was killed"
        except OSError as error:
            return str(error)
        said = ended.stderr.decode(errors="replace").strip()[-200:]
        return f"exit status {ended.returncode}: {said}" if ended.returncode else ""

    def end(self) -> None:
        """Let what waits be run, for a moment."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(END_SECONDS)


assert not set(SUBJECT_FIELDS) & set(COMMON_FIELDS)
