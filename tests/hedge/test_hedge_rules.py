"""The hedge plugin's rules, one by one: what it places, what it cancels, what it ignores."""

from __future__ import annotations

import pytest

from statevec.plugins.hedge.hedge import CancelReason
from tests.hedge.dealing import SECOND, Dealing, OrderStatus, RiskSwitch, Side, TimeInForce


def reasons(dealing: Dealing) -> list[int]:
    return [each["reason"] for each in dealing.cancelled]


def test_an_intent_becomes_orders_no_larger_than_the_limit(dealing: Dealing) -> None:
    dealing.risk()
    dealing.quote(1000, 1002)
    assert dealing.placed == []
    dealing.intend(25)
    [order] = dealing.placed
    assert (order["side"], order["price"], order["quantity"]) == (Side.BUY, 1000, 10)
    assert order["time_in_force"] == TimeInForce.GOOD_TILL_CANCEL
    assert order["expires_at_ns"] == dealing.now_ns + 5 * SECOND


def test_each_look_places_one_order_until_the_target_is_covered(dealing: Dealing) -> None:
    dealing.risk()
    dealing.quote(1000, 1002)
    dealing.intend(-25)
    sizes = [dealing.placed[0]["quantity"]]
    for _ in range(4):
        dealing.quote(1000, 1002)
        sizes += [each["quantity"] for each in dealing.placed]
    assert sizes == [10, 10, 5]
    assert dealing.venue.open_lots(Side.SELL) == 25


def test_without_a_quote_nothing_is_placed(dealing: Dealing) -> None:
    dealing.risk()
    dealing.intend(25)
    assert dealing.placed == []


def test_the_target_is_held_inside_the_position_limit(dealing: Dealing) -> None:
    dealing.risk(position_limit=7)
    dealing.quote(1000, 1002)
    dealing.intend(1_000)
    assert dealing.placed[0]["quantity"] == 7
    dealing.quote(1001, 1003)
    assert dealing.placed == []


def test_the_open_order_limit_holds_further_orders_back(dealing: Dealing) -> None:
    dealing.risk(open_order_limit=2)
    dealing.quote(1000, 1002)
    dealing.intend(90)
    dealing.quote(1000, 1002)
    dealing.quote(1000, 1002)
    assert len(dealing.venue.live) == 2


def test_the_open_quantity_limit_holds_further_orders_back(dealing: Dealing) -> None:
    dealing.risk(open_quantity_limit=13)
    dealing.quote(1000, 1002)
    dealing.intend(90)
    dealing.quote(1000, 1002)
    assert dealing.placed[0]["quantity"] == 3
    dealing.quote(1000, 1002)
    assert dealing.placed == []


def test_a_fill_counts_once_when_the_order_update_comes_first(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 10)
    dealing.hear(1)
    dealing.quote(1000, 1002)
    assert dealing.placed == []
    dealing.hear(1)
    assert dealing.state.positions[1].quantity == 10
    assert len(dealing.state.orders) == 0
    assert dealing.placed == []


def test_a_fill_counts_once_when_the_position_update_comes_first(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 10)
    dealing.venue.unsaid.reverse()
    dealing.hear()
    assert dealing.placed == []
    assert len(dealing.state.orders) == 0
    dealing.quote(1000, 1002)
    assert dealing.placed == []


def test_an_older_position_update_does_not_settle_a_newer_fill(dealing: Dealing) -> None:
    order = dealing.place_one(target=30)
    dealing.venue.say_position()
    dealing.venue.fill(order, 10)
    before, fill, after = dealing.venue.unsaid
    dealing.venue.unsaid[:] = [fill, before, after]
    dealing.hear(2)
    assert dealing.state.positions[1].quantity == 0
    assert dealing.state.orders[order.order_id].settled == 0
    dealing.hear()
    assert dealing.state.positions[1].quantity == 10
    assert order.order_id not in dealing.state.orders


