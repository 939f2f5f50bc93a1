"""What came of the orders in a backtest, folded entry by entry: the figures of `ledger.py` and the limits' verdict.

It relies on what the market of a backtest promises: the venue's updates arrive once and in its order. So a fill is
known when it arrives, and a finished order can be forgotten; `Ledger`, which can be told in any order, keeps all. A
test sees that the two agree.

Amounts as in `ledger.py`: prices in ticks, quantities in lots, mid prices doubled. Values only; a crash leaves nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from statevec.demo.instruments import Instrument
from statevec.demo.ledger import FINAL_STATUSES, SIGNS
from statevec.demo.limits import LimitCheck
from statevec.demo.logged import LoggedEntry

SAMPLES = 1_000
"""Points of a picture, about."""


@dataclass(slots=True)
class OpenOrder:
    """An order that is not finished."""

    sign: int
    quantity: int
    doubled_mid: int
    filled: int = 0


class HedgeFigures:
    """The figures of one instrument; `ticks` says how many quotes will come."""

    def __init__(self, instrument: Instrument, ticks: int) -> None:
        self._instrument = instrument
        self._sample_every = max(1, ticks // SAMPLES)
        self._check = LimitCheck([], instrument.id, in_order=True)
        self._open: dict[int, OpenOrder] = {}
        self._doubled_mid = 0
        self._start_ns = 0
        self.ticks = 0
        self.placed = 0
        self.cancels_requested = 0
        self.statuses: Counter[str] = Counter()
        """How many orders ended so."""
        self.ordered_lots = 0
        self.filled_lots = 0
        self.position = 0
        self.cash = 0
        self.doubled_slippage = 0
        self._open_lots = {1: 0, -1: 0}
        self._series: dict[str, list[float]] = {
            name: [] for name in ("seconds", "profit", "position", "highest", "lowest", "limit")
        }

    def take(self, entry: LoggedEntry) -> None:
        """Fold one entry in."""
        self._check.take(entry)
        if entry.message is not None:
            if entry.message.name == "OrderUpdate":
                self._take_update(entry.message.fields)
            elif entry.message.name == "MarketData":
                self._take_quote(entry.timestamp_ns, entry.message.fields)
        for output in entry.outputs:
            if output.name == "PlaceOrder":
                self._take_order(output.fields)
            elif output.name == "CancelOrder":
                self.cancels_requested += 1

    def _take_quote(self, now_ns: int, fields: dict[str, Any]) -> None:
        self._doubled_mid = fields["bid_price"] + fields["ask_price"]
        if self.ticks == 0:
            self._start_ns = now_ns
        if self.ticks % self._sample_every == 0:
            self._sample(now_ns)
        self.ticks += 1

    def _sample(self, now_ns: int) -> None:
        values = (
            (now_ns - self._start_ns) / 1e9,
            float(self._instrument.money(self.doubled_profit) / 2),
            self.position,
            self.position + self._open_lots[1],
            self.position - self._open_lots[-1],
            self._check.limits.get("position_limit", 0),
        )
        for column, value in zip(self._series.values(), values, strict=True):
            column.append(value)

    def _take_order(self, fields: dict[str, Any]) -> None:
        sign = SIGNS[fields["side"]]
        self.placed += 1
        self.ordered_lots += fields["quantity"]
        self._open_lots[sign] += fields["quantity"]
        self._open[fields["order_id"]] = OpenOrder(sign, fields["quantity"], self._doubled_mid)

    def _take_update(self, fields: dict[str, Any]) -> None:
        order = self._open.get(fields["order_id"])
        if order is None:
            return
        lots = fields["filled_quantity"] - order.filled
        if lots > 0:
            price = fields["last_price"]
            order.filled += lots
            self.filled_lots += lots
            self.position += order.sign * lots
            self.cash -= order.sign * lots * price
            self.doubled_slippage += order.sign * lots * (2 * price - order.doubled_mid)
            self._open_lots[order.sign] -= lots
        if fields["status"] in FINAL_STATUSES:
            self.statuses[fields["status"]] += 1
            self._open_lots[order.sign] -= order.quantity - order.filled
            del self._open[fields["order_id"]]

    @property
    def doubled_profit(self) -> int:
        """Profit or loss with the position at the last mid, in half ticks times lots."""
        return 2 * self.cash + self.position * self._doubled_mid

    @property
    def breaches(self) -> list[str]:
        """Orders beyond a limit, in words."""
        return self._check.breaches

    def figures(self) -> dict[str, Any]:
        """By name, as people read them: money in the instrument's currency."""
        return {
            "ticks": self.ticks,
            "orders_placed": self.placed,
            "orders_filled": self.statuses["FILLED"],
            "orders_cancelled": self.statuses["CANCELLED"],
            "orders_rejected": self.statuses["REJECTED"],
            "cancels_requested": self.cancels_requested,
            "ordered_lots": self.ordered_lots,
            "filled_lots": self.filled_lots,
            "fill_ratio": _ratio(self.filled_lots, self.ordered_lots),
            "slippage_ticks": _ratio(self.doubled_slippage, 2 * self.filled_lots),
            "profit": float(self._instrument.money(self.doubled_profit) / 2),
            "currency": self._instrument.currency,
            "position": self.position,
            "exposure_highest": self._check.exposure_highest,
            "position_limit": self._check.limits.get("position_limit", 0),
            "limit_breaches": len(self.breaches),
        }

    def series(self) -> dict[str, list[float]]:
        """Seconds since the first quote, profit, position, worst cases and limit, at about `SAMPLES` moments."""
        return self._series


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
