"""Commands that clean up when a signal ends them: Ctrl-C, SIGTERM and SIGHUP become one KeyboardInterrupt.

Invariant: a second signal does not disturb what cleans up after the first.

Nothing here keeps state beyond the process's signal handlers, which are put back.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the command once; further signals are ignored while it cleans up."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let any of SIGNALS end what runs inside with KeyboardInterrupt."""
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
