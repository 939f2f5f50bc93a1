"""Processes and cores of a measurement: where this one runs, and others that must not outlive it.

With two cores the engine, or the reading side, has the first, and everything else the second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statevec.ipc.pinning import available_cores

ROOT = Path(__file__).resolve().parent.parent
CORES = sorted(available_cores())
FIRST_CORE = CORES[0]
OTHER_CORE = CORES[-1]
WAIT_SECONDS = 120.0


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run the calling thread on one core; afterwards where it ran before."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def worker(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`python -m MODULE ARGUMENTS…`; it must end well by itself once the block is left, and is ended if it does not."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
        if process.wait(WAIT_SECONDS) != 0:
            raise RuntimeError(f"{module} {' '.join(map(str, arguments))} ended with status {process.returncode}")
    finally:
        process.kill()
        process.communicate()


def lines_of(command: list[str]) -> str:
    """Standard output of a program that ends by itself."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_SECONDS)
    return done.stdout
