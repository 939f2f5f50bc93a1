"""The messages of a simulation: what a producer sends under a number follows from ring and number alone."""

from __future__ import annotations

import random
from functools import cache

from tools.killing.messages import message

LONG_EVERY = 5
LONG = (4_000, 16_000)


@cache
def content_of(ring: int, number: int, heavy: bool) -> bytes:
    """Message `number` of a ring: to the tally plugin, or nonsense of many bytes, more often where it is `heavy`."""
    if number % LONG_EVERY == ring % LONG_EVERY or (heavy and number % 2):
        draws = random.Random(1_000_003 * ring + number)
        return draws.randbytes(draws.randrange(*LONG) & -8)
    return message(ring, number)
