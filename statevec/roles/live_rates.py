"""`rate(before, after) -> Rates`: what went on between two looks at an instance (`live`).

Invariant: nothing is negative. What two samples cannot tell together, because the log or a ring was replaced between
them, is 0 or missing.

Values only; nothing is written or kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.ipc.counters import Histogram
from statevec.roles.live_log import Observed
from statevec.roles.live_sample import Sample


@dataclass(frozen=True)
class Rates:
    """What went on between two looks, a second."""

    seconds: float
    entries: float
    bytes: float
    messages: dict[str, float]
    """By ring."""
    observed: Observed
    """What was observed between them, not by the second."""


def rate(before: Sample, after: Sample) -> Rates:
    """What went on from `before` to `after`; what cannot be told (another log, say) is 0."""
    seconds = max((after.monotonic_ns - before.monotonic_ns) / 1e9, 1e-9)
    was, now = before.log, after.log
    same = was is not None and now is not None and was.own_id == now.own_id
    entries = now.last_sequence - was.last_sequence if same and was and now else 0
    appended = now.appended - was.appended if same and was and now else 0
    messages = {
        name: max(0, ring.appended - before.rings[name].appended) / seconds
        for name, ring in after.rings.items()
        if name in before.rings
    }
    return Rates(
        seconds,
        max(0, entries) / seconds,
        max(0, appended) / seconds,
        messages,
        _between(before.observed, after.observed),
    )


def _between(before: Observed, after: Observed) -> Observed:
    counts = after.latency.counts - before.latency.counts
    latency = Histogram(counts, after.latency.sum - before.latency.sum, after.latency.highest)
    if counts.any():
        latency = Histogram(counts, latency.sum, min(latency.highest, latency.percentile(1.0)))
    outcomes = {outcome: count - before.outcomes.get(outcome, 0) for outcome, count in after.outcomes.items()}
    return Observed(
        entries=after.entries - before.entries,
        unseen=after.unseen - before.unseen,
        outcomes={outcome: count for outcome, count in outcomes.items() if count > 0},
        other_outcomes=after.other_outcomes - before.other_outcomes,
        latency=latency,
    )
