"""The logic versions of one instance as its log names them, and the switch from one to the next in this process.

    Decider            what a leadership or cutover entry says: number, name, version, content hash
    Candidate          a version that is loaded and linked, with an arena of its own where its tables differ
    VersionFollower    makes every switch that the log made, at the same entry (recovery, verify)

Invariants
    A number (ordinal) stands for the same bytes as long as the instance lives; a version that decides again has its old
    number.
    A follower has the same digest of the migrated tables as the entry, or stops.
    Versions come from the store alone, verified by their hash.

The store is only read. A crash leaves nothing: who replays the log makes the same switches again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

from statevec.engine.cutover import migrate, switch_version
from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.execution import FIRST_LOGIC_VERSION, Execution
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.engine.plugin.migration import plan_migration
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.probation import begin_probation
from statevec.ipc.faults import COMMITTED, outcome_name
from statevec.ipc.memory import Region
from statevec.journal.admin_layout import BLOCK, LEADERSHIP_FORMAT, NO_PROBATION, Cutover, Probation
from statevec.journal.entry_layout import CUTOVER, LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader
from statevec.state import transaction_layout
from statevec.state.arena import ArenaLayout


class VersionError(Exception):
    """The log names versions that cannot be followed; the text says sequence and versions."""


@dataclass(frozen=True)
class Decider:
    """A logic version that decides, as an entry names it."""

    logic_version: int
    name: str
    version: str
    content_hash: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version} ({self.content_hash[:12]})"


def decider_of(entry: Entry) -> Decider | None:
    """Who decides after this entry, when it says so: a leadership, or a cutover that took place."""
    if entry.kind == LEADERSHIP:
        numbers_and_texts = LEADERSHIP_FORMAT.unpack_from(entry.input, BLOCK)
        name, version, content_hash = (each.rstrip(b"\0").decode() for each in numbers_and_texts[-3:])
        return Decider(entry.logic_version, name, version, content_hash)
    if entry.kind == CUTOVER and entry.outcome == COMMITTED:
        said = Cutover.decode(entry.input)
        return Decider(said.logic_version, said.name, said.version, said.content_hash)
    return None


def first_decider(reader: JournalReader, instance_id: int | None = None) -> Decider | None:
    """Who decided first, None in an empty journal.

    Raises `VersionError` when the first entry is no leadership, or one of another instance than the one given.
    """
    if reader.first_position > 0:
        raise VersionError(
            f"journal does not reach back to genesis: first position={reader.first_position} in {reader.directory}; "
            f"it can be followed from a snapshot only, or with the segments that were taken away"
        )
    first = next(reader.entries(), None) if reader.segments else None
    if first is None:
        return None
    decider = decider_of(first) if first.kind == LEADERSHIP else None
    if decider is None:
        raise VersionError(f"journal does not begin with a leadership: sequence={first.sequence} {first.kind_name}")
    found = LEADERSHIP_FORMAT.unpack_from(first.input, BLOCK)[1]
    if instance_id is not None and found != instance_id:
        raise VersionError(
            f"journal is of another instance: id={found:016x} expected={instance_id:016x} in {reader.directory}; "
            f"put the journal, and instance.json, there that belong together"
        )
    return decider


@dataclass
class VersionHistory:
    """Who decided so far, in order, and the number of each version."""

    deciders: list[Decider] = field(default_factory=list)

    @property
    def current(self) -> Decider | None:
        """Who decides now; None before the first leadership."""
        return self.deciders[-1] if self.deciders else None

    def note(self, entry: Entry) -> None:
        """Take an entry in, if it says who decides."""
        decider = decider_of(entry)
        if decider is not None:
            self.decide(decider)

    def decide(self, decider: Decider) -> None:
        """Take in who decides from now on."""
        if decider != self.current:
            self.deciders.append(decider)

    def number(self, content_hash: str) -> int:
        """The number of a version: its own if it decided before, else the next."""
        for decider in self.deciders:
            if decider.content_hash == content_hash:
                return decider.logic_version
        return max((decider.logic_version for decider in self.deciders), default=FIRST_LOGIC_VERSION - 1) + 1

    def before(self, current: Decider) -> Decider | None:
        """The last decider with other bytes than `current`."""
        others = [decider for decider in self.deciders if decider.content_hash != current.content_hash]
        return others[-1] if others else None


class Candidate:
    """A version ready to decide after `current` in `execution`: linked, and with an empty arena if tables differ.

    Raises what `plan_migration` raises when the state of `current` cannot become its own.
    """

    def __init__(
        self, execution: Execution, current: LoadedPlugin, loaded: LoadedPlugin, tier: Tier, logic_version: int
    ) -> None:
        plan = plan_migration(current, loaded)
        self.loaded = loaded
        self.logic_version = logic_version
        self.dispatch = loaded.dispatch(tier)
        self.migration = plan.identity
        self.tx_address = 0
        self.migrate_address = 0
        if plan.needed:
            self.layout = ArenaLayout([*ENGINE_TABLES, *loaded.table_specs])
            self.arena = Region.allocate(self.layout.size, alignment=4096)
            ctypes.memset(self.arena.address, 0, self.arena.size)  # no page fault in the engine's loop
            self.layout.format(self.arena)
            self._function = plan.function(tier)
            self.tx = Region.allocate(transaction_layout.TRANSACTION_SIZE)
            self.tx.copy_from(0, execution.tx, 0, self.tx.size)
            self.tx.store_i64(transaction_layout.ARENA_ADDRESS, self.arena.address)
            self.tx.store_i64(transaction_layout.ARENA_SIZE, self.arena.size)
            self.tx_address = self.tx.address
            self.migrate_address = self._function.address

    def describe(self, cause: int, previous: int, probation: Probation = NO_PROBATION) -> Cutover:
        """What the cutover entry says."""
        plugin, number = self.loaded, self.logic_version
        names = (plugin.name, plugin.version, plugin.content_hash)
        return Cutover(number, previous, cause, *names, migration=self.migration, probation=probation)

    def adopt(self, execution: Execution) -> None:
        """Let the Python side of `execution` follow the switch that its blocks have made."""
        if self.tx_address:
            execution.layout = self.layout
            execution.arena = self.arena
        execution.dispatch = self.dispatch


class VersionFollower:
    """Called after each leadership and cutover entry of a replay: switches `execution` as the log did."""

    def __init__(
        self, execution: Execution, plugin: LoadedPlugin, tier: Tier, load: Callable[[str], LoadedPlugin]
    ) -> None:
        self.execution = execution
        self.plugin = plugin
        self.history = VersionHistory()
        self._tier = tier
        self._load = load

    def __call__(self, entry: Entry) -> None:
        """Take the entry in. Raises `VersionError`, or what loading and planning raise."""
        decider = decider_of(entry)
        if decider is None:
            return
        if entry.kind == CUTOVER:
            self._cut_over(entry, decider)
        elif decider.content_hash != self.plugin.content_hash:
            raise VersionError(
                f"another logic version decides without a cutover: sequence={entry.sequence} "
                f"was={self.plugin.content_hash} is={decider.content_hash}"
            )
        self.history.note(entry)

    def _cut_over(self, entry: Entry, decider: Decider) -> None:
        execution, said = self.execution, Cutover.decode(entry.input)
        loaded = self._load(decider.content_hash)
        candidate = Candidate(execution, self.plugin, loaded, self._tier, decider.logic_version)
        if candidate.migration != said.migration:
            raise VersionError(
                f"another migration than the leader's: sequence={entry.sequence} "
                f"recorded={said.migration!r} planned={candidate.migration!r}"
            )
        if candidate.tx_address:
            outcome = migrate(execution.tx, candidate.tx, candidate.migrate_address)
            digest = plugin_tables_digest(candidate.tx)
            if outcome != COMMITTED or digest != said.state_digest:
                raise VersionError(
                    f"migration gives another state than the leader's: sequence={entry.sequence} "
                    f"outcome={outcome_name(outcome)} digest={digest:x} recorded={said.state_digest:x}"
                )
        switch_version(
            execution.tx, execution.block, candidate.tx_address, candidate.dispatch.address, candidate.logic_version
        )
        begin_probation(execution.tx, execution.block, Region.of(bytearray(entry.input)))
        candidate.adopt(execution)
        self.plugin = loaded
