"""The venue's inside: a market that fills orders against the quotes, and remembers every id that it was given.

An order that can trade takes what the quote offers, at the quote's price; what is left rests at its own price and is
filled when the market comes to it. Each quote stands for a limited number of lots, so a large order fills in parts.

Invariants
    Reports carry a sequence of the venue's own, 1, 2, 3 …, over orders and positions together: a position report holds
    exactly the fills whose order reports have lower sequences.
    An order id is taken once: a second order with it changes nothing and is counted in `duplicate_orders`.
    A finished order (filled, cancelled, rejected) is never reported again.

This module does no input or output; `venue.py` connects it to the gateway and the ring.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from statevec.demo.ticks import Tick


class Side(enum.IntEnum):
    """Which way an order goes; the value is its sign."""

    BUY = 1
    SELL = -1


class Status(enum.Enum):
    """What has become of an order; the names are those of the hedge schema."""

    ACCEPTED = enum.auto()
    PARTIALLY_FILLED = enum.auto()
    FILLED = enum.auto()
    CANCELLED = enum.auto()
    REJECTED = enum.auto()


FINAL = frozenset({Status.FILLED, Status.CANCELLED, Status.REJECTED})


class OrderReport(NamedTuple):
    """The venue says what has become of an order. `filled` is cumulative, lots; `price` of the last fill, ticks."""

    sequence: int
    order_id: int
    status: Status
    filled: int
    price: int


class PositionReport(NamedTuple):
    """The venue says what the position is, lots, signed."""

    sequence: int
    quantity: int


Report = OrderReport | PositionReport


@dataclass(slots=True)
class Order:
    """An order at the venue."""

    order_id: int
    side: Side
    price: int
    quantity: int
    filled: int = 0
    status: Status = Status.ACCEPTED

    @property
    def open_quantity(self) -> int:
        return 0 if self.status in FINAL else self.quantity - self.filled


@dataclass
class Exchange:
    """One instrument's market at the venue. Quantities in lots, prices in ticks."""

    quote_lots: int
    orders: dict[int, Order] = field(default_factory=dict)
    working: dict[int, Order] = field(default_factory=dict)
    sequence: int = 0
    position: int = 0
    position_highest: int = 0
    position_lowest: int = 0
    cash: int = 0
    """Ticks times lots: what sales brought less what purchases cost."""
    bought: int = 0
    sold: int = 0
    fills: int = 0
    duplicate_orders: int = 0
    late_cancels: int = 0
    quote: Tick | None = None
    available: dict[Side, int] = field(default_factory=dict)

    def place(self, order_id: int, side: Side, price: int, quantity: int, immediate: bool = False) -> list[Report]:
        """Take an order; `immediate` cancels what does not trade at once. Returns what the venue reports."""
        if order_id in self.orders:
            self.duplicate_orders += 1
            return []
        order = self.orders[order_id] = Order(order_id, side, price, quantity)
        if quantity <= 0 or price <= 0:
            return [self._finish(order, Status.REJECTED)]
        self.working[order_id] = order
        reports: list[Report] = [self._report(order)]
        if self.quote is not None:
            touch = self.quote.ask if side is Side.BUY else self.quote.bid
            reports += self._trade(order, touch)
        if immediate and order.open_quantity:
            reports.append(self._finish(order, Status.CANCELLED))
        return reports

    def cancel(self, order_id: int) -> list[Report]:
        """Take a cancel request; one that comes too late changes nothing and is counted in `late_cancels`."""
        order = self.working.get(order_id)
        if order is None:
            self.late_cancels += 1
            return []
        return [self._finish(order, Status.CANCELLED)]

    def refuse(self, order_id: int) -> list[Report]:
        """Report an order as rejected that never reached the market, because it had expired on its way."""
        if order_id in self.orders:
            self.duplicate_orders += 1
            return []
        order = self.orders[order_id] = Order(order_id, Side.BUY, 0, 0)
        return [self._finish(order, Status.REJECTED)]

    def take_quote(self, quote: Tick) -> list[Report]:
        """The market moves: resting orders that it comes to are filled at their own prices."""
        self.quote = quote
        self.available = {Side.BUY: self.quote_lots, Side.SELL: self.quote_lots}
        reports: list[Report] = []
        for order in list(self.working.values()):
            reports += self._trade(order, order.price)
        return reports

    def _trade(self, order: Order, price: int) -> list[Report]:
        """Fill what can be filled of an order at `price`."""
        assert self.quote is not None
        reached = order.price >= self.quote.ask if order.side is Side.BUY else order.price <= self.quote.bid
        quantity = min(order.open_quantity, self.available[order.side])
        if not reached or quantity == 0:
            return []
        self.available[order.side] -= quantity
        order.filled += quantity
        self.fills += 1
        self.position += order.side * quantity
        self.position_highest = max(self.position_highest, self.position)
        self.position_lowest = min(self.position_lowest, self.position)
        self.cash -= order.side * quantity * price
        if order.side is Side.BUY:
            self.bought += quantity
        else:
            self.sold += quantity
        if order.filled == order.quantity:
            report = self._finish(order, Status.FILLED, price)
        else:
            order.status = Status.PARTIALLY_FILLED
            report = self._report(order, price)
        self.sequence += 1
        return [report, PositionReport(self.sequence, self.position)]

    def _finish(self, order: Order, status: Status, price: int = 0) -> OrderReport:
        order.status = status
        self.working.pop(order.order_id, None)
        return self._report(order, price)

    def _report(self, order: Order, price: int = 0) -> OrderReport:
        self.sequence += 1
        return OrderReport(self.sequence, order.order_id, order.status, order.filled, price)
