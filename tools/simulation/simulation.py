"""One seed of the simulation: processes and faults; then peace, until all that was sent has come out.

    a machine     directory, recorder of its writes, shared memory; lost as a whole when the power goes
    faults        deaths, stalls, a handover, a clock that jumps, power loss, each before a step that the seed chooses
    after a step  `Observer.look`; a task that failed is a broken rule too

Invariants
    The same seed gives the same steps: `Outcome.trace` says so.

Files and shared memory of the run are removed when it is over.
"""

from __future__ import annotations

import os
import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statevec.engine.config import ADMIN_RING, Config, RingConfig, parse_config
from statevec.engine.instance import create_instance, prepare_directory
from statevec.ipc.segment import SHARED_MEMORY
from statevec.journal.disk import make_directory, open_file, sync_directory, sync_file, write_all
from statevec.roles.engine_rings import number_sources
from tools.killing.messages import PLUGIN
from tools.power.disk import Disk
from tools.power.recorder import Recorder
from tools.simulation.environment import World, simulated
from tools.simulation.observer import Observer
from tools.simulation.participants import Engine, Sender, Stage, Taker, Venue
from tools.simulation.scheduler import Process, Scheduler, Task

RINGS = ("market", "desk")
ENGINES = 3
STEPS = 4_000
"""Steps with faults."""
STEPS_MOST = 300_000
"""Steps in which all must have come out after the last fault."""
FAULT_EVERY = 200
MESSAGES = {False: 80, True: 150}
"""Numbers that each producer sends, of short and of long messages."""
CALLS = "file"
MAIN, LOOP = "main", "engine"
PUBLISHES = "store_release"
"""The step that changes what the observer looks at."""
AT_A_STORE = 0.8
"""How often a death comes just before a store to shared memory or a call on a file, after some more of them."""
STORES_BEFORE_DEATH = (1, 16)
IN_THE_LOOP = 0.75
"""How often a leader's death comes before a store of its engine thread."""
LOOK_WHETHER_DONE_EVERY = 50
STALL_STEPS = (20, 2_000)
JUMP_NS = 3_000_000_000


@dataclass
class Outcome:
    """What became of one seed."""

    seed: int
    durability: str
    instance_id: int = field(default=0, compare=False)
    trace: str = ""
    steps: int = 0
    entries: int = 0
    outputs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass
class Doom:
    """A process dies before the `left`-th step from now that others can see, of its thread `thread` or of any."""

    left: int
    thread: str


class SteppedRecorder(Recorder):
    """A recorder whose every call is a step."""

    def __init__(self, root: Path, world: World) -> None:
        super().__init__(root)
        self._world = world

    def before_call(self) -> None:
        self._world.scheduler.step(CALLS)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return self._world.opened(super()._open(path, flags, mode, dir_fd=dir_fd))


