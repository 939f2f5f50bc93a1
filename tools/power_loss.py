"""Power loss against a recorded write history: `python -m tools.power_loss [--cuts N] [--seed S] [--format json]`.

    calls     what was recorded: every call that changed or synced something in the instance's directory
    images    disk images that were recovered and compared, by what of the unsynced survived in them
    led       images that were led afterwards: new inputs, new outputs, identities that nobody has seen
    problems  what did not hold, with the seed

Each history is recorded, and cut, in a process of its own. Exit status 1 when anything did not hold. `tools/power/` is
what runs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tools.power.run import Found, run

CUTS_A_HISTORY = 100
MODES = ("disk", "memory")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/power_loss", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--cuts", type=int, default=200, help="disk images to check, at least (default 200)")
    parser.add_argument("--seed", type=int, help="of messages, cuts and choices (default: a random one, printed)")
    parser.add_argument("--durability", choices=[*MODES, "both"], default="both")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    if options.cuts < 1:
        parser.error("--cuts must be at least 1")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    modes = MODES if options.durability == "both" else (options.durability,)
    print(f"seed={seed}", file=sys.stderr, flush=True)
    histories = max(len(modes), -(-options.cuts // CUTS_A_HISTORY))
    found = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for number in range(histories):
            mode = modes[number % len(modes)]
            found.append(pool.submit(run, mode, -(-options.cuts // histories), seed + number // len(modes)).result())
            said = f"history {number + 1}/{histories} ({mode}): images={found[-1].images.total()}"
            print(said, found[-1].problems or "", file=sys.stderr, flush=True)
    total = summary(seed, found)
    print(json.dumps(total) if options.format == "json" else "\n".join(f"{name:<10} {total[name]}" for name in total))
    return 1 if total["problems"] else 0


def summary(seed: int, found: list[Found]) -> dict[str, object]:
    """All histories together."""
    counts = {
        what: dict(sorted(sum((getattr(each, what) for each in found), Counter()).items()))
        for what in ("calls", "images")
    }
    return {
        "seed": seed,
        "histories": len(found),
        **counts,
        "entries": sum(each.entries for each in found),
        "led": sum(each.led for each in found),
        "problems": [problem for each in found for problem in each.problems],
        "seconds": round(sum(each.seconds for each in found), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
