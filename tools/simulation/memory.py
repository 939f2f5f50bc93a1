"""Shared memory whose atomic accesses are steps, and kernels as plain Python over it.

What runs an entry (execution, state, hashes) stays compiled: it works on private memory. Everything that touches a
log or a ring is the plain form of the same kernel.

Invariants
    Every atomic access to a mapped segment is one step; a copy to or from one is two, so that it can be torn.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.engine import append, cutover, execute, loop, probation, rings
from statevec.engine.plugin import migration_digest
from statevec.ipc import log_kernels, ring_kernels, ring_repair
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.journal import entry, fold, journaler_kernels
from statevec.roles import output_reader, standby_kernels
from statevec.state import tables
from tools.simulation.scheduler import Scheduler

KEPT_COMPILED = (
    *(execute.book_entry, execute.run_entry, execute.replay_entry, entry.check_entry, entry.seal_entry),
    *(cutover.migrate, cutover.switch_version, probation.begin_probation, migration_digest.plugin_tables_digest),
    *(tables.find, tables.ordered_from, tables.ordered_next, fold.hash_bytes),
)
STEPPED = (
    *(loop.run_loop, append.append_admin, rings.quarantine_ring),
    *(journaler_kernels.journal_loop, journaler_kernels.sync_current),
    *(log_kernels.open_reader, log_kernels.next_entry, output_reader.next_with_outputs, standby_kernels.follow_log),
    *(ring_kernels.offer, ring_kernels.open_producer, ring_kernels.open_consumer, ring_kernels.check_positions),
    ring_repair.repair_records,
)
ATOMICS = ("load_acquire", "store_release", "load_acquire_i32", "store_release_i32", "compare_and_set", "fetch_add")
TORN_FROM = 64
"""A copy of fewer bytes is one step."""
IDLE_NS = 20_000


class SharedRegion(Region):
    """A part of a mapped segment."""

    __slots__ = ("scheduler",)

    scheduler: Scheduler

    @classmethod
    def over(cls, region: Region, scheduler: Scheduler) -> SharedRegion:
        made = cls(region.address, region.size, region.owner)
        made.scheduler = scheduler
        return made

    def slice(self, offset: int, size: int) -> SharedRegion:
        return self.over(super().slice(offset, size), self.scheduler)


def _stepping(name: str) -> Callable[..., Any]:
    original = getattr(Region, name)

    def access(self: SharedRegion, *arguments: Any) -> Any:
        self.scheduler.step(name)
        return original(self, *arguments)

    return access


for _name in ATOMICS:
    setattr(SharedRegion, _name, _stepping(_name))

COPY = Region.copy_from
WORD = struct.Struct("<q")


def load_word(self: Region, offset: int) -> int:
    """`Region.load_i64`, in half the time."""
    if offset < 0:
        self._check(offset, WORD.size)
    value: int = WORD.unpack_from(self._view or self.view, offset)[0]
    return value


def copy_from(self: Region, offset: int, source: Region, source_offset: int, size: int) -> None:
    """`Region.copy_from`, in two steps where one side is shared."""
    shared = next((each for each in (source, self) if isinstance(each, SharedRegion)), None)
    if shared is None or size < TORN_FROM:
        COPY(self, offset, source, source_offset, size)
        return
    half = size // 16 * 8
    COPY(self, offset, source, source_offset, half)
    shared.scheduler.step("copy")
    COPY(self, offset + half, source, source_offset + half, size - half)


class SharedMemory:
    """The segments that are mapped in one run."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._regions: list[Region] = []  # kept mapped: an address that came again would be taken for shared
        self._shared: dict[int, bool] = {}

    def mapped(self, region: Region) -> SharedRegion:
        """A segment was mapped there."""
        self._regions.append(region)
        self._shared.clear()
        return SharedRegion.over(region, self._scheduler)

    def region_at(self, address: int, size: int) -> Region:
        """`memory.region_at`: a stepped region where a segment is mapped."""
        region = Region(address, size)
        shared = self._shared.get(address)
        if shared is None:
            shared = any(each.address <= address < each.address + each.size for each in self._regions)
            self._shared[address] = shared
        return SharedRegion.over(region, self._scheduler) if shared else region

    def kernels(self) -> dict[Any, Any]:
        """The plain form of each kernel in STEPPED, by the compiled one."""
        scheduler = self._scheduler
        memo: dict[Any, Any] = {each.py_func: each for each in KEPT_COMPILED}
        made = {each: plain(each, memo) for each in STEPPED}
        instead: dict[str, Any] = {
            "region_at": self.region_at,
            "monotonic_ns": lambda: scheduler.now_ns,
            "pause": lambda: scheduler.step("pause"),
            "sleep_ns": lambda duration: scheduler.step("sleep", duration),
            "idle": lambda strategy, turns: scheduler.step("idle", IDLE_NS),
        }
        for function in memo.values():
            if hasattr(function, "py_func"):
                continue
            for name, value in instead.items():
                if name in function.__globals__:
                    function.__globals__[name] = value
        return made