class Simulation:
    """The run of one seed below `folder`."""

    def __init__(self, seed: int, durability: str, folder: Path) -> None:
        self.outcome = Outcome(seed, durability)
        self.scheduler = Scheduler(seed)
        self.draws = self.scheduler.draws
        self.world = World(self.scheduler)
        self.observer = Observer(durability, heavy=seed % 4 == 3)
        self._folder = folder
        self._machines = 0
        self._processes: list[Process] = []
        self._started = 0
        self._doomed: dict[Process, Doom] = {}
        self._recording = ExitStack()

    def run(self) -> Outcome:
        """Run it all."""
        with simulated(self.world):
            try:
                self._begin()
                self._go(lambda: self.scheduler.steps >= STEPS, faults=True)
                self._go(self._all_came_out, faults=False)
            finally:
                self._end()
        outcome = self.outcome
        outcome.trace, outcome.steps = self.scheduler.trace, self.scheduler.steps
        outcome.entries, outcome.outputs = len(self.observer.entries), len(self.observer.outputs)
        outcome.events.update(event for event, _ in self.world.events)
        outcome.problems = self.observer.problems
        return outcome

    def _end(self) -> None:
        """Let nothing be left: neither threads, nor files, descriptors, shared memory."""
        self.scheduler.bury()
        self._recording.close()
        if self.outcome.instance_id:
            self._remove_shared_memory()
        self.world.close_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self._new_machine()
        prepare_directory(self.stage.config.directory)
        self.outcome.instance_id = create_instance(self.stage.config.directory).instance_id
        sources = number_sources([*self.stage.config.rings, RingConfig(ADMIN_RING)], {})
        self.observer.sources = {sources[name]: ring for ring, name in enumerate(RINGS)}
        self._start_everybody()

    def _new_machine(self) -> None:
        root = self._folder / f"machine{self._machines}"
        root.mkdir(parents=True)
        self._machines += 1
        self._recording.close()
        self.recorder = SteppedRecorder(root, self.world)
        self._recording.enter_context(self.recorder.recording())
        config = configuration(root, self.outcome.durability)
        self.stage = Stage(self.scheduler, self.observer, self.recorder, config, list(RINGS))
        self.stage.last_number = MESSAGES[self.observer.heavy]

    def _start_everybody(self) -> None:
        for _ in range(ENGINES):
            self._start(Engine("engine"))
        for ring in range(len(RINGS)):
            self._start(Sender(f"producer{ring}", ring=ring))
        self._start(Venue("gateway"))

    def _start(self, process: Engine | Sender | Taker | Venue) -> None:
        self._started += 1
        process.name = f"{process.name}.{self._started}"
        process.stage = self.stage
        self._processes.append(process)
        self.scheduler.spawn(process, MAIN, process.live)

    def _go(self, done: Callable[[], bool], faults: bool) -> None:
        """Let steps be done until something is broken, or all is done."""
        first = self.scheduler.steps
        while not self.observer.problems and not done():
            task, step = self.scheduler.turn()
            if step == PUBLISHES:
                self.observer.look()
            if task.failure is not None and task.process.alive:
                where = traceback.extract_tb(task.failure.__traceback__)[-1]
                self.observer.say(f"{task.process.name} {task.name} failed in {where.name}: {task.failure!r}")
            self._watch_doomed(task)
            if faults and self.draws.randrange(FAULT_EVERY) == 0:
                self._fault()
            if task.ended and task.name == MAIN and task.process.alive:
                self._replace_ended(task.process)
            if self.scheduler.steps - first > STEPS_MOST:
                self.observer.say(f"nothing comes out any more: {self._where()}")

    def _of(self, kind: type) -> list[Process]:
        return [each for each in self._processes if isinstance(each, kind) and each.alive]

    def _replace_ended(self, ended: Process) -> None:
        """A process has done what it had to; who gave the lead up comes back as a standby."""
        if isinstance(ended, Taker) or (isinstance(ended, Engine) and ended.stopped):
            self._die(ended)

    def _kill(self, process: Process) -> None:
        self.world.kill(process)
        self._processes.remove(process)
        self._doomed.pop(process, None)

    def _fault(self) -> None:
        leaders = [each for each in self._of(Engine) if isinstance(each, Engine) and each.lock is not None]
        standbys = [each for each in self._of(Engine) if each not in leaders]
        kinds: dict[str, tuple[int, list[Process]]] = {
            "leader dies": (5, [*leaders]),
            "standby dies": (1, standbys),
            "producer dies": (2, self._of(Sender)),
            "gateway dies": (2, self._of(Venue)),
            "snapshot": (2, [*leaders]),
            "stall": (3, self._processes),
            "handover": (1, [each for each in leaders if isinstance(each, Engine) and each.leads]),
            "clock jumps": (1, self._processes),
            "power loss": (1, [*leaders]),
        }
        possible = {name: weight for name, (weight, victims) in kinds.items() if victims}
        kind = self.draws.choices(list(possible), list(possible.values()))[0]
        victim = self.draws.choice(kinds[kind][1])
        self.outcome.faults[kind] += 1
        if kind == "stall":
            victim.stalled_until = self.scheduler.steps + self.draws.randrange(*STALL_STEPS)
        elif kind == "handover":
            assert isinstance(victim, Engine)
            victim.stopping = True
        elif kind == "clock jumps":
            self.scheduler.wall_offset_ns += self.draws.randrange(-JUMP_NS, JUMP_NS)
        elif kind == "snapshot":
            taker = Taker("snapshot")
            self._start(taker)
            if self.draws.random() < AT_A_STORE:
                self._doom(taker)
        elif kind == "power loss":
            self._lose_power()
        elif self.draws.random() < AT_A_STORE:
            self._doom(victim)
        else:
            self._die(victim)

    def _doom(self, victim: Process) -> None:
        in_loop = isinstance(victim, Engine) and victim.leads and self.draws.random() < IN_THE_LOOP
        self._doomed[victim] = Doom(self.draws.randrange(*STORES_BEFORE_DEATH), LOOP if in_loop else "")

    def _watch_doomed(self, task: Task) -> None:
        """Let the doomed process die just before others can see what it does: there it matters most."""
        doom = self._doomed.get(task.process)
        if doom is None or task.doing not in (PUBLISHES, CALLS) or task.ended or doom.thread not in ("", task.name):
            return
        doom.left -= 1
        if doom.left == 0:
            self.outcome.faults[f"{task.process.name.split('.')[0]} dies before {task.doing}"] += 1
            self._die(task.process)

    def _die(self, victim: Process) -> None:
        """It dies where it stands, and another one takes its place, unless it had one thing to do."""
        self._kill(victim)
        if isinstance(victim, Engine):
            self._start(Engine("engine"))
        elif isinstance(victim, Venue):
            self._start(Venue("gateway"))
        elif isinstance(victim, Sender):
            self._start(Sender(f"producer{victim.ring}", ring=victim.ring))

    def _lose_power(self) -> None:
        """Everybody dies, shared memory is gone, and of what was not synced some is there: another machine begins."""
        for each in list(self._processes):
            self._kill(each)
        self._remove_shared_memory()
        self.observer.log = None
        disk = Disk()
        for event in self.recorder.history().events:
            disk.apply(event)
        image = self._folder / f"image{self._machines}"
        disk.write_image(image, self.draws)
        self._new_machine()
        copy_durably(image, self.recorder.root)
        self.stage.power_was_lost = True
        self._start_everybody()

    def _remove_shared_memory(self) -> None:
        for path in SHARED_MEMORY.glob(f"sv-{self.outcome.instance_id:016x}-*"):
            path.unlink()

    def _all_came_out(self) -> bool:
        """Whether everything sent is released, and the outside has every output."""
        observer = self.observer
        if self.scheduler.steps % LOOK_WHETHER_DONE_EVERY:
            return False
        if any(observer.last.get(source, 0) < self.stage.last_number for source in observer.sources):
            return False
        if observer.log is None or observer.released < observer.position:
            return False
        stopped = any(isinstance(each, Venue) and each.disagrees for each in self._processes)
        return stopped or observer.outside.delivered == len(observer.outputs)

    def _where(self) -> str:
        observer = self.observer
        return (
            f"last={observer.last} of {self.stage.last_number}, position={observer.position} "
            f"released={observer.released} delivered={observer.outside.delivered} of {len(observer.outputs)}"
        )


