"""A run of the power loss check: a history is recorded, then cut at many places, and each image is recovered.

    record ─► replay the history: it must give the real directory ─► at each cut some images ─► check each

Cuts are just before a sync, where most is unsynced, just behind one, and anywhere between. The same seed gives the same
messages and the same choices; where the recorded threads stand to each other is the machine's.

A run that fails leaves the images that failed, recovered as far as they went, in its folder.
"""

from __future__ import annotations

import io
import random
import shutil
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statevec.ipc.segment import SHARED_MEMORY
from statevec.roles import alarm_files
from tools.power import history as calls
from tools.power.check import ImageCheck
from tools.power.disk import Disk
from tools.power.history import Event, History
from tools.power.reference import Reference
from tools.power.scenario import Scenario

PROBLEMS_MOST = 10
LED_MOST = 8
"""Images that are led in one process: each takes slots of its table of guarded memory, which are never given back."""


class PowerError(Exception):
    """The run itself is not sound: what was recorded is not what happened."""


@dataclass
class Found:
    """What a run found."""

    seed: int
    durability: str
    calls: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    images: Counter[str] = field(default_factory=Counter)
    led: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seed": self.seed,
            "durability": self.durability,
            "calls": dict(sorted(self.calls.items())),
            "entries": self.entries,
            "images": dict(sorted(self.images.items())),
            "led": self.led,
            "problems": self.problems,
            "seconds": round(self.seconds, 1),
        }


def run(durability: str, cuts: int, seed: int, folder: Path = SHARED_MEMORY) -> Found:
    """Record one history in that mode and check `cuts` images of it, both in a new directory below `folder`.

    What a disk may do is the model's: where the files really lie does not matter, and in memory a sync costs nothing.
    """
    started = time.monotonic()
    found = Found(seed, durability)
    draws = random.Random(f"{seed} {durability}")
    work = Path(tempfile.mkdtemp(prefix="statevec-power-", dir=folder))
    events = io.StringIO()
    with redirect_stderr(events):
        recorded = work / "recorded"
        recorded.mkdir()
        history = Scenario(recorded, durability, draws.randrange(1 << 32)).record()
        found.calls.update(event.call for event in history.events)
        check_replay(history, recorded)
        reference = Reference(history)
        found.entries = len(reference.entries)
        _cut(found, history, reference, cuts, draws, work)
    if not found.problems:
        shutil.rmtree(work, ignore_errors=True)
    found.seconds = time.monotonic() - started
    return found


def check_replay(history: History, directory: Path) -> None:
    """Everything that was written was recorded: the whole history gives every byte of the real directory."""
    disk = Disk()
    for event in history.events:
        disk.apply(event)
    made = disk.contents()
    real = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.parent.name != alarm_files.DIRECTORY
    }
    differing = [name for name in sorted(made | real) if made.get(name) != real.get(name)]
    if differing:
        raise PowerError(f"the history does not give the directory: {differing}")


def choose_cuts(events: list[Event], cuts: int, draws: random.Random) -> Counter[int]:
    """Before which events to cut, and how many images there."""
    syncs = [number for number, event in enumerate(events) if event.call == calls.SYNC]
    around = [number + offset for number in syncs for offset in (0, 1)]
    return Counter(
        draws.choice(around) if draws.random() < 0.7 else draws.randrange(len(events) + 1) for _ in range(cuts)
    )


def _cut(found: Found, history: History, reference: Reference, cuts: int, draws: random.Random, work: Path) -> None:
    chosen = choose_cuts(history.events, cuts, draws)
    leading = set(draws.sample(range(cuts), min(LED_MOST, cuts)))
    disk = Disk()
    for number in range(len(history.events) + 1):
        seen = history.events[number].seen if number < len(history.events) else history.last
        for _ in range(chosen[number]):
            image = work / f"image{found.images.total()}"
            how = disk.write_image(image, draws)
            leads = found.images.total() in leading
            problems = ImageCheck(image, found.durability, reference, seen).run(leads)
            found.images[how] += 1
            found.led += leads
            for problem in problems[:PROBLEMS_MOST]:
                found.problems.append(
                    f"{found.durability} seed={found.seed} cut before event {number} ({how}): {problem}"
                )
            if len(found.problems) >= PROBLEMS_MOST:
                return
            if not problems:
                shutil.rmtree(image, ignore_errors=True)  # the thread that keeps alarms may be at it
        if number < len(history.events):
            disk.apply(history.events[number])
