"""The desk's script and the trend it is made from."""

from __future__ import annotations

import pytest

from statevec.demo.instruments import Instruments
from statevec.demo.market import generate_ticks
from statevec.demo.script import BEFORE_FIRST_TICK, RISK_OFF, RISK_ON, Action, RiskSettings, make_script
from statevec.demo.trend import Trend

EURUSD = Instruments.load().get("EURUSD")
TICKS = generate_ticks(EURUSD, 2_000, seed=3)


def script(seed: int = 3) -> list[Action]:
    return make_script(EURUSD, TICKS, RiskSettings(), seed)


def test_the_same_seed_gives_the_same_script() -> None:
    assert script(3) == script(3) != script(4)


def test_actions_stand_in_the_order_of_their_ticks_and_settings_come_first() -> None:
    actions = script()
    assert [action.tick for action in actions] == sorted(action.tick for action in actions)
    first, second = actions[:2]
    assert (first.message, first.fields["position_limit"], first.fields["instrument"]) == ("RiskConfig", 200, EURUSD.id)
    assert (second.message, second.fields["instrument"]) == ("RiskConfig", 0)
    assert [action.tick for action in actions[:3]] == [BEFORE_FIRST_TICK, BEFORE_FIRST_TICK, actions[2].tick]


def test_risk_goes_off_and_on_again_and_is_off_in_the_end() -> None:
    switches = [
        (action.fields["instrument"], action.fields["risk_switch"])
        for action in script()
        if "risk_switch" in action.fields
    ]
    assert switches == [
        (EURUSD.id, RISK_ON),
        (0, RISK_ON),
        (0, RISK_OFF),
        (0, RISK_ON),
        (EURUSD.id, RISK_OFF),
        (EURUSD.id, RISK_ON),
        (0, RISK_OFF),
    ]
    assert script()[-1].tick == len(TICKS)


def test_one_intent_goes_beyond_the_position_limit_and_the_last_one_is_flat() -> None:
    targets = [action.fields["target_quantity"] for action in script() if action.message == "HedgeIntent"]
    assert sum(abs(target) > RiskSettings.position_limit for target in targets) == 1
    assert targets[-1] == 0
    assert len(targets) > 5


def test_a_script_fits_a_market_of_one_tick() -> None:
    actions = make_script(EURUSD, generate_ticks(EURUSD, 1, seed=3), RiskSettings(), 3)
    assert {action.tick for action in actions} == {BEFORE_FIRST_TICK, 0, 1}


@pytest.mark.parametrize(("step", "strength"), [(5, 100), (-5, -100), (0, 0)])
def test_the_trend_follows_the_market(step: int, strength: int) -> None:
    trend = Trend()
    for number in range(400):
        trend.take_quote(100_000 + step * number, 100_002 + step * number)
    assert trend.strength == strength


def test_a_weak_trend_is_neither_none_nor_full() -> None:
    trend = Trend()
    for number in range(1_000):
        trend.take_quote(100_000 + number // 40, 100_002 + number // 40)
    assert 0 < trend.strength < 100
