"""What a plugin lives in during a backtest: who sends it messages and takes its outputs. The contract, and the loop.

    surroundings.next_input(before_ns)  ─► Arrival(time_ns, message)  ─► engine ─► Ran ─► surroundings.take(ran)
                                           timers that are due first ─►

Who wants to backtest a plugin of another domain over data of that domain writes a class with the methods of
`Surroundings`; `demo/backtest_market.py` is the hedge's. `drive` does the rest.

Invariants
    Time never goes back. A timer fires before an input that arrives at the same time, as in the engine's loop.
    `take` gets every entry, in order, before the next input is asked for: an answer can depend on it.
    Surroundings that draw all their chance from a seed make the run repeatable to the digest.

Nothing here keeps state: a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from statevec.audit.backtest_engine import Ran, VirtualEngine
from statevec.audit.backtest_tally import Tally

FOREVER = (1 << 63) - 1
TIMERS_AT_ONCE = 100_000
"""Timers that fire at one moment, at most: more means that a handler sets its timer into the past again and again."""
WATCH_EVERY = 512
Watch = Callable[[int, int], None]
"""Called now and then with how much is done, of how much; what it raises ends the run."""


class BacktestError(Exception):
    """A run cannot go on, or cannot begin; the message says why."""


class Arrival(NamedTuple):
    """A message that reaches the engine, and when, ns."""

    time_ns: int
    message: bytes


class Surroundings(Protocol):
    """Everything around the engine; see the module's docstring. Times are ns since 1970, of the data."""

    total: int
    """How much there is to do, in whatever unit `done` counts."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever arrive, or happen outside, unless the engine says something more."""

    @property
    def done(self) -> int:
        """How much of it was done."""

    def next_input(self, before_ns: int) -> Arrival | None:
        """The next message, if it arrives before `before_ns`; None when none does, whatever comes later.

        What happens around the engine before that time may happen now, and nothing later: a timer may fire at
        `before_ns`, and what it emits changes what follows.
        """

    def take(self, ran: Ran) -> None:
        """Take what the engine made of an input or a timer: its outputs go out at `ran.now_ns`."""

    def figures(self) -> dict[str, Any]:
        """What the run came to, by name: numbers and texts."""

    def series(self) -> dict[str, list[float]]:
        """Columns of equal length for a picture, `seconds` among them; empty without any."""


def drive(engine: VirtualEngine, surroundings: Surroundings, tally: Tally, watch: Watch | None = None) -> None:
    """Run the engine in its surroundings until they are over. Timers that are due after that do not fire.

    BacktestError when timers of one moment never end.
    """
    at_once = 0
    while not surroundings.is_over:
        timer = engine.first_timer()
        due_ns = FOREVER if timer is None else max(timer.deadline_ns, engine.now_ns)
        arrival = surroundings.next_input(due_ns)
        if arrival is not None:
            at_once = 0
            ran = engine.command(arrival.message, arrival.time_ns)
        elif timer is not None and not surroundings.is_over:
            at_once = at_once + 1 if due_ns == engine.now_ns else 0
            if at_once == TIMERS_AT_ONCE:
                raise BacktestError(f"timers never end: timer_id={timer.timer_id} time_ns={due_ns} fired={at_once}")
            ran = engine.fire(timer)
        else:
            break
        tally.take(ran)
        surroundings.take(ran)
        if watch is not None and ran.sequence % WATCH_EVERY == 0:
            watch(surroundings.done, surroundings.total)
