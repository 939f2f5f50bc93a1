"""`statevec shadow` as a process beside a measured engine, for the cutover drill.

It runs on the second core: with two cores that is the one that the watching thread has, too.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.engine import MeasuredEngine
from bench.processes import CORES
from statevec.roles.shadow_report import ShadowReport, read_report

FORWARD_SECONDS = 120.0
"""Nothing that is waited for may take longer."""
PAUSE_SECONDS = 0.001


class DrillError(RuntimeError):
    """The drill could not go on; the text says why."""


class ShadowProcess:
    """`statevec shadow` of one candidate; paused, gone on with, ended."""

    def __init__(self, engine: MeasuredEngine, spec: str, content_hash: str, rules: Path | None) -> None:
        self._instance = engine.instance
        self._hash = content_hash
        mode = ["independent", "--rules", str(rules)] if rules is not None else ["lockstep"]
        words = ["shadow", spec, "--instance", str(engine.instance.directory), "--mode", *mode]
        words += ["--core", str(CORES[:2][-1])]
        self.process = subprocess.Popen([sys.executable, "-m", "statevec.cli.main", *words], stdout=subprocess.DEVNULL)

    def next_report(self) -> ShadowReport:
        """Its next report."""
        since_ns = time.time_ns()
        deadline = time.monotonic() + FORWARD_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise DrillError(f"the shadow ended with status {self.process.returncode}")
            report = read_report(self._instance, self._hash)
            if report is not None and report.updated_ns > since_ns:
                return report
            time.sleep(10 * PAUSE_SECONDS)
        raise DrillError("the shadow makes no reports")

    def wait_caught_up(self, seconds: float) -> None:
        """Wait for a report that it follows, and has tried the migration. Raises `DrillError` when none comes."""
        self._wait(lambda report: report.caught_up and report.rollback_possible, seconds)

    def wait_compared(self, sequence: int, seconds: float) -> None:
        """Wait until it has compared the entry of that number. Raises `DrillError` when it does not."""
        self._wait(lambda report: report.to_sequence >= sequence, seconds)

    def _wait(self, is_there: Callable[[ShadowReport], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if is_there(self.next_report()):
                return
        raise DrillError(f"the shadow does not catch up within {seconds:g} s")

    def pause(self, paused: bool) -> None:
        """Stop it where it is, or let it go on."""
        self.process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def end(self) -> ShadowReport:
        """Let it compare the rest and end; its last report."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(FORWARD_SECONDS)
        report = read_report(self._instance, self._hash)
        if report is None:
            raise DrillError("the shadow left no report")
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
