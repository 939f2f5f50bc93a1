"""Processes killed at every point that matters, under load: `tools/kill_matrix [--kills N] [--seed S] [--format json]`.

    by_point        who was killed at which point (`statevec/ipc/kill_points.py`), or at a random time
    lost            inputs that were offered and are not in the log; outputs of the log that the venue never got
    duplicated      inputs twice in the log; outputs twice at the venue, but for repeats that their id refuses
    digest_mismatches  rounds whose journal, executed again, gives something else
    takeover_ms     from a leader's death to the first input that the next one appended and released
    exit_ms         the part of it until the dead process is gone and its lock is free, which is the kernel's

Exit status 1 when anything was lost, came twice, differed or leaked, or a point was not reached.
`tools/killing/` is what runs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys

from tools.killing.matrix import Found, run_matrix
from tools.killing.processes import MatrixError


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/kill_matrix", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--kills", type=int, default=100, help="processes to kill, at least (default 100)")
    parser.add_argument("--seed", type=int, help="of kinds, victims and times (default: a random one, printed)")
    parser.add_argument("--durability", choices=["memory", "disk", "both"], default="both")
    parser.add_argument("--only", nargs="+", default=[], metavar="KIND", help="kinds of kills (default: all)")
    parser.add_argument(
        "--fresh", action="store_true", help="each process in an interpreter of its own, slower to start"
    )
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    if options.kills < 1:
        parser.error("--kills must be at least 1")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    modes = ["memory", "disk"] if options.durability == "both" else [options.durability]
    _tell(f"seed={seed}")
    try:
        found = run_matrix(options.kills, seed, modes, only=options.only, fresh=options.fresh, tell=_tell)
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.format == "json":
        print(json.dumps(found.to_dict()))
    else:
        _print(found)
    return 0 if found.good else 1


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(found: Found) -> None:
    for name, value in found.to_dict().items():
        if isinstance(value, dict):
            print(name)
            for each, number in value.items():
                print(f"  {each:<26} {number:,}")
        else:
            print(f"{name:<28} {value}")


if __name__ == "__main__":
    sys.exit(main())
