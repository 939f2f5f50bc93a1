"""Values that make no sense end in a rejection with a code, change nothing, and are never a fault."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from statevec.codecs.schema import Schema
from tests.hedge.dealing import VERSIONS, Dealing, OrderStatus

GOOD: dict[str, dict[str, Any]] = {
    "HedgeIntent": {"instrument": 1, "target_quantity": 0},
    "MarketTrend": {"instrument": 1, "trend": 0},
    "MarketData": {
        **{"instrument": 1, "bid_price": 1000, "ask_price": 1002, "bid_size": 1, "ask_size": 1},
        "exchange_time_ns": 0,
    },
    "PositionUpdate": {"instrument": 1, "venue_sequence": 1, "quantity": 0},
    "RiskConfig": {"instrument": 1},
}
MANY = 1 << 62


@pytest.mark.parametrize(
    ("message", "field", "value", "code"),
    [
        ("HedgeIntent", "instrument", 9, 1),
        ("MarketTrend", "instrument", 9, 1),
        ("MarketData", "instrument", 9, 1),
        *[("MarketData", "bid_price", value, 3) for value in (0, -1, 1003, MANY, -MANY)],
        *[("MarketData", "ask_price", value, 3) for value in (0, 999, MANY, -MANY)],
        ("MarketData", "exchange_time_ns", -1, 3),
        *[("MarketData", size, value, 4) for size in ("bid_size", "ask_size") for value in (-1, MANY)],
        *[("HedgeIntent", "target_quantity", value, 4) for value in (MANY, -MANY)],
        *[("PositionUpdate", "quantity", value, 4) for value in (MANY, -MANY)],
        *[("MarketTrend", "trend", value, 5) for value in (101, -101, 32_767)],
        *[("RiskConfig", "position_limit", value, 6) for value in (-1, MANY)],
        *[("RiskConfig", "order_size_limit", value, 6) for value in (0, MANY)],
        *[("RiskConfig", "open_quantity_limit", value, 6) for value in (0, MANY)],
        *[("RiskConfig", "open_order_limit", value, 6) for value in (0, 65, -1)],
        *[("RiskConfig", "price_band", value, 6) for value in (-1, MANY)],
        *[("RiskConfig", "requote_distance", value, 6) for value in (-1, MANY)],
        *[("RiskConfig", "max_order_age_ns", value, 6) for value in (0, MANY)],
        *[("RiskConfig", "cross_at_trend", value, 6) for value in (-101, 102)],
        *[("PositionUpdate", "venue_sequence", value, 7) for value in (0, -MANY)],
    ],
)
def test_nonsense_is_rejected(dealing: Dealing, message: str, field: str, value: int, code: int) -> None:
    dealing.risk()
    assert dealing.send(message, **{**GOOD[message], field: value}) == code
    assert dealing.simulations[0].entries[-1].changes == []
    assert dealing.send(message, **GOOD[message]) == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"order_id": 77}, 2),
        ({"venue_sequence": 0}, 7),
        ({"status": OrderStatus.SENT}, 8),
        ({"filled_quantity": 3}, 9),
        ({"filled_quantity": 11}, 9),
        ({"filled_quantity": -MANY}, 9),
        ({"status": OrderStatus.FILLED, "filled_quantity": 9}, 9),
    ],
)
def test_an_update_that_contradicts_its_order_is_rejected(dealing: Dealing, fields: dict[str, int], code: int) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 4)
    dealing.hear()
    update = {"order_id": order.order_id, "venue_sequence": 99, "status": OrderStatus.PARTIALLY_FILLED}
    assert dealing.send("OrderUpdate", **{**update, "filled_quantity": 4, "last_price": 1000, **fields}) == code


def test_a_finished_order_takes_no_further_update(dealing: Dealing) -> None:
    order = dealing.place_one()
    dealing.venue.fill(order, 4)
    dealing.venue.finish(order, OrderStatus.CANCELLED)
    dealing.hear(1)
    dealing.venue.unsaid.pop(0)
    dealing.hear(1)
    update = {"order_id": order.order_id, "venue_sequence": 99, "status": OrderStatus.FILLED, "filled_quantity": 10}
    assert dealing.send("OrderUpdate", **update, last_price=1000) == 8


def test_a_new_instrument_needs_its_limits(dealing: Dealing) -> None:
    assert dealing.send("RiskConfig", instrument=1, position_limit=5) == 6
    assert len(dealing.state.risk_settings) == 0


def test_the_desks_switch_needs_a_value(dealing: Dealing) -> None:
    assert dealing.send("RiskConfig", instrument=0, position_limit=5) == 6


PATTERNS = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff")


def garbled(schema: Schema, chance: random.Random, order_id: int) -> bytes:
    """A well-formed message in which the bytes of one or two fields are anything."""
    update = {"order_id": order_id, "venue_sequence": 50, "status": 2, "filled_quantity": 4, "last_price": 1}
    name, fields = chance.choice([*GOOD.items(), ("OrderUpdate", update)])
    message = bytearray(schema.encode(name, fields))
    for field in chance.choices(schema.messages[name].fields, k=chance.choice((1, 2))):
        content = chance.choice(
            (
                chance.randbytes(field.size),
                chance.choice(PATTERNS) * field.size,
                b"\x00" * (field.size - 1) + chance.choice(PATTERNS),
            )
        )
        start = schema.header.size + field.offset
        message[start : start + field.size] = content
    return bytes(message)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), version=st.sampled_from(sorted(VERSIONS)))
def test_garbled_fields_are_never_a_fault_and_both_tiers_agree(seed: int, version: str) -> None:
    note(f"seed={seed} version={version}")
    chance = random.Random(seed)
    dealing = Dealing("compiled", "interpreted", version=version)
    order = dealing.place_one()
    for _ in range(60):
        message = garbled(VERSIONS[version].schema, chance, order.order_id)
        entries = [each.send_bytes(message) for each in dealing.simulations]
        assert entries[0].outcome >= 0, entries[0]
        assert len({each.digest for each in entries}) == 1, entries
