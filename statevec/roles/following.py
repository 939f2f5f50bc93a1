"""`Following`: the state of an instance at one position of its log, in this process, with all that goes on from there.

    execution   arena and transaction of the version that decides     history   ring sources, an order not carried out
    versions    who decided so far, and the switch to who is next     position  where the next entry begins

Recovery, a standby and a snapshot have one; whoever executes the entry at `position` calls `notice` for those of the
engine's own, and moves `position`.

Invariants
    After an entry was executed and noticed, everything here is a function of the log below `position`.
    Versions come from the instance's store alone.

It is private memory. A crash leaves nothing: it is made again from the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.engine.replay import Replayed, replay
from statevec.engine.store import PluginStore
from statevec.engine.versions import VersionFollower
from statevec.ipc.faults import COMMITTED
from statevec.journal.admin_layout import BLOCK, CUT_OVER, RING_ATTACH_FORMAT, ROLL_BACK, AdminCommand
from statevec.journal.entry_layout import ADMIN, CUTOVER, RING_ATTACH
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader


@dataclass
class History:
    """What the log says beside the state: which ring is which source, and an order to cut over not yet carried out."""

    sources: dict[str, int] = field(default_factory=dict)
    pending: AdminCommand | None = None

    def note(self, entry: Entry) -> None:
        """Take in an entry of the engine's own."""
        if entry.kind == RING_ATTACH:
            _, source, name = RING_ATTACH_FORMAT.unpack_from(entry.input, BLOCK)
            self.sources[name.rstrip(b"\0").decode()] = source
        elif entry.kind == CUTOVER:
            self.pending = None  # it was carried out
        elif entry.kind == ADMIN:
            command = AdminCommand.decode(entry.input)
            if command.command not in (CUT_OVER, ROLL_BACK):
                return
            if entry.outcome == COMMITTED:
                self.pending = command
            elif entry.source == 0:
                self.pending = None  # the engine itself says that it cannot be any more


@dataclass
class Following:
    """See the module's docstring."""

    versions: VersionFollower
    history: History
    position: int

    @classmethod
    def from_genesis(cls, instance: Instance, first: LoadedPlugin, tier: Tier) -> Following:
        """Before the first entry; `first` is the version that decides first."""
        execution = Execution(first.table_specs, first.dispatch(tier), max_entry=instance.genesis.max_entry)
        return cls(VersionFollower(execution, first, tier, PluginStore(instance.directory).load), History(), 0)

    @property
    def execution(self) -> Execution:
        return self.versions.execution

    def notice(self, entry: Entry) -> None:
        """Take in an entry of the engine's own that was executed. Raises what `VersionFollower` raises."""
        self.versions(entry)
        self.history.note(entry)

    def run_to(self, reader: JournalReader, limit: int) -> Replayed:
        """Run the entries of the journal's files below position `limit`. Raises what `replay` and `notice` raise."""
        result = replay(self.execution, reader, limit, self.notice, self.position)
        self.position = result.position
        return result
