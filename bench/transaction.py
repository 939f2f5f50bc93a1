"""Re-execution of a hedge journal with digest check, on one core: both tiers, from the journal of a real run.

The journal is made once by `statevec demo`, flat out. A sample is one whole verification; compiling and loading the
plugin are not in it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import Comparison
from statevec.audit.verify import Verification, verify_instance

CASES = (
    ("re-execution, compiled", "compiled", 10e6, "≥ 10 M/s"),
    ("re-execution, interpreted", "interpreted", 100e3, "≥ 100 k/s"),
)


def measure(smoke: bool = False) -> list[Comparison]:
    """Transactions a second of both tiers; the run fails unless every digest is reproduced."""
    folder = Path(tempfile.mkdtemp(prefix="statevec-bench-"))
    try:
        instance = folder / "run"
        ticks = 500 if smoke else 200_000
        command = [sys.executable, "-m", "statevec.cli.main", "demo", "--generated", str(ticks), "--rate", "0"]
        options = ["--directory", str(instance), "--durability", "memory", "--format", "json"]
        subprocess.run([*command, *options], check=True, capture_output=True, timeout=900)
        found = next(path.parent for path in instance.rglob("instance.json"))
        return [_figure(found, *case, rounds=1 if smoke else 3) for case in CASES]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _figure(instance: Path, name: str, tier: str, least: float, target: str, *, rounds: int) -> Comparison:
    figure = Comparison(name, "transactions/s", "higher", target=target, excludes="compiling and loading the plugin")
    for _ in range(rounds):
        result: Verification = verify_instance(instance, tier)  # type: ignore[arg-type]  # one of CASES
        if not result.verified:
            raise RuntimeError(f"{tier}: the journal could not be reproduced")
        figure.ours.append(result.entries / result.seconds)
        figure.details = {"entries": result.entries}
    figure.met = figure.middle >= least
    return figure
