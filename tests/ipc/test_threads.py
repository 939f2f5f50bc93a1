"""Idling and pinning."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from statevec.ipc.idle import STRATEGIES, TURNS_SPINNING, TURNS_YIELDING, idle
from statevec.ipc.pinning import PinningError, available_cores, pin, pin_to


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_comes_back(strategy: str, form: Callable[[Any], Any]) -> None:
    for turns in (1, TURNS_SPINNING + 1, TURNS_YIELDING + 1):
        form(idle)(STRATEGIES[strategy], turns)


def test_a_thread_is_pinned_alone() -> None:
    before = available_cores()
    core = max(before)
    seen: list[set[int]] = []

    def work() -> None:
        pin(core)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [{core}]
    assert available_cores() == before


@pytest.mark.parametrize("cores", [{4000}, {0, 4000}, {-1}])
def test_a_core_that_is_not_there_is_named(cores: set[int]) -> None:
    before = available_cores()
    with pytest.raises(PinningError, match=r"core .*(4000|-1).*allowed=\["):
        pin_to(cores)
    assert available_cores() == before
