"""`verify`: execute a whole journal again and compare every digest; nothing but journal and plugin store is used.

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
from statevec.audit.plugin_store import deciding_hash, decoder_for, first_decider, stored_plugin
from statevec.engine.execution import Execution
from statevec.engine.instance import open_instance
from statevec.engine.replay import replay
from statevec.ipc.log_layout import UNIT
from statevec.journal.decode import EntryDecoder, hex64
from statevec.journal.entry_layout import CUTOVER, LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError, JournalError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import find_end
from statevec.journal.segments import contiguous_segments

Tier = Literal["compiled", "interpreted"]


class VerifyError(JournalError):
    """The journal cannot be executed again with what is there."""


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


class _DeciderCheck:
    """Follows the leadership entries of a replay: one logic version decides it all."""

    def __init__(self) -> None:
        self._content_hash: str | None = None

    def __call__(self, entry: Entry) -> None:
        if entry.kind == CUTOVER:
            raise VerifyError(f"cannot execute beyond a cutover: sequence={entry.sequence}")
        if entry.kind == LEADERSHIP:
            named = deciding_hash(entry)
            if self._content_hash not in (None, named):
                raise VerifyError(
                    f"another logic version decides without a cutover: sequence={entry.sequence} "
                    f"from={self._content_hash} to={named}"
                )
            self._content_hash = named


def verify_journal(
    directory: Path, execution: Execution, decoder: EntryDecoder, tier: Tier = "compiled", unit: int = UNIT
) -> Verification:
    """Execute the journal in `directory` in a fresh `execution` and compare; see `Verification`."""
    started = time.monotonic()
    damage = None
    try:
        limit = find_end(directory, unit=unit).position
    except JournalDamagedError as error:
        damage, limit = error, error.position
    segments, _ = contiguous_segments(directory, unit)
    reader = JournalReader(directory, unit, segments)
    result = replay(execution, reader, limit, _DeciderCheck())
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
    fields = compare_entries(recorded, result.executed, decoder)
    return replace(
        agreed,
        entries=result.entries - 1,
        sequence=recorded.sequence - 1,
        digest=before.digest if before else 0,
        position=recorded.position,
        difference=Difference(recorded.sequence, recorded.position, fields),
    )


def verify_instance(directory: Path, tier: Tier = "compiled") -> Verification:
    """Verify the journal of an instance, live or stopped, with the plugin from its own store."""
    instance = open_instance(directory)
    unit = instance.genesis.unit
    segments, _ = contiguous_segments(instance.journal_directory, unit)
    content_hash = first_decider(JournalReader(instance.journal_directory, unit, segments))
    if content_hash is None:
        end = find_end(instance.journal_directory, unit=unit)  # raises when it is not empty but damaged
        return Verification(end.entries, end.sequence, end.digest, end.position, tier, 0.0)
    plugin = stored_plugin(instance, content_hash)
    execution = Execution(plugin.table_specs, plugin.dispatch(tier), max_entry=instance.genesis.max_entry)
    return verify_journal(instance.journal_directory, execution, decoder_for(plugin), tier, unit)
