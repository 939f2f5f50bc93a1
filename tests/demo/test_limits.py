"""The independent judgement of the limits, and the ledger of fills, on small hand-written logs."""

from __future__ import annotations

from typing import Any

import pytest

from statevec.demo.ledger import Ledger
from statevec.demo.limits import LimitCheck
from statevec.demo.logged import LoggedEntry, Message

INSTRUMENT = 1
LIMITS = {
    "position_limit": 100,
    "order_size_limit": 60,
    "open_quantity_limit": 90,
    "open_order_limit": 2,
    "price_band": 10,
}


class Log:
    """Writes a log by hand: `log.input(...)` and `log.output(...)` each make an entry."""

    def __init__(self) -> None:
        self.entries: list[LoggedEntry] = []
        self.risk(**LIMITS)
        self.input("MarketData", instrument=INSTRUMENT, bid_price=1_000, ask_price=1_002)

    def _append(self, message: Message | None, outputs: list[Message], outcome: int) -> None:
        self.entries.append(LoggedEntry(len(self.entries) + 1, 1, "", 0, 0, 0, outcome, message, outputs))

    def input(self, name: str, outcome: int = 0, **fields: Any) -> None:
        self._append(Message(name, fields), [], outcome)

    def risk(self, instrument: int = INSTRUMENT, risk_switch: str | None = "RISK_ON", **limits: Any) -> None:
        values = {**dict.fromkeys(LIMITS), **limits}
        self.input("RiskConfig", instrument=instrument, risk_switch=risk_switch, **values)

    def place(self, order_id: int, quantity: int, side: str = "BUY", price: int = 1_001) -> None:
        fields = {"order_id": order_id, "instrument": INSTRUMENT, "side": side, "price": price, "quantity": quantity}
        self._append(None, [Message("PlaceOrder", fields)], 0)

    def update(self, order_id: int, venue_sequence: int, status: str, filled: int, price: int = 1_001) -> None:
        self.input(
            "OrderUpdate",
            order_id=order_id,
            venue_sequence=venue_sequence,
            status=status,
            filled_quantity=filled,
            last_price=price,
        )

    def position(self, venue_sequence: int, quantity: int) -> None:
        self.input("PositionUpdate", instrument=INSTRUMENT, venue_sequence=venue_sequence, quantity=quantity)

    def breaches(self) -> list[str]:
        return LimitCheck(self.entries, INSTRUMENT).breaches


@pytest.fixture
def log() -> Log:
    return Log()


def test_orders_within_all_limits_are_no_breach(log: Log) -> None:
    log.place(1, 60)
    log.update(1, 1, "FILLED", 60)
    log.place(2, 40)
    log.place(3, 50, side="SELL")
    assert log.breaches() == []


@pytest.mark.parametrize(
    ("order", "rule"),
    [
        ({"quantity": 61}, "order above order_size_limit: sequence=3 value=61 limit=60"),
        ({"quantity": 1, "price": 1_012}, "half ticks from mid above price_band: sequence=3 value=22 limit=20"),
        ({"quantity": 1, "price": 990}, "half ticks from mid above price_band: sequence=3 value=22 limit=20"),
    ],
)
def test_an_order_beyond_its_own_limits_is_a_breach(log: Log, order: dict[str, int], rule: str) -> None:
    log.place(1, **order)
    assert log.breaches() == [rule]


def test_what_is_still_open_counts_as_if_it_were_filled(log: Log) -> None:
    log.risk(open_quantity_limit=1_000, open_order_limit=10)
    log.place(1, 60)
    log.place(2, 41)
    assert log.breaches() == ["exposure above position_limit: sequence=5 value=101 limit=100"]


def test_open_orders_of_the_other_side_do_not_help(log: Log) -> None:
    log.risk(open_quantity_limit=1_000, open_order_limit=10)
    log.place(1, 60)
    log.place(2, 50, side="SELL")
    log.place(3, 41)
    assert len(log.breaches()) == 1


def test_a_fill_on_the_other_side_makes_room(log: Log) -> None:
    log.place(1, 50, side="SELL")
    log.update(1, 1, "FILLED", 50)
    log.place(2, 60)
    log.update(2, 2, "FILLED", 60)
    log.place(3, 60)
    assert log.breaches() == []


