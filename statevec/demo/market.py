"""A generated market for when there is no tick file: a seeded random walk of the mid price, with a spread.

The same instrument, number of ticks and seed give the same quotes on every machine: `random.Random` over integers only.
The walk has a slowly turning drift, so that a trend is there to be seen, and steps of a few ticks.
"""

from __future__ import annotations

import random

from statevec.demo.instruments import Instrument
from statevec.demo.ticks import MILLISECOND_NS, Ticks

START_NS = 1_577_836_800 * 1_000_000_000
"""The first tick's time: 2020-01-01 00:00 UTC."""
TREND_TICKS = 400
"""How many ticks a drift lasts on average."""
GAP_MS_MAX = 200
SPREAD_MAX = 6


def generate_ticks(instrument: Instrument, count: int, seed: int) -> Ticks:
    """`count` quotes of a made-up market."""
    chance = random.Random(f"market {seed}")
    ticks = Ticks()
    time_ns = START_NS
    bid = instrument.start_ticks
    floor = bid // 2
    drift = 0
    for _ in range(count):
        if chance.randrange(TREND_TICKS) == 0:
            drift = chance.randint(-1, 1)
        step = chance.randint(-3, 3) + (drift if chance.randrange(3) == 0 else 0)
        bid = max(floor, bid + step)
        ticks.append(time_ns, bid, bid + chance.randint(1, SPREAD_MAX))
        time_ns += chance.randint(1, GAP_MS_MAX) * MILLISECOND_NS
    return ticks
