"""Pairs of ids: which id of a candidate means which one of the deciding version."""

from __future__ import annotations

import random

import pytest

from statevec.ipc.kernel import plain
from statevec.roles import shadow_ids
from statevec.roles.shadow_ids import COUNTER_MASK, IdPairs

EPOCH = 3 << 47


def test_ids_mean_themselves_until_the_counters_drift() -> None:
    ids = IdPairs()
    ids.advance(100, 100)
    assert ids.meaning(EPOCH | 50) == EPOCH | 50
    ids.advance(110, 111)
    assert [ids.meaning(EPOCH | counter) for counter in (110, 111, 112, 113)] == [
        EPOCH | 110,
        EPOCH | 111,  # only the candidate made it
        EPOCH | 111,
        EPOCH | 112,
    ]


def test_what_is_no_id_means_itself() -> None:
    ids = IdPairs()
    ids.advance(10, 20)
    for value in (0, 25, -1, COUNTER_MASK, (1 << 63) + 25, EPOCH | 5):
        assert ids.meaning(value) == value


@pytest.mark.parametrize("form", ["compiled", "plain"])
@pytest.mark.parametrize("seed", [1, 2])
def test_random_drift_pairs_ids_in_the_order_they_were_made(
    form: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a dictionary that pairs the n-th id of an entry with the n-th."""
    print(f"seed={seed}")
    if form == "plain":
        monkeypatch.setattr(shadow_ids, "meaning", plain(shadow_ids.meaning))
    source = random.Random(seed)
    ids, pairs = IdPairs(), {}
    decided = candidate = 0
    for _ in range(300):
        made = (source.choice([0, 1, 1, 2]), source.choice([0, 1, 1, 2]))
        for number in range(min(made)):
            pairs[candidate + number + 1] = decided + number + 1
        decided, candidate = decided + made[0], candidate + made[1]
        ids.advance(decided, candidate)
    for counter, other in pairs.items():
        assert ids.meaning(EPOCH | counter) == EPOCH | other
    for counter in range(1, candidate + 1):
        if counter not in pairs:
            assert ids.meaning(EPOCH | counter) == EPOCH | counter


def test_a_full_list_forgets_its_older_half() -> None:
    ids = IdPairs(runs_max=8)
    for number in range(1, 21):
        ids.advance(10 * number, 10 * number + number)
    assert ids.meaning(EPOCH | (10 * 20 + 20 + 1)) == EPOCH | (10 * 20 + 1)
    assert ids.meaning(EPOCH | 15) == EPOCH | 15
