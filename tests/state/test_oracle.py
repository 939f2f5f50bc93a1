"""The arena against the oracle: random transactions, compiled, compiled with bounds checks, and as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.state.oracle import CAPACITY_EXHAUSTED, DUPLICATE_KEY, ITERATION_MODIFIED, MISSING_KEY, VALUE_OUT_OF_RANGE
from tests.state.oracle_driver import PREVIEWED, Driver
from tests.state.state_harness import Store, small_tables

TRANSACTIONS = {"compiled": 1400, "plain": 400}
SEEDS = {"compiled": [1, 2], "plain": [4]}


def drive(driver: Driver, transactions: int, compare_every: int) -> None:
    for number in range(transactions):
        driver.step()
        if number % compare_every == 0:
            driver.compare()
    driver.compare()


@pytest.mark.parametrize(("form", "seed"), [(form, seed) for form in TRANSACTIONS for seed in SEEDS[form]])
def test_random_transactions_do_what_the_oracle_does(form: str, seed: int) -> None:
    print(f"form={form} seed={seed}")
    driver = Driver(Store(small_tables(), form), seed)
    drive(driver, TRANSACTIONS[form], 20)
    if form == "compiled":  # the run is worth something only if it came by every kind of end
        for outcome in (
            0,
            1,
            PREVIEWED,
            CAPACITY_EXHAUSTED,
            DUPLICATE_KEY,
            ITERATION_MODIFIED,
            MISSING_KEY,
            VALUE_OUT_OF_RANGE,
        ):
            assert driver.outcomes.get(outcome, 0) > 3, f"outcome {outcome} is rare: {driver.outcomes}"


@pytest.mark.parametrize("undo_size", [0, 200, 600])
def test_a_transaction_that_runs_out_of_undo_memory_leaves_every_byte_as_it_was(undo_size: int) -> None:
    driver = Driver(Store(small_tables()), seed=7)
    drive(driver, 100, 100)
    driver.exact_capacity = False
    driver.store.tx.store_i64(24, undo_size)
    drive(driver, 300, 50)
    assert driver.outcomes[CAPACITY_EXHAUSTED] > 50


def test_a_transaction_that_touches_too_many_rows_leaves_every_byte_as_it_was() -> None:
    driver = Driver(Store(small_tables(), touched_capacity=2), seed=8, exact_capacity=False)
    drive(driver, 300, 50)
    assert driver.outcomes[CAPACITY_EXHAUSTED] > 20


def test_equal_histories_give_equal_bytes() -> None:
    images = []
    for form in ("compiled", "plain"):
        driver = Driver(Store(small_tables(), form), seed=9)
        drive(driver, 30, 30)
        images.append(driver.store.image())
    assert images[0] == images[1]


@pytest.mark.skipif(os.environ.get("STATEVEC_CHECKED") == "1", reason="this process has bounds checks already")
def test_random_transactions_stay_inside_their_memory() -> None:
    environment = dict(os.environ, STATEVEC_CHECKED="1")
    command = [sys.executable, "-m", "tests.state.checked_run"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
