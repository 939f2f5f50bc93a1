"""`Shadow`: a candidate version beside the live one, on the same entries, and what the two decide otherwise.

    lockstep      what would the candidate have decided, here? On the live state, before each entry, rolled back. Only
                  where both versions lay out their state alike, and blind for state that only the candidate evolves.
    independent   where would the candidate have taken us? It lives on with a state of its own, from genesis or from
                  `first` on. Its timers do not fire by themselves: it gets the timers that the log says fired.

Invariants
    The log is the input, and nothing is written but the report: the leader does not know that there is a shadow.
    The deciding version runs too, and every digest is compared: what the candidate is measured against is what
    happened.

State and counts are private memory. A crash leaves the last report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from statevec.engine import execution_layout
from statevec.engine.deciders import deciders
from statevec.engine.engine_state import ENGINE_TABLES, ID_LAST_COUNTER, IDS
from statevec.engine.execution import LOOP_BUDGET, Execution
from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.ipc.memory import Region
from statevec.journal.entry_view import Entry
from statevec.roles import shadow_layout as layout
from statevec.roles.entry_source import AT_END, EntrySource
from statevec.roles.events import Speaker
from statevec.roles.follow_codes import NOTICE
from statevec.roles.shadow_ids import IdPairs
from statevec.roles.shadow_kernels import DECIDER_DIFFERS, DIFFERS, shadow_log, shadow_segment
from statevec.roles.shadow_migration import MigrationCheck
from statevec.roles.shadow_pairing import Pairing, same_layout
from statevec.roles.shadow_plugins import (
    Mode,
    Range,
    ShadowError,
    comparable_range,
    first_decider,
    starting_snapshot,
)
from statevec.roles.shadow_report import ShadowReport, write_report
from statevec.roles.shadow_rules import Rule, Rules
from statevec.roles.shadow_tally import Tally
from statevec.roles.shadow_times import CycleClock
from statevec.roles.snapshot import begin_following

TIME_EVERY = 16
WRITE_SECONDS = 1.0
PROGRESS_SECONDS = 0.2
CAUGHT_UP_SECONDS = 1.0
"""A shadow counts as caught up when it found nothing more to do within this time."""
PAUSE_SECONDS = 0.000_5
TRY_MIGRATION_SECONDS = 10.0
"""How often the migration is tried on the live state, once the shadow has caught up."""
NEVER = (1 << 63) - 1


class ShadowRunner:
    """Feeds entries to the kernels that run both versions, on a shadow's block."""

    def __init__(self, block: Region) -> None:
        self._block = block

    def segment(self, segment: Region, first: int, cursor: Region) -> int:
        return int(shadow_segment(self._block, segment, first, cursor))

    def log(self, log: Region, reader: Region, target: Region) -> int:
        return int(shadow_log(self._block, log, reader, target))


