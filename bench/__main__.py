"""`python -m bench [MODULE …] [--smoke]`: measure, write the results, print the table.

--smoke   the smallest sizes, results to nowhere: shows that each measurement runs (used by the tests)
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from bench import report

MODULES = (
    "ring",
    "python_calls",
    "sbe",
    "transaction",
    "live",
    "durability",
    "start",
    "snapshot",
    "failover",
    "upgrades",
    "audit",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--smoke", action="store_true", help="smallest sizes, nothing is written")
    options = parser.parse_args()
    for name in options.modules or MODULES:
        begin = time.perf_counter()
        comparisons = importlib.import_module(f"bench.{name}").measure(smoke=options.smoke)
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        for each in comparisons:
            ratios = ", ".join(f"× {each.ratio(peer):.2f} {peer}" for peer in each.peers)
            print(f"  {each.name}: {each.middle:.4g} {each.unit} {ratios}", file=sys.stderr)
        if not options.smoke:
            report.write(name, comparisons)
    if not options.smoke:
        print(report.write_table())
        report.plot_ratios()
    return 0


if __name__ == "__main__":
    sys.exit(main())
