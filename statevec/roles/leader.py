"""One leadership: the threads of an engine process, from the leadership entry to a clean end.

    engine thread      the native loop (`engine.loop`), pinned when asked
    journaler thread   log to segment files (`journal.journaler`)
    main thread        signals; prepares segments, checks rings slowly, copies counters, notices what died

Invariants
    The epoch is durable before its first entry (protocol rule 14).
    The loop block belongs to the engine thread while the loop runs; the main thread writes STOP and suspects only.
    `stop` returns when everything appended is in the journal, in `disk` mode durable.
    The process does not fork while it leads (rule 13).

A crash at any point leaves log, rings and journal for the next leader.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from statevec import __version__
from statevec.engine import engine_state, loop_layout
from statevec.engine.append import append_admin
from statevec.engine.config import ADMIN_RING, Config, RingConfig
from statevec.engine.engine_state import CLOCK
from statevec.engine.execution_layout import LOGIC_VERSION
from statevec.engine.instance import Instance
from statevec.engine.loop import run_loop
from statevec.engine.versions import Decider
from statevec.ipc import log_layout
from statevec.ipc.idle import STRATEGIES
from statevec.ipc.kill_points import AFTER_EPOCH, AFTER_LEADERSHIP, kill_point
from statevec.ipc.memory import Region
from statevec.ipc.pinning import available_cores, pin, pin_to
from statevec.ipc.python_call import load_acquire, store_release
from statevec.journal import admin_layout
from statevec.journal.entry_layout import LEADERSHIP
from statevec.roles.admin_desk import AdminDesk
from statevec.roles.engine_counters import EngineCounters
from statevec.roles.engine_rings import EngineRing, number_sources, open_admin_ring, open_rings, source_state
from statevec.roles.events import report
from statevec.roles.takeover import Taken
from statevec.state.tables import find

CONTROL_INTERVAL_SECONDS = 0.02
START_INTERVAL_SECONDS = 0.000_2
CHORE_TURNS = 2
"""Every so many turns the main thread does one of its chores: it shares a core with gateways, so it works in bits."""
THREAD_COUNTER_ROUNDS = 10
"""Every so many rounds of all chores the engine thread's own counters are read."""
CLOCK_READINGS = 32


def clock_offset_ns() -> int:
    """Wall clock less monotonic clock, ns: of several readings the tightest, since one may be interrupted halfway."""
    tightest, offset = 1 << 62, 0
    for _ in range(CLOCK_READINGS):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if after - before < tightest:
            tightest, offset = after - before, wall - (before + after) // 2
    return offset


SILENT_NS = 2_000_000_000
"""An engine thread that gave no sign of life for so long is worth an event."""


class LeadershipError(Exception):
    """The leadership ended otherwise than by being told to stop."""


