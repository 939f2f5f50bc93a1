"""What a demonstration comes to: the figures, and everything that is not as it should be.

It compares three accounts of the same run that know nothing of each other: what each process offered or received
(`results.py`), what the journal holds, and what a re-execution of the journal gives (`statevec verify`).

    lost         offered numbers that are not in the log; outputs of the log that the venue did not receive
    duplicated   offered numbers that are in the log twice; outputs or order ids that the venue received twice
    upgrade      what the operator's commands said of the cutover, and which version decided what, as the log tells
    failover     from the leader's death to the first input that the standby took
    latency      from an offer to the transaction's time in the engine, over all inputs

Invariant: `problems` is empty if and only if everything is as it should be.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from statevec.audit.verify import Verification
from statevec.demo.failover import Death
from statevec.demo.ledger import Ledger
from statevec.demo.limits import LimitCheck
from statevec.demo.logged import LoggedEntry
from statevec.demo.results import ProducerResult
from statevec.demo.scenario import Outcome
from statevec.demo.upgrade import Upgrade
from statevec.journal.decode import hex64

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
SHOWN_BREACHES = 5


@dataclass(frozen=True)
class Delivery:
    """What was lost or doubled between the processes and the log."""

    lost: int
    duplicated: int
    unknown: int
    """Outputs that the venue received and the log does not have."""


def percentile(ordered: list[int], share: float) -> int:
    """The smallest value that at least that share of the values does not exceed; 0 without values."""
    if not ordered:
        return 0
    rank = -(-len(ordered) * round(share * 1_000) // 1_000)
    return ordered[max(rank, 1) - 1]


def latency_ns(entries: list[LoggedEntry]) -> dict[str, int]:
    """Percentiles of the time from an offer to the transaction, nanoseconds."""
    values = sorted(max(0, entry.timestamp_ns - entry.sent_ns) for entry in entries if entry.ring)
    return {name: percentile(values, share) for name, share in PERCENTILES.items()}


def compare_inputs(producer: ProducerResult, entries: list[LoggedEntry]) -> Delivery:
    """The numbers that one producer offered, against those that the log has of its ring."""
    logged = Counter(entry.ring_sequence for entry in entries if entry.ring == producer.ring)
    offered = range(producer.first, producer.last + 1)
    lost = sum(number not in logged for number in offered)
    return Delivery(lost, sum(times - 1 for times in logged.values()), 0)


def compare_outputs(outcome: Outcome, entries: list[LoggedEntry]) -> Delivery:
    """The outputs that the log has, against those that the venue received."""
    venue = outcome.venue
    logged = {(entry.epoch, entry.sequence, index) for entry in entries for index in range(len(entry.outputs))}
    received = {tuple(identity) for identity in venue.identities}
    return Delivery(
        lost=len(logged - received),
        duplicated=venue.duplicate_outputs + venue.duplicate_orders,
        unknown=len(received - logged),
    )


@dataclass(frozen=True)
class Review:
    """The figures of a run. Money and prices are decimals of the quote currency, as text; quantities are lots."""

    instrument: str
    figures: dict[str, Any]
    problems: list[str]
    details: list[str]
    """The first limit breaches, in words."""


def review(outcome: Outcome, entries: list[LoggedEntry], verification: Verification) -> Review:
    """Put the accounts of a run side by side."""
    instrument = outcome.market.instrument
    ledger = Ledger.of(entries, instrument.id)
    limits = LimitCheck(entries, instrument.id)
    deliveries = [compare_inputs(producer, entries) for producer in outcome.producers]
    deliveries.append(compare_outputs(outcome, entries))
    venue = outcome.venue
    outcomes = Counter(entry.outcome for entry in entries)
    position_limit = limits.limits.get("position_limit", 0)
    figures: dict[str, Any] = {
        "instrument": instrument.symbol,
        "ticks": ledger.ticks,
        "entries": len(entries),
        "orders_placed": len(ledger.orders),
        "orders_filled": ledger.count_status("FILLED"),
        "orders_cancelled": ledger.count_status("CANCELLED"),
        "orders_rejected": ledger.count_status("REJECTED"),
        "cancels_requested": ledger.cancels_requested,
        "ordered_lots": ledger.ordered_lots,
        "filled_lots": ledger.filled_lots,
        "fill_ratio": _ratio(ledger.filled_lots, ledger.ordered_lots),
        "slippage_ticks": _ratio(ledger.doubled_slippage, 2 * ledger.filled_lots),
        "profit": str(instrument.money(ledger.doubled_profit) / 2),
        "currency": instrument.currency,
        "position": ledger.position,
        "position_highest": venue.position_highest,
        "position_lowest": venue.position_lowest,
        "exposure_highest": limits.exposure_highest,
        "position_limit": position_limit,
        "inputs_rejected": sum(count for code, count in outcomes.items() if code > 0),
        "inputs_faulted": sum(count for code, count in outcomes.items() if code < 0),
        "back_pressured": sum(producer.back_pressured for producer in outcome.producers),
        "answers_dropped": venue.answers_dropped,
        "answers_doubled": venue.answers_doubled,
        "lost": sum(each.lost for each in deliveries),
        "duplicated": sum(each.duplicated for each in deliveries),
        "limit_breaches": len(limits.breaches),
        "latency_ns": latency_ns(entries),
        "upgrade": upgrade_figures(outcome.upgrade, entries),
        "failover": failover_figures(outcome.death, entries),
        "digest": hex64(verification.digest),
        "verified": verification.verified,
    }
    problems = [
        *find_problems(outcome, ledger, figures),
        *upgrade_problems(figures["upgrade"]),
        *failover_problems(figures["failover"], entries),
    ]
    if deliveries[-1].unknown:
        problems.append(f"the venue received {deliveries[-1].unknown} outputs that the log does not have")
    if verification.entries != len(entries):
        problems.append(f"{verification.entries} entries were executed again, of {len(entries)}")
    if not verification.verified:
        found = verification.to_dict()
        problems.append(f"the journal does not verify: {found.get('damage') or found.get('difference')}")
    return Review(instrument.symbol, figures, problems, limits.breaches[:SHOWN_BREACHES])


def find_problems(outcome: Outcome, ledger: Ledger, figures: dict[str, Any]) -> list[str]:
    """What the figures say that must not be."""
    problems = [
        f"{figures[name]} {words}"
        for name, words in (
            ("lost", "messages were lost"),
            ("duplicated", "messages came twice"),
            ("limit_breaches", "orders went beyond a limit"),
            ("inputs_faulted", "inputs ended in a fault"),
        )
        if figures[name]
    ]
    venue = outcome.venue
    if ledger.ticks != outcome.feed.offered:
        problems.append(f"{outcome.feed.offered} ticks were sent and {ledger.ticks} are in the log")
    if ledger.position != venue.position:
        problems.append(f"position of the log {ledger.position} differs from the venue's {venue.position}")
    if ledger.filled_lots != venue.bought + venue.sold:
        problems.append(f"fills of the log {ledger.filled_lots} differ from the venue's {venue.bought + venue.sold}")
    if max(venue.position_highest, -venue.position_lowest) > figures["position_limit"]:
        problems.append(f"the venue's position went beyond position_limit={figures['position_limit']}")
    return problems


def upgrade_figures(upgrade: Upgrade | None, entries: list[LoggedEntry]) -> dict[str, Any] | None:
    """The cutover as told, the shadow's counts before it, what each version decided; None without a cutover."""
    if upgrade is None:
        return None
    report = upgrade.report
    decided = Counter(entry.version for entry in entries)
    orders = [output for entry in entries for output in entry.outputs if output.name == "PlaceOrder"]
    return {
        "from": report.decider_version,
        "to": report.candidate_version,
        "sequence": upgrade.sequence,
        "decided": dict(decided),
        "last_of_old": max((each.sequence for each in entries if each.version == report.decider_version), default=0),
        "first_of_new": min((each.sequence for each in entries if each.version == report.candidate_version), default=0),
        "compared": report.compared,
        "same": report.same,
        "expected": report.expected,
        "unexpected": report.unexpected,
        "rules": report.rules,
        "migration": report.migration,
        "orders_ahead_of_queue": sum(order.fields.get("ticks_ahead", 0) > 0 for order in orders),
    }


