"""`LogWatch`: what the entries of a live log say to somebody who only looks now and then.

    watch.look(log)  ─►  Observed: entries seen and unseen, outcomes by code, histogram of sent ─► sequenced

Invariants
    A look walks over at most `LOOK_BYTES` of headers, the newest ones: what came before them is counted as unseen, so
    that a busy engine costs who looks no more than a slow one.
    What was counted stays: two looks can be subtracted. A log that was replaced begins a new count of sequences only.

Private memory of the process that looks; the log is mapped read-only. A crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.ipc import log_layout
from statevec.ipc.counters import Histogram
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import Segment
from statevec.roles import live_kernels as layout
from statevec.roles.live_kernels import sequence_at, watch_unit

LOOK_BYTES = 32 << 20
TRIES = 4


@dataclass(frozen=True)
class Observed:
    """What entries said since the watch began."""

    entries: int
    unseen: int
    """Entries that came and were not looked at."""
    outcomes: dict[int, int]
    """Entries by outcome, of inputs and timers; see `ipc/faults` for what a number means."""
    other_outcomes: int
    """Entries whose outcome was one too many to be counted by itself."""
    latency: Histogram
    """From sent (as the producer stamped it) to sequenced, ns."""


class LogWatch:
    """Looks at one instance's log; `look_bytes` is how much of it at most each time."""

    def __init__(self, unit: int, look_bytes: int = LOOK_BYTES) -> None:
        self._unit = unit
        self._look_bytes = look_bytes
        self._own_id = 0
        self._watch = Region.allocate(layout.WATCH_SIZE)
        self._scratch = Region.allocate(layout.WATCH_SIZE)

    def look(self, log: Segment) -> Observed:
        """Look at what was appended since the last look, or at the end of the log at the first one."""
        first = log.region.load_i64(log_layout.FIRST_POSITION) & -8
        if log.own_id != self._own_id:
            self._own_id = log.own_id
            self._watch.store_i64(layout.LAST_SEQUENCE, 0)
            self._watch.store_i64(layout.NEXT, first)
        for _ in range(TRIES):
            if self._walk(log):
                break
        return self.observed()

    def _walk(self, log: Segment) -> bool:
        """Go up to what is published now; False when the writer, or nonsense, was in the way."""
        # SYNC POINT: pairs with the leader's release of the appended position.
        appended = load_acquire(log.region, log_layout.APPENDED)
        furthest = min(self._look_bytes, log.capacity // 2)
        position = self._watch.load_i64(layout.NEXT)
        if appended - position > furthest:
            position = ((appended - furthest) // self._unit + 1) * self._unit
            self._watch.store_i64(layout.NEXT, position)
        while position < appended:
            answer = watch_unit(log.region, self._watch, self._scratch, log.capacity, self._unit, appended)
            if answer < 0:
                self._watch.store_i64(layout.NEXT, min(appended, (position // self._unit + 1) * self._unit))
                return False
            position = answer
        return True

    def observed(self) -> Observed:
        """All that was counted so far."""
        watch = self._watch
        slots = [layout.OUTCOMES + layout.OUTCOME_SIZE * n for n in range(watch.load_i64(layout.OUTCOME_COUNT))]
        return Observed(
            entries=watch.load_i64(layout.ENTRIES),
            unseen=watch.load_i64(layout.UNSEEN),
            outcomes={watch.load_i64(slot): watch.load_i64(slot + 8) for slot in slots},
            other_outcomes=watch.load_i64(layout.OTHER_OUTCOMES),
            latency=Histogram.read(watch, layout.LATENCY),
        )

    @staticmethod
    def nothing() -> Observed:
        """What was observed where there never was a log."""
        return LogWatch(log_layout.UNIT).observed()


def entries_behind(log: Segment, unit: int, position: int, last_sequence: int) -> int | None:
    """How many entries up to `last_sequence` begin at `position` or later; None when the log does not say."""
    # SYNC POINT: pairs with the leader's release of the appended position.
    if position >= load_acquire(log.region, log_layout.APPENDED):
        return 0
    if position < log.region.load_i64(log_layout.FIRST_POSITION):
        return None
    found = sequence_at(log.region, log.capacity, unit, position)
    return max(0, last_sequence - found + 1) if 0 < found <= last_sequence + 1 else None
