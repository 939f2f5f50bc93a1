"""Every call that writes, made to fail: `python -m tools.disk_faults [--only TEXT …] [--format json]`.

    jobs        what statevec writes: genesis, epoch, leader, store, snapshots, retention, cursor, report, repair
    engine      a real engine under load in each durability mode, its compiled calls included, started again afterwards
    calls       calls on files that were counted in a run without a fault: each of a job; of an engine, where the same
                call comes over and over, the first, the one in the middle and the last of each kind
    faults      times that one failed: ENOSPC, EIO, EROFS, EACCES, EMFILE, a torn write, a full disk from then on

Exit status 1 when something was not said, was lost, or could not be done again afterwards. `tests/faults/` is what
runs, a part of it in `make test`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.faulty_engine import engine_faults, try_fault
from tests.faults.in_process import run_scenario
from tests.faults.scenarios import SCENARIOS

MODES = ("disk", "memory")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/disk_faults.py", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="jobs, or faults, that have this in them")
    parser.add_argument("--durability", choices=MODES, nargs="*", default=MODES, help="of engines (default: both)")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    began = time.monotonic()
    found = {"jobs": 0, "calls": 0, "faults": 0, "engine_faults": 0}
    problems: list[str] = []
    for scenario in SCENARIOS:
        if options.only and not any(text in scenario.name for text in options.only):
            continue
        with tempfile.TemporaryDirectory(prefix="statevec-faults-") as folder:
            outcome = run_scenario(scenario, Path(folder) / "run")
        _tell(f"{scenario.name}: {outcome.calls} calls, {outcome.faults} faults, {len(outcome.problems)} problems")
        found["jobs"] += 1
        found["calls"] += outcome.calls
        found["faults"] += outcome.faults
        problems += outcome.problems
    for durability in options.durability:
        tried, wrong = run_engines(durability, options.only)
        found["engine_faults"] += tried
        problems += wrong
    result = {**found, "problems": problems, "seconds": round(time.monotonic() - began, 1)}
    if options.format == "json":
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<14} {len(value) if isinstance(value, list) else value}")
    return 0 if not problems else 1


def run_engines(durability: str, only: list[str]) -> tuple[int, list[str]]:
    """Try every fault on an engine of its own; how many, and what was wrong."""
    problems = []
    with tempfile.TemporaryDirectory(prefix="statevec-faults-") as folder:
        faults = engine_faults(Path(folder), durability)
    chosen = [fault for fault in faults if not only or any(text in str(fault) for text in only)]
    for fault in chosen:
        with tempfile.TemporaryDirectory(prefix="statevec-faults-") as folder:
            wrong = [f"{durability}: {fault}: {each}" for each in try_fault(Path(folder), durability, fault)]
        for each in wrong or [f"{durability}: {fault}: good"]:
            _tell(each)
        problems += wrong
    return len(chosen), problems


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
