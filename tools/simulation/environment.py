"""The world of a simulated process: threads, locks, clocks, sleep, files and shared memory, all under the scheduler.

`simulated` puts these in the place of Python's and the kernels' own, for everything in this process, and puts all back.

Invariants
    Product code runs unchanged: what is exchanged is `threading`, `time`, `os` (by `tools.power.recorder`), the mapping
    of segments, and kernels by their plain form.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Self

from statevec.ipc import log as log_module
from statevec.ipc import log_kernels, python_call, segment
from statevec.ipc.log import LogReader
from statevec.ipc.memory import Region
from statevec.roles import engine_rings, events, output_reader
from statevec.roles.output_reader import OutputReader
from tools.simulation.memory import SharedMemory, copy_from, load_word
from tools.simulation.scheduler import Process, Scheduler, Task

CLOSE, FLOCK, MAP = os.close, fcntl.flock, segment._map
POLL_NS = 50_000
"""How often a waiting thread looks."""


class World:
    """What simulated code finds instead of the real modules; `events` are what processes report."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.memory = SharedMemory(scheduler)
        self.kernels = self.memory.kernels()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._locks: dict[int, Process | None] = {}
        self._open: set[int] = set()

    def process(self) -> Process:
        """The process that runs now."""
        task = self.scheduler.current
        assert task is not None, "only simulated processes start threads"
        return task.process

    def report(self, event: str, values: dict[str, Any]) -> dict[str, Any]:
        self.events.append((event, values))
        return values

    def flock(self, file: Any, operation: int) -> None:
        """`fcntl.flock`; who waits lets others run, and the lock is known to be this process's."""
        descriptor = file if isinstance(file, int) else file.fileno()
        while True:
            try:
                FLOCK(descriptor, operation if operation & fcntl.LOCK_UN else operation | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if operation & fcntl.LOCK_NB:
                    raise
                self.scheduler.step("flock", POLL_NS)
        task = self.scheduler.current
        self._locks[descriptor] = None if task is None else task.process

    def close(self, descriptor: int) -> None:
        """`os.close`; a lock goes with its file."""
        self._locks.pop(descriptor, None)
        self._open.discard(descriptor)
        CLOSE(descriptor)

    def opened(self, descriptor: int) -> int:
        """A file was opened: who dies does not close it."""
        self._open.add(descriptor)
        return descriptor

    def close_all(self) -> None:
        """Close what the dead left open."""
        for descriptor in list(self._open):
            self.close(descriptor)

    def map(self, descriptor: int, *arguments: Any) -> Region:
        """Map a segment."""
        return self.memory.mapped(MAP(self.opened(descriptor), *arguments))

    def kill(self, process: Process) -> None:
        """The process dies, and the kernel takes its locks."""
        self.scheduler.kill(process)
        for descriptor, holder in list(self._locks.items()):
            if holder is process:
                FLOCK(descriptor, fcntl.LOCK_UN)
                del self._locks[descriptor]

    def sleep(self, seconds: float) -> None:
        self.scheduler.step("sleep", int(seconds * 1e9))

    def wait(self, condition: Callable[[], bool], timeout: float | None, what: str) -> bool:
        """Let others run until the condition holds or the time is over; whether it holds."""
        deadline = None if timeout is None else self.scheduler.now_ns + int(timeout * 1e9)
        while not condition():
            if deadline is not None and self.scheduler.now_ns >= deadline:
                return False
            self.scheduler.step(what, POLL_NS)
        return True


def _make_thread(world: World) -> type:
    class Thread:
        """`threading.Thread` in the simulation: another task of the process that makes it."""

        native_id = 1

        def __init__(
            self, *, target: Callable[..., Any], name: str = "thread", args: Any = (), kwargs: Any = None,
            daemon: bool = False,
        ) -> None:  # fmt: skip
            self.name = name
            self._life = lambda: target(*args, **(kwargs or {}))
            self._task: Task | None = None

        def start(self) -> None:
            self._task = world.scheduler.spawn(world.process(), self.name, self._life)

        def is_alive(self) -> bool:
            return self._task is not None and not self._task.ended

        def join(self, timeout: float | None = None) -> None:
            world.wait(lambda: not self.is_alive(), timeout, "join")

    return Thread


def _make_lock(world: World) -> type:
    class Lock:
        """`threading.Lock` in the simulation."""

        def __init__(self) -> None:
            self._taken = False

        def __enter__(self) -> Self:
            world.wait(lambda: not self._taken, None, "lock")
            self._taken = True
            return self

        def __exit__(self, *error: object) -> None:
            self._taken = False

    return Lock


def _make_event(world: World) -> type:
    class Event:
        """`threading.Event` in the simulation."""

        def __init__(self) -> None:
            self._set = False

        def set(self) -> None:
            self._set = True

        def is_set(self) -> bool:
            return self._set

        def wait(self, timeout: float | None = None) -> bool:
            return world.wait(self.is_set, timeout, "event")

    return Event


def _poll(reader: LogReader) -> Any:
    return reader.taken(log_module.next_entry(reader._log, reader._private, reader.entry))


def _poll_outputs(reader: OutputReader) -> Any:
    length = output_reader.PASSED_OVER
    while length == output_reader.PASSED_OVER:
        length = output_reader.next_with_outputs(reader._log, reader._private, reader.entry)
    return reader.taken(length)


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """In here everything that is started runs in the simulation."""
    scheduler = world.scheduler
    exchanged: list[tuple[Any, str, Any]] = [
        (threading, "Thread", _make_thread(world)),
        (threading, "Lock", _make_lock(world)),
        (threading, "Event", _make_event(world)),
        (time, "sleep", world.sleep),
        (time, "monotonic", lambda: scheduler.now_ns / 1e9),
        (time, "monotonic_ns", lambda: scheduler.now_ns),
        (time, "time", lambda: (scheduler.now_ns + scheduler.wall_offset_ns) / 1e9),
        (time, "time_ns", lambda: scheduler.now_ns + scheduler.wall_offset_ns),
        (segment, "secrets", SimpleNamespace(randbelow=scheduler.draws.randrange)),  # an instance's id stays its own
        (fcntl, "flock", world.flock),
        (os, "close", world.close),
        (os, "setpriority", lambda *arguments: None),
        (segment, "_map", world.map),
        (engine_rings, "guard", lambda region: None),  # files do not shrink here, and slots are few
        (events.Speaker, "report", lambda speaker, event, **values: world.report(event, values)),
        (LogReader, "poll", _poll),
        (OutputReader, "poll_outputs", _poll_outputs),
        (Region, "copy_from", copy_from),
        *((Region, name, load_word) for name in ("load_i64", "load_relaxed")),
        *_in_modules(world),
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in exchanged]
    try:
        for where, name, value in exchanged:
            setattr(where, name, value)
        yield
    finally:
        for where, name, value in before:
            setattr(where, name, value)


def _in_modules(world: World) -> Iterator[tuple[Any, str, Any]]:
    """Every name in a module of statevec that means a stepped kernel, or an atomic on shared words."""
    instead = {id(compiled): made for compiled, made in world.kernels.items()}
    instead[id(python_call.load_acquire)] = lambda region, offset: region.load_acquire(offset)
    instead[id(python_call.store_release)] = lambda region, offset, value: region.store_release(offset, value)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("statevec.") and module is not None:
            for name, value in list(vars(module).items()):
                if id(value) in instead:
                    yield module, name, instead[id(value)]


assert log_module.next_entry is log_kernels.next_entry
