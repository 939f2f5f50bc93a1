"""Commands that clean up when a signal ends them: Ctrl-C, SIGTERM and SIGHUP become one KeyboardInterrupt.

Invariants
    A second signal does not disturb what cleans up after the first.
    Python drops what is raised in a finalizer or in a callback from C; a KeyboardInterrupt that met one comes again.

Nothing here keeps state beyond the process's signal handlers and its hook, which are put back.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = signal.SIGALRM
AGAIN_SECONDS = 0.01


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the command once; further signals are ignored while it cleans up."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let any of SIGNALS end what runs inside with KeyboardInterrupt; in the process's main thread."""
    before = {number: signal.signal(number, _interrupt) for number in (*SIGNALS, AGAIN)}
    hook = sys.unraisablehook

    def interrupt_again(dropped: UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            hook(dropped)

    sys.unraisablehook = interrupt_again
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
