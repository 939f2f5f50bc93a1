"""A log in private memory, and waiting for what another thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

from statevec.ipc import log_layout
from statevec.ipc.memory import Region

DEADLINE_S = 20


class PrivateLog:
    """The region of a log whose leader is the test: `append` copies bytes in and publishes them."""

    def __init__(self, capacity: int, position: int = 0) -> None:
        self.capacity = capacity
        self.region = Region.allocate(log_layout.DATA + capacity, 4096)
        self.appended = position
        for offset in (log_layout.APPENDED, log_layout.WRITTEN, log_layout.DURABLE, log_layout.RELEASED_BY_JOURNALER):
            self.region.store_i64(offset, position)

    def append(self, content: bytes) -> None:
        view = self.region.view
        for start in range(0, len(content), 1 << 16):
            piece = content[start : start + (1 << 16)]
            place = self.appended % self.capacity
            first = min(len(piece), self.capacity - place)
            view[log_layout.DATA + place : log_layout.DATA + place + first] = piece[:first]
            view[log_layout.DATA : log_layout.DATA + len(piece) - first] = piece[first:]
            self.appended += len(piece)
        self.region.store_release(log_layout.APPENDED, self.appended)

    def load(self, offset: int) -> int:
        return self.region.load_acquire(offset)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Give other threads time until `condition` holds; fail loudly when it never does."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.001)
