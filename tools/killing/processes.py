"""Child processes of a kill matrix, which it may kill and nobody else should.

Invariants
    A child that ended otherwise than by the matrix's own kill, or with success after being told to, is an error.
    No child outlives the matrix (`participants.begin`).

A crash of the matrix leaves its directory and perhaps shared memory, which `statevec clean --lost` removes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.killing import participants

END_SECONDS = 120.0
PAUSE_SECONDS = 0.002
ERROR_CHARACTERS_SHOWN = 3000


class MatrixError(Exception):
    """The matrix cannot go on: something ended, hung or refused that must not. The text says what."""


class Child:
    """One process: `life` of `participants` with `arguments`; what it says goes to `errors`."""

    def __init__(self, context: Any, name: str, errors: Path, life: Callable[..., None], *arguments: Any) -> None:
        self.name = name
        self.errors = errors
        self.process = context.Process(
            target=participants.run_as, args=(errors, life, *arguments), name=name, daemon=True
        )
        self.process.start()
        self.pid: int = self.process.pid

    @property
    def alive(self) -> bool:
        return bool(self.process.is_alive())

    def check(self) -> None:
        """Raise `MatrixError` when it has ended."""
        if not self.alive:
            raise MatrixError(f"{self.name} ended with {self.process.exitcode}: {self.said()}")

    def said(self) -> str:
        """The end of what it said."""
        return self.errors.read_text(errors="replace")[-ERROR_CHARACTERS_SHOWN:] if self.errors.exists() else ""

    def has_said(self, event: str) -> bool:
        """Whether it reported that event."""
        if not self.errors.exists():
            return False
        lines = [line for line in self.errors.read_text(errors="replace").splitlines() if line.endswith("}")]
        return any(json.loads(line)["event"] == event for line in lines if line.startswith("{"))

    def kill(self) -> int:
        """SIGKILL; when, monotonic ns. It is gone when this returns."""
        at = time.monotonic_ns()
        os.kill(self.pid, signal.SIGKILL)
        self.wait_dead()
        return at

    def wait_dead(self) -> None:
        """Wait until it is gone, and be sure that a kill did it."""
        self.process.join(END_SECONDS)
        if self.process.exitcode != -signal.SIGKILL:
            raise MatrixError(f"{self.name} should have been killed: {self.process.exitcode}: {self.said()}")

    def finish(self) -> None:
        """Wait until it ends by itself, with success."""
        self.process.join(END_SECONDS)
        if self.process.exitcode != 0:
            raise MatrixError(f"{self.name} did not end well: {self.process.exitcode}: {self.said()}")

    def stop(self) -> None:
        """SIGTERM, and it must end well."""
        os.kill(self.pid, signal.SIGTERM)
        self.finish()

    def end(self) -> None:
        """Let it not be there any more, whatever it was doing."""
        if self.alive:
            self.process.kill()
            self.process.join(END_SECONDS)


def make_context(fresh: bool) -> Any:
    """How children start: each in a new interpreter, or forked from one that has everything loaded."""
    if fresh:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.killing.nursery"])
    return context


def wait_until(condition: Callable[[], bool], what: str, seconds: float = END_SECONDS) -> None:
    """Wait until `condition` holds, or raise `MatrixError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise MatrixError(f"waited {seconds} s in vain: {what}")
        time.sleep(PAUSE_SECONDS)
