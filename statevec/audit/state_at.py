"""`StateWalker`: the exact state of an instance after any of its entries.

    walker = StateWalker(open_instance(directory))
    following = walker.to(sequence)      the state after that entry; 0 is the state before the first

The nearest usable snapshot at or below, else genesis; from there every entry is executed again at native speed, and its
digest compared with the recorded one. Walking forward goes on from where it is, so that many sequences in order cost
one pass; walking back begins again.

Invariants
    The state that is handed out is that of the log: an entry that comes out otherwise, or is damaged, ends the walk.
    Instance, journal and log are only read, without a lock. Nothing survives but what the caller keeps.

The state belongs to the walker: who changes it (`what_if`) calls `forget` afterwards. A crash, or an interruption at
any point, leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from statevec.audit.difference import compare_entries
from statevec.audit.state_at_log import RecordedLog
from statevec.engine.instance import Instance
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.replay import Replayed
from statevec.engine.snapshot_file import list_snapshots, sequence_of
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError, SequenceNotFoundError
from statevec.journal.reader import make_cursor
from statevec.roles.following import Following
from statevec.roles.snapshot import begin_following, newest_snapshot

STEP_BYTES = 32 << 20
"""How much of the log is executed between two calls of the progress callback."""
JUMP_ENTRIES = 100_000
"""A snapshot is loaded on the way forward when it saves at least that many entries."""
NEAR_ENTRIES = 4
"""So many entries ahead one is read on to; looking for it would begin at its unit's first entry."""

Progress = Callable[[int, int], None]


class StateAtError(Exception):
    """The state at a sequence cannot be told; the text says why and what is missing."""


class CutAwayError(StateAtError):
    """What the state would be computed from was taken away; the text says which segment or snapshot is needed."""


class DigestDiffersError(StateAtError):
    """An entry came out otherwise than recorded: neither it nor what follows can be told. The text says in what."""


