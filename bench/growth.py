"""What a transaction costs when its table grows: postings to random accounts of a small plugin.

Executed as a leader does it, bookkeeping, dispatch, commit, delta, hash and digest included, but without ring, log
and journal around it, which do not grow.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bench.engine import work_directory
from bench.figure import Comparison, alternate
from bench.growth_kernels import open_accounts, post_randomly
from bench.processes import FIRST_CORE, pinned
from statevec.engine.execution import Execution
from statevec.engine.plugin.loader import load_plugin
from statevec.ipc.log_layout import MAX_ENTRY
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as entries

LEDGER = Path(__file__).parent / "ledger"
CAPACITY = "capacity=1_000"
SMALL = 1_000
MOST_TIMES = 4.0


class Ledger:
    """The ledger plugin with that many accounts, all open, in private memory."""

    def __init__(self, accounts: int) -> None:
        folder = work_directory()
        try:
            directory = folder / "ledger"
            shutil.copytree(LEDGER, directory, ignore=shutil.ignore_patterns("__pycache__"))
            source = directory / "ledger.py"
            source.write_text(source.read_text().replace(CAPACITY, f"capacity={accounts}"))
            plugin = load_plugin(directory)
            self._execution = Execution(plugin.table_specs, plugin.dispatch("compiled"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._accounts = accounts
        self._entry = Region.allocate(MAX_ENTRY)
        message = plugin.schema.encode("Post", {"account": 0, "amount": 1})
        self._entry.view[entries.INPUT : entries.INPUT + len(message)] = message
        execution = self._execution
        self._check(open_accounts(execution.tx, execution.block, self._entry, accounts))

    @staticmethod
    def _check(outcome: int) -> None:
        if outcome != 0:
            raise RuntimeError(f"a posting ended with outcome {outcome}")

    def posting_ns(self, count: int) -> float:
        """Nanoseconds of one of `count` postings."""
        execution = self._execution
        begin = time.perf_counter_ns()
        self._check(post_randomly(execution.tx, execution.block, self._entry, self._accounts, count))
        return (time.perf_counter_ns() - begin) / count

    @property
    def arena_bytes(self) -> int:
        return self._execution.arena.size


def measure_growth(smoke: bool) -> Comparison:
    """Nanoseconds a transaction in the large table, beside the small one."""
    rounds, large, count = (1, SMALL, 2_000) if smoke else (7, 10_000_000, 3_000_000)
    small_name = f"the same with {SMALL:,}"
    figure = Comparison(f"transaction on one of {large:,} records", "ns", "lower")
    figure.target = f"≤ {MOST_TIMES:g} × that of {SMALL:,}"
    figure.excludes = "ring, log and journal: bookkeeping, dispatch, handler, commit, delta, hash and digest are in it"
    with pinned(FIRST_CORE):
        small = Ledger(SMALL)
        big = small if smoke else Ledger(large)
        alternate(figure, lambda: big.posting_ns(count), {small_name: lambda: small.posting_ns(count)}, rounds)
    figure.details = {"arena_bytes": big.arena_bytes}
    return figure.decide({small_name: 1 / MOST_TIMES})
