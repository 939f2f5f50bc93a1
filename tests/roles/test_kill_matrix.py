"""A short run of the kill matrix: real processes killed at points and at random; `make torture` is the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12


def test_nothing_is_lost_or_comes_twice_whoever_is_killed() -> None:
    """Rules 1 to 4, 11, 13 to 15, 17 to 19, with another seed each time; it is in the message of a failure."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.kill_matrix", "--kills", str(KILLS), "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    assert found["kills"] >= KILLS
    for what in ("lost", "duplicated", "digest_mismatches", "leaked_segments"):
        assert found[what] == 0, found
    assert found["durability"] == ["memory", "disk"]
    assert found["inputs"] > 0
    assert found["outputs"] > 0