class StateWalker:
    """See the module's docstring. `log` is the `RecordedLog` that it walks along.

    `progress(sequence, goal)` is called now and then while entries are executed; what it raises ends the walk cleanly.
    """

    def __init__(self, instance: Instance, cold: Path | None = None, progress: Progress | None = None) -> None:
        self.instance = instance
        self.log = RecordedLog(instance, cold)
        self._progress = progress
        self._following: Following | None = None

    @property
    def sequence(self) -> int | None:
        """Of the last entry that the state contains; None before the first `to`."""
        return None if self._following is None else self._following.execution.sequence

    def to(self, sequence: int) -> Following:
        """The state after entry `sequence`; after 0 entries it is that before the first one.

        Raises `SequenceNotFoundError`, `CutAwayError`, `DigestDiffersError`, `JournalDamagedError`, and `StoreError`
        for a version whose source is damaged or missing.
        """
        if sequence == self.sequence and self._following is not None:
            return self._following
        if sequence == self.log.first_sequence - 1:
            return self._walk(sequence, self.log.first_position)
        return self._walk(sequence, self.entry(sequence).end_position)

    def before(self, sequence: int) -> tuple[Following, Entry]:
        """The state before entry `sequence`, and that entry. Raises what `to` and `entry` raise."""
        entry = self.entry(sequence)
        return self._walk(sequence - 1, entry.position), entry

    def entry(self, sequence: int) -> Entry:
        """The recorded entry. Raises `SequenceNotFoundError`, `CutAwayError`, `JournalDamagedError`."""
        near = self._near(sequence)
        if near is not None:
            return near
        self._refuse_outside(sequence)
        return self.log.read(self.log.find(sequence))

    def _near(self, sequence: int) -> Entry | None:
        """The entry, when it is one of the next ones behind the state at hand; else None: it must be looked for."""
        following = self._following
        if following is None or not 0 < sequence - following.execution.sequence <= NEAR_ENTRIES:
            return None
        cursor = make_cursor(following.position, self.log.unit)
        while (entry := self.log.next(cursor)) is not None and entry.sequence <= sequence:
            if entry.sequence == sequence:
                return entry
        return None

    def _walk(self, sequence: int, goal: int) -> Following:
        """Go to the state after entry `sequence`; the next one begins at position `goal` or, behind padding, later."""
        present, self._following = self._following, None  # until it is known to be right
        following = self._begin(sequence, present)
        try:
            self._run(following, sequence, goal)
        except (JournalDamagedError, DigestDiffersError):
            if following is not present or self._newest_snapshot(sequence) <= following.execution.sequence:
                raise
            following = self._begin(sequence, None)  # a snapshot behind what cannot be run
            self._run(following, sequence, goal)
        self._following = following
        return following

    def _run(self, following: Following, sequence: int, goal: int) -> None:
        while following.execution.sequence < sequence:
            limit = min(goal, self._unit_end(following.position + STEP_BYTES))
            result = following.run_to(self.log, limit)
            if result.difference is not None:
                raise DigestDiffersError(_differs(result, following.versions.plugin))
            if self._progress is not None and limit < goal:
                self._progress(following.execution.sequence, sequence)

    def forget(self) -> None:
        """The state is not the log's any more: begin again the next time."""
        self._following = None

    def _refuse_outside(self, sequence: int) -> None:
        first = self.log.first_sequence
        if first == 0 and self.log.newest_sequence == 0:
            raise StateAtError(f"no entry was ever written: instance={self.instance.directory}")
        if 1 <= sequence < first:
            raise CutAwayError(
                f"entry was taken away with its segment: sequence={sequence} first={first} last="
                f"{self.log.newest_sequence} position={self.log.first_position} is where the journal begins; the cold "
                f"segments before it have it (--cold)"
            )
        if sequence < 1:
            raise SequenceNotFoundError(sequence, first, self.log.newest_sequence)

    def _unit_end(self, position: int) -> int:
        """The first position at or behind `position` where an entry ends for certain: no entry crosses a unit's end."""
        unit = self.log.unit
        return -(-position // unit) * unit

    def _begin(self, sequence: int, present: Following | None) -> Following:
        """A state at or before `sequence`: the present one, a snapshot's, or genesis."""
        reached = -1 if present is None else present.execution.sequence
        newest = self._newest_snapshot(sequence)
        if present is not None and reached <= sequence and newest - reached < JUMP_ENTRIES:
            return present
        snapshot = newest_snapshot(self.instance, end=self.log.end_of_files, last=sequence) if newest >= 0 else None
        if snapshot is None and self.log.first_position > 0:
            raise CutAwayError(self._needs(sequence))
        return begin_following(self.instance, "compiled", snapshot, reader=self.log)

    def _newest_snapshot(self, sequence: int) -> int:
        """Sequence of the newest file of a snapshot at or below `sequence`, -1 when there is none."""
        there = [sequence_of(path) for path in list_snapshots(self.instance.snapshots_directory)]
        return max((each for each in there if each <= sequence), default=-1)

    def _needs(self, sequence: int) -> str:
        there = sorted(sequence_of(path) for path in list_snapshots(self.instance.snapshots_directory))
        have = ", ".join(str(each) for each in there) or "none"
        first = self.log.first_sequence
        return (
            f"state cannot be computed: sequence={sequence} first={first} snapshots={have}; needed: a snapshot of a "
            f"sequence from {first - 1} to {sequence}, or the cold segments below position="
            f"{self.log.first_position} (--cold)"
        )


def _differs(result: Replayed, plugin: LoadedPlugin) -> str:
    assert result.difference is not None and result.executed is not None
    fields = compare_entries(result.difference, result.executed, decoder_for(plugin))
    shown = "; ".join(f"{each.path}: recorded={each.recorded} executed={each.executed}" for each in fields[:3])
    return f"executing the journal again gives another result: sequence={result.difference.sequence}: {shown}"
