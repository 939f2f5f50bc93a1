"""The death of the leader in the middle of a demonstration: a standby follows it, and goes on when it is killed.

    statevec run engine.toml     a second time: stands by
    SIGKILL to the first         once much of the market was played and no cutover is under way

Invariant: the leader dies once, while the market's messages come in, whatever it is doing.

What a crash leaves is what this is about; the processes are those of `Children`, which leaves none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from statevec.demo.children import Child, Children
from statevec.engine.instance import open_instance
from statevec.roles.standby_counters import standbys

PART_BEFORE = 0.7
"""Of the market, before the leader is killed."""


@dataclass(frozen=True)
class Death:
    """When the leader was killed, wall clock, ns."""

    killed_ns: int


class FailoverRun:
    """The standby and the kill; call `turn` while the market is played."""

    def __init__(self, instance: Path, config: Path, children: Children, leader: Child) -> None:
        self.done: Death | None = None
        self._instance = instance
        self._leader = leader
        command = ["-m", "statevec.cli.main", "run", str(config)]
        self._standby = children.start("standby", command, lasting=True)

    @property
    def follows(self) -> bool:
        """Whether the standby has begun to follow."""
        return bool(standbys(open_instance(self._instance)))

    @property
    def engine(self) -> Child:
        """The process that leads."""
        return self._leader if self.done is None else self._standby

    def turn(self, part: float) -> None:
        """Kill the leader if that part of the market was played."""
        if self.done is None and part >= PART_BEFORE:
            self.done = Death(time.time_ns())
            self._leader.kill()
