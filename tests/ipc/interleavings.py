"""Every order in which two threads can access shared memory, with a crash of either at every step.

Threads are greenlets over `SteppedRegion`s, which hand control back before each access. `explore` runs a scenario once
for each schedule. What a thread does next depends only on what it read so far, so a state is the shared memory and
each thread's history of steps and values read; a schedule that reaches a state seen before is cut off there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from statevec.ipc.memory import Region

ACCESSES = [
    *(f"load_{kind}{width}" for kind in "iu" for width in (8, 16, 32)),
    *(f"store_i{width}" for width in (8, 16, 32, 64)),
    *("load_i64", "load_acquire", "load_relaxed", "load_acquire_i32", "store_release", "store_release_i32"),
    *("compare_and_set", "fetch_add", "fill_zero"),
]
SCHEDULE_LIMIT = 200_000


class Stepper:
    """Hands control between the explorer and the threads; notes what each thread reads."""

    def __init__(self) -> None:
        self.explorer = getcurrent()
        self.histories: dict[greenlet, int] = {}

    def step(self) -> None:
        """Wait for this thread's next turn. Outside of threads (setting up, checking) nothing happens."""
        if getcurrent() in self.histories:
            self.note("step")
            self.explorer.switch()

    def note(self, value: Any) -> None:
        thread = getcurrent()
        if thread in self.histories:
            self.histories[thread] = hash((self.histories[thread], value))


class SteppedRegion(Region):
    """A region whose every access is a step; a copy is two, so that it can be torn."""

    __slots__ = ("stepper",)

    stepper: Stepper

    @classmethod
    def over(cls, region: Region, stepper: Stepper) -> SteppedRegion:
        made = cls(region.address, region.size, region.owner)
        made.stepper = stepper
        return made

    def slice(self, offset: int, size: int) -> SteppedRegion:
        return self.over(super().slice(offset, size), self.stepper)

    def copy_from(self, offset: int, source: Region, source_offset: int, size: int) -> None:
        half = size // 16 * 8
        copy_halves(self, offset, source, source_offset, (half, size - half))


class StepCopiedRegion(Region):
    """Private memory whose copies out of a `SteppedRegion` are steps of that one."""

    def copy_from(self, offset: int, source: Region, source_offset: int, size: int) -> None:
        half = size // 16 * 8
        copy_halves(self, offset, source, source_offset, (half, size - half))


def copy_halves(target: Region, offset: int, source: Region, source_offset: int, sizes: tuple[int, int]) -> None:
    stepper = next(each.stepper for each in (target, source) if isinstance(each, SteppedRegion))
    done = 0
    for size in sizes:
        stepper.step()
        Region.copy_from(target, offset + done, source, source_offset + done, size)
        stepper.note(bytes(target.view[offset + done : offset + done + size]))
        done += size


def _make_step(name: str) -> Callable[..., Any]:
    original = getattr(Region, name)

    def access(self: SteppedRegion, *arguments: Any) -> Any:
        self.stepper.step()
        result = original(self, *arguments)
        self.stepper.note(result)
        return result

    return access


for _name in ACCESSES:
    setattr(SteppedRegion, _name, _make_step(_name))


@dataclass
class Scenario:
    """Two threads over shared memory; `check(crashed)` judges what they left (`crashed`: which thread, or None)."""

    threads: list[Callable[[], None]]
    shared: list[Region]
    check: Callable[[int | None], None]


@dataclass
class Explored:
    """How much was explored."""

    schedules: int = 0
    crashes: int = 0
    states: set[Any] = field(default_factory=set)


def explore(make: Callable[[Stepper], Scenario], *, crashes: bool = False) -> Explored:
    """Run every schedule of the scenario that `make` sets up anew each time; its failures say the schedule."""
    explored = Explored()
    pending: list[tuple[int, ...]] = [()]
    while pending:
        prefix = pending.pop()
        explored.schedules += 1
        assert explored.schedules < SCHEDULE_LIMIT, "too many schedules: make the scenario smaller"
        try:
            _run(make, prefix, pending, explored, crashes)
        except Exception as error:
            error.add_note(f"schedule that failed began with {prefix}")
            raise
    return explored


def _run(
    make: Callable[[Stepper], Scenario],
    prefix: tuple[int, ...],
    pending: list[tuple[int, ...]],
    explored: Explored,
    crashes: bool,
) -> None:
    stepper = Stepper()
    scenario = make(stepper)
    threads = [greenlet(each) for each in scenario.threads]
    stepper.histories = dict.fromkeys(threads, 0)
    trace: list[int] = []
    crashed: int | None = None
    while alive := [number for number, thread in enumerate(threads) if not thread.dead]:
        options = [(number, False) for number in alive]
        if crashes and crashed is None:
            options += [(number, True) for number in alive]
        if len(trace) < len(prefix):
            choice = prefix[len(trace)]
        else:
            memory = tuple(bytes(region.view) for region in scenario.shared)
            state = (memory, tuple(stepper.histories.values()), tuple(alive), crashed)
            if state in explored.states:
                break
            explored.states.add(state)
            pending.extend((*trace, other) for other in range(1, len(options)))
            choice = 0
        trace.append(choice)
        number, dies = options[choice]
        if dies:
            crashed = number
            threads[number].throw(GreenletExit)
        else:
            threads[number].switch()
    for thread in threads:
        thread.throw(GreenletExit)
    if not alive:
        explored.crashes += crashed is not None
        stepper.histories = {}
        scenario.check(crashed)
