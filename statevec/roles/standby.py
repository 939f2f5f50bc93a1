"""`Standby`: the state of a led instance in another process, one step behind its leader, ready to go on from there.

    journal's files ─► live log (*appended*) ─► run every entry, compare every digest ─► the lock is free ─► take over

Invariants
    It writes nothing but its counters, and the leader does not know of it.
    An entry that it executes otherwise than the leader ends it, not the leader.
    It fires no timers (rule 21): it runs those that the log says fired.
    It follows only a leader whose log it sees itself (rule 13).

State is private memory. A crash leaves its counters, which `clean` removes.
"""

from __future__ import annotations

import time

from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import Tier
from statevec.engine.replay import DIFFERENCE as FILE_DIFFERENCE
from statevec.engine.replay import NOTICE as FILE_NOTICE
from statevec.engine.replay import replay_segment
from statevec.engine.versions import first_decider
from statevec.ipc.memory import Region
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.journal.reader import JournalReader
from statevec.roles.entry_source import AT_END, EntrySource
from statevec.roles.follow_codes import NOTICE
from statevec.roles.following import Following
from statevec.roles.snapshot import begin_following, newest_snapshot
from statevec.roles.standby_kernels import DIFFERENCE, follow_log

CATCH_UP_PAUSE_SECONDS = 0.000_1


class StandbyError(Exception):
    """The standby cannot go on; the leader can. The text says why."""


class ReplayRunner:
    """Runs entries again in `execution`, which a cutover may give another arena."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def segment(self, segment: Region, first: int, cursor: Region) -> int:
        execution = self._execution
        answer = int(replay_segment(execution.tx, execution.block, segment, first, cursor, execution.scratch))
        return {FILE_DIFFERENCE: DIFFERENCE, FILE_NOTICE: NOTICE}.get(answer, answer)

    def log(self, log: Region, reader: Region, target: Region) -> int:
        execution = self._execution
        return int(follow_log(execution.tx, execution.block, execution.scratch, log, reader, target))


class Standby:
    """Follows `instance`, which somebody leads, from `following` on."""

    def __init__(self, instance: Instance, following: Following) -> None:
        self.instance = instance
        self.following = following
        self._source = EntrySource(instance, following.execution, ReplayRunner(following.execution), following.position)

    @classmethod
    def of(cls, instance: Instance, tier: Tier) -> Standby | None:
        """A standby at the newest usable snapshot, or before the first entry; None while nobody has decided yet."""
        try:
            snapshot = newest_snapshot(instance)
            if snapshot is None and first_decider(JournalReader(instance.journal_directory)) is None:
                return None
        except JournalError:
            return None  # its first segment is being made
        return cls(instance, begin_following(instance, tier, snapshot))

    @property
    def sequence(self) -> int:
        """Of the last entry that was run."""
        return self.following.execution.sequence

    @property
    def behind_bytes(self) -> int:
        """How far the leader is ahead."""
        return self._source.behind_bytes

    @property
    def times_lapped(self) -> int:
        """How often the leader was so far ahead that the standby went back to the segment files."""
        return self._source.times_lapped

    def step(self) -> bool:
        """Run some entries; whether there was something to run. Raises `StandbyError` and what a source raises."""
        answer = self._source.step()
        self.following.position = self._source.position
        if answer == DIFFERENCE:
            raise StandbyError(
                f"running the log again gives something else than the leader wrote: sequence={self.sequence} "
                f"position={self._source.position}; run: statevec verify --instance {self.instance.directory}"
            )
        if answer == NOTICE:
            self.following.notice(Entry(self.following.execution.scratch.view))
        return answer != AT_END

    def catch_up(self, position: int, seconds: float) -> None:
        """Run everything below `position`, which log or files hold. Raises `StandbyError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.following.position < position:
            if self.step():
                continue
            if time.monotonic() > deadline:
                raise StandbyError(f"no entry follows at position={self.following.position} expected={position}")
            time.sleep(CATCH_UP_PAUSE_SECONDS)
        if self.following.position != position:
            raise StandbyError(f"has run more than the log holds: position={self.following.position} log={position}")

    def close(self) -> None:
        """Give the log up."""
        self._source.close()
