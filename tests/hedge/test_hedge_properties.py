"""The hedge plugin's promises against random input: good, doubled, overtaken, late, senseless; in both tiers at once.

`Dealing` checks every output against what is true at the venue; the tests here only make trouble. A failure prints the
seed, the version and the number of steps; `Trouble(seed, version)` repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.hedge.dealing import SECOND, VERSIONS, Dealing, OrderStatus, RiskSwitch, Side, Venue, VenueOrder

SEEDS = st.integers(0, 2**32 - 1)
VERSION = st.sampled_from(sorted(VERSIONS))
EXTREMES = (0, 1, -1, 10**12, 10**12 + 1, 2**62, 2**63 - 1, -(2**63) + 1, -(10**12), -(10**12) - 1)
BOTH_TIERS = ("compiled", "interpreted")


class Trouble:
    """Random steps around a dealing with two instruments."""

    def __init__(self, seed: int, version: str) -> None:
        note(f"seed={seed} version={version}")
        self.chance = random.Random(seed)
        self.dealing = Dealing(*BOTH_TIERS, instruments=2, version=version)
        self.middle = {1: 10_000, 2: 500}
        self.said: list[tuple[str, dict[str, int]]] = []
        for instrument in (1, 2):
            self.dealing.risk(instrument, position_limit=self.chance.choice((15, 30, 100)))
            self.dealing.intend(self.chance.choice((1_000, -1_000)), instrument)
            self.quote(instrument)

    def steps(self, count: int) -> None:
        actions: list[tuple[Callable[[int], object], int]] = [
            (self.quote, 30),
            (self.venue_acts, 30),
            (self.hear_something, 30),
            (self.intend, 4),
            (self.trend, 4),
            (self.change_limits, 3),
            (self.switch, 2),
            (self.wait, 4),
            (self.hear_again, 6),
            (self.hear_nonsense, 4),
        ]
        for action in self.chance.choices(*zip(*actions, strict=True), k=count):  # type: ignore[arg-type]
            action(self.chance.choice((1, 2)))  # type: ignore[operator]

    def quote(self, instrument: int) -> None:
        self.middle[instrument] = max(100, self.middle[instrument] + self.chance.randint(-2, 2))
        wild = self.chance.choice((50, -60)) if self.chance.random() < 0.03 else 0
        bid = self.middle[instrument] + wild
        sizes = {name: self.chance.choice((0, 3, 50)) for name in ("bid_size", "ask_size")}
        late = self.chance.choice((0,) * 8 + (SECOND // 2, 10 * SECOND))
        time_ns = max(0, self.dealing.now_ns - late)
        self.dealing.quote(
            bid, bid + self.chance.choice((0, 1, 1, 2, 2, 3, 5, 60)), instrument, exchange_time_ns=time_ns, **sizes
        )

    def venue_acts(self, instrument: int) -> None:
        venue = self.dealing.venues[instrument]
        if not venue.live:
            return
        order = self.chance.choice(venue.live)
        if order.status == OrderStatus.SENT and self.chance.random() < 0.7:
            venue.accept(order)
        elif order.status == OrderStatus.SENT and self.chance.random() < 0.2:
            venue.finish(order, OrderStatus.REJECTED)
        elif order.cancel_asked and self.chance.random() < 0.5:
            venue.finish(order, OrderStatus.CANCELLED)
        else:
            venue.fill(order, self.chance.randint(1, order.open_quantity))

    def hear_something(self, instrument: int) -> None:
        """One of the venue's updates, in no order; it may be said again later."""
        unsaid = self.dealing.venues[instrument].unsaid
        if unsaid:
            update = unsaid.pop(self.chance.randrange(min(len(unsaid), 4)))
            self.said.append(update)
            self.dealing.send(update[0], **update[1])
            self._say_again(update)

    def hear_again(self, instrument: int) -> None:
        if self.said:
            self._say_again(self.chance.choice(self.said))

    def _say_again(self, update: tuple[str, dict[str, int]]) -> None:
        self.dealing.send(update[0], **update[1])
        assert (self.dealing.placed, self.dealing.cancelled) == ([], [])
        assert [each.entries[-1].changes for each in self.dealing.simulations] == [[], []]

    def intend(self, instrument: int) -> None:
        self.dealing.intend(self.chance.choice((0, 5, -40, 1_000, -1_000, 1_000, -1_000)), instrument)

    def trend(self, instrument: int) -> None:
        self.dealing.trend(self.chance.choice((0, 60, -60, 100, -100)), instrument)

    def change_limits(self, instrument: int) -> None:
        limits = self.dealing.first_limits
        name = self.chance.choice([each for each in limits if each != "risk_switch"])
        low, high = {"open_order_limit": (0, 70), "cross_at_trend": (-120, 120)}.get(name, (0, 2 * limits[name]))
        self.dealing.risk(instrument, **{name: self.chance.randint(low, high)})

    def switch(self, instrument: int) -> None:
        switch = self.chance.choice((RiskSwitch.RISK_ON,) * 3 + (RiskSwitch.RISK_OFF,))
        if self.chance.random() < 0.4:
            self.dealing.desk(switch)
        else:
            self.dealing.risk(instrument, risk_switch=switch)

    def wait(self, instrument: int) -> None:
        self.dealing.advance(self.chance.choice((1, SECOND // 10, SECOND, 3 * SECOND)))

    def hear_nonsense(self, instrument: int) -> None:
        """A message with one value that no sender would mean."""
        value = self.chance.choice(EXTREMES)
        orders = list(self.dealing.venues[instrument].orders)
        order_id = self.chance.choice(orders) if orders and self.chance.random() < 0.8 else 7
        update = {"order_id": order_id, "venue_sequence": 2**61, "status": OrderStatus.ACCEPTED, "last_price": 0}
        update["filled_quantity"] = self.chance.choice((10**9, -1, 2**62))
        quote = {"bid_price": 1000, "ask_price": 1002, "bid_size": 1, "ask_size": 1, "exchange_time_ns": 0}
        quote[self.chance.choice(list(quote))] = min(-1, -abs(value))
        outcomes = [
            self.dealing.send("OrderUpdate", **update),
            self.dealing.send("OrderUpdate", **{**update, "filled_quantity": 0, "venue_sequence": -abs(value)}),
            self.dealing.send("PositionUpdate", instrument=instrument, venue_sequence=-abs(value), quantity=1),
            self.dealing.send("PositionUpdate", instrument=instrument, venue_sequence=2**61, quantity=2**62),
            self.dealing.send("MarketData", instrument=instrument, **quote),
            self.dealing.send("HedgeIntent", instrument=9, target_quantity=value),
        ]
        assert all(each > 0 for each in outcomes), f"nonsense was taken: {outcomes}"

    def settle_all(self) -> None:
        """The venue says all that it has to say, in any order."""
        for instrument, venue in self.dealing.venues.items():
            venue.say_position()
            while venue.unsaid:
                self.hear_something(instrument)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, version=VERSION, steps=st.integers(1, 200))
def test_promises_hold_whatever_comes_in(seed: int, version: str, steps: int) -> None:
    Trouble(seed, version).steps(steps)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, version=VERSION, steps=st.integers(1, 120))
def test_when_all_is_said_the_engine_knows_what_the_venue_knows(seed: int, version: str, steps: int) -> None:
    trouble = Trouble(seed, version)
    trouble.steps(steps)
    trouble.dealing.desk(RiskSwitch.RISK_OFF)  # so that no new order comes in between
    trouble.settle_all()
    known = {each.order_id: each.quantity - each.settled for each in trouble.dealing.state.orders}
    venues = trouble.dealing.venues.values()
    assert known == {each.order_id: each.open_quantity for venue in venues for each in venue.live}
    for venue in venues:
        assert trouble.dealing.state.positions[venue.instrument].quantity == venue.position


def trade(venue: Venue, order: VenueOrder, bid: int, ask: int) -> None:
    """A venue that helps: takes every order, fills what the market reaches, cancels what it is asked to."""
    if order.status == OrderStatus.SENT:
        venue.accept(order)
    if (order.price >= ask) if order.side == Side.BUY else (order.price <= bid):
        venue.fill(order, order.open_quantity)
    elif order.cancel_asked:
        venue.finish(order, OrderStatus.CANCELLED)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, version=VERSION, target=st.integers(-150, 150), start=st.integers(-90, 90), crossing=st.booleans())
def test_the_target_is_reached_in_a_market_that_helps(
    seed: int, version: str, target: int, start: int, crossing: bool
) -> None:
    note(f"seed={seed}")
    chance = random.Random(seed)
    dealing = Dealing(*BOTH_TIERS, version=version)
    dealing.risk(cross_at_trend=-100 if crossing else 101)
    dealing.venue.trade_by_hand(start)
    dealing.hear()
    dealing.intend(target)
    wanted = max(-100, min(100, target))
    for step in range(400):
        bid = 1000 + chance.choice((0, 1, 2)) + (step % 7)
        dealing.quote(bid, bid + 1)
        for order in dealing.venue.live:
            trade(dealing.venue, order, bid, bid + 1)
        chance.shuffle(dealing.venue.unsaid)
        dealing.hear()
        dealing.advance(SECOND // 10)
        if dealing.venue.position == wanted and not dealing.venue.live:
            break
    assert dealing.venue.position == wanted
    assert dealing.state.positions[1].quantity == wanted
