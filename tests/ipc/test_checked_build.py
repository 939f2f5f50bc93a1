"""The kernels' tests again in a process whose compiled code checks every access against its region."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ["test_ring_kernels.py", "test_log.py", "test_counters.py"]
ACCESS_OUTSIDE = """
from statevec.ipc.log_kernels import is_full
from statevec.ipc.memory import Region
try:
    is_full(Region.allocate(64), 1 << 20, 0, 64)
except IndexError as error:
    print(error)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STATEVEC_CHECKED": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_kernels_stay_inside_their_regions() -> None:
    files = [f"tests/ipc/{name}" for name in FILES]
    tests = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "compiled and not another_process", *files)
    assert tests.returncode == 0, tests.stdout[-3000:]
    assert " passed" in tests.stdout


def test_the_checked_build_checks() -> None:
    assert run("-c", ACCESS_OUTSIDE).stdout.strip() == "access outside its region"
