"""Version 2 of the hedge plugin: when it goes ahead of the queue, and how it lives with what version 1 left.

That version 2 keeps every promise of version 1 is in the other files here, which run both.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import statevec.plugins.hedge
import statevec.plugins.hedge_v2
from statevec.codecs.schema import Schema
from statevec.engine.plugin.compatibility import unreadable_messages
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.migration import plan_migration
from statevec.plugins.hedge.hedge import hedge
from statevec.plugins.hedge_v2.hedge import hedge as hedge_v2
from statevec.roles.shadow_rules import load_rules
from tests.hedge.dealing import LIMITS, Dealing, TimeInForce

PLUGIN_1 = Path(statevec.plugins.hedge.__file__).parent
PLUGIN_2 = Path(statevec.plugins.hedge_v2.__file__).parent


@pytest.fixture(params=["compiled", "interpreted"])
def second(request: pytest.FixtureRequest) -> Dealing:
    """Version 2, two ticks ahead at most."""
    return Dealing(request.param, version="2")


def prices(dealing: Dealing) -> list[tuple[int, int]]:
    return [(each["price"], each["ticks_ahead"]) for each in dealing.placed]


def test_it_goes_ahead_of_the_queue_while_more_is_missing_than_one_order_may_bring(second: Dealing) -> None:
    second.risk()
    second.quote(1000, 1010)
    second.intend(25)
    found = prices(second)
    for _ in range(3):
        second.quote(1000, 1010)
        found += prices(second)
    assert found == [(1002, 2), (1002, 2), (1000, 0)]
    assert second.venue.live[-1].quantity == 5


def test_a_sale_goes_ahead_downwards(second: Dealing) -> None:
    second.risk()
    second.quote(1000, 1010)
    second.intend(-25)
    assert prices(second) == [(1008, 2)]


@pytest.mark.parametrize(("ask", "ahead"), [(1000, 0), (1001, 0), (1002, 1), (1003, 1), (1004, 2), (1010, 2)])
def test_it_never_goes_beyond_the_midpoint(second: Dealing, ask: int, ahead: int) -> None:
    second.risk()
    second.quote(1000, ask)
    second.intend(25)
    assert prices(second) == [(1000 + ahead, ahead)]


def test_ahead_of_the_queue_it_would_leave_the_band_of_the_quote_before_so_it_joins(second: Dealing) -> None:
    second.risk(price_band=5)
    second.quote(994, 996)
    second.intend(25)
    second.quote(1000, 1004)
    assert prices(second) == [(1000, 0)]


def test_an_order_that_crosses_is_ahead_of_nothing(second: Dealing) -> None:
    second.risk()
    second.quote(1000, 1010)
    second.trend(60)
    second.intend(25)
    assert prices(second) == [(1010, 0)]
    assert second.placed[0]["time_in_force"] == TimeInForce.IMMEDIATE_OR_CANCEL


def test_an_instrument_that_was_told_nothing_else_goes_one_tick_ahead() -> None:
    simulation = hedge_v2.simulate()
    assert simulation.send_bytes(hedge.schema.encode("RiskConfig", {"instrument": 1, **LIMITS})).committed
    assert simulation.state.risk_settings[1].improve_ticks == 1


def test_each_version_reads_the_messages_of_the_other_so_it_can_go_back() -> None:
    first, second = load_plugin(PLUGIN_1), load_plugin(PLUGIN_2)
    assert unreadable_messages(first, second) == []
    assert unreadable_messages(second, first) == []
    place = {"order_id": 7, "price": 5, "quantity": 3, "expires_at_ns": 9, "instrument": 1}
    order = hedge_v2.schema.encode(
        "PlaceOrder", {**place, "side": "BUY", "time_in_force": "GOOD_TILL_CANCEL", "ticks_ahead": 1}
    )
    view = Schema.load(PLUGIN_1 / "hedge.xml").decode(order)
    assert {name: view.to_dict()[name] for name in place} == place


def test_the_records_of_version_1_go_there_and_back() -> None:
    first, second = load_plugin(PLUGIN_1), load_plugin(PLUGIN_2)
    there, back = plan_migration(first, second), plan_migration(second, first)
    assert there.changes[0].startswith("risk_settings.improve_ticks: added")
    assert back.changes == ("risk_settings.improve_ticks: removed",)


@pytest.mark.parametrize("seed", range(5))
def test_without_ticks_ahead_it_decides_as_version_1(seed: int) -> None:
    chance = random.Random(seed)
    engines = [hedge.simulate(), hedge_v2.simulate()]
    assert engines[0].send("RiskConfig", instrument=1, **LIMITS).committed
    assert engines[1].send("RiskConfig", instrument=1, improve_ticks=0, **LIMITS).committed
    for step in range(200):
        bid = 1000 + chance.randint(-3, 3)
        quote = {"bid_price": bid, "ask_price": bid + chance.randint(0, 9), "bid_size": 9, "ask_size": 9}
        messages = [
            ("MarketData", {"instrument": 1, **quote, "exchange_time_ns": step}),
            ("HedgeIntent", {"instrument": 1, "target_quantity": chance.randint(-90, 90)}),
            ("MarketTrend", {"instrument": 1, "trend": chance.choice((-60, 0, 60))}),
        ]
        name, fields = chance.choice(messages)
        outputs = [
            [{**each.to_dict(), "ticks_ahead": 0, "name": each.name} for each in engine.send(name, **fields).outputs]
            for engine in engines
        ]
        assert outputs[0] == [{**each, "ticks_ahead": 0} for each in outputs[1]], f"seed={seed} step={step}"


def test_its_rules_can_be_read_and_each_says_why() -> None:
    rules = load_rules(PLUGIN_2 / "shadow.toml")
    assert all(rule.because for rule in rules)
    assert not any(rule.output == "PlaceOrder" and (rule.field is None or rule.side == "any") for rule in rules[2:])
