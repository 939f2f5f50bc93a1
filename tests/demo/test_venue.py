"""The venue between a gateway and a ring: ids, expiry, answers. Gateway and producer are small fakes in memory."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, cast

import pytest

from statevec.demo.acknowledgements import Mischief
from statevec.demo.instruments import Instruments
from statevec.demo.participant import Sender, Setup, hedge_schema
from statevec.demo.ticks import Ticks
from statevec.demo.venue import EVERYTHING_DUE_NS, Venue
from statevec.journal.entry_view import Entry
from statevec.roles.gateway import Gateway, Output
from statevec.roles.producer import BACK_PRESSURED, Producer

EURUSD = Instruments.load().get("EURUSD")
SCHEMA = hedge_schema()
NO_MISCHIEF = Mischief(delay_ns_max=0, drop=0, double=0)


class FakeGateway:
    """Hands out what a test puts in; an output marked expired goes to the list of the expired instead."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Output, bool]] = deque()
        self.expired: list[Output] = []
        self.acknowledged: list[tuple[int, int, int]] = []

    def put(self, sequence: int, name: str, expired: bool = False, **fields: Any) -> None:
        message = SCHEMA.encode(name, {"instrument": EURUSD.id, **fields})
        entry = cast(Entry, None)  # the venue never looks at it
        self.waiting.append((Output(1, sequence, 0, message, 0, entry), expired))

    def poll(self) -> Output | None:
        while self.waiting:
            output, expired = self.waiting.popleft()
            if not expired:
                return output
            self.expired.append(output)
        return None

    def acknowledge(self, output: Output) -> None:
        self.acknowledged.append(output.identity)


class FakeRing:
    """A ring that refuses each message once before it takes it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.next_sequence = 7
        self.full = True

    def offer(self, message: bytes) -> int:
        self.full = not self.full
        if not self.full:
            return int(BACK_PRESSURED)
        view = SCHEMA.decode(message)
        self.messages.append({"message": view.layout.name, **view.to_dict()})
        return self.next_sequence + len(self.messages) - 1


class Bench:
    """A venue with its fakes, and two quotes to come: 100/102, then 104/106."""

    def __init__(self) -> None:
        ticks = Ticks()
        ticks.append(0, 100, 102)
        ticks.append(1_000, 104, 106)
        unused = Path("unused")
        setup = Setup(unused, "venue", EURUSD, ticks, unused, unused, seed=1, rate=0.0, speed=0.0)
        self.gateway = FakeGateway()
        self.ring = FakeRing()
        sender = Sender(cast(Producer, self.ring), "venue")
        self.venue = Venue(setup, cast(Gateway, self.gateway), self.gateway.expired, sender, NO_MISCHIEF)

    def place(self, sequence: int, order_id: int, price: int = 102, expired: bool = False) -> None:
        terms = {"side": "BUY", "time_in_force": "GOOD_TILL_CANCEL", "expires_at_ns": 0}
        self.gateway.put(sequence, "PlaceOrder", expired, order_id=order_id, price=price, quantity=5, **terms)

    def turn(self, ticks: int = 1) -> list[tuple[int, str]]:
        """One turn; the order updates that it sent, as order id and status."""
        before = len(self.ring.messages)
        self.venue.turn(0, ticks, EVERYTHING_DUE_NS)
        sent = self.ring.messages[before:]
        return [(each["order_id"], each["status"]) for each in sent if each["message"] == "OrderUpdate"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_order_is_filled_and_answered_with_order_and_position(bench: Bench) -> None:
    bench.place(1, order_id=9)
    assert bench.turn() == [(9, "ACCEPTED"), (9, "FILLED")]
    assert bench.ring.messages[-1] == {
        "message": "PositionUpdate",
        "instrument": EURUSD.id,
        "venue_sequence": 3,
        "quantity": 5,
    }
    assert bench.gateway.acknowledged == [(1, 1, 0)]


def test_a_resting_order_is_cancelled_when_asked(bench: Bench) -> None:
    bench.place(1, order_id=9, price=101)
    assert bench.turn() == [(9, "ACCEPTED")]
    bench.gateway.put(2, "CancelOrder", order_id=9, reason="PRICE")
    assert bench.turn() == [(9, "CANCELLED")]


def test_an_output_that_comes_again_is_counted_and_ignored(bench: Bench) -> None:
    bench.place(1, order_id=9)
    bench.place(1, order_id=9)
    bench.place(2, order_id=9)
    assert bench.turn() == [(9, "ACCEPTED"), (9, "FILLED")]
    result = bench.venue.result()
    assert (result.duplicate_outputs, result.duplicate_orders, result.position) == (1, 1, 5)
    assert result.identities == [(1, 1, 0), (1, 1, 0), (1, 2, 0)]


def test_an_output_that_expired_is_reported_as_rejected_and_counts_as_received(bench: Bench) -> None:
    bench.place(1, order_id=9, expired=True)
    bench.place(2, order_id=10, price=101)
    assert bench.turn() == [(9, "REJECTED"), (10, "ACCEPTED")]
    result = bench.venue.result()
    assert (result.expired, result.identities) == (1, [(1, 1, 0), (1, 2, 0)])


def test_a_full_ring_delays_answers_and_loses_none(bench: Bench) -> None:
    bench.place(1, order_id=9)
    bench.turn()
    answers = bench.venue.result().answers
    assert (answers.first, answers.last, answers.offered, answers.back_pressured) == (7, 9, 3, 3)


def test_quotes_that_are_overdue_are_taken_in_order(bench: Bench) -> None:
    bench.place(1, order_id=9, price=101)
    bench.turn(ticks=1)
    bench.turn(ticks=2)
    assert bench.venue.exchange.quote == (1_000, 104, 106)
    assert bench.venue.turn(0, 2, EVERYTHING_DUE_NS) is False
