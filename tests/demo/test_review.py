"""What a demonstration comes to: nothing lost or doubled goes unnoticed, and every problem is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest

from statevec.audit.verify import Difference, Verification
from statevec.demo.instruments import Instruments
from statevec.demo.logged import LoggedEntry, Message
from statevec.demo.results import ProducerResult, VenueResult
from statevec.demo.review import percentile, review, upgrade_problems
from statevec.demo.scenario import Market, Outcome
from statevec.demo.script import RiskSettings
from statevec.demo.summary import nanoseconds, summary_rows
from statevec.demo.ticks import Ticks

EURUSD = Instruments.load().get("EURUSD")
SETTINGS = RiskSettings()
GOOD = Verification(entries=4, sequence=4, digest=0xFF, position=0, tier="compiled", seconds=0.1)


def settings() -> dict[str, Any]:
    names = RiskSettings.__dataclass_fields__
    return {**{name: getattr(SETTINGS, name) for name in names}, "instrument": 1, "risk_switch": "RISK_ON"}


def entries() -> list[LoggedEntry]:
    """A short day: settings, a quote, an order of 10 lots, its fill, and the position."""
    order = {"order_id": 9, "instrument": 1, "side": "BUY", "price": 112_010, "quantity": 10}
    fill = {"order_id": 9, "venue_sequence": 1, "filled_quantity": 10, "last_price": 112_010, "status": "FILLED"}
    quote = {"instrument": 1, "bid_price": 112_000, "ask_price": 112_010}
    position = {"instrument": 1, "venue_sequence": 2, "quantity": 10}
    return [
        LoggedEntry(1, 1, "desk", 1, 1_100, 1_000, 0, Message("RiskConfig", settings()), []),
        LoggedEntry(
            2, 1, "market-data", 1, 2_300, 2_000, 0, Message("MarketData", quote), [Message("PlaceOrder", order)]
        ),
        LoggedEntry(3, 1, "venue", 1, 3_200, 3_000, 0, Message("OrderUpdate", fill), []),
        LoggedEntry(4, 1, "venue", 2, 3_900, 4_000, 0, Message("PositionUpdate", position), []),
    ]


def outcome(**changes: Any) -> Outcome:
    venue = VenueResult(
        answers=ProducerResult("venue", "venue", 1, 2, 0),
        identities=[(1, 2, 0)],
        expired=0,
        duplicate_outputs=0,
        duplicate_orders=0,
        late_cancels=0,
        answers_dropped=0,
        answers_doubled=0,
        fills=1,
        bought=10,
        sold=0,
        cash=-10 * 112_010,
        position=10,
        position_highest=10,
        position_lowest=0,
    )
    feed = changes.pop("feed", ProducerResult("feed", "market-data", 1, 1, 0))
    desk = ProducerResult("desk", "desk", 1, 1, 0)
    return Outcome(Market(Path("ticks.csv"), EURUSD, Ticks()), feed, desk, msgspec.structs.replace(venue, **changes))


def test_a_good_run_has_no_problems_and_adds_up() -> None:
    made = review(outcome(), entries(), GOOD)
    assert made.problems == [] == made.details
    figures = made.figures
    expected = {"ticks": 1, "entries": 4, "orders_placed": 1, "orders_filled": 1, "fill_ratio": 1.0, "position": 10}
    assert {name: figures[name] for name in expected} == expected
    assert (figures["lost"], figures["duplicated"], figures["limit_breaches"]) == (0, 0, 0)
    assert figures["slippage_ticks"] == 5.0
    assert figures["profit"] == "-0.50000"
    assert figures["latency_ns"] == {"p50": 100, "p99": 300, "p999": 300, "max": 300}
    assert (figures["digest"], figures["verified"]) == ("00000000000000ff", True)


def test_an_input_that_is_not_in_the_log_is_lost() -> None:
    made = review(outcome(feed=ProducerResult("feed", "market-data", 1, 3, 0)), entries(), GOOD)
    assert made.figures["lost"] == 2
    assert made.problems == ["2 messages were lost", "3 ticks were sent and 1 are in the log"]


def test_an_input_that_is_in_the_log_twice_is_duplicated() -> None:
    log = entries()
    log.append(log[0]._replace(sequence=5))
    made = review(outcome(), log, dataclasses.replace(GOOD, entries=5))
    assert (made.figures["duplicated"], made.problems) == (1, ["1 messages came twice"])


def test_an_output_that_the_venue_did_not_receive_is_lost() -> None:
    made = review(outcome(identities=[]), entries(), GOOD)
    assert (made.figures["lost"], made.problems) == (1, ["1 messages were lost"])


@pytest.mark.parametrize("counted", ["duplicate_outputs", "duplicate_orders"])
def test_an_output_that_the_venue_received_twice_is_duplicated(counted: str) -> None:
    made = review(outcome(**{counted: 1}), entries(), GOOD)
    assert (made.figures["duplicated"], made.problems) == (1, ["1 messages came twice"])


def test_an_output_that_is_not_in_the_log_is_a_problem() -> None:
    made = review(outcome(identities=[(1, 2, 0), (1, 3, 0)]), entries(), GOOD)
    assert made.problems == ["the venue received 1 outputs that the log does not have"]


def test_accounts_that_differ_are_problems() -> None:
    made = review(outcome(position=9, bought=9), entries(), GOOD)
    assert made.problems == [
        "position of the log 10 differs from the venue's 9",
        "fills of the log 10 differ from the venue's 9",
    ]


def test_a_position_beyond_the_limit_at_the_venue_is_a_problem() -> None:
    made = review(outcome(position_lowest=-201), entries(), GOOD)
    assert made.problems == ["the venue's position went beyond position_limit=200"]


def test_limit_breaches_and_faults_are_problems_with_details() -> None:
    log = entries()
    log[1].outputs[0].fields["quantity"] = 26
    log.append(LoggedEntry(5, 1, "", 0, 0, 0, -13, None, []))
    made = review(outcome(), log, dataclasses.replace(GOOD, entries=5))
    assert made.problems == ["1 orders went beyond a limit", "1 inputs ended in a fault"]
    assert made.details == ["order above order_size_limit: sequence=2 value=26 limit=25"]


def test_a_journal_that_does_not_verify_is_a_problem() -> None:
    found = dataclasses.replace(GOOD, entries=2, difference=Difference(3, 640, []))
    made = review(outcome(), entries(), found)
    assert made.problems == [
        "2 entries were executed again, of 4",
        "the journal does not verify: {'sequence': 3, 'position': 640, 'fields': []}",
    ]


UPGRADE = {"from": "1.0.0", "to": "2.0.0", "sequence": 3, "unexpected": 0}
BOTH = {"decided": {"1.0.0": 3, "2.0.0": 4}, "last_of_old": 3, "first_of_new": 4}


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (BOTH, []),
        ({"decided": {"1.0.0": 3}, "last_of_old": 3, "first_of_new": 0}, []),
        ({**BOTH, "unexpected": 2}, ["the shadow found 2 unexpected differences"]),
        (
            {**BOTH, "first_of_new": 3},
            ["the cutover was said to be entry 3, and the log has the versions meet at 3 and 3"],
        ),
        (
            {**BOTH, "decided": {"1.0.0": 3, "3.0.0": 1}, "first_of_new": 0},
            ["versions decided that should not: {'1.0.0': 3, '3.0.0': 1}"],
        ),
    ],
)
def test_an_upgrade_is_one_cutover_where_it_was_said_to_be(changes: dict[str, Any], problems: list[str]) -> None:
    assert upgrade_problems({**UPGRADE, **changes}) == problems


def test_percentiles_are_values_that_occurred() -> None:
    values = list(range(1, 1_001))
    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1_000]
    assert percentile([7], 0.5) == percentile([7], 1.0) == 7
    assert percentile([], 0.5) == 0


def test_people_see_every_figure_with_a_unit() -> None:
    rows = dict(summary_rows(review(outcome(), entries(), GOOD).figures))
    assert rows["profit and loss"] == "-0.50 USD"
    assert rows["offer to transaction"] == "p50 100 ns, p99 300 ns, p999 300 ns, max 300 ns"
    assert [nanoseconds(value) for value in (0, 1_500, 2_500_000, 3_000_000_000)] == ["0 ns", "1.5 µs", "2.5 ms", "3 s"]
