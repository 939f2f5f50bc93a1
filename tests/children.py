"""Children of a process under test, when it has ended: those that are left."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

WAIT_SECONDS = 60.0


def still_there(children: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that run on for that long. One that keeps an engine's memory ends half a second after the engine."""
    _, left = psutil.wait_procs(list(children), WAIT_SECONDS)
    return [child for child in left if child.status() != psutil.STATUS_ZOMBIE]
