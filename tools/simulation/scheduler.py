"""Which simulated thread goes on next, and what time it is: both follow from the seed alone.

    process    what dies as a whole; it has threads, each a greenlet
    step       where a thread lets go: an atomic access to shared memory, a call on a file, a pause

Invariants
    One thread runs at a time, from one step to its next. A dead process never runs again, not even its `finally`: that
    happens in `bury`, when the run is over.
    Virtual time moves a little with each step, and jumps to the next sleeper when nobody is ready.

Nothing here outlives the run.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

STEP_NS = 500
START_NS = 1_700_000_000 * 10**9


class SimulationError(Exception):
    """The run cannot go on: nobody is ready, or it does not come to an end. Not a rule that was broken."""


@dataclass(eq=False)
class Process:
    """One simulated process."""

    name: str
    alive: bool = True
    stalled_until: int = 0
    """Step before which none of its threads goes on."""


@dataclass(eq=False)
class Task:
    """A thread of a process."""

    name: str
    process: Process
    body: greenlet = field(repr=False)
    wakes_ns: int = 0
    doing: str = ""
    """What it does when it goes on: the step at which it let go."""
    failure: BaseException | None = None

    @property
    def ended(self) -> bool:
        return bool(self.body.dead)


class Scheduler:
    """Runs tasks, one step at a time."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)
        self.now_ns = START_NS
        self.wall_offset_ns = 0
        """What the wall clock is ahead of the monotonic one: somebody may set it."""
        self.steps = 0
        self.tasks: list[Task] = []
        self._all: list[Task] = []
        self._hub = getcurrent()
        self._trace = hashlib.blake2b(digest_size=16)

    @property
    def trace(self) -> str:
        """Hash of who did which step, in order."""
        return self._trace.hexdigest()

    @property
    def current(self) -> Task | None:
        """The task that runs now, None outside of all."""
        body = getcurrent()
        return next((task for task in self.tasks if task.body is body), None)

    def spawn(self, process: Process, name: str, life: Callable[[], Any]) -> Task:
        """A new thread of that process."""
        task = Task(name, process, greenlet(life, parent=self._hub))
        self.tasks.append(task)
        self._all.append(task)
        return task

    def step(self, what: str, sleep_ns: int = 0) -> None:
        """Let others go first. Outside of tasks nothing happens."""
        if getcurrent() is self._hub:
            return
        task = self.current
        if task is None:
            raise GreenletExit  # a dead thread, being buried: what it still wants to do, it does not
        self._trace.update(f"{task.process.name} {task.name} {what}\n".encode())
        task.doing = what
        task.wakes_ns = self.now_ns + sleep_ns
        self._hub.switch()

    def turn(self) -> tuple[Task, str]:
        """Let one task do one step; which task, and what the step was."""
        self.steps += 1
        ready = self._ready()
        if not ready:
            waiting = [task.wakes_ns for task in self.tasks if task.process.stalled_until <= self.steps]
            if not waiting:
                stalled = [task.process.stalled_until for task in self.tasks]
                if not stalled:
                    raise SimulationError("no task is left")
                self.steps = min(stalled)
            else:
                self.now_ns = max(self.now_ns, min(waiting))
            ready = self._ready()
        task = self.draws.choice(ready)
        self.now_ns += int(self.draws.random() * STEP_NS)
        done = task.doing
        try:
            task.body.switch()
        except Exception as failure:
            task.failure = failure
        if task.ended:
            self.tasks.remove(task)
        return task, done

    def _ready(self) -> list[Task]:
        return [
            task for task in self.tasks if task.wakes_ns <= self.now_ns and task.process.stalled_until <= self.steps
        ]

    def kill(self, process: Process) -> None:
        """The process dies where it stands."""
        process.alive = False
        self.tasks = [task for task in self.tasks if task.process is not process]

    def bury(self) -> None:
        """End all that never came to its end."""
        self.tasks = []
        for task in self._all:
            while not task.ended:
                try:
                    task.body.throw(GreenletExit)
                except BaseException as failure:
                    task.failure = task.failure or failure
        self._all = []
