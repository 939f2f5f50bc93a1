"""The processes that a demonstration starts: each with its progress lines, its errors kept, and a certain end.

A child gets a session of its own, so that Ctrl-C reaches the demonstration alone, which then ends its children in
order. Should the demonstration itself be killed, the kernel sends each child SIGTERM (`bound.py`).

Invariants
    `Children` as a context manager leaves no child behind: SIGTERM, then after `END_SECONDS` SIGKILL, newest first.
    Standard error of a child goes to a file, whole; `ChildError` shows its end.
    A child that fails, or that ends although it is a lasting one, is noticed at the next `check()`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

END_SECONDS = 20.0
POLL_SECONDS = 0.02
ERROR_LINES_SHOWN = 20


class ChildError(RuntimeError):
    """A process of the demonstration failed; the message holds the end of its standard error."""


class Child:
    """One process. `progress` is the last JSON object that it printed on standard output."""

    def __init__(self, name: str, command: list[str], errors: Path, lasting: bool, judged: bool = True) -> None:
        self.name = name
        self.lasting = lasting
        self.judged = judged
        """Whether its end is looked at by `check()`; else it is the starter's to judge."""
        self.errors = errors
        self.progress: dict[str, Any] = {}
        self.lines = 0
        with errors.open("wb") as errors_file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "statevec.demo.bound", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors_file,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read_progress, name=f"progress of {name}", daemon=True)
        self._reader.start()

    def _read_progress(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    progress = json.loads(line)
                except ValueError:
                    continue  # not ours to judge: a line for people
                if isinstance(progress, dict):
                    self.progress = progress
                    self.lines += 1

    @property
    def status(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise `ChildError` if it ended with a failure, or ended at all and should not."""
        status = self.status
        if not self.judged:
            return
        if status not in (None, 0):
            raise ChildError(self.failure(f"ended with status {status}"))
        if status == 0 and self.lasting:
            raise ChildError(self.failure("ended while it was needed"))

    def failure(self, what: str) -> str:
        """A message that says what went wrong, with the end of what the process wrote on standard error."""
        written = self.errors.read_text(encoding="utf-8", errors="replace").rstrip().split("\n")
        shown = "\n".join(f"    {line}" for line in written[-ERROR_LINES_SHOWN:])
        return f"{self.name} {what}; its standard error ends with\n{shown}"

    def kill(self) -> None:
        """Let it die at once; that is nobody's failure."""
        self.judged = False
        self._process.kill()

    def stop(self, seconds: float = END_SECONDS) -> None:
        """Ask it to end, wait, and raise `ChildError` if it fails to or ends with a failure."""
        self.check()
        self.lasting = False
        self._process.terminate()
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Wait for its end; `ChildError` if it does not end in that time or ends with a failure."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(self.failure(f"did not end within {seconds:g} s")) from None
        self._reader.join(seconds)
        self.check()

    def join(self) -> None:
        """Wait until all that an ended process printed was read."""
        self._reader.join()

    def end(self) -> None:
        """End it whatever it takes; never raises for how it ended."""
        if self.status is None:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.join()


class Children:
    """All children of one demonstration; a context manager that leaves none behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.all: list[Child] = []
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: list[str], lasting: bool = False, judged: bool = True) -> Child:
        """Start `python COMMAND…`; a lasting one runs until `stop`. Standard error goes to DIRECTORY/NAME.stderr."""
        child = Child(name, command, self.directory / f"{name}.stderr", lasting, judged)
        self.all.append(child)
        return child

    def check(self) -> None:
        """Raise `ChildError` for the first child that failed."""
        for child in self.all:
            child.check()

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self.all):
            child.end()


def poll(children: Children, seconds: float, what: str) -> Iterator[None]:
    """Turn by turn until the caller breaks out; `ChildError` when a child fails or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        children.check()
        yield
        time.sleep(POLL_SECONDS)
    raise ChildError(f"after {seconds:g} s still waiting for {what}")
