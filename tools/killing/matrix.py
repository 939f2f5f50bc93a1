"""A run of the kill matrix: instances one after the other, each killed some forty times, then ended and looked at.

    a round:  begin ─► kinds of kills in a random order, a check after each ─► end in order ─► execute everything again

Invariants
    The same seed gives the same order of kinds, victims, pauses and passings; when exactly a process dies under load
    is the machine's.
    `Found.good` is true if and only if nothing was lost, came twice, differed, leaked, or was not reached.

A run that fails leaves its directory; its shared memory is removed in any case.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statevec.audit.verify import verify_instance
from statevec.ipc.kill_control import KillControl
from tools.killing.instance import KilledInstance
from tools.killing.kinds import Killing, Takeover, kinds
from tools.killing.processes import make_context

KILLS_A_ROUND = 40
STANDBYS = 2
SLOWEST_SHOWN = 5


@dataclass
class Found:
    """What a run found."""

    seed: int
    durability: list[str]
    killed: Counter[str] = field(default_factory=Counter)
    not_reached: Counter[str] = field(default_factory=Counter)
    takeovers: list[tuple[str, Takeover]] = field(default_factory=list)
    """Each with its durability."""
    rounds: int = 0
    inputs: int = 0
    outputs: int = 0
    repeats: int = 0
    cutovers: int = 0
    leaderships: int = 0
    poisoned: int = 0
    lost: int = 0
    duplicated: int = 0
    digest_mismatches: int = 0
    leaked_segments: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    @property
    def good(self) -> bool:
        counted = self.lost + self.duplicated + self.digest_mismatches + self.leaked_segments
        return counted == 0 and not self.problems and not self.not_reached

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seed": self.seed,
            "durability": self.durability,
            "kills": self.kills,
            "by_point": dict(sorted(self.killed.items())),
            "not_reached": dict(sorted(self.not_reached.items())),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "digest_mismatches": self.digest_mismatches,
            "leaked_segments": self.leaked_segments,
            "takeover_ms": quantiles_ms([takeover.took_ns for _, takeover in self.takeovers]),
            "exit_ms": quantiles_ms([takeover.exit_ns for _, takeover in self.takeovers]),
            "takeovers_timed": len(self.takeovers),
            "slowest_takeovers": [
                {
                    "durability": mode,
                    "point": takeover.point,
                    "ms": round(takeover.took_ns / 1e6, 1),
                    "exit_ms": round(takeover.exit_ns / 1e6, 1),
                }
                for mode, takeover in sorted(self.takeovers, key=lambda each: -each[1].took_ns)[:SLOWEST_SHOWN]
            ],
            "rounds": self.rounds,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "outputs_refused_by_their_id": self.repeats,
            "inputs_poisoned": self.poisoned,
            "leaderships": self.leaderships,
            "cutovers": self.cutovers,
            "problems": self.problems,
            "seconds": round(self.seconds, 1),
        }


def quantiles_ms(values_ns: list[int]) -> dict[str, float]:
    """p50, p99 and maximum, milliseconds; empty when there are none."""
    if not values_ns:
        return {}
    cuts = statistics.quantiles(values_ns, n=100, method="inclusive") if len(values_ns) > 1 else values_ns * 99
    picked = {"p50": cuts[49], "p99": cuts[98], "max": max(values_ns)}
    return {name: round(value / 1e6, 2) for name, value in picked.items()}


def run_matrix(
    kills: int,
    seed: int,
    durability: list[str],
    *,
    only: Collection[str] = (),
    fresh: bool = False,
    tell: Callable[[str], None] = print,
) -> Found:
    """Kill `kills` processes or a few more, in rounds of each durability in turn. Raises `MatrixError`.

    `only` names the kinds of kills, by default all.
    """
    found = Found(seed, durability)
    draws = random.Random(seed)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="statevec-kills-"))
    control = KillControl.create(folder / "control")
    os.environ["STATEVEC_KILL_POINTS"] = str(folder / "control")  # of the children; this process is what ships
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = make_context(fresh)
    rounds = max(len(durability), -(-kills // KILLS_A_ROUND))
    try:
        for number in range(rounds):
            mode = durability[number % len(durability)]
            wanted = (kills - found.kills) // (rounds - number)
            directory = folder / f"round{number}"
            directory.mkdir()
            instance = KilledInstance(directory, context, control, mode, STANDBYS)
            _round(found, Killing(instance, draws), mode, wanted, only)
            tell(f"round {number + 1}/{rounds} ({mode}): kills={found.kills} lost={found.lost} {found.problems or ''}")
            if not found.problems:
                shutil.rmtree(directory)
    except BaseException:
        tell(f"seed={seed}; what the run left is in {folder}")
        raise
    found.seconds = time.monotonic() - started
    if found.problems:
        tell(f"seed={seed}; what the run left is in {folder}")
    else:
        shutil.rmtree(folder)
    return found


def _round(found: Found, killing: Killing, mode: str, wanted: int, only: Collection[str]) -> None:
    """One instance from its genesis to its end; adds to `found`."""
    instance = killing.instance
    left: list[Callable[[], None]] = []
    try:
        instance.begin()
        while killing.killed.total() < wanted:
            left = left or kinds(killing, only)
            left.pop()()
            instance.checked()
        instance.finish()
        verification = verify_instance(instance.directory)
    finally:
        instance.control.disarm()
        found.leaked_segments += instance.end()
    check = instance.check
    found.rounds += 1
    found.killed += killing.killed
    found.not_reached += killing.not_reached
    found.takeovers += [(mode, takeover) for takeover in killing.takeovers]
    found.inputs += check.inputs
    found.outputs += check.outputs
    found.repeats += check.repeats
    found.cutovers += check.cutovers
    found.leaderships += check.leaderships
    found.poisoned += check.poisoned
    found.lost += check.lost
    found.duplicated += check.duplicated
    found.problems += check.problems
    if not verification.verified:
        found.digest_mismatches += 1
        found.problems.append(f"verify: {verification.to_dict()}")
