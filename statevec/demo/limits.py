"""Whether the engine kept its limits, recomputed from the log, without a line of the plugin.

Each order that the log shows is judged with the limits that were in force, and with the *worst case* of what can come:
everything that is still open on its side fills, nothing on the other side does. What was filled counts from the moment
the log knows of it: from an order update, or from a position update, which holds every fill up to its venue sequence
(which fills those were, the whole log tells, also the updates that came later). No careful engine can know more than
that, so none can be blamed wrongly; and whoever places an order beyond these limits could really have crossed one.
"""

from __future__ import annotations

from typing import Any

from statevec.demo.ledger import FINAL_STATUSES, SIGNS, Ledger, LedgerOrder
from statevec.demo.logged import LoggedEntry
from statevec.demo.script import DESK, RISK_OFF

LIMITS = ("position_limit", "order_size_limit", "open_quantity_limit", "open_order_limit", "price_band")


class LimitCheck:
    """Judges every order of one instrument; `breaches` are sentences that name sequence, rule and values.

    With `in_order` the venue's updates are known to arrive once and in its order. Then what was told is all there is to
    know, `take` can be given entries one by one, and finished orders are forgotten but for their ids.
    """

    def __init__(self, entries: list[LoggedEntry], instrument: int, *, in_order: bool = False) -> None:
        self.instrument = instrument
        self.breaches: list[str] = []
        self.limits: dict[str, int] = {}
        self.exposure_highest = 0
        """The largest worst-case exposure, either way, that any order led to."""
        self._ids: set[int] = set()
        self._known: dict[int, LedgerOrder] = {}
        self._working: dict[int, LedgerOrder] = {}
        self._in_order = in_order
        self._facts = self._known if in_order else Ledger.of(entries, instrument).orders
        self._settled = 0
        self._position_sequence = 0
        self._risk_off = {DESK: False, instrument: False}
        self._market: tuple[int, int] | None = None
        for entry in entries:
            self.take(entry)

    def take(self, entry: LoggedEntry) -> None:
        """Judge what one more entry placed."""
        if entry.message is not None:
            self._take_input(entry, entry.message.name, entry.message.fields)
        for output in entry.outputs:
            if output.name == "PlaceOrder" and output.fields["instrument"] == self.instrument:
                self._judge(entry.sequence, output.fields)

    def _take_input(self, entry: LoggedEntry, name: str, fields: dict[str, Any]) -> None:
        if name == "OrderUpdate" and fields["order_id"] in self._known:
            update = (fields["status"], fields["filled_quantity"], fields["last_price"])
            self._known[fields["order_id"]].updates[fields["venue_sequence"]] = update
        elif fields.get("instrument") not in self._risk_off or not entry.committed:
            return
        elif name == "RiskConfig":
            if fields["risk_switch"] is not None:
                self._risk_off[fields["instrument"]] = fields["risk_switch"] == RISK_OFF
            if fields["instrument"] == self.instrument:
                self.limits.update({limit: fields[limit] for limit in LIMITS if fields[limit] is not None})
        elif name == "PositionUpdate":
            self._position_sequence = max(self._position_sequence, fields["venue_sequence"])
        elif name == "MarketData":
            self._market = fields["bid_price"], fields["ask_price"]

    def _filled(self, order: LedgerOrder) -> int:
        """How much of an order is known to be filled."""
        return max(order.filled, self._facts[order.order_id].filled_at(self._position_sequence))

    def _settle(self) -> None:
        """Move the fills of orders that are known to be finished into one sum."""
        for order_id, order in list(self._working.items()):
            filled = self._filled(order)
            if order.status in FINAL_STATUSES or filled >= order.quantity:
                self._settled += order.sign * filled
                del self._working[order_id]
                if self._in_order:
                    del self._known[order_id]

    def _judge(self, sequence: int, fields: dict[str, Any]) -> None:
        sign = SIGNS[fields["side"]]
        order = LedgerOrder(fields["order_id"], sign, fields["price"], fields["quantity"], 0)
        if order.order_id in self._ids:
            self._breach(sequence, "order id used twice", order_id=order.order_id)
            return
        self._ids.add(order.order_id)
        self._known[order.order_id] = self._working[order.order_id] = order
        missing = [limit for limit in LIMITS if limit not in self.limits]
        if missing or self._market is None:
            self._breach(sequence, "order without limits or market", missing=missing)
            return
        self._settle()
        filled = {order_id: self._filled(each) for order_id, each in self._working.items()}
        open_lots = {order_id: each.quantity - filled[order_id] for order_id, each in self._working.items()}
        position = self._settled + sum(each.sign * filled[order_id] for order_id, each in self._working.items())
        same_side = sum(lots for order_id, lots in open_lots.items() if self._working[order_id].sign == sign)
        exposure = sign * position + same_side
        self.exposure_highest = max(self.exposure_highest, exposure)
        bid, ask = self._market
        half_ticks_away = abs(2 * order.price - bid - ask)
        self._check(sequence, "exposure above position_limit", exposure, self.limits["position_limit"])
        self._check(sequence, "order above order_size_limit", order.quantity, self.limits["order_size_limit"])
        self._check(
            sequence, "open lots above open_quantity_limit", sum(open_lots.values()), self.limits["open_quantity_limit"]
        )
        self._check(sequence, "open orders above open_order_limit", len(open_lots), self.limits["open_order_limit"])
        self._check(sequence, "half ticks from mid above price_band", half_ticks_away, 2 * self.limits["price_band"])
        for switch, off in self._risk_off.items():
            if off:
                self._breach(sequence, "order while risk-off", instrument=switch)

    def _check(self, sequence: int, rule: str, value: int, limit: int) -> None:
        if value > limit:
            self._breach(sequence, rule, value=value, limit=limit)

    def _breach(self, sequence: int, rule: str, **values: Any) -> None:
        told = " ".join(f"{name}={value}" for name, value in values.items())
        self.breaches.append(f"{rule}: sequence={sequence} {told}")
