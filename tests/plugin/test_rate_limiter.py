"""A plugin of another domain, written from docs/plugin.md alone, and its unit tests as a stranger would write them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.plugin.rate_limiter.rate_limiter import LARGEST, SECOND, limiter

TIERS = ("compiled", "interpreted")


@pytest.mark.parametrize("tier", TIERS)
def test_a_client_gets_its_burst_and_then_its_rate(tier: Any) -> None:
    engine = limiter.simulate(tier)
    engine.send("SetRate", client=7, tokens_per_second=2, burst=3)
    assert [engine.send("Request", client=7, tokens=1).committed for _ in range(4)] == [True, True, True, False]
    assert engine.entries[-1].reason == "not enough tokens"
    engine.advance(SECOND // 2)
    assert engine.send("Request", client=7, tokens=1).outputs[0].tokens_left == 0
    assert not engine.send("Request", client=7, tokens=1).committed


@pytest.mark.parametrize("tier", TIERS)
def test_a_bucket_says_when_it_is_full_again(tier: Any) -> None:
    engine = limiter.simulate(tier)
    engine.send("SetRate", client=7, tokens_per_second=2, burst=3)
    engine.send("Request", client=7, tokens=3)
    fired = engine.advance(10 * SECOND)
    assert [(each.timestamp_ns, each.outputs[0].name) for each in fired] == [(1_500_000_000, "Refilled")]
    assert engine.state.buckets[7].parts == 3 * SECOND


@pytest.mark.parametrize("tier", TIERS)
def test_strangers_and_nonsense_are_rejected(tier: Any) -> None:
    engine = limiter.simulate(tier)
    assert engine.send("Request", client=1, tokens=1).outcome_name == "REJECTED(1)"
    assert engine.send("SetRate", client=1, tokens_per_second=0, burst=1).outcome_name == "REJECTED(3)"
    assert len(engine.state.buckets) == 0


def test_no_more_is_granted_than_burst_and_rate_allow() -> None:
    seed = 20_260
    print(f"seed={seed}")
    dice = random.Random(seed)
    engines = [limiter.simulate(tier) for tier in TIERS]
    for engine in engines:
        engine.send("SetRate", client=1, tokens_per_second=5, burst=10)
    granted = 0
    for _ in range(300):
        step, tokens = dice.randrange(SECOND), dice.choice((1, 2, 3, 8, LARGEST + 1))
        for engine in engines:
            engine.advance(step)
            entry = engine.send("Request", client=1, tokens=tokens)
        granted += tokens * entry.committed
        assert granted <= 10 + 5 * engines[0].now_ns / SECOND
    assert granted > 200
    assert engines[0].digest == engines[1].digest
    assert engines[0].state_digest == engines[1].state_digest
