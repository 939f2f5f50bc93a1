"""The hedge plugin when it is full: as many instruments and orders as there is room for, and one more."""

from __future__ import annotations

import pytest

from statevec.plugins.hedge.hedge import INSTRUMENTS_MAX, ORDERS_MAX, WHOLE_DESK
from tests.hedge.dealing import LIMITS, VERSIONS, RiskSwitch


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_desk_refuses_more_and_is_switched_off_at_one_stroke(version: str) -> None:
    simulation = VERSIONS[version].simulate()
    more = INSTRUMENTS_MAX + 1
    for instrument in range(1, more):
        assert simulation.send("RiskConfig", instrument=instrument, **LIMITS).committed
    assert simulation.send("RiskConfig", instrument=more, **LIMITS).outcome == 10
    assert simulation.send("RiskConfig", instrument=1, position_limit=50).committed
    for instrument in range(1, more):
        simulation.send("PositionUpdate", instrument=instrument, venue_sequence=1, quantity=0)
    assert simulation.send("PositionUpdate", instrument=more, venue_sequence=1, quantity=0).outcome == 10
    assert simulation.send("PositionUpdate", instrument=1, venue_sequence=2, quantity=0).committed

    quote = {"bid_price": 1000, "ask_price": 1002, "bid_size": 9, "ask_size": 9, "exchange_time_ns": 0}
    for instrument in range(1, more):
        simulation.send("HedgeIntent", instrument=instrument, target_quantity=50)
        assert len(simulation.send("MarketData", instrument=instrument, **quote).outputs) == 1
    assert len(simulation.state.orders) == ORDERS_MAX
    crowded = simulation.send("MarketData", instrument=1, **quote)
    assert (crowded.outcome, crowded.outputs) == (0, [])

    off = simulation.send("RiskConfig", instrument=WHOLE_DESK, risk_switch=RiskSwitch.RISK_OFF)
    assert len({each.order_id for each in off.outputs}) == ORDERS_MAX
    assert simulation.timers == {}
