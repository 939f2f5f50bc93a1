"""What came of the orders, from the log alone: fills, slippage, profit and loss.

Each order update says how much of its order is filled so far; the venue's sequence orders the updates, whichever way
they arrived. So a fill is the growth from one update of an order to the next, at the later one's price.

Amounts are integers: prices in ticks, quantities in lots; a mid price is kept doubled, so that it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from statevec.demo.logged import LoggedEntry

FINAL_STATUSES = frozenset({"FILLED", "CANCELLED", "REJECTED"})
SIGNS = {"BUY": 1, "SELL": -1}


@dataclass
class LedgerOrder:
    """One order that the engine placed. `updates`: venue sequence → (status, filled so far, price of the last fill)."""

    order_id: int
    sign: int
    price: int
    quantity: int
    doubled_mid: int
    """Bid plus ask of the quote that the engine had seen last when it decided."""
    updates: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def fills(self) -> Iterator[tuple[int, int]]:
        """Quantity and price of each fill, in the venue's order."""
        before = 0
        for _, (_, filled, price) in sorted(self.updates.items()):
            if filled > before:
                yield filled - before, price
                before = filled

    @property
    def filled(self) -> int:
        return max((filled for _, filled, _ in self.updates.values()), default=0)

    @property
    def status(self) -> str:
        """What the venue said last, `SENT` before it said anything."""
        return self.updates[max(self.updates)][0] if self.updates else "SENT"

    def filled_at(self, venue_sequence: int) -> int:
        """How much of it was filled when the venue's sequence was that high."""
        return max((update[1] for number, update in self.updates.items() if number <= venue_sequence), default=0)


@dataclass
class Ledger:
    """All orders of one instrument, by order id, and the totals."""

    instrument: int
    orders: dict[int, LedgerOrder] = field(default_factory=dict)
    cancels_requested: int = 0
    unknown_updates: int = 0
    """Updates of orders that the log does not have."""
    ticks: int = 0
    doubled_mid: int = 0

    @classmethod
    def of(cls, entries: Iterable[LoggedEntry], instrument: int) -> Ledger:
        """The ledger of a whole log."""
        ledger = cls(instrument)
        for entry in entries:
            if entry.message is not None:
                ledger.take_input(entry.message.name, entry.message.fields)
            for output in entry.outputs:
                ledger.take_output(output.name, output.fields)
        return ledger

    def take_input(self, name: str, fields: dict[str, Any]) -> None:
        if name == "MarketData" and fields["instrument"] == self.instrument:
            self.ticks += 1
            self.doubled_mid = fields["bid_price"] + fields["ask_price"]
        elif name == "OrderUpdate":
            order = self.orders.get(fields["order_id"])
            if order is None:
                self.unknown_updates += 1
            else:
                update = (fields["status"], fields["filled_quantity"], fields["last_price"])
                order.updates[fields["venue_sequence"]] = update

    def take_output(self, name: str, fields: dict[str, Any]) -> None:
        if name == "CancelOrder":
            self.cancels_requested += 1
        elif name == "PlaceOrder" and fields["instrument"] == self.instrument:
            order_id = fields["order_id"]
            sign = SIGNS[fields["side"]]
            order = LedgerOrder(order_id, sign, fields["price"], fields["quantity"], self.doubled_mid)
            self.orders[order_id] = order

    def count_status(self, status: str) -> int:
        """How many orders ended, or stand, in that status."""
        return sum(order.status == status for order in self.orders.values())

    @property
    def ordered_lots(self) -> int:
        return sum(order.quantity for order in self.orders.values())

    @property
    def filled_lots(self) -> int:
        return sum(order.filled for order in self.orders.values())

    @property
    def position(self) -> int:
        """Lots, signed, that all fills add up to."""
        return sum(order.sign * order.filled for order in self.orders.values())

    @property
    def doubled_slippage(self) -> int:
        """What all fills cost against the mid at the decision, in half ticks times lots; negative is a gain."""
        return sum(
            order.sign * quantity * (2 * price - order.doubled_mid)
            for order in self.orders.values()
            for quantity, price in order.fills()
        )

    @property
    def doubled_profit(self) -> int:
        """Profit or loss with the position at the last mid, in half ticks times lots."""
        cash = -sum(order.sign * lots * price for order in self.orders.values() for lots, price in order.fills())
        return 2 * cash + self.position * self.doubled_mid
