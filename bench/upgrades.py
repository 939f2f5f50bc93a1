"""Cutovers under load, and what a shadow costs the engine: the drill of `cutover_drill`, as figures.

There is no peer: nothing else that we know changes its logic between two entries. The gap is the longest time between
neighbouring entries from the one before a cutover to the eighth that the new version decided, by the engine's clock,
while messages are waiting; the same elsewhere in the same run is beside it. Entries of one batch of the loop have one
time, so most gaps elsewhere are 0.
"""

from __future__ import annotations

from bench.cutover_drill import Found, quantiles, run_drill
from bench.figure import Comparison

GAP_MOST_US = 100.0
ENGINE_LEAST = 0.95
WITHOUT = "no shadow"


def measure(smoke: bool) -> list[Comparison]:
    """The gap without and with a migration, and the engine beside a shadow."""
    if smoke:
        found = run_drill(2, migrate=False, rate=5_000, rounds=1)
        return [_gap(found), _engine(found)]
    alike, migrating = (run_drill(200, migrate=each, rounds=10) for each in (False, True))
    return [_gap(alike), _gap(migrating), _engine(alike)]


def _gap(found: Found) -> Comparison:
    how = "with a migration" if found.migration else "same layout"
    figure = Comparison(f"cutover, {how}: longest gap around it", "µs", "lower")
    figure.ours = [float(gap) / 1e3 for gap in found.around]
    figure.target = f"p99 ≤ {GAP_MOST_US:g} µs above the usual p99, 0 lost, 0 twice"
    facts = found.to_dict()
    figure.details = {name: facts[name] for name in facts if name != "engine_entries_per_s"}
    usual, around = quantiles(found.quiet), quantiles(found.around)
    good = found.verification.verified and not (found.lost or found.duplicated or found.shadow.unexpected)
    figure.met = good and around["p99"] <= usual["p99"] + GAP_MOST_US
    return figure


def _engine(found: Found) -> Comparison:
    figure = Comparison("engine beside a shadow, bursts", "entries/s", "higher")
    figure.ours = found.bursts["with_shadow"]
    figure.peers[WITHOUT] = found.bursts["without_shadow"]
    figure.target = f"≥ {ENGINE_LEAST:g} × {WITHOUT}"
    return figure.decide({WITHOUT: ENGINE_LEAST})
