"""What a transaction costs when its table grows: find, edit, change and commit one random record, delta included."""

from __future__ import annotations

import time

from bench.figure import Comparison, alternate
from bench.growth_kernels import fill, update_random
from bench.processes import FIRST_CORE, pinned
from statevec.ipc.memory import Region
from statevec.state import transaction_layout as layout
from statevec.state.arena import ArenaLayout
from statevec.state.records import IndexSpec, RecordLayout, TableSpec

RECORD = RecordLayout.of("record", key="i64", value="i64", group="i64", price="i64", quantity="i64")
UNDO_SIZE = 1 << 16
TOUCHED_CAPACITY = 64
ENTRY_SIZE = 1 << 12
MOST_TIMES = 4.0


class Store:
    """One table of `records` records, all in use, in private memory."""

    def __init__(self, records: int) -> None:
        specification = TableSpec("records", RECORD, records, [IndexSpec("key", "key")])
        self._records = records
        self._layout = ArenaLayout([specification])
        self._arena = Region.allocate(self._layout.size, 4096)
        self._layout.format(self._arena)
        self._undo = Region.allocate(UNDO_SIZE)
        self._touched = Region.allocate(TOUCHED_CAPACITY * layout.TOUCHED_ENTRY_SIZE)
        self._entry = Region.allocate(ENTRY_SIZE)
        self._tx = Region.allocate(layout.TRANSACTION_SIZE)
        for offset, value in (
            (layout.ARENA_ADDRESS, self._arena.address),
            (layout.ARENA_SIZE, self._arena.size),
            (layout.UNDO_ADDRESS, self._undo.address),
            (layout.UNDO_SIZE, self._undo.size),
            (layout.TOUCHED_ADDRESS, self._touched.address),
            (layout.TOUCHED_CAPACITY, TOUCHED_CAPACITY),
        ):
            self._tx.store_i64(offset, value)
        self._check(fill(self._tx, self._entry, records))

    @staticmethod
    def _check(outcome: int) -> None:
        if outcome != 0:
            raise RuntimeError(f"a transaction ended with {outcome}")

    def update_ns(self, count: int) -> float:
        """Nanoseconds of one of `count` transactions."""
        self._check(update_random(self._tx, self._entry, self._arena, self._records, min(count, 1_000)))
        begin = time.perf_counter_ns()
        self._check(update_random(self._tx, self._entry, self._arena, self._records, count))
        return (time.perf_counter_ns() - begin) / count

    @property
    def arena_bytes(self) -> int:
        return self._arena.size


def measure_growth(smoke: bool) -> Comparison:
    """Nanoseconds a transaction in the large table, beside the small one."""
    rounds, large, count = (1, 10_000, 2_000) if smoke else (7, 10_000_000, 3_000_000)
    small_name = "the same with 1,000 records"
    figure = Comparison(f"transaction on one of {large:,} records", "ns", "lower", target="≤ 4 × that of 1,000")
    figure.excludes = "engine, dispatch and handler: begin, find, edit, store, commit with delta only"
    with pinned(FIRST_CORE):
        big, small = Store(large), Store(1_000)
        alternate(figure, lambda: big.update_ns(count), {small_name: lambda: small.update_ns(count)}, rounds)
    figure.details = {"arena_bytes": big.arena_bytes}
    return figure.decide({small_name: 1 / MOST_TIMES})
