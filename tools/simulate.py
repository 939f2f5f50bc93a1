"""The simulation of many processes: `python -m tools.simulate [--seeds N] [--first S] [--format json]`.

    seeds     runs: engines, producers and a gateway in one process and virtual time, with faults that the seed chooses
    faults    how often each kind happened
    steps     atomic accesses to shared memory, calls on files, pauses; after each, rules are looked at
    problems  rules that were broken, with seed and mode: `--first SEED --seeds 1` does the same again

Exit status 1 when a rule was broken. `tools/simulation/` is what runs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from statevec.ipc.segment import SHARED_MEMORY
from tools.simulation.simulation import Outcome, simulate

MODES = ("disk", "memory")


def run(first: int, seeds: int, modes: tuple[str, ...], folder: Path = SHARED_MEMORY) -> list[Outcome]:
    """Run seeds from `first` on, each in the mode that its number gives; ends with the first broken rule."""
    outcomes: list[Outcome] = []
    for seed in range(first, first + seeds):
        outcomes.append(simulate(seed, modes[seed % len(modes)], folder))
        if outcomes[-1].problems:
            break
    return outcomes


def summary(outcomes: list[Outcome], seconds: float) -> dict[str, object]:
    """All runs together."""
    return {
        "seeds": len(outcomes),
        "first": outcomes[0].seed,
        "faults": dict(sorted(sum((each.faults for each in outcomes), Counter()).items())),
        "steps": sum(each.steps for each in outcomes),
        "entries": sum(each.entries for each in outcomes),
        "outputs": sum(each.outputs for each in outcomes),
        "problems": [
            f"seed={each.seed} {each.durability} step={each.steps}: {problem}"
            for each in outcomes
            for problem in each.problems
        ],
        "seconds": round(seconds, 1),
    }


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--seeds", type=int, default=100, help="how many runs (default 100)")
    parser.add_argument("--first", type=int, help="the first seed (default: a random one, printed)")
    parser.add_argument("--durability", choices=[*MODES, "both"], default="both", help="both: by the seed")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    first = random.SystemRandom().randrange(1 << 31) if options.first is None else options.first
    print(f"first={first}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    outcomes = run(first, options.seeds, MODES if options.durability == "both" else (options.durability,))
    found = summary(outcomes, time.perf_counter() - started)
    print(json.dumps(found) if options.format == "json" else "\n".join(f"{name:<9} {found[name]}" for name in found))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
