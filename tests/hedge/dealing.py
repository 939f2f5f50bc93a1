"""A venue of its own for the hedge plugin's tests, and a run of the plugin that is checked after each message.

`Venue` is the truth: it knows which orders really work and what the position really is, and keeps what it has to say in
`unsaid`, from where a test takes it in any order, twice, or late. `Dealing` feeds the plugin and holds it to its
promises against that truth; whatever breaks one is an AssertionError that names the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from statevec.plugins.hedge.hedge import WHOLE_DESK, hedge
from statevec.plugins.hedge_v2.hedge import hedge as hedge_v2

OrderStatus = hedge.schema.enum("OrderStatus")
RiskSwitch = hedge.schema.enum("RiskSwitch")
Side = hedge.schema.enum("Side")
TimeInForce = hedge.schema.enum("TimeInForce")
FINAL = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED)
SECOND = 1_000_000_000
LIMITS: dict[str, Any] = {
    "risk_switch": RiskSwitch.RISK_ON,
    "position_limit": 100,
    "order_size_limit": 10,
    "open_quantity_limit": 40,
    "open_order_limit": 5,
    "price_band": 20,
    "requote_distance": 3,
    "max_order_age_ns": 5 * SECOND,
    "cross_at_trend": 50,
}
"""Settings to start from: each test changes what it is about."""
VERSIONS = {"1": hedge, "2": hedge_v2}
MORE_LIMITS: dict[str, dict[str, Any]] = {"1": {}, "2": {"improve_ticks": 2}}
"""What a version has beyond LIMITS."""


@dataclass
class VenueOrder:
    """An order as the venue has it, from when the engine sent it."""

    order_id: int
    side: int
    price: int
    quantity: int
    filled: int = 0
    expires_at_ns: int = 0
    status: int = OrderStatus.SENT
    cancel_asked: bool = False

    @property
    def open_quantity(self) -> int:
        return 0 if self.status in FINAL else self.quantity - self.filled

    @property
    def sign(self) -> int:
        return 1 if self.side == Side.BUY else -1


@dataclass
class Venue:
    """One instrument at the venue. Its sequence counts order and position updates together."""

    instrument: int
    orders: dict[int, VenueOrder] = field(default_factory=dict)
    position: int = 0
    sequence: int = 0
    unsaid: list[tuple[str, dict[str, int]]] = field(default_factory=list)

    @property
    def live(self) -> list[VenueOrder]:
        return [each for each in self.orders.values() if each.status not in FINAL]

    def open_lots(self, side: int) -> int:
        return sum(each.open_quantity for each in self.live if each.side == side)

    def accept(self, order: VenueOrder) -> None:
        order.status = OrderStatus.ACCEPTED
        self._say_order(order)

    def fill(self, order: VenueOrder, lots: int) -> None:
        order.filled += lots
        order.status = OrderStatus.FILLED if order.filled == order.quantity else OrderStatus.PARTIALLY_FILLED
        self.position += order.sign * lots
        self._say_order(order, order.price)
        self.say_position()

    def finish(self, order: VenueOrder, status: int) -> None:
        order.status = status
        self._say_order(order)

    def trade_by_hand(self, lots: int) -> None:
        """Somebody else changes the position."""
        self.position += lots
        self.say_position()

    def say_position(self) -> None:
        self.sequence += 1
        fields = {"instrument": self.instrument, "venue_sequence": self.sequence, "quantity": self.position}
        self.unsaid.append(("PositionUpdate", fields))

    def _say_order(self, order: VenueOrder, price: int = 0) -> None:
        self.sequence += 1
        fields = {"order_id": order.order_id, "venue_sequence": self.sequence, "status": order.status}
        self.unsaid.append(("OrderUpdate", {**fields, "filled_quantity": order.filled, "last_price": price}))


class Dealing:
    """One version of the plugin in one or both tiers, fed with the same messages, for instruments 1 … `instruments`.

    `placed` and `cancelled` are the outputs of the last message, as dictionaries.
    """

    def __init__(self, *tiers: str, instruments: int = 1, version: str = "1", **limits: Any) -> None:
        """`limits` are other settings to start from."""
        self.simulations = [VERSIONS[version].simulate(tier=tier) for tier in tiers]
        self.first_limits = {**LIMITS, **MORE_LIMITS[version], **limits}
        self.venues = {number: Venue(number) for number in range(1, instruments + 1)}
        self.limits: dict[int, dict[str, Any]] = {}
        self.desk_off = False
        self.quotes: dict[int, list[tuple[int, int]]] = {}
        self.placed: list[dict[str, Any]] = []
        self.cancelled: list[dict[str, Any]] = []
        self.outcome = 0

    @property
    def state(self) -> Any:
        return self.simulations[0].state

    @property
    def venue(self) -> Venue:
        return self.venues[1]

    @property
    def now_ns(self) -> int:
        return int(self.simulations[0].now_ns)

    def send(self, message: str, **fields: Any) -> int:
        """One message to every tier; returns the outcome, which is never a fault."""
        entries = [each.send(message, **fields) for each in self.simulations]
        self._take(entries)
        return self.outcome

    def advance(self, nanoseconds: int) -> None:
        """Let time pass: timers fire."""
        fired = [each.advance(nanoseconds) for each in self.simulations]
        for entries in zip(*fired, strict=True):
            self._take(list(entries))
        for venue in self.venues.values():
            old = [each for each in venue.live if each.expires_at_ns <= self.now_ns and not each.cancel_asked]
            assert old == [], f"works for too long: {old}"

    def _take(self, entries: list[Any]) -> None:
        outputs = [[(each.name, each.to_dict()) for each in entry.outputs] for entry in entries]
        assert all(each == outputs[0] for each in outputs), f"the tiers emit different things: {outputs}"
        assert len({each.digest for each in entries}) == 1, "the tiers differ"
        self.outcome = entries[0].outcome
        assert self.outcome >= 0, f"an input ended in a fault: {entries[0]}"
        self.placed = [fields for name, fields in outputs[0] if name == "PlaceOrder"]
        self.cancelled = [fields for name, fields in outputs[0] if name == "CancelOrder"]
        for request in self.cancelled:
            self._check_cancel(request)
        for request in self.placed:
            self._check_place(request)
        for instrument, venue in self.venues.items():
            if self._is_off(instrument):
                working = [each for each in venue.live if not each.cancel_asked]
                assert working == [], f"works while risk is off: {working}"

    def _is_off(self, instrument: int) -> bool:
        switch = self.limits.get(instrument, {}).get("risk_switch")
        return self.desk_off or switch == RiskSwitch.RISK_OFF

    def _check_cancel(self, request: dict[str, Any]) -> None:
        order = self.venues[request["instrument"]].orders.get(request["order_id"])
        assert order is not None, f"cancels an order that was never placed: {request}"
        assert not order.cancel_asked, f"cancels an order twice: {request}"
        order.cancel_asked = True

    def _check_place(self, request: dict[str, Any]) -> None:
        """Every promise about a new order, against what is really true at the venue."""
        instrument, side, quantity = request["instrument"], request["side"], request["quantity"]
        venue, limits = self.venues[instrument], self.limits[instrument]
        assert not self._is_off(instrument), f"order while risk is off: {request}"
        assert 1 <= quantity <= limits["order_size_limit"], f"order size limit crossed: {request}"
        assert len(venue.live) < limits["open_order_limit"], f"open order limit crossed: {request}"
        same_side = venue.open_lots(side) + quantity
        assert same_side <= limits["open_quantity_limit"], f"open quantity limit crossed: {request}"
        assert venue.open_lots(Side.BUY + Side.SELL - side) == 0, f"works both sides: {request}"
        sign = 1 if side == Side.BUY else -1
        worst = sign * venue.position + same_side
        assert worst <= limits["position_limit"], f"position limit crossed at worst ({worst}): {request}"
        for bid, ask in self.quotes[instrument][-2:]:
            distance = abs(2 * request["price"] - bid - ask)
            assert distance <= 2 * limits["price_band"], f"outside the price band of {bid} {ask}: {request}"
        expires_at_ns = self.now_ns + limits["max_order_age_ns"]
        assert request["expires_at_ns"] == expires_at_ns, f"wrong expiry: {request}"
        order_id = request["order_id"]
        assert all(order_id not in each.orders for each in self.venues.values()), f"order id used twice: {request}"
        venue.orders[order_id] = VenueOrder(order_id, side, request["price"], quantity, expires_at_ns=expires_at_ns)

    # -- what a test says ------------------------------------------------------------------------------------------

    def risk(self, instrument: int = 1, **changes: Any) -> int:
        """Change risk settings; the first call for an instrument starts from `first_limits`."""
        first = {} if instrument in self.limits else self.first_limits
        before = self.limits.get(instrument, {})
        self.limits[instrument] = {**before, **first, **changes}
        outcome = self.send("RiskConfig", instrument=instrument, **{**first, **changes})
        if outcome:
            self.limits[instrument] = before
        return outcome

    def desk(self, switch: int) -> None:
        self.desk_off = switch == RiskSwitch.RISK_OFF
        assert self.send("RiskConfig", instrument=WHOLE_DESK, risk_switch=switch) == 0

    def quote(self, bid: int, ask: int, instrument: int = 1, **fields: Any) -> int:
        """A quote, by default a good one, now."""
        quotes = self.quotes.setdefault(instrument, [])
        quotes.append((bid, ask))
        rest = {"bid_size": 50, "ask_size": 50, "exchange_time_ns": self.now_ns, **fields}
        outcome = self.send("MarketData", instrument=instrument, bid_price=bid, ask_price=ask, **rest)
        taken = outcome == 0 and self.state.markets[instrument].exchange_time_ns == rest["exchange_time_ns"]
        if not taken:
            quotes.pop()
        return outcome

    def intend(self, target: int, instrument: int = 1) -> int:
        return self.send("HedgeIntent", instrument=instrument, target_quantity=target)

    def trend(self, trend: int, instrument: int = 1) -> int:
        return self.send("MarketTrend", instrument=instrument, trend=trend)

    def hear(self, count: int | None = None, instrument: int = 1) -> None:
        """Deliver what the venue has to say, oldest first: all of it, or the next `count`."""
        unsaid = self.venues[instrument].unsaid
        for _ in range(len(unsaid) if count is None else count):
            message, fields = unsaid.pop(0)
            self.send(message, **fields)

    def place_one(self, side: int = Side.BUY, target: int = 10) -> VenueOrder:
        """Settings, a quote 1000 / 1002 and a target that make one order of ten lots, accepted by the venue."""
        self.risk()
        self.quote(1000, 1002)
        self.intend(target if side == Side.BUY else -target)
        order = self.venue.live[-1]
        self.venue.accept(order)
        self.hear()
        return order
