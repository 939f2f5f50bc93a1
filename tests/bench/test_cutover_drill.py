"""`tools/cutover_drill`: a short drill as a user runs it, without looking at any time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.children import still_there

DRILL = Path(__file__).parents[2] / "tools" / "cutover_drill"


def drill(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STATEVEC_PYTHON": sys.executable}
    return subprocess.run(
        [DRILL, *arguments], capture_output=True, text=True, timeout=600, check=False, env=environment
    )


def test_cutovers_with_a_migration_lose_and_repeat_nothing() -> None:
    run = drill("--count", "5", "--rate", "5000", "--rounds", "1", "--format", "json")
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout)
    expected = {"cutovers": 5, "forced": 2, "lost": 0, "duplicated": 0, "migration": True, "verified": True}
    assert {name: found[name] for name in expected} == expected
    assert set(found["gap_us"]) == {"p50", "p99", "max", "without_cutovers"}
    assert found["shadow"]["unexpected"] == 0
    assert found["shadow"]["expected"] > 0
    assert found["shadow"]["compared"] >= found["entries"] > 10_000


def test_a_drill_that_is_ended_leaves_no_process_behind() -> None:
    environment = {**os.environ, "STATEVEC_PYTHON": sys.executable}
    command = [DRILL, "--count", "1000", "--rate", "5000", "--rounds", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "the shadow follows\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 3  # engine and the holder of its memory, shadow
        while process.poll() is None:  # one that comes in a callback of Python's own is lost
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
        assert process.stderr.read().splitlines()[-1] == "error: ended by signal 15"
        assert process.returncode == 1
    assert still_there(children) == []


def test_nonsense_is_refused_before_anything_starts() -> None:
    run = drill("--count", "0")
    assert run.returncode == 2
    assert "must be at least 1" in run.stderr
