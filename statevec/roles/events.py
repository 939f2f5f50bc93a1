"""What a process of statevec says while it runs: one JSON object a line, on standard error.

Each has the common fields of `event_catalogue`; the rest depends on the event. Programs read them, and people can.
Nothing here is buffered: a line stands there before the process goes on. Warnings and alarms are kept in the
instance's `alarms/` too (`alarm_files`).

Invariants
    Reporting never fails and never waits for a disk: a thread of its own keeps what is to be kept, from a queue that
    drops what it has no room for. No thread of the engine's loop reports.
    Text that came from elsewhere is cut and escaped: a line stays a line, and a terminal obeys nothing in it.

A crash loses at most what the thread had not kept yet; standard error has it.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from statevec.engine.instance import Instance
from statevec.journal.plain_text import json_text
from statevec.roles.alarm_files import LINE_BYTES, append
from statevec.roles.event_catalogue import INFO, level_of

MOST_WAITING = 256
END_SECONDS = 0.5
TEXT_MOST = 1000


class _Keeper:
    """The thread that appends to the files in `alarms/`."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Path, bytes] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._keep, name="alarms", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def put(self, directory: Path, line: bytes) -> None:
        try:
            self._waiting.put_nowait((directory, line))
        except queue.Full:
            return

    def _keep(self) -> None:
        while (each := self._waiting.get()) is not None:
            append(*each)

    def end(self) -> None:
        """Give the thread a moment for what waits."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(END_SECONDS)


@cache
def _keeper() -> _Keeper:
    return _Keeper()


@dataclass(frozen=True)
class Speaker:
    """Who reports: a role in an instance."""

    role: str = ""
    instance: Instance | None = None

    def report(self, event: str, **values: Any) -> dict[str, Any]:
        """Write one event of the catalogue; the event as it was written."""
        level = level_of(event)
        line = {
            "event": event,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "role": self.role,
            "instance": "" if self.instance is None else self.instance.genesis.instance_id,
            "pid": os.getpid(),
            **{name: _cut(value) for name, value in values.items()},
        }
        content = json_text(msgspec.json.encode(line).decode()).encode()
        try:
            sys.stderr.write(content.decode() + "\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # nobody reads standard error any more; what the process does matters more
        if level != INFO and self.instance is not None and len(content) < LINE_BYTES:
            _keeper().put(self.instance.directory, content)
        return line


def _cut(value: Any) -> Any:
    return f"{value[:TEXT_MOST]}…" if isinstance(value, str) and len(value) > TEXT_MOST else value


_process = Speaker()


def speak_as(role: str, instance: Instance | None) -> None:
    """What this process is from now on: every event of `report` says so."""
    global _process
    _process = Speaker(role, instance)


def speaker() -> Speaker:
    """Who this process speaks as."""
    return _process


def report(event: str, **values: Any) -> None:
    """Write one event of the catalogue, as what this process is."""
    _process.report(event, **values)