def test_a_fill_that_only_the_position_tells_of_is_known(log: Log) -> None:
    """The position update overtakes the order update: its venue sequence says that the sale is in it."""
    log.place(1, 50, side="SELL")
    log.position(2, -50)
    log.place(2, 60)
    log.update(2, 3, "FILLED", 60)
    log.place(3, 60)
    log.update(1, 1, "FILLED", 50)
    assert log.breaches() == []


def test_a_cancelled_order_frees_what_was_open_once_the_venue_said_so(log: Log) -> None:
    log.place(1, 60)
    log.update(1, 1, "ACCEPTED", 0)
    log.update(1, 2, "CANCELLED", 10)
    log.place(2, 60)
    log.place(3, 31)
    assert log.breaches() == [
        "exposure above position_limit: sequence=7 value=101 limit=100",
        "open lots above open_quantity_limit: sequence=7 value=91 limit=90",
    ]


def test_an_old_update_that_arrives_late_does_not_open_an_order_again(log: Log) -> None:
    log.place(1, 60)
    log.update(1, 2, "CANCELLED", 0)
    log.update(1, 1, "ACCEPTED", 0)
    log.place(2, 60)
    assert log.breaches() == []


def test_too_many_orders_and_a_repeated_order_id_are_breaches(log: Log) -> None:
    log.place(1, 10)
    log.place(2, 10)
    log.place(3, 10)
    log.place(3, 10)
    assert log.breaches() == [
        "open orders above open_order_limit: sequence=5 value=3 limit=2",
        "order id used twice: sequence=6 order_id=3",
    ]


@pytest.mark.parametrize("switch", [0, INSTRUMENT])
def test_an_order_while_risk_off_is_a_breach(log: Log, switch: int) -> None:
    log.risk(instrument=switch, risk_switch="RISK_OFF")
    log.place(1, 10)
    log.risk(instrument=switch, risk_switch=None)
    log.place(2, 10)
    log.risk(instrument=switch, risk_switch="RISK_ON")
    log.update(1, 1, "CANCELLED", 0)
    log.place(3, 10)
    assert log.breaches() == [
        f"order while risk-off: sequence=4 instrument={switch}",
        f"order while risk-off: sequence=6 instrument={switch}",
    ]


def test_rejected_settings_are_not_in_force(log: Log) -> None:
    log.input("RiskConfig", outcome=3, instrument=INSTRUMENT, risk_switch="RISK_OFF", **dict.fromkeys(LIMITS, 0))
    log.place(1, 10)
    assert log.breaches() == []


def test_an_order_before_any_settings_is_a_breach(log: Log) -> None:
    log.entries.clear()
    log.place(1, 10)
    assert len(log.breaches()) == 1


def test_the_ledger_adds_up_fills_in_the_venues_order(log: Log) -> None:
    log.place(1, 50, price=1_003)
    log.update(1, 5, "FILLED", 50, price=1_004)
    log.update(1, 2, "PARTIALLY_FILLED", 20, price=1_002)
    log.update(1, 2, "PARTIALLY_FILLED", 20, price=1_002)
    log.update(1, 1, "ACCEPTED", 0, price=0)
    log.place(2, 30, side="SELL", price=1_000)
    log.update(2, 6, "CANCELLED", 10, price=1_000)
    log.update(9, 7, "ACCEPTED", 0)
    log.input("MarketData", instrument=INSTRUMENT, bid_price=1_010, ask_price=1_012)
    ledger = Ledger.of(log.entries, INSTRUMENT)
    assert list(ledger.orders[1].fills()) == [(20, 1_002), (30, 1_004)]
    assert (ledger.ordered_lots, ledger.filled_lots, ledger.position) == (80, 60, 40)
    assert (ledger.count_status("FILLED"), ledger.count_status("CANCELLED"), ledger.unknown_updates) == (1, 1, 1)
    assert ledger.doubled_slippage == 2 * (20 * 1 + 30 * 3 + 10 * 1)
    assert ledger.doubled_profit == 2 * (-20 * 1_002 - 30 * 1_004 + 10 * 1_000 + 40 * 1_011)