def test_an_order_counts_until_the_venue_confirms_its_cancellation(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.quote(1010, 1012)
    assert reasons(dealing) == [CancelReason.PRICE]
    dealing.quote(1010, 1012)
    assert dealing.placed == []
    dealing.venue.finish(order, OrderStatus.CANCELLED)
    dealing.hear()
    assert dealing.placed[0]["price"] == 1010


def test_only_one_side_works_at_a_time(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.intend(-10)
    assert reasons(dealing) == [CancelReason.TARGET]
    assert dealing.placed == []
    dealing.venue.finish(order, OrderStatus.CANCELLED)
    dealing.hear()
    assert dealing.placed[0]["side"] == Side.SELL


def test_a_smaller_target_cancels_no_more_orders_than_needed(dealing: Dealing) -> None:
    dealing.place_one(target=30)
    for _ in range(2):
        dealing.quote(1000, 1002)
    assert len(dealing.venue.live) == 3
    dealing.intend(20)
    assert reasons(dealing) == [CancelReason.TARGET]
    dealing.quote(1000, 1002)
    assert (dealing.placed, dealing.cancelled) == ([], [])


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"position_limit": 15}, 1),
        ({"open_quantity_limit": 25}, 2),
        ({"open_order_limit": 1}, 1),
        ({"order_size_limit": 9}, 0),
    ],
)
def test_lower_limits_cancel_what_they_no_longer_allow(dealing: Dealing, changes: dict[str, int], left: int) -> None:
    dealing.place_one(target=30)
    for _ in range(2):
        dealing.quote(1000, 1002)
    dealing.risk(**changes)
    assert reasons(dealing) == [CancelReason.TARGET] * (3 - left)
    assert dealing.placed == []


def test_a_position_beyond_a_lowered_limit_is_worked_back(dealing: Dealing) -> None:
    dealing.risk()
    dealing.quote(1000, 1002)
    dealing.venue.trade_by_hand(60)
    dealing.hear()
    dealing.intend(60)
    assert dealing.placed == []
    dealing.risk(position_limit=55)
    [order] = dealing.placed
    assert (order["side"], order["quantity"]) == (Side.SELL, 5)


@pytest.mark.parametrize(
    ("side", "trend", "price"),
    [
        *[(Side.BUY, 50, 1002), (Side.BUY, 49, 1000), (Side.BUY, -100, 1000)],
        *[(Side.SELL, -50, 1000), (Side.SELL, -49, 1002), (Side.SELL, 100, 1002)],
    ],
)
def test_it_crosses_the_spread_when_the_trend_runs_away(dealing: Dealing, side: int, trend: int, price: int) -> None:
    dealing.risk(cross_at_trend=50)
    dealing.quote(1000, 1002)
    dealing.trend(trend)
    dealing.intend(5 if side == Side.BUY else -5)
    [order] = dealing.placed
    crosses = price == (1002 if side == Side.BUY else 1000)
    wanted = TimeInForce.IMMEDIATE_OR_CANCEL if crosses else TimeInForce.GOOD_TILL_CANCEL
    assert (order["price"], order["time_in_force"]) == (price, wanted)


def test_a_crossing_order_takes_no_more_than_is_shown(dealing: Dealing) -> None:
    dealing.risk(cross_at_trend=-100)
    dealing.quote(1000, 1002, ask_size=4)
    dealing.intend(9)
    assert dealing.placed[0]["quantity"] == 4


def test_with_nothing_shown_it_joins_its_own_side(dealing: Dealing) -> None:
    dealing.risk(cross_at_trend=-100)
    dealing.quote(1000, 1002, ask_size=0)
    dealing.intend(9)
    assert dealing.placed[0]["price"] == 1000


