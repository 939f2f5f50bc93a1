"""Cutovers there and back under load: `tools/cutover_drill [--count N] [--rate N] [--same-layout] [--format json]`.

    gap_us                  longest time between neighbouring entries, of ten from the one before a cutover on
      without_cutovers      the same elsewhere
    engine_entries_per_s    what the engine takes of a burst, with a shadow and while it is paused

Exit status 1 when something was lost, came twice or does not verify, or the shadow found an unexpected difference.
`bench/cutover_drill.py` is what runs.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from bench.cutover_drill import DrillError, run_drill


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools/cutover_drill", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--count", type=int, default=200, help="cutovers, every second one back (default 200)")
    parser.add_argument(
        "--rate", type=int, default=0, help="market messages/s; else the most that the shadow keeps up with"
    )
    parser.add_argument(
        "--same-layout", action="store_true", help="between versions whose records are alike: no migration"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of measuring the engine with a shadow and without (default 5)"
    )
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    if min(options.count, options.rounds) < 1 or options.rate < 0:
        parser.error("--count and --rounds must be at least 1, --rate not negative")
    signal.signal(signal.SIGTERM, _end)
    try:
        found = run_drill(
            options.count, migrate=not options.same_layout, rate=options.rate, rounds=options.rounds, tell=_tell
        )
    except DrillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.format == "json":
        print(json.dumps(found.to_dict()))
    else:
        _print(found.to_dict())
    good = found.verification.verified and not (found.lost or found.duplicated or found.shadow.unexpected)
    return 0 if good else 1


def _end(number: int, frame: object) -> None:
    """Leave as after an error: engine, shadow and shared memory go first."""
    raise SystemExit(f"error: ended by signal {number}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _print(figures: dict[str, object], indent: str = "") -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            shown = f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else value
            print(f"{indent}{name:<24} {shown}")


if __name__ == "__main__":
    sys.exit(main())
