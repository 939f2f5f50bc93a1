"""Latency of a live instance for some seconds, from its log as `top` sees it: nothing is read from the journal.

Values only; nothing is written.
"""

from __future__ import annotations

import time

import numpy as np

from statevec.audit.plots_figures import Bars, Mark, Panel, Picture, PlotError, number
from statevec.engine.instance import Instance
from statevec.ipc.counters import PERCENTILES, bucket_bounds
from statevec.roles.live import Looker
from statevec.roles.live_rates import rate

LOOK_SECONDS = 0.25
MICROSECOND = 1e3


def live_latency(instance: Instance, seconds: float) -> Picture:
    """How long inputs take from sent to sequenced, of those that come within `seconds`."""
    with Looker(instance) as looker:
        before = after = looker.look()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK_SECONDS, left))
            after = looker.look()
    rates = rate(before, after)
    latency = rates.observed.latency
    if latency.count == 0:
        raise PlotError(f"no input came within {seconds:g} s: state={after.state}")
    there = np.flatnonzero(latency.counts)
    buckets = range(int(there[0]), int(there[-1]) + 1)
    edges = np.array([max(bucket_bounds(bucket)[0], 0.5) for bucket in buckets] + [bucket_bounds(buckets[-1])[1] + 1])
    ranks = {name: latency.percentile(part) for name, part in PERCENTILES.items()}
    heights = latency.counts[buckets.start : buckets.stop]
    panel = Panel(
        f"sent to sequenced, {seconds:g} s",
        "µs",
        "inputs",
        bars=[Bars(edges / MICROSECOND, heights, "inputs")],
        marks=[Mark(max(value, 1) / MICROSECOND, name) for name, value in ranks.items()],
        log_x=True,
    )
    seen, unseen = rates.observed.entries, rates.observed.unseen
    figures = {"mean": latency.mean, **ranks, "highest": latency.highest}
    rows = [("inputs", number(latency.count)), ("entries/s", number(round(rates.entries, 1)))]
    rows += [(f"{name}, µs", number(round(value / MICROSECOND, 3))) for name, value in figures.items()]
    rows.append(("entries looked at", f"{seen / max(1, seen + unseen):.0%}"))
    return Picture("latency", "Latency of inputs, live", [panel], rows)
