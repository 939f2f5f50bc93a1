"""What the desk does, and when: a script made from a seed and the market before anything starts.

    before the first tick    the instrument's risk settings, then the desk's switch to risk on
    through the run          hedge intents at random ticks, one of them beyond the position limit; the trend of the
                             market whenever it has changed enough
    from 55 % to 65 %        the whole desk is risk-off
    from 80 % to 85 %        the instrument alone is risk-off
    at 92 %                  the target goes to zero
    after the last tick      the desk is switched to risk-off, so that what still works in the market is cancelled

An action is tied to a tick, not to a time: the desk sends it when that tick is due, at whatever pace the market goes.
Invariant: the same instrument, ticks and seed give the same script.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from statevec.demo.instruments import Instrument
from statevec.demo.ticks import Ticks
from statevec.demo.trend import Trend

DESK = 0
"""In a RiskConfig this instrument number means the whole desk."""
BEFORE_FIRST_TICK = -1
RISK_ON = "RISK_ON"
RISK_OFF = "RISK_OFF"
TREND_CHANGE = 20
"""The trend is sent when its strength has moved by that much since it was last sent."""
TREND_EVERY_TICKS = 10


@dataclass(frozen=True)
class RiskSettings:
    """The instrument's limits in the demonstration: lots, ticks, nanoseconds."""

    position_limit: int = 200
    order_size_limit: int = 25
    open_quantity_limit: int = 100
    open_order_limit: int = 6
    price_band: int = 100
    requote_distance: int = 4
    max_order_age_ns: int = 300_000_000
    cross_at_trend: int = 60


class Action(NamedTuple):
    """One message of the desk, due with a tick (`BEFORE_FIRST_TICK`, or the number of ticks for after the last)."""

    tick: int
    message: str
    fields: dict[str, Any]


def make_script(instrument: Instrument, ticks: Ticks, settings: RiskSettings, seed: int) -> list[Action]:
    """All actions of the desk in the order of their ticks."""
    count = len(ticks)
    actions = [
        Action(BEFORE_FIRST_TICK, "RiskConfig", _risk_config(instrument.id, RISK_ON, settings)),
        Action(BEFORE_FIRST_TICK, "RiskConfig", _risk_config(DESK, RISK_ON)),
        *_intents(instrument, count, settings, seed),
        *_trends(instrument, ticks),
        Action(count * 55 // 100, "RiskConfig", _risk_config(DESK, RISK_OFF)),
        Action(count * 65 // 100, "RiskConfig", _risk_config(DESK, RISK_ON)),
        Action(count * 80 // 100, "RiskConfig", _risk_config(instrument.id, RISK_OFF)),
        Action(count * 85 // 100, "RiskConfig", _risk_config(instrument.id, RISK_ON)),
        Action(count * 92 // 100, "HedgeIntent", {"instrument": instrument.id, "target_quantity": 0}),
        Action(count, "RiskConfig", _risk_config(DESK, RISK_OFF)),
    ]
    return sorted(actions, key=lambda action: action.tick)


def _risk_config(instrument: int, switch: str, settings: RiskSettings | None = None) -> dict[str, Any]:
    """Fields of a RiskConfig; those without a value keep what they had in the engine."""
    names = RiskSettings.__dataclass_fields__
    values = {name: None if settings is None else getattr(settings, name) for name in names}
    return {"instrument": instrument, "risk_switch": switch, **values}


def _intents(instrument: Instrument, count: int, settings: RiskSettings, seed: int) -> list[Action]:
    chance = random.Random(f"desk {seed}")
    moments = sorted(chance.randrange(count * 9 // 10 + 1) for _ in range(max(6, count // 300)))
    limit = settings.position_limit
    targets = [chance.randint(-limit, limit) for _ in moments]
    targets[len(targets) // 3] = 2 * limit  # the engine has to stop at the position limit
    return [
        Action(moment, "HedgeIntent", {"instrument": instrument.id, "target_quantity": target})
        for moment, target in zip(moments, targets, strict=True)
    ]


def _trends(instrument: Instrument, ticks: Ticks) -> list[Action]:
    trend = Trend()
    actions = []
    sent = 0
    for number, tick in enumerate(ticks):
        trend.take_quote(tick.bid, tick.ask)
        if number % TREND_EVERY_TICKS == 0 and abs(trend.strength - sent) >= TREND_CHANGE:
            sent = trend.strength
            actions.append(Action(number, "MarketTrend", {"instrument": instrument.id, "trend": sent}))
    return actions
