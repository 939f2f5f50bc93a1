"""An engine in private memory, with dispatch functions written in the test: no plugin, no process, no shared memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from statevec.engine import append, loop, loop_layout
from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.engine.execution import Execution
from statevec.ipc import log_layout, ring_kernels, ring_layout
from statevec.ipc.memory import DISPATCH, Region
from statevec.journal import admin_layout, entry_layout
from statevec.state import transaction_layout
from statevec.state.reading import read_rows
from statevec.state.records import IndexSpec, RecordLayout, TableSpec

COUNTER_RECORD = RecordLayout.of("counter", key="i64", value="i64", group="i64")
COUNTERS = TableSpec("counters", COUNTER_RECORD, 64, [IndexSpec("key", "key"), IndexSpec("group", "group")])
COUNTER_TABLE = FIRST_PLUGIN_TABLE
LOG_CAPACITY = 4 << 20
RING_CAPACITY = 1 << 16
RING_INSTANCE = 77

Handler = Callable[[Region, Region], int]


class CallbackDispatch:
    """A dispatch function that calls `handler(tx, message)`; what it answers is the outcome."""

    def __init__(self, handler: Handler) -> None:
        self.calls = 0

        def dispatch(tx_address: int, message_address: int, length: int) -> int:
            self.calls += 1
            tx = Region(tx_address, transaction_layout.TRANSACTION_SIZE)
            tx.store_i64(transaction_layout.OUTCOME, handler(tx, Region(message_address, length)))
            return transaction_layout.DISPATCH_OK

        self._callback = DISPATCH(dispatch)
        self.address = int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)


class Engine:
    """The leader's memory: execution, log, rings. `form` maps a kernel to itself, or to its plain form."""

    def __init__(self, handler: Handler, *, rings: int = 1, form: Callable[[Any], Any] = lambda kernel: kernel) -> None:
        self.dispatch = CallbackDispatch(handler)
        self.kept: list[object] = []
        self.execution = Execution([COUNTERS], self.dispatch)
        self.block = self.execution.block
        self.tx = self.execution.tx
        self.log = Region.allocate(log_layout.DATA + LOG_CAPACITY, 4096)
        self.kernels = SimpleNamespace(
            append_admin=form(append.append_admin),
            turn=form(loop._turn),
            run_loop=form(loop.run_loop),
            offer=ring_kernels.offer,
        )
        for offset, value in (
            (loop_layout.LOG_ADDRESS, self.log.address),
            (loop_layout.LOG_SIZE, self.log.size),
            (loop_layout.LOG_CAPACITY, LOG_CAPACITY),
            (loop_layout.UNIT, log_layout.UNIT),
            (loop_layout.MAX_INPUT, log_layout.MAX_INPUT),
            (loop_layout.DURABILITY, loop_layout.MEMORY),
            (loop_layout.EPOCH, 1),
            (loop_layout.CLOCK_OFFSET_NS, 1_700_000_000 * 10**9),
            (loop_layout.BATCH, 8),
            (loop_layout.POISON_LIMIT, 3),
        ):
            self.block.store_i64(offset, value)
        self.log.store_i64(log_layout.EPOCH, 1)
        self.producers: list[tuple[Region, Region]] = []
        for number in range(rings):
            self._add_ring(number)
        leadership = admin_layout.leadership(
            epoch=1,
            instance_id=5,
            wall_clock_ns=0,
            limits=(log_layout.UNIT, log_layout.MAX_ENTRY, log_layout.MAX_INPUT, 1_000_000),
            logic_version=1,
            durability=0,
            engine_version="test",
            plugin_name="test",
            plugin_version="1",
            content_hash="0" * 64,
        )
        self.append_admin(entry_layout.LEADERSHIP, 0, leadership)
        for number in range(rings):
            attach = admin_layout.ring_attach(RING_INSTANCE, number + 1, f"ring{number}")
            self.append_admin(entry_layout.RING_ATTACH, number + 1, attach)

    def _add_ring(self, number: int) -> None:
        page = Region.allocate(ring_layout.segment_size(RING_CAPACITY), 4096)
        records = page.slice(ring_layout.DATA, page.size - ring_layout.DATA)
        producer = Region.allocate(ring_kernels.PRODUCER_SIZE)
        ring_kernels.open_producer(records, producer, RING_CAPACITY, 0)
        block = self.ring_block(number)
        consumer = block.slice(loop_layout.RING_CONSUMER, ring_kernels.CONSUMER_SIZE)
        ring_kernels.open_consumer(records, consumer, RING_CAPACITY, 0)
        for offset, value in (
            (loop_layout.RING_ADDRESS, records.address),
            (loop_layout.RING_BYTES, records.size),
            (loop_layout.RING_PAGE_ADDRESS, page.address),
            (loop_layout.RING_SOURCE, number + 1),
            (loop_layout.RING_INSTANCE, RING_INSTANCE),
        ):
            block.store_i64(offset, value)
        self.block.store_i64(loop_layout.RING_COUNT, number + 1)
        self.producers.append((records, producer))

    def ring_block(self, number: int) -> Region:
        return self.block.slice(loop_layout.RINGS + number * loop_layout.RING_SIZE, loop_layout.RING_SIZE)

    def append_admin(self, kind: int, source: int, message: bytes) -> int:
        return int(self.kernels.append_admin(self.block, self.tx, kind, source, Region.of(bytearray(message))))

    def offer(self, message: bytes, ring: int = 0) -> int:
        records, producer = self.producers[ring]
        return int(self.kernels.offer(records, producer, Region.of(bytearray(message)), 123))

    def turn(self) -> int:
        """One turn of the loop, without its checks and idling."""
        return int(self.kernels.turn(self.block, self.tx, self.log))

    def entries(self) -> list[Region]:
        """All entries published so far, padding left out."""
        found = []
        position = 0
        while position < self.log.load_i64(log_layout.APPENDED):
            entry = self.log.slice(log_layout.DATA + position, self.log.load_i32(log_layout.DATA + position))
            if entry.load_i32(entry_layout.KIND) != entry_layout.PADDING:
                found.append(entry)
            position += entry.size
        return found

    def rows(self) -> dict[int, int]:
        """The counters by key."""
        table = self.execution.layout.tables["counters"]
        rows = read_rows(self.execution.arena, table)
        return {row.fields["key"]: row.fields["value"] for row in rows}
