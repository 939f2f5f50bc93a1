"""The trend of a market, as the desk sees it: how far a fast average of the mid price is from a slow one.

Integers only, so that a desk computes the same trend everywhere. The averages are exponential,
average += (mid - average) / span, kept in 1/65,536 of half a tick.
"""

from __future__ import annotations

SCALE = 1 << 16
STRENGTH_MAX = 100


class Trend:
    """Fast and slow average of the mid price; `strength` is their distance, -100 (falling) to 100 (rising)."""

    def __init__(self, fast_span: int = 32, slow_span: int = 256, full_strength_ticks: int = 10) -> None:
        self.fast_span = fast_span
        self.slow_span = slow_span
        self.full_strength_ticks = full_strength_ticks
        self._fast = 0
        self._slow = 0

    def take_quote(self, bid: int, ask: int) -> None:
        """Let one quote, in ticks, into both averages. The first one starts them."""
        mid = (bid + ask) * SCALE
        if self._slow == 0:
            self._fast = self._slow = mid
        self._fast += (mid - self._fast) // self.fast_span
        self._slow += (mid - self._slow) // self.slow_span

    @property
    def strength(self) -> int:
        """-100 to 100; full strength when the averages are `full_strength_ticks` apart."""
        strength = (self._fast - self._slow) * STRENGTH_MAX // (2 * SCALE * self.full_strength_ticks)
        return max(-STRENGTH_MAX, min(STRENGTH_MAX, strength))
