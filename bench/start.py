"""Starting an engine: with compiled code in the cache and without, and with a journal to recover from.

Seconds from starting the process until it leads. Recovery is what a start takes longer with a journal and without any
shared memory than with neither: finding the journal's end, then executing all of it again.
"""

from __future__ import annotations

import tempfile

from bench.engine import MeasuredEngine, Surroundings
from bench.figure import Comparison, alternate

WARM_MOST_S, COLD_MOST_S = 1.5, 20.0
RECOVERY_LEAST = 5e6


def _start_s(**environment: str) -> float:
    with MeasuredEngine("memory", environment=environment) as engine:
        return engine.start_seconds


def _cold_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _start_s(STATEVEC_CACHE=folder)


def _recovery(seconds: float) -> tuple[float, dict[str, float]]:
    """Entries a second, and how that was found."""
    with MeasuredEngine("disk") as engine:
        empty = engine.start_seconds
        with Surroundings(engine) as surroundings:
            surroundings.drive(seconds)
        engine.stop()
        engine.drop_shared_memory()
        engine.start()
        loaded = engine.start_seconds
        recovered = [event for event in engine.events() if event["event"] == "recovered"][-1]
    found = {"start_seconds": loaded, "start_seconds_without": empty, "entries": recovered["sequence"]}
    return recovered["sequence"] / max(loaded - empty, 1e-9), found


def measure(smoke: bool) -> list[Comparison]:
    """Warm and cold start, recovery."""
    rounds, seconds = (1, 0.05) if smoke else (3, 10.0)
    warm = Comparison("engine start, code in the cache", "s", "lower", target="≤ 1.5 s")
    alternate(warm, _start_s, {}, rounds)
    warm.met = warm.middle <= WARM_MOST_S
    recovery = Comparison("recovery from disk", "entries/s", "higher", target="≥ 5 M entries/s")
    recovery.excludes = "what a start takes without a journal"
    recovery.details = {"rounds": []}

    def recovered() -> float:
        rate, found = _recovery(seconds)
        recovery.details["rounds"].append(found)
        return rate

    alternate(recovery, recovered, {}, rounds)
    recovery.met = recovery.middle >= RECOVERY_LEAST
    if smoke:  # a cold start would compile everything again
        return [warm, recovery]
    cold = Comparison("engine start, nothing in the cache", "s", "lower", target="≤ 20 s")
    alternate(cold, _cold_s, {}, rounds)
    cold.met = cold.middle <= COLD_MOST_S
    return [warm, cold, recovery]
