"""`verify`: execute a whole journal again, through every cutover, and compare every digest; nothing but journal and
plugin store is used.

Each entry is checked (hash, sequence, digest against the entry before) and executed by the kernel that the leader used,
in the tier asked for. The first entry that comes out otherwise ends it: everything after would follow from that.

Invariants
    Instance, journal and log are only read, without a lock: a live instance goes on undisturbed, and is verified up to
    what was whole when verification began.

A crash leaves nothing.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from statevec.audit.difference import FieldDifference, compare_entries
from statevec.engine.execution import Execution
from statevec.engine.instance import open_instance
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.replay import replay
from statevec.engine.store import PluginStore
from statevec.engine.versions import VersionFollower, first_decider
from statevec.ipc.log_layout import UNIT
from statevec.journal.decode import hex64
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import find_end
from statevec.journal.segments import contiguous_segments

Tier = Literal["compiled", "interpreted"]


@dataclass(frozen=True)
class Difference:
    """The first entry that came out otherwise, and in what."""

    sequence: int
    position: int
    fields: list[FieldDifference]


@dataclass(frozen=True)
class Verification:
    """What `verify` found. `entries`, `sequence` and `digest` are of the entries that came out the same."""

    entries: int
    sequence: int
    digest: int
    position: int
    tier: Tier
    seconds: float
    difference: Difference | None = None
    damage: JournalDamagedError | None = None

    @property
    def verified(self) -> bool:
        """Whether every entry is undamaged and came out the same."""
        return self.difference is None and self.damage is None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `digest` as 16 hex digits, `difference` and `damage` only where there are any."""
        found: dict[str, Any] = {
            "verified": self.verified,
            "digest": hex64(self.digest),
            "entries": self.entries,
            "sequence": self.sequence,
            "position": self.position,
            "tier": self.tier,
            "seconds": round(self.seconds, 3),
        }
        if self.difference is not None:
            found["difference"] = {
                "sequence": self.difference.sequence,
                "position": self.difference.position,
                "fields": [asdict(each) for each in self.difference.fields],
            }
        if self.damage is not None:
            found["damage"] = {
                "sequence": self.damage.sequence,
                "position": self.damage.position,
                "reason": self.damage.reason,
            }
        return found


def verify_journal(
    directory: Path, follower: VersionFollower, tier: Tier = "compiled", unit: int = UNIT
) -> Verification:
    """Execute the journal in `directory` in the follower's fresh execution and compare; see `Verification`."""
    started = time.monotonic()
    damage = None
    try:
        limit = find_end(directory, unit=unit).position
    except JournalDamagedError as error:
        damage, limit = error, error.position
    segments, _ = contiguous_segments(directory, unit)
    reader = JournalReader(directory, unit, segments)
    result = replay(follower.execution, reader, limit, follower)
    agreed = Verification(
        entries=result.entries,
        sequence=result.sequence,
        digest=result.digest,
        position=result.position,
        tier=tier,
        seconds=time.monotonic() - started,
        damage=damage,
    )
    if result.difference is None or result.executed is None:
        return agreed
    recorded = result.difference
    before = reader.read(reader.find(recorded.sequence - 1)) if recorded.sequence > 1 else None
    fields = compare_entries(recorded, result.executed, decoder_for(follower.plugin))
    return replace(
        agreed,
        entries=result.entries - 1,
        sequence=recorded.sequence - 1,
        digest=before.digest if before else 0,
        position=recorded.position,
        difference=Difference(recorded.sequence, recorded.position, fields),
    )


def verify_instance(directory: Path, tier: Tier = "compiled") -> Verification:
    """Verify the journal of an instance, live or stopped, with the versions from its own store."""
    instance = open_instance(directory)
    unit = instance.genesis.unit
    segments, _ = contiguous_segments(instance.journal_directory, unit)
    first = first_decider(JournalReader(instance.journal_directory, unit, segments))
    if first is None:
        end = find_end(instance.journal_directory, unit=unit)  # raises when it is not empty but damaged
        return Verification(end.entries, end.sequence, end.digest, end.position, tier, 0.0)
    store = PluginStore(instance.directory)
    plugin = store.load(first.content_hash)
    execution = Execution(plugin.table_specs, plugin.dispatch(tier), max_entry=instance.genesis.max_entry)
    follower = VersionFollower(execution, plugin, tier, store.load)
    return verify_journal(instance.journal_directory, follower, tier, unit)