def upgrade_problems(figures: dict[str, Any] | None) -> list[str]:
    """What a cutover must have been: one, from the sequence that was said, without anything unexpected before."""
    if figures is None:
        return []
    problems = []
    if figures["unexpected"]:
        problems.append(f"the shadow found {figures['unexpected']} unexpected differences")
    if set(figures["decided"]) - {figures["from"], figures["to"]}:
        problems.append(f"versions decided that should not: {figures['decided']}")
    sequence = figures["sequence"]
    first = sequence + 1 if figures["decided"].get(figures["to"]) else 0  # 0: the market was over before
    if (figures["last_of_old"], figures["first_of_new"]) != (sequence, first):
        told = f"{figures['last_of_old']} and {figures['first_of_new']}"
        problems.append(f"the cutover was said to be entry {sequence}, and the log has the versions meet at {told}")
    return problems


def failover_figures(death: Death | None, entries: list[LoggedEntry]) -> dict[str, Any] | None:
    """From the leader's death to the first input that the next one took; None when none was killed."""
    if death is None:
        return None
    epoch = entries[-1].epoch
    begun = next(entry for entry in entries if entry.epoch == epoch)
    taken = next((entry for entry in entries if entry.epoch == epoch and entry.message is not None), begun)
    return {
        "epochs": epoch,
        "sequence": begun.sequence,
        "inputs_after": sum(entry.epoch == epoch and entry.message is not None for entry in entries),
        "takeover_ms": round((taken.timestamp_ns - death.killed_ns) / 1e6, 1),
    }


def failover_problems(figures: dict[str, Any] | None, entries: list[LoggedEntry]) -> list[str]:
    """A leader leads once, or twice when one was killed."""
    expected = 1 if figures is None else 2
    found = entries[-1].epoch if entries else 0
    return [] if found == expected else [f"{found} leaders led, expected {expected}"]


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
