"""A drill: cutovers there and back under load, beside a shadow that keeps up, every entry looked at.

    watching thread    load, venue, gateway (`cutover_kernels`), native
    this thread        orders cutovers through the admin ring, as `statevec cutover` and `rollback` do
    shadow process     `statevec shadow`, on the cores that the engine does not have

The first cutover is consented to by the shadow; later ones forward are forced, since the shadow tries the migration
again every ten seconds only. Everything that was offered must be in the log once, each entry must have been seen once,
and the journal must verify through all cutovers.
"""

from __future__ import annotations

import importlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import cutover_kernels as watching
from bench import hedge_feed
from bench.engine import MeasuredEngine, Surroundings
from bench.shadow_process import FORWARD_SECONDS, PAUSE_SECONDS, DrillError, ShadowProcess
from statevec.audit.verify import Verification, verify_instance
from statevec.engine.config import ADMIN_RING
from statevec.engine.store import PluginStore
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.journal.admin_layout import CUT_OVER, ROLL_BACK, AdminCommand
from statevec.roles.producer import Producer
from statevec.roles.shadow_report import ShadowReport

MIGRATING = "statevec.plugins.hedge_v2"
SAME_LAYOUT = "1.0.1"
RATES = (300_000, 200_000, 100_000, 50_000, 20_000, 10_000)
"""Market messages a second, tried from the highest on; the venue's answers come on top."""
RATE_REPORTS = 6
"""Reports of the shadow, about a second each, that must all say that it keeps up."""
BEHIND_SECONDS = 30.0
AHEAD_SECONDS, AHEAD_SECONDS_MOST = 0.3, 10.0
"""How far ahead the sequence of a cutover is chosen: at first, and at most where loading takes long."""
QUIET_MOST = 100_000
TELL_EVERY = 20
UNSEEN_SECONDS = 5.0
"""How long an engine that others hold up may take for what it was offered last, before that counts as lost."""
TRIES = 50
LONG_BURST, LONG_BURSTS = 40_000, 5
"""Quotes at once, and how often in each round."""


@dataclass
class Found:
    """What a drill found. Gaps are in ns."""

    cutovers: int
    forced: int
    rate: int
    entries: int
    lost: int
    duplicated: int
    around: np.ndarray
    quiet: np.ndarray
    shadow: ShadowReport
    verification: Verification
    migration: bool
    bursts: dict[str, list[float]] = field(default_factory=dict)
    again: int = 0
    """Orders that came too late for their sequence, or while the shadow was behind, and were given again."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: times in microseconds."""
        return {
            "cutovers": self.cutovers,
            "forced": self.forced,
            "ordered_again": self.again,
            "migration": self.migration,
            "rate": self.rate,
            "entries": self.entries,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "gap_us": {**quantiles(self.around), "without_cutovers": quantiles(self.quiet)},
            "shadow": {
                "compared": self.shadow.compared,
                "expected": self.shadow.expected,
                "unexpected": self.shadow.unexpected,
                "caught_up": self.shadow.caught_up,
            },
            "engine_entries_per_s": {name: float(np.median(each)) for name, each in self.bursts.items()},
            "verified": self.verification.verified,
        }


def quantiles(samples_ns: np.ndarray) -> dict[str, float]:
    """p50, p99 and the largest, in microseconds."""
    names = {"p50": 50, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(samples_ns, part)) / 1e3, 3) for name, part in names.items()}


def copy_with_version(target: Path, version: str) -> Path:
    """The hedge plugin under another number: the same logic and layout in other bytes."""
    shutil.copytree(hedge_feed.PLUGIN, target, ignore=shutil.ignore_patterns("__pycache__"))
    source = (target / "hedge.py").read_text()
    assert 'version="1.0.0"' in source
    (target / "hedge.py").write_text(source.replace('version="1.0.0"', f'version="{version}"'))
    return target