class Shadow:
    """A shadow of `instance` for one candidate; `run` it. Raises `ShadowError`, `JournalError`, `LogError`."""

    def __init__(
        self,
        instance: Instance,
        candidate: LoadedPlugin,
        mode: Mode = "lockstep",
        rules: Sequence[Rule] = (),
        compared: Range | None = None,
        tier: Tier = "compiled",
    ) -> None:
        self.instance = instance
        self.candidate = candidate
        self.mode = mode
        self._speaker = Speaker("shadow", instance)
        self._name = f"{candidate.name}@{candidate.version}"
        self._rules = rules
        self._tier: Tier = tier
        history = deciders(instance)
        wanted = comparable_range(instance, history, candidate, mode, compared or Range())
        snapshot, self.range = starting_snapshot(instance, wanted)
        following = begin_following(instance, tier, snapshot, lambda: first_decider(instance, history))
        self.execution = following.execution
        self._versions = following.versions
        decider = following.versions.plugin
        max_entry = instance.genesis.max_entry
        self._candidate_dispatch = candidate.dispatch(tier)
        self._alone: Execution | None = None
        if mode == "independent":
            self._alone = Execution(candidate.table_specs, self._candidate_dispatch, max_entry=max_entry)
        self._candidate_block = self._alone.block if self._alone else self._lockstep_block(max_entry)
        self._scratch = self._alone.scratch if self._alone else Region.allocate(max_entry)
        self.block = self._make_block(max_entry)
        self._ids = IdPairs()
        self.tally = Tally(Rules(rules), self.range.first, decider, candidate)
        self._pairing = self._pair(decider)
        self._tried: MigrationCheck | None = None
        self._tried_at = -TRY_MIGRATION_SECONDS
        self._clock = CycleClock()
        self._started = time.monotonic()
        self._drained_at = -CAUGHT_UP_SECONDS
        self._finished = False
        self._source = EntrySource(instance, self.execution, ShadowRunner(self.block), following.position)

    @property
    def decider(self) -> LoadedPlugin:
        """The version that decides now."""
        return self._versions.plugin

    def _pair(self, decider: LoadedPlugin) -> Pairing:
        """Compare with that version from now on."""
        counters = self._id_counters if self._alone is not None else None
        pairing = Pairing(decider, self.candidate, self._rules, counters, self._ids, self._tier)
        pairing.plan.show(self.tally.expected_examples.keys())
        self.block.store_i64(layout.PLAN, pairing.plan.region.address)
        self.block.store_i64(layout.PLAN_SIZE, pairing.plan.region.size)
        self.tally.decided_by(decider, self.candidate)
        return pairing

    def _lockstep_block(self, max_entry: int) -> Region:
        block = Region.allocate(execution_layout.EXECUTION_SIZE)
        block.store_i64(execution_layout.DISPATCH, self._candidate_dispatch.address)
        block.store_i64(execution_layout.BUDGET, LOOP_BUDGET)
        block.store_i64(execution_layout.MAX_ENTRY, max_entry)
        return block

    def _make_block(self, max_entry: int) -> Region:
        block = Region.allocate(layout.SHADOW_SIZE)
        candidate_tx = self._alone.tx if self._alone else self.execution.tx
        for offset, value in (
            (layout.DECIDER_TX, self.execution.tx.address),
            (layout.DECIDER_BLOCK, self.execution.block.address),
            (layout.DECIDER_SCRATCH, self.execution.scratch.address),
            (layout.CANDIDATE_TX, candidate_tx.address),
            (layout.CANDIDATE_BLOCK, self._candidate_block.address),
            (layout.CANDIDATE_SCRATCH, self._scratch.address),
            (layout.SCRATCH_SIZE, max_entry),
            (layout.MODE, layout.FOLLOW),
            (layout.STOP_AFTER, self.range.first - 1),
            (layout.TIME_EVERY, TIME_EVERY),
        ):
            block.store_i64(offset, value)
        return block

    def run(
        self,
        should_stop: Callable[[], bool],
        on_progress: Callable[[ShadowReport], None] | None = None,
        *,
        until_caught_up: bool = False,
    ) -> ShadowReport:
        """Compare until told to stop, until `last`, or until nothing more is there; the last report (it is written)."""
        write_report(self.instance, self.report())  # in place of what an earlier shadow found
        written = shown = time.monotonic()
        if self.execution.sequence == self.range.first - 1:
            self._begin_comparing()
        while not self._finished and not should_stop():
            at_end = self._step()
            now = time.monotonic()
            if at_end:
                self._drained_at = now
                self._try_migration(now)
                if until_caught_up or (self.range.last is not None and not self._source.is_live):
                    break
                time.sleep(PAUSE_SECONDS)
            if on_progress is not None and now - shown >= PROGRESS_SECONDS:
                shown = now
                on_progress(self.report())
            if now - written >= WRITE_SECONDS:
                written = now
                write_report(self.instance, self.report())
        self._finished = True
        self._check_reached()
        self._try_migration(NEVER)
        report = self.report()
        write_report(self.instance, report)
        counts = {"compared": report.compared, "expected": report.expected, "unexpected": report.unexpected}
        self._speaker.report("shadow_ended", candidate=self._name, **counts)
        return report

    def _try_migration(self, now: float) -> None:
        if now - self._tried_at >= TRY_MIGRATION_SECONDS:
            self._tried = self._pairing.migration.check(self.execution)
            self._tried_at = time.monotonic()

    def _check_reached(self) -> None:
        last = self.range.last
        if self.execution.sequence < self.range.first - 1 and last is not None:
            raise ShadowError(
                f"the journal ends before the range: last={self.execution.sequence} from={self.range.first}"
            )

    def _step(self) -> bool:
        """Run some entries; whether nothing more is there."""
        answer = self._source.step()
        explained, by_rule = self._pairing.plan.take_explained()
        if explained:
            self.tally.add_explained(self.execution.sequence, by_rule, explained)
        if answer == AT_END:
            return True
        if answer == DECIDER_DIFFERS:
            raise ShadowError(
                f"the deciding version {self.decider.name}@{self.decider.version} gave another result than the log "
                f"has: sequence={self.execution.sequence}; run: statevec verify --instance {self.instance.directory}"
            )
        if answer == DIFFERS:
            self._judge()
        elif answer == NOTICE:
            self._note(Entry(self.execution.scratch.view))
        if self.execution.sequence >= self.block.load_i64(layout.STOP_AFTER):
            if self._compares:
                self._finished = True
            else:
                self._begin_comparing()
        return False

    @property
    def _compares(self) -> bool:
        return self.block.load_i64(layout.MODE) != layout.FOLLOW

    def _begin_comparing(self) -> None:
        """From the next entry on the candidate runs too."""
        if self._alone is not None and self.execution.sequence > 0:
            self._take_state(self._alone)
            for offset in (execution_layout.SEQUENCE, execution_layout.BUDGET, execution_layout.LOGIC_VERSION):
                self._alone.block.store_i64(offset, self.execution.block.load_i64(offset))
        self.block.store_i64(layout.MODE, layout.LOCKSTEP if self._alone is None else layout.INDEPENDENT)
        self.block.store_i64(layout.STOP_AFTER, NEVER if self.range.last is None else self.range.last)

    def _take_state(self, alone: Execution) -> None:
        """Give an independent candidate the state of the deciding version, migrated as a cutover would."""
        problem = self._pairing.migration.move(self.execution, alone)
        if problem:
            raise ShadowError(f"the candidate cannot start at sequence={self.execution.sequence + 1}: {problem}")

    def _judge(self) -> None:
        entries = (Entry(self.execution.scratch.view), Entry(self._scratch.view))
        explained = self.tally.unexpected == 0
        self.tally.add(entries, self._pairing.comparison.compare(*entries))
        self._pairing.plan.show(self.tally.expected_examples.keys())
        if explained and self.tally.unexpected:
            self._speaker.report(
                "shadow_differs", candidate=self._name, sequence=entries[0].sequence, paths=list(self.tally.places)[:8]
            )

    def _note(self, entry: Entry) -> None:
        """An entry that says who decides from here on: the shadow follows, if the two can still be compared."""
        before = self.decider
        self._versions(entry)
        if self.decider is before:
            return
        if self.mode == "lockstep" and self._compares and not same_layout(self.decider, self.candidate):
            write_report(self.instance, self.report())
            raise ShadowError(
                f"version {self.decider.version} decides from sequence={entry.sequence + 1} on, and lays its state out "
                f"otherwise than the candidate {self.candidate.version}: go on with --mode independent"
            )
        self._pairing = self._pair(self.decider)
        self._tried = None

    def _id_counters(self) -> tuple[int, int]:
        assert self._alone is not None
        return _id_counter(self.execution), _id_counter(self._alone)

    @property
    def times_lapped(self) -> int:
        """How often the log's writer was so far ahead that the shadow went back to the segment files."""
        return self._source.times_lapped

    @property
    def caught_up(self) -> bool:
        """Whether nothing more was there within the last moments."""
        return time.monotonic() - self._drained_at < CAUGHT_UP_SECONDS

    def report(self) -> ShadowReport:
        """What was found so far."""
        compared = self.block.load_i64(layout.COMPARED)
        tried = self._tried or MigrationCheck(rollback_problem="not tried yet")
        tally, last = self.tally, self.range.first - 1 + compared
        return ShadowReport(
            candidate_hash=self.candidate.content_hash,
            candidate_name=self.candidate.name,
            candidate_version=self.candidate.version,
            decider_hash=self.decider.content_hash,
            decider_name=self.decider.name,
            decider_version=self.decider.version,
            instance=self.instance.genesis.instance_id,
            mode=self.mode,
            from_sequence=self.range.first,
            to_sequence=last,
            compared=compared,
            same=self.block.load_i64(layout.SAME) + tally.same,
            expected=tally.expected,
            unexpected=tally.unexpected,
            caught_up=self.caught_up,
            finished=self._finished,
            migration=tried.identity,
            migration_changes=list(tried.changes),
            migration_problem=tried.problem,
            rollback_possible=not tried.problem and not tried.rollback_problem,
            rollback_problem=tried.rollback_problem,
            updated_ns=time.time_ns(),
            seconds=round(time.monotonic() - self._started, 3),
            behind_bytes=self._source.behind_bytes,
            times=self._clock.times(
                self.block, {"decider": layout.DECIDER_CYCLES, "candidate": layout.CANDIDATE_CYCLES}
            ),
            rules={rule: tally.by_rule[rule] for rule in tally.rule_names},
            unexpected_places=dict(tally.places.most_common()),
            first_unexpected=tally.first,
            worst_unexpected=tally.worst,
            expected_examples=tally.expected_examples,
            timeline=tally.bins.timeline(last),
        )

    def close(self) -> None:
        """Give the log up."""
        self._source.close()


def _id_counter(execution: Execution) -> int:
    row = execution.layout.tables[ENGINE_TABLES[IDS].name].row(0)
    return execution.arena.load_i64(row + ID_LAST_COUNTER)
