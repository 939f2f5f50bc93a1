"""The kernels' tests again in a process whose compiled code checks every access against its region."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ["test_ring_kernels.py", "test_log.py", "test_counters.py"]
CHILD = """
import sys
import pytest
from statevec.ipc.log_kernels import is_full
from statevec.ipc.memory import Region
with pytest.raises(IndexError, match="access outside its region"):
    is_full(Region.allocate(64), 1 << 20, 0, 64)
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_kernels_stay_inside_their_regions() -> None:
    options = ["-q", "-p", "no:cacheprovider", "-k", "compiled and not another_process"]
    command = [sys.executable, "-c", CHILD, *options, *(f"tests/ipc/{name}" for name in FILES)]
    environment = {**os.environ, "STATEVEC_CHECKED": "1"}
    tests = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550)
    assert tests.returncode == 0, tests.stdout[-3000:] + tests.stderr[-3000:]
    assert " passed" in tests.stdout