class Watch:
    """The watch block and the thread that drives; a context manager that ends the thread."""

    def __init__(self, surroundings: Surroundings, cutovers: int) -> None:
        self.feed = surroundings.block
        self.block = Region.allocate(watching.WATCH_SIZE)
        self.cutovers = np.zeros(cutovers, np.int64)
        self.quiet = np.zeros(QUIET_MOST, np.int64)
        for offset, samples in ((watching.CUTOVERS, self.cutovers), (watching.QUIET, self.quiet)):
            samples.fill(0)  # touched now: no page fault while it is driven
            self.block.store_i64(offset, samples.ctypes.data)
            self.block.store_i64(offset + 8, len(samples))
        self._thread: threading.Thread | None = None
        self._answer = 0

    def drive(self, rate: int) -> None:
        """Send at that rate from now on."""
        self.block.store_i64(watching.INTERVAL_NS, round(1e9 / rate))
        if self._thread is None:
            self.block.store_i64(watching.STOP, 0)
            self._thread = threading.Thread(target=self._run, name="watch")
            self._thread.start()

    def _run(self) -> None:
        self._answer = int(watching.drive_watched(self.feed, self.block))

    def stop(self) -> None:
        """Send nothing more; everything that was sent is seen then."""
        if self._thread is None:
            return
        # SYNC POINT: pairs with the driving thread's acquire.
        store_release(self.block, watching.STOP, 1)
        self._thread.join()
        self._thread = None
        if self._answer < 0:
            raise DrillError(f"driving the engine ended with {self._answer}")

    def count(self, offset: int) -> int:
        """A counter of the block."""
        # SYNC POINT: pairs with the driving thread's release.
        return int(load_acquire(self.block, offset))

    def burst(self, count: int) -> float:
        """Entries a second of the engine, by its clock, with that many quotes waiting for it."""
        answer = int(watching.burst(self.feed, self.block, count))
        if answer < 0:
            raise DrillError(f"a burst ended with {answer}")
        return float(answer)

    def look_around(self) -> bool:
        """See what is released and was not seen yet; whether there was something."""
        return int(watching.watch_log(self.feed, self.block, watching.READ_MOST)) > 0


class Orders:
    """An operator: orders one cutover after the other, each at a sequence to come, until the watch has seen it."""

    def __init__(
        self, engine: MeasuredEngine, watch: Watch, shadow: ShadowProcess, content_hash: str, rate: int
    ) -> None:
        self._engine = engine
        self._shadow = shadow
        self._watch = watch
        self._hash = content_hash
        self._rate = rate
        self._ahead_seconds = AHEAD_SECONDS
        self.forced = 0
        self.again = 0
        self.offered = 0

    def cut_over(self, forced: bool) -> None:
        """Forwards."""
        self.forced += forced
        self._order_until_done(CUT_OVER, forced, self._hash)

    def roll_back(self) -> None:
        """Back."""
        self._order_until_done(ROLL_BACK, False, "")

    def _order_until_done(self, command: int, forced: bool, content_hash: str) -> None:
        for _ in range(TRIES):
            answer = self._order(command, forced, content_hash)
            if answer is None:
                self._ahead_seconds = max(0.8 * self._ahead_seconds, AHEAD_SECONDS)
                return
            if "went by" in answer or "gone by" in answer:
                self._ahead_seconds = min(2 * self._ahead_seconds, AHEAD_SECONDS_MOST)
            elif "behind" in answer:
                self._shadow.wait_caught_up(BEHIND_SECONDS)
            else:
                break
            self.again += 1
        raise DrillError(f"refused: {answer}")

    def _order(self, command: int, forced: bool, content_hash: str) -> str | None:
        """Order it; None once it took place, else why not."""
        watch = self._watch
        done, refused = watch.count(watching.CUTOVERS_TAKEN), watch.count(watching.REFUSED)
        at_sequence = watch.count(watching.LAST_SEQUENCE) + int(self._rate * self._ahead_seconds)
        with Producer(self._engine.instance.directory, ADMIN_RING) as ring:
            order = AdminCommand(command, at_sequence, forced, content_hash, "drill", "drill")
            self.offered = ring.send(order.encode(), FORWARD_SECONDS)
        deadline = time.monotonic() + FORWARD_SECONDS
        while watch.count(watching.CUTOVERS_TAKEN) == done:
            if watch.count(watching.REFUSED) != refused:
                return self._refusal(refused, deadline)
            if time.monotonic() > deadline:
                raise DrillError(f"no cutover within {FORWARD_SECONDS:g} s")
            time.sleep(PAUSE_SECONDS)
        return None

    def _refusal(self, before: int, deadline: float) -> str:
        """Why the engine refused; it says so a moment after the entry."""
        while time.monotonic() < deadline:
            events = self._engine.events()
            answers = [each["answer"] for each in events if each["event"] == "admin" and not each["accepted"]]
            if len(answers) > before:
                return str(answers[before])
            time.sleep(PAUSE_SECONDS)
        raise DrillError("the engine does not say why it refused")