class Leader:
    """Leads `instance` with what was taken over; `begin`, then `control` until a stop is asked for, then `stop`."""

    def __init__(self, instance: Instance, config: Config, taken: Taken) -> None:
        self.instance = instance
        self.config = config
        self.execution = taken.following.execution
        self.plugin = taken.following.versions.plugin
        self.log = taken.log
        self.journaler = taken.journaler
        self.rings: list[EngineRing] = []
        self.sources = number_sources([*config.rings, RingConfig(ADMIN_RING)], taken.following.history.sources)
        self.epoch = 0
        self._taken = taken
        self._desk: AdminDesk | None = None
        self._reason = 0
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run_loop, name="engine", daemon=True)
        self._counters: EngineCounters | None = None
        self._silence_told = False
        self._problems_told = 0

    def begin(self) -> None:
        """Begin the next epoch: persist it, append the leadership entry and what the rings need, start the loop."""
        row = find(self.execution.tx, CLOCK, 0)
        in_log = self.execution.arena.load_i64(row + engine_state.CLOCK_EPOCH)
        self.epoch = max(self.instance.read_epoch(), in_log) + 1
        self.instance.begin_epoch(self.epoch)
        kill_point(AFTER_EPOCH)
        # SYNC POINT: pairs with the acquire in the loop of a leader that this one supersedes.
        store_release(self.log.region, log_layout.EPOCH, self.epoch)
        self._fill_block()
        self._append_leadership()
        kill_point(AFTER_LEADERSHIP)
        instance = self.config.instance
        self.rings = open_rings(self.instance, self.config.rings, self.sources, self.execution, instance.group)
        for ring in self.rings:
            if ring.status != loop_layout.RING_OPEN:
                report("quarantined", ring=ring.name, reason="what it holds cannot be right")
        self._desk = self._open_desk()
        self._note_running_input()
        self._counters = EngineCounters(self.instance, self.rings, self.config.instance.group)
        self._start_thread()
        self._counters.update(self.execution, self.journaler)

    def _fill_block(self) -> None:
        row = find(self.execution.tx, CLOCK, 0)
        region, engine = self.log.region, self.config.engine
        for offset, value in (
            (loop_layout.LOG_ADDRESS, region.address),
            (loop_layout.LOG_SIZE, region.size),
            (loop_layout.LOG_CAPACITY, self.log.capacity),
            (loop_layout.UNIT, self.instance.genesis.unit),
            (loop_layout.MAX_INPUT, self.instance.genesis.max_input),
            (loop_layout.DURABILITY, self._durability),
            (loop_layout.EPOCH, self.epoch),
            (loop_layout.CLOCK_OFFSET_NS, clock_offset_ns()),
            (loop_layout.BATCH, engine.batch_size),
            (loop_layout.IDLE, STRATEGIES[engine.idle]),
            (loop_layout.POISON_LIMIT, engine.poison_limit),
            (loop_layout.NEXT_POSITION, self._taken.following.position),
            (loop_layout.PUBLISHED, self._taken.following.position),
            (loop_layout.LAST_TIME_NS, self.execution.arena.load_i64(row + engine_state.CLOCK_LAST_TIME_NS)),
        ):
            self.execution.block.store_i64(offset, value)

    @property
    def _durability(self) -> int:
        return loop_layout.DISK if self.config.instance.durability == "disk" else loop_layout.MEMORY

    def _append_leadership(self) -> None:
        genesis = self.instance.genesis
        message = admin_layout.leadership(
            epoch=self.epoch,
            instance_id=self.instance.instance_id,
            wall_clock_ns=time.time_ns(),
            limits=(genesis.unit, genesis.max_entry, genesis.max_input, self.config.engine.loop_budget),
            logic_version=self.execution.block.load_i64(LOGIC_VERSION),
            durability=self._durability,
            engine_version=__version__,
            plugin_name=self.plugin.name,
            plugin_version=self.plugin.version,
            content_hash=self.plugin.content_hash,
        )
        append_admin(self.execution.block, self.execution.tx, LEADERSHIP, 0, Region.of(message))

    def _note_running_input(self) -> None:
        """Pass on what a dead leader was executing, unless the log has it (rule 17)."""
        region = self.log.region
        source = region.load_i64(log_layout.RUNNING_SOURCE)
        sequence = region.load_i64(log_layout.RUNNING_SEQUENCE)
        attempts = region.load_i64(log_layout.RUNNING_ATTEMPTS)
        if source != 0 and sequence <= source_state(self.execution, source).sequence:
            attempts = 0
        self.execution.block.store_i64(loop_layout.POISON_SOURCE, source)
        self.execution.block.store_i64(loop_layout.POISON_SEQUENCE, sequence)
        self.execution.block.store_i64(loop_layout.POISON_ATTEMPTS, attempts)

    def _start_thread(self) -> None:
        """Start the loop, keep all other threads off its core, and wait until it runs."""
        core = self.config.engine.core
        if core is not None:
            others = available_cores() - {core}
            if others:
                pin_to(others)
                self.journaler.pin_to(others)
        self._thread.start()
        while self.execution.block.load_relaxed(loop_layout.TURNS) == 0 and self._thread.is_alive():
            time.sleep(START_INTERVAL_SECONDS)  # it is being compiled, or loaded
        self._check_thread()

    def _run_loop(self) -> None:
        try:
            if self.config.engine.core is not None:
                pin(self.config.engine.core)
            self._reason = int(run_loop(self.execution.block, self.execution.tx))
        except BaseException as failure:
            self._failure = failure

    def _open_desk(self) -> AdminDesk:
        """The admin ring and what is under way there; it begins with what the last leader left undone."""
        history = self._taken.following.versions.history
        logic_version = self.execution.block.load_i64(LOGIC_VERSION)
        history.decide(Decider(logic_version, self.plugin.name, self.plugin.version, self.plugin.content_hash))
        ring = open_admin_ring(self.instance, self.sources[ADMIN_RING], self.execution)
        left = self._taken.following.history.pending
        return AdminDesk(self.instance, self.config, self.execution, self.plugin, history, ring, self.rings, left)

    def control(self, stop_asked: Callable[[float], bool], decided: Callable[[str], None]) -> None:
        """The main thread's work until `stop_asked(seconds)`, which may wait that long, says so, or a handover.

        `decided(content hash)` is called when another version has begun to decide. Raises `LeadershipError` when the
        leadership ended before.
        """
        turn = 0
        chores = self._chores()
        while not stop_asked(CONTROL_INTERVAL_SECONDS):
            self._check_thread()
            turn += 1
            if self._desk is not None and self._desk.turn():
                self.plugin = self._desk.plugin
                decided(self.plugin.content_hash)
            if self.handed_over:
                return
            if turn % CHORE_TURNS == 0:
                next(chores)()

    @property
    def handed_over(self) -> bool:
        """Whether an operator told this leader to give the lead to a standby."""
        return self._desk is not None and self._desk.handed_over

    def _chores(self) -> Iterator[Callable[[], None]]:
        """What the main thread does now and then, one thing after another, for ever."""
        for number in itertools.count():
            yield self._watch_journaler
            yield self._watch_heartbeat
            for ring in self.rings:
                yield partial(self._check_ring, ring)
            if self._counters is not None:
                thread = self._thread.native_id if number % THREAD_COUNTER_ROUNDS == 0 else None
                yield partial(self._counters.update, self.execution, self.journaler, thread)

    def _watch_journaler(self) -> None:
        """Say it when no segment could be made: once, also when it could be a moment later."""
        count, problem = self.journaler.prepare_problems
        if count != self._problems_told:
            report("segment_not_prepared", error=str(problem))
        self._problems_told = count

    def _check_ring(self, ring: EngineRing) -> None:
        reason = ring.check()
        if reason is not None:
            report("ring_suspect", ring=ring.name, reason=reason)

    def _watch_heartbeat(self) -> None:
        """Say it once when the engine thread gives no sign of life, and which input it is at."""
        silent_ns = time.monotonic_ns() - self.execution.block.load_relaxed(loop_layout.LAST_HEARTBEAT_NS)
        if silent_ns > SILENT_NS and not self._silence_told:
            region = self.log.region
            source, sequence = region.load_i64(log_layout.RUNNING_SOURCE), region.load_i64(log_layout.RUNNING_SEQUENCE)
            report("engine_silent", for_ns=silent_ns, running_source=source, running_sequence=sequence)
        self._silence_told = silent_ns > SILENT_NS

    def _check_thread(self) -> None:
        if self._thread.is_alive():
            return
        if self._failure is not None:
            raise LeadershipError(f"engine thread failed: {self._failure!r}") from self._failure
        why = loop_layout.REASONS.get(self._reason, str(self._reason))
        if self._reason == loop_layout.HALTED and self.journaler.error is not None:
            raise LeadershipError(f"engine halted: {self.journaler.error}")
        raise LeadershipError(f"engine loop ended: {why}")

    def stop(self) -> None:
        """End the loop, then the journaler, which first writes all that was appended; gives the rings' memory up."""
        # SYNC POINT: pairs with the loop's acquire of STOP.
        store_release(self.execution.block, loop_layout.STOP, 1)
        if self._thread.is_alive():
            self._thread.join()
        if self._reason == loop_layout.STOPPED:
            self.log.region.store_i64(log_layout.RUNNING_ATTEMPTS, 0)  # nothing was cut short
        try:
            self.journaler.stop()
        finally:
            if self._counters is not None:
                self._counters.update(self.execution, self.journaler)
                self._counters.close()

    @property
    def memory(self) -> list[Region]:
        """Everything that the engine's thread works on."""
        rings = [ring.segment.region for ring in self.rings if ring.segment is not None]
        return [*self.execution.memory, self.log.region, *rings]

    @property
    def sequence(self) -> int:
        """Sequence of the last entry."""
        return self.execution.sequence

    @property
    def position(self) -> int:
        """The appended position."""
        # SYNC POINT: pairs with the loop's publish.
        return load_acquire(self.log.region, log_layout.APPENDED)
