"""Which id of a run means which recorded one, where a backtest's plugin makes other ids than the recorded version did.

Ids are the epoch above a counter. Those that both made for one input mean the same, in order; where one made more than
the other, the rest have no counterpart, and later ids differ by a *shift*. (`roles/shadow_ids.py` keeps the same runs
for kernels; it lets ids without a counterpart mean themselves, and here they must be told apart.)

Invariants
    Runs are in the order of recorded counters, and begin only where the two made different numbers of ids.
    A recorded id without a counterpart never becomes one that the run made.

Values only; a crash leaves nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from statevec.engine.engine_state import ID_BITS

COUNTER_MASK = (1 << ID_BITS) - 1
"""As a counter: one that no run reaches, for ids that this run never made."""


class RecordedIds:
    """From recorded ids to the run's own."""

    def __init__(self) -> None:
        self.unknown = 0
        """Values met in `translate` that name an id which only the recorded version made."""
        self._epoch = 0
        self._recorded = 0
        self._shift = 0
        self._starts: list[int] = []
        self._shifts: list[int | None] = []

    def advance(self, epoch: int, recorded_counter: int, own_counter: int) -> None:
        """Take in the counters after an entry in which both may have made ids."""
        self._epoch, self._recorded = epoch, recorded_counter
        shift = recorded_counter - own_counter
        if shift == self._shift:
            return
        if shift > self._shift:
            self._append(own_counter + self._shift + 1, None)
        self._append(recorded_counter + 1, shift)
        self._shift = shift

    def _append(self, start: int, shift: int | None) -> None:
        """A run from `start` on; runs that had not come to an id yet give way."""
        while self._starts and self._starts[-1] >= start:
            self._starts.pop()
            self._shifts.pop()
        self._starts.append(start)
        self._shifts.append(shift)

    @property
    def is_shifted(self) -> bool:
        """Whether any recorded id means another one."""
        return bool(self._starts)

    def own(self, value: int) -> int | None:
        """The run's id that a recorded value means; the value itself if it is no id; None for an id without one."""
        counter = value & COUNTER_MASK
        is_id = 1 <= value >> ID_BITS <= self._epoch and 0 < counter <= self._recorded
        place = bisect_right(self._starts, counter) - 1 if is_id else -1
        if place < 0:
            return value
        shift = self._shifts[place]
        return None if shift is None else value - shift

    def translate(self, value: Any) -> Any:
        """A decoded value, of whatever parts, with the run's ids; those that it never made become none of its ids."""
        if isinstance(value, dict):
            return {name: self.translate(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.translate(each) for each in value]
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        own = self.own(value)
        if own is None:
            self.unknown += 1
            return value | COUNTER_MASK
        return own