def find_rate(watch: Watch, shadow: ShadowProcess, tell: Callable[[str], None]) -> int:
    """The highest of `RATES` at which the shadow keeps up."""
    for rate in RATES:
        watch.drive(rate)
        if all(shadow.next_report().caught_up for _ in range(RATE_REPORTS)):
            tell(f"the shadow keeps up with {rate:,} market messages a second")
            return rate
        watch.drive(RATES[-1])
        shadow.wait_caught_up(FORWARD_SECONDS)
    raise DrillError("the shadow does not keep up at any rate")


def shadow_cost(watch: Watch, shadow: ShadowProcess, rounds: int) -> dict[str, list[float]]:
    """Entries a second that the engine takes of bursts, with a shadow and while it is paused, in turn."""
    found: dict[str, list[float]] = {"without_shadow": [], "with_shadow": []}
    for _ in range(rounds):
        for name in found:
            shadow.pause(name == "without_shadow")
            found[name] += [watch.burst(LONG_BURST) for _ in range(LONG_BURSTS)]
            shadow.pause(False)
            shadow.wait_caught_up(FORWARD_SECONDS)
    return found


def run_drill(
    cutovers: int,
    *,
    migrate: bool,
    rate: int = 0,
    rounds: int = 5,
    tell: Callable[[str], None] = lambda text: None,
) -> Found:
    """Cut over that often, there and back in turn; `rate` 0 finds the highest at which the shadow keeps up."""
    with MeasuredEngine("memory") as engine:
        directory = engine.instance.directory
        package = Path(importlib.import_module(MIGRATING).__path__[0])
        stored = PluginStore(directory).add(
            package if migrate else copy_with_version(engine.folder / "candidate", SAME_LAYOUT)
        )
        spec, rules = f"{stored.name}@{stored.version}", package / "shadow.toml" if migrate else None
        with (
            Surroundings(engine) as surroundings,
            ShadowProcess(engine, spec, stored.content_hash, rules) as shadow,
        ):
            watch = Watch(surroundings, cutovers)
            try:
                shadow.next_report()  # it starts on the core of the thread that drives
                watch.drive(rate or RATES[-1])
                shadow.wait_caught_up(FORWARD_SECONDS)
                tell("the shadow follows")
                rate = rate or find_rate(watch, shadow, tell)
                watch.stop()
                bursts = shadow_cost(watch, shadow, rounds)
                orders = Orders(engine, watch, shadow, stored.content_hash, rate)
                watch.block.store_i64(watching.QUIET_TAKEN, 0)
                watch.drive(rate)
                _there_and_back(orders, cutovers, tell)
            finally:
                watch.stop()
            lost = _wait_unseen(engine, watch, surroundings, orders) + watch.count(watching.LOST)
            tell("the shadow compares the rest")
            shadow.wait_compared(watch.count(watching.LAST_SEQUENCE), FORWARD_SECONDS)
            report = shadow.end()
        engine.stop()
        tell("executing everything again")
        return Found(
            cutovers=watch.count(watching.CUTOVERS_TAKEN),
            forced=orders.forced,
            rate=rate,
            entries=watch.count(watching.ENTRIES),
            lost=lost,
            duplicated=watch.count(watching.DUPLICATED),
            around=watch.cutovers,
            quiet=watch.quiet[: min(watch.count(watching.QUIET_TAKEN), QUIET_MOST)],
            shadow=report,
            verification=verify_instance(directory),
            migration=migrate,
            bursts=bursts,
            again=orders.again,
        )


def _there_and_back(orders: Orders, cutovers: int, tell: Callable[[str], None]) -> None:
    """Every second one is a rollback."""
    for number in range(cutovers):
        if number % 2:
            orders.roll_back()
        else:
            orders.cut_over(forced=number > 0)
        if (number + 1) % TELL_EVERY == 0:
            tell(f"{number + 1} cutovers")


def _wait_unseen(engine: MeasuredEngine, watch: Watch, surroundings: Surroundings, orders: Orders) -> int:
    """Messages that were offered and are not in the log, even when nothing has come for `UNSEEN_SECONDS`."""
    leader = engine.instance.leader()
    assert leader is not None
    deadline = time.monotonic() + UNSEEN_SECONDS
    while True:
        # Anew each time: an order that is seen is filled, which offers more.
        offered = {**surroundings.offered, ADMIN_RING: orders.offered}
        unseen = sum(last - watch.count(watching.SOURCES + 8 * leader.rings[name]) for name, last in offered.items())
        if watch.look_around():
            deadline = time.monotonic() + UNSEEN_SECONDS
        elif unseen == 0 or time.monotonic() > deadline:
            return unseen