def configuration(root: Path, durability: str) -> Config:
    """Two rings that are soon full, a small log, and segments to match."""
    rings = "".join(f'[[ring]]\nname = "{ring}"\ncapacity = "128KiB"\n' for ring in RINGS)
    return parse_config(
        f'[instance]\ndirectory = "instance"\ndurability = "{durability}"\n[plugin]\npath = "{PLUGIN}"\n'
        f'[log]\ncapacity = "4MiB"\n[journal]\nsegment_size = "1MiB"\n[engine]\nidle = "sleep"\nbatch_size = 8\n'
        f'{rings}[[gateway]]\nname = "venue"\n',
        root,
    )


def copy_durably(image: Path, root: Path) -> None:
    """Copy what survived to the new machine's directory: from now on it is synced."""
    for path in sorted(image.rglob("*")):
        target = root / path.relative_to(image)
        if path.is_dir():
            make_directory(target)
            continue
        file = open_file(target, os.O_WRONLY | os.O_CREAT)
        content = path.read_bytes()
        write_all(file, content, 0, target)
        sync_file(file, target)
        os.close(file)
    for directory in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        sync_directory(directory)


def simulate(seed: int, durability: str, folder: Path) -> Outcome:
    """Run one seed in a directory of its own below `folder`, which is gone afterwards."""
    work = folder / f"statevec-simulation-{os.getpid()}-{seed}"
    return Simulation(seed, durability, work).run()
