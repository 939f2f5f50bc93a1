"""A command's request to end, by SIGTERM or SIGINT, that it looks for or waits for.

The handler puts into a `SimpleQueue`, which may be entered again. A `threading.Event` may not: a handler that sets it
while the same thread is inside its `wait` waits for a lock of its own thread, and the process never ends.
"""

from __future__ import annotations

import queue
import signal
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Becomes set when SIGTERM or SIGINT arrives. Make it and wait for it in the process's main thread."""

    def __init__(self) -> None:
        self.signal_name = ""
        """Which signal it was; empty before."""
        self._arrivals: queue.SimpleQueue[None] = queue.SimpleQueue()
        for number in SIGNALS:
            signal.signal(number, self._arrive)

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        self._arrivals.put(None)

    def is_set(self) -> bool:
        """Whether it has arrived."""
        return self.signal_name != ""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait at most that long, without a number until it arrives; whether it is there."""
        if not self.is_set() and (seconds is None or seconds > 0):
            with suppress(queue.Empty):
                self._arrivals.get(timeout=seconds)
        return self.is_set()