def test_a_trend_that_turns_replaces_a_resting_order(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.quote(1000, 1006)
    dealing.trend(60)
    assert reasons(dealing) == [CancelReason.PRICE]
    dealing.venue.finish(order, OrderStatus.CANCELLED)
    dealing.hear()
    assert dealing.placed[0]["price"] == 1006


def test_a_market_wider_than_the_band_is_left_alone(dealing: Dealing) -> None:
    dealing.risk(price_band=20)
    dealing.quote(1000, 1042)
    dealing.intend(5)
    assert dealing.placed == []
    dealing.quote(1001, 1041)
    assert dealing.placed[0]["price"] == 1001


def test_a_single_wild_quote_does_not_trade(dealing: Dealing) -> None:
    dealing.risk()
    dealing.quote(1000, 1002)
    dealing.intend(0)
    dealing.quote(5, 7, exchange_time_ns=5)
    dealing.intend(-5)
    assert dealing.placed == []
    dealing.quote(5, 7, exchange_time_ns=5)
    assert dealing.placed == [], "the same quote again confirms nothing"
    dealing.quotes[1].append((5, 7))
    dealing.quote(5, 7, exchange_time_ns=6)
    assert dealing.placed[0]["price"] == 7


def test_an_order_that_the_market_left_behind_is_cancelled_once(dealing: Dealing) -> None:
    dealing.place_one()
    dealing.quote(1003, 1005)
    assert dealing.cancelled == []
    dealing.quote(1004, 1006)
    assert reasons(dealing) == [CancelReason.PRICE]
    dealing.quote(1009, 1011)
    assert dealing.cancelled == []


def test_an_order_that_grows_old_is_cancelled_once(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.advance(5 * SECOND - 1)
    assert dealing.state.orders[order.order_id].cancel_requested == 0
    dealing.advance(1)
    assert reasons(dealing) == [CancelReason.AGE]
    dealing.advance(100 * SECOND)
    assert order.cancel_asked


def test_a_finished_order_leaves_no_timer(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 10)
    dealing.hear(1)
    entries = len(dealing.simulations[0].entries)
    dealing.advance(100 * SECOND)
    assert len(dealing.simulations[0].entries) == entries


def test_risk_off_cancels_what_works_and_places_nothing(dealing: Dealing) -> None:
    dealing.place_one(target=30)
    dealing.quote(1000, 1002)
    dealing.risk(risk_switch=RiskSwitch.RISK_OFF)
    assert reasons(dealing) == [CancelReason.RISK_OFF] * 3
    dealing.quote(1000, 1002)
    dealing.intend(90)
    assert (dealing.placed, dealing.cancelled) == ([], [])
    for order in dealing.venue.live:
        dealing.venue.finish(order, OrderStatus.CANCELLED)
    dealing.hear()
    assert dealing.placed == []
    dealing.risk(risk_switch=RiskSwitch.RISK_ON)
    assert len(dealing.placed) == 1


def test_the_desks_switch_stops_every_instrument(dealing: Dealing) -> None:
    for instrument in (1, 2):
        dealing.venues.setdefault(instrument, type(dealing.venue)(instrument))
        dealing.risk(instrument)
        dealing.quote(1000, 1002, instrument)
        dealing.intend(5, instrument)
    dealing.desk(RiskSwitch.RISK_OFF)
    assert sorted(each["instrument"] for each in dealing.cancelled) == [1, 2]
    dealing.quote(1000, 1002)
    assert dealing.placed == []
    dealing.desk(RiskSwitch.RISK_ON)
    dealing.quote(1000, 1002, 2)
    assert dealing.placed == [], "cancelled orders count until the venue confirms"


def test_a_setting_that_is_left_out_keeps_its_value(dealing: Dealing) -> None:
    dealing.risk()
    dealing.risk(position_limit=3)
    setting = dealing.state.risk_settings[1]
    assert (setting.position_limit, setting.order_size_limit, setting.cross_at_trend) == (3, 10, 50)


def test_a_new_instrument_never_crosses_unless_told(dealing: Dealing) -> None:
    dealing.send(
        "RiskConfig", instrument=1, order_size_limit=1, open_quantity_limit=1, open_order_limit=1, max_order_age_ns=1
    )
    setting = dealing.state.risk_settings[1]
    assert (setting.cross_at_trend, setting.position_limit) == (101, 0)


def test_an_update_that_comes_twice_changes_nothing(dealing: Dealing) -> None:
    order = dealing.place_one(target=30)
    dealing.venue.fill(order, 4)
    updates = list(dealing.venue.unsaid)
    dealing.hear()
    for message, fields in updates:
        dealing.send(message, **fields)
        assert (dealing.placed, dealing.cancelled) == ([], [])
        assert dealing.simulations[0].entries[-1].changes == []


def test_an_update_that_was_overtaken_changes_nothing(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 4)
    dealing.venue.fill(order, 3)
    first_order, first_position, second_order, second_position = dealing.venue.unsaid
    dealing.venue.unsaid[:] = [second_position, second_order, first_position, first_order]
    dealing.hear()
    assert dealing.state.orders[order.order_id].filled == 7
    assert dealing.state.positions[1].quantity == 7


def test_a_quote_that_was_overtaken_is_ignored_but_not_a_new_session(dealing: Dealing) -> None:
    dealing.risk()
    dealing.quote(1000, 1002, exchange_time_ns=5 * SECOND)
    dealing.quote(990, 992, exchange_time_ns=4 * SECOND)
    assert dealing.state.markets[1].bid_price == 1000
    dealing.quote(990, 992, exchange_time_ns=4 * SECOND - 1)
    assert dealing.state.markets[1].bid_price == 990


def test_a_rejected_order_makes_room_again(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.finish(order, OrderStatus.REJECTED)
    dealing.hear()
    assert dealing.placed[0]["quantity"] == 10


def test_without_an_intent_no_position_is_touched(dealing: Dealing) -> None:
    dealing.venue.trade_by_hand(8)
    dealing.hear()
    dealing.risk()
    dealing.quote(1000, 1002)
    assert dealing.placed == []


def test_a_position_without_risk_settings_is_remembered(dealing: Dealing) -> None:
    dealing.venue.trade_by_hand(8)
    dealing.hear()
    dealing.risk()
    dealing.quote(1000, 1002)
    dealing.intend(10)
    assert dealing.placed[0]["quantity"] == 2


def test_the_example_of_the_documentation(dealing: Dealing) -> None:
    def update(number: int, sequence: int, status: int, filled: int) -> None:
        order = list(dealing.venue.orders.values())[number]
        order.status, order.filled = status, filled
        fields = {"order_id": order.order_id, "venue_sequence": sequence, "status": status}
        assert dealing.send("OrderUpdate", **fields, filled_quantity=filled, last_price=order.price) == 0

    def position(sequence: int, quantity: int) -> None:
        dealing.venue.position = quantity
        assert dealing.send("PositionUpdate", instrument=1, venue_sequence=sequence, quantity=quantity) == 0

    def did() -> list[tuple[int, ...]]:
        placed = [(each["side"], each["quantity"], each["price"]) for each in dealing.placed]
        return placed + [(each["reason"],) for each in dealing.cancelled]

    dealing.risk()
    dealing.quote(1000, 1002)
    assert did() == []
    dealing.intend(25)
    assert did() == [(Side.BUY, 10, 1000)]
    dealing.quote(1001, 1003)
    assert did() == [(Side.BUY, 10, 1001)]
    dealing.trend(60)
    assert did() == [(Side.BUY, 5, 1003)]
    update(2, 1, OrderStatus.FILLED, 5)
    assert did() == []
    position(2, 5)
    assert did() == []
    dealing.quote(1004, 1006)
    assert did() == [(CancelReason.PRICE,), (CancelReason.PRICE,)]
    update(0, 3, OrderStatus.CANCELLED, 4)
    assert did() == [(Side.BUY, 6, 1006)]
    position(4, 9)
    assert did() == []
