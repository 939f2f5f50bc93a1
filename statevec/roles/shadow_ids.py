"""Which id of a candidate means which id of the deciding version, where each makes ids of its own (independent mode).

Ids are the epoch above a counter, and both versions get them in the order of the log. Where one version once made an id
more, all later ids of the two differ, and mean the same. So from some candidate's counter on its ids are greater by a
*shift*; a list of runs says by how much:

    0    runs | 8 shift now | 16 first run: int64 counter of the candidate from which on it holds | int64 shift
                              (UNPAIRED: only the candidate made these ids) | next run ...

Invariants
    Runs are in the order of counters; ids before the first one mean themselves. A run begins only where the two made
    different numbers of ids.
    The list has a bound: when it is full, its older half is forgotten, and ids that old mean themselves.

Private memory of the shadow; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine.engine_state import ID_BITS
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region

RUNS = 0
SHIFT = 8
FIRST_RUN = 16
RUN_START = 0
RUN_SHIFT = 8
RUN_SIZE = 16
RUNS_MAX = 1 << 18
UNPAIRED = -(1 << 62)
COUNTER_MASK = (1 << ID_BITS) - 1


@kernel
def meaning(runs: Region, value: int) -> int:
    """The decider's id that a candidate's value means; the value itself when it is no id of a known pair."""
    count = runs.load_i64(RUNS)
    counter = value & COUNTER_MASK
    if count == 0 or value <= COUNTER_MASK or counter < runs.load_i64(FIRST_RUN + RUN_START):
        return value
    low = 0
    high = count
    while high - low > 1:
        middle = (low + high) >> 1
        if runs.load_i64(FIRST_RUN + RUN_SIZE * middle + RUN_START) <= counter:
            low = middle
        else:
            high = middle
    shift = runs.load_i64(FIRST_RUN + RUN_SIZE * low + RUN_SHIFT)
    return value if shift == UNPAIRED else value - shift


class IdPairs:
    """The list of runs; `region` is what kernels read."""

    def __init__(self, runs_max: int = RUNS_MAX) -> None:
        self._runs_max = runs_max
        self.region = Region.allocate(FIRST_RUN + RUN_SIZE * runs_max)

    @property
    def shift(self) -> int:
        """By how much the candidate's counter is ahead now."""
        return self.region.load_i64(SHIFT)

    def advance(self, decided_counter: int, candidate_counter: int) -> None:
        """Take in the counters after an entry in which they may have grown by different numbers."""
        shift = candidate_counter - decided_counter
        if shift == self.shift:
            return
        if shift > self.shift:
            self._append(decided_counter + self.shift + 1, UNPAIRED)
        self._append(candidate_counter + 1, shift)
        self.region.store_i64(SHIFT, shift)

    def _append(self, start: int, shift: int) -> None:
        """A run from `start` on; runs that had not come to an id yet give way."""
        count = self.region.load_i64(RUNS)
        while count and self.region.load_i64(FIRST_RUN + RUN_SIZE * (count - 1) + RUN_START) >= start:
            count -= 1
        if count == self._runs_max:
            kept = count // 2
            self.region.copy_from(FIRST_RUN, self.region, FIRST_RUN + RUN_SIZE * (count - kept), RUN_SIZE * kept)
            count = kept
        place = FIRST_RUN + RUN_SIZE * count
        self.region.store_i64(place + RUN_START, start)
        self.region.store_i64(place + RUN_SHIFT, shift)
        self.region.store_i64(RUNS, count + 1)

    def meaning(self, value: int) -> int:
        """As the kernel of that name; a number above the range of signed 64 bits means itself."""
        return int(meaning(self.region, value)) if COUNTER_MASK < value < 1 << 63 else value
