"""The venue's market, its answers' mischief, and the plan of times."""

from __future__ import annotations

import random
from array import array

from statevec.demo.acknowledgements import Acknowledgements, Mischief
from statevec.demo.exchange import FINAL, Exchange, OrderReport, PositionReport, Report, Side, Status
from statevec.demo.pace import Pace
from statevec.demo.ticks import Tick, Ticks


def exchange(bid: int = 100, ask: int = 102, quote_lots: int = 10) -> Exchange:
    made = Exchange(quote_lots)
    made.take_quote(Tick(0, bid, ask))
    return made


def statuses(reports: list[Report]) -> list[Status]:
    return [report.status for report in reports if isinstance(report, OrderReport)]


def test_an_order_that_crosses_is_filled_at_the_quote() -> None:
    venue = exchange()
    reports = venue.place(1, Side.BUY, 105, 4)
    assert reports == [
        OrderReport(1, 1, Status.ACCEPTED, 0, 0),
        OrderReport(2, 1, Status.FILLED, 4, 102),
        PositionReport(3, 4),
    ]
    assert venue.cash == -4 * 102


def test_a_resting_order_is_filled_at_its_own_price_when_the_market_comes_to_it() -> None:
    venue = exchange()
    assert statuses(venue.place(1, Side.SELL, 103, 4)) == [Status.ACCEPTED]
    assert venue.take_quote(Tick(1, 102, 104)) == []
    assert venue.take_quote(Tick(2, 104, 106)) == [OrderReport(2, 1, Status.FILLED, 4, 103), PositionReport(3, -4)]


def test_a_large_order_fills_in_parts_of_what_each_quote_offers() -> None:
    venue = exchange()
    assert statuses(venue.place(1, Side.BUY, 102, 25)) == [Status.ACCEPTED, Status.PARTIALLY_FILLED]
    assert statuses(venue.take_quote(Tick(1, 100, 102))) == [Status.PARTIALLY_FILLED]
    assert statuses(venue.take_quote(Tick(2, 100, 102))) == [Status.FILLED]
    assert (venue.position, venue.fills) == (25, 3)


def test_two_orders_share_what_one_quote_offers() -> None:
    venue = exchange()
    venue.place(1, Side.BUY, 102, 8)
    assert venue.place(2, Side.BUY, 102, 8)[1] == OrderReport(5, 2, Status.PARTIALLY_FILLED, 2, 102)


def test_an_immediate_order_leaves_nothing_behind() -> None:
    venue = exchange()
    assert statuses(venue.place(1, Side.BUY, 102, 15, immediate=True)) == [
        Status.ACCEPTED,
        Status.PARTIALLY_FILLED,
        Status.CANCELLED,
    ]
    assert venue.working == {}


def test_an_order_id_is_taken_once() -> None:
    venue = exchange()
    venue.place(1, Side.BUY, 102, 4)
    assert venue.place(1, Side.BUY, 102, 4) == []
    assert (venue.duplicate_orders, venue.position) == (1, 4)


def test_a_cancel_that_comes_too_late_changes_nothing() -> None:
    venue = exchange()
    venue.place(1, Side.BUY, 99, 4)
    assert statuses(venue.cancel(1)) == [Status.CANCELLED]
    assert venue.cancel(1) == [] == venue.cancel(7)
    assert venue.late_cancels == 2


def test_an_order_without_price_or_quantity_is_rejected() -> None:
    venue = exchange()
    assert statuses(venue.place(1, Side.BUY, 0, 4)) == [Status.REJECTED]
    assert statuses(venue.place(2, Side.BUY, 4, 0)) == [Status.REJECTED]


def test_an_order_that_expired_on_its_way_is_rejected_once() -> None:
    venue = exchange()
    assert statuses(venue.refuse(3)) == [Status.REJECTED]
    assert venue.refuse(3) == []
    assert (venue.duplicate_orders, venue.working) == (1, {})


def test_reports_add_up_to_the_position_whatever_happens() -> None:
    seed = 4_711
    print(f"seed {seed}")
    chance = random.Random(seed)
    venue = exchange()
    reports: list[Report] = []
    for number in range(2_000):
        bid = 100 + chance.randint(-5, 5)
        reports += venue.take_quote(Tick(number, bid, bid + chance.randint(0, 3)))
        side = chance.choice(list(Side))
        reports += venue.place(number, side, 100 + chance.randint(-6, 6), chance.randint(-1, 30), chance.random() < 0.2)
        reports += venue.cancel(chance.randint(0, number))
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
    filled: dict[int, int] = {}
    finished: set[int] = set()
    for report in reports:
        if isinstance(report, PositionReport):
            assert report.quantity == sum(venue.orders[each].side * lots for each, lots in filled.items())
            continue
        assert report.order_id not in finished
        assert filled.get(report.order_id, 0) <= report.filled <= max(0, venue.orders[report.order_id].quantity)
        filled[report.order_id] = report.filled
        if report.status in FINAL:
            finished.add(report.order_id)
    assert venue.position == venue.bought - venue.sold
    assert venue.position_lowest <= venue.position <= venue.position_highest


def test_every_answer_leaves_at_least_once_and_doubles_are_counted() -> None:
    answers = Acknowledgements(Mischief(delay_ns_max=1_000, drop=0.2, double=0.3, retry_ns=10_000), seed=5)
    reports = [PositionReport(number, 0) for number in range(1_000)]
    for report in reports:
        answers.put(report, now_ns=0)
    early = answers.due(5_000)
    late = answers.due(1_000_000)
    assert set(early) | set(late) == set(reports)
    assert len(early) + len(late) == len(reports) + answers.doubled
    assert answers.dropped > 100 and answers.doubled > 200 and answers.pending == 0
    assert early != sorted(early), "answers overtake each other"


def test_without_mischief_answers_leave_in_order() -> None:
    answers = Acknowledgements(Mischief(delay_ns_max=0, drop=0, double=0), seed=5)
    reports = [PositionReport(number, 0) for number in range(100)]
    for report in reports:
        answers.put(report, now_ns=7)
    assert answers.due(6) == []
    assert answers.due(7) == reports


def ticks_at(*times_ns: int) -> Ticks:
    ticks = Ticks()
    for time_ns in times_ns:
        ticks.append(time_ns, 1, 2)
    return ticks


def test_paces_plan_every_tick() -> None:
    ticks = ticks_at(5_000, 6_000, 6_000, 9_000)
    assert Pace.at_rate(ticks, 100, 1e6).planned_ns == array("q", [100, 1_100, 2_100, 3_100])
    assert Pace.as_recorded(ticks, 100, 2.0).planned_ns == array("q", [100, 600, 600, 2_100])
    assert Pace.flat_out(ticks, 100).planned_ns == array("q", [100, 100, 100, 100])


def test_what_is_due_follows_the_plan() -> None:
    pace = Pace.as_recorded(ticks_at(0, 1_000, 1_000, 4_000), 100, 1.0)
    assert [pace.count_due(now_ns) for now_ns in (99, 100, 1_099, 1_100, 4_100)] == [0, 1, 1, 3, 4]
    assert pace.end_ns == 4_100
