"""The watcher that a standby starts before it waits for the lock: a process of its own, since a leader never forks.

    standby ── standard input: one line of JSON {directory, limits}, then open as long as the standby lives ──► watcher
    standby ends as it was told to: "stop"        standby dies: the end of standard input, and one last look

Invariants
    It is started before the standby can have the lock, and stays when the standby becomes leader.
    It ends with its standby, and of itself when there is no instance.

Who writes and who reads: see `alarm_watch`. A crash of the watcher is not noticed; the next standby starts another one.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from statevec.engine.config import AlarmsConfig, Config
from statevec.engine.instance import INSTANCE_FILE, open_instance
from statevec.roles.alarm_watch import AlarmWatch

MODULE = "statevec.roles.alarm_process"
STOP = b"stop\n"
LAST_LOOK_SECONDS = 1.0
"""How long after its standby's death a watcher looks for the last time: who dies is still there for a while."""
PAUSE_SECONDS = 0.2


class Order(msgspec.Struct):
    """What a watcher is told first."""

    directory: str
    alarms: AlarmsConfig


class AlarmProcess:
    """A watcher as its standby has it. Who makes one has no lock yet, and does not wait for one."""

    def __init__(self, config: Config) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", MODULE], stdin=subprocess.PIPE, start_new_session=True)
        order = Order(config.instance.directory, config.alarms)
        self._say(msgspec.json.encode(order, enc_hook=int) + b"\n")

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return  # it has ended; nothing here depends on it

    def end(self) -> None:
        """Tell it that its standby, or leader by now, ends in good order."""
        self._say(STOP)
        assert self._process.stdin is not None
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int:
        """Wait until it has ended, after `end`: its exit status."""
        return self._process.wait(seconds)


def main() -> None:
    """The watcher's process."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order, dec_hook=lambda kind, value: kind(value))
    stop, in_order = threading.Event(), threading.Event()

    def listen() -> None:
        if sys.stdin.buffer.readline() == STOP:
            in_order.set()
        stop.set()

    threading.Thread(target=listen, name="standby", daemon=True).start()
    while not (Path(order.directory) / INSTANCE_FILE).exists():  # the leader is making it
        if stop.wait(PAUSE_SECONDS):
            return
    watch = AlarmWatch(open_instance(order.directory), order.alarms, exclusive=True)
    try:
        watch.run(stop.wait)
        if not in_order.is_set():
            time.sleep(LAST_LOOK_SECONDS)
            watch.turn()
    finally:
        watch.close()


if __name__ == "__main__":
    main()
