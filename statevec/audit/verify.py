"""`verify`: execute a whole journal again, through every cutover, and compare every digest; nothing but journal and
plugin store is used, and a snapshot where one is asked for or the journal does not reach back to genesis any more.

Each entry is checked (hash, sequence, digest against the entry before) and executed by the kernel that the leader used,
in the tier asked for. The first entry that comes out otherwise ends it: everything after would follow from that. Where
the journal passes a snapshot, its memory image is compared with the state that was executed (`verify_snapshots`).

Invariants
    Instance, journal and log are only read, without a lock: a live instance goes on undisturbed, and is verified up to
    what was whole when verification began.

A crash leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from statevec.audit.difference import FieldDifference, compare_entries
from statevec.audit.verify_snapshots import SnapshotDifference, compare_snapshot, stops
from statevec.engine.instance import Instance, open_instance
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.replay import Replayed
from statevec.engine.snapshot_file import SnapshotError
from statevec.engine.versions import first_decider
from statevec.journal.cold_segments import (
    ColdSegment,
    ColdSegmentError,
    join_segments,
    list_cold_segments,
    verify_content,
)
from statevec.journal.decode import hex64
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import JournalStart, find_end
from statevec.journal.segments import SegmentFile, contiguous_segments
from statevec.roles.following import Following
from statevec.roles.retention import read_head
from statevec.roles.snapshot import begin_following, newest_snapshot, oldest_snapshot

Tier = Literal["compiled", "interpreted"]
Which = Literal["newest", "oldest"]


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
    started_at: int = 0
    """Sequence of the snapshot where execution began, 0 for genesis."""
    cold_head: str = ""
    """Chain hash (hex) of the last cold segment; empty where none was read."""
    difference: Difference | None = None
    damage: JournalDamagedError | None = None
    snapshots: int = 0
    """Snapshots whose image is what execution gave."""
    snapshot_difference: SnapshotDifference | None = None
    """The first snapshot that holds something else; the entries up to it came out the same."""

    @property
    def verified(self) -> bool:
        """Whether every entry is undamaged and came out the same, and so did every snapshot on the way."""
        return self.difference is None and self.damage is None and self.snapshot_difference is None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `digest` as 16 hex digits; from `started_at` on only what there is."""
        found: dict[str, Any] = {
            "verified": self.verified,
            "digest": hex64(self.digest),
            "entries": self.entries,
            "sequence": self.sequence,
            "position": self.position,
            "tier": self.tier,
            "seconds": round(self.seconds, 3),
        }
        if self.started_at:
            found["started_at"] = self.started_at
        if self.cold_head:
            found["cold_head"] = self.cold_head
        if self.snapshots:
            found["snapshots"] = self.snapshots
        if self.snapshot_difference is not None:
            found["snapshot_difference"] = self.snapshot_difference.to_dict()
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
    instance: Instance, following: Following, tier: Tier = "compiled", cold: Sequence[ColdSegment] = ()
) -> Verification:
    """Execute the journal of `instance` again from where `following` is, and compare; see `Verification`.

    `cold` are segments before the files at hand.
    """
    started = time.monotonic()
    directory, unit = instance.journal_directory, instance.genesis.unit
    execution = following.execution
    start = JournalStart(following.position, execution.sequence, execution.digest)
    segments, _ = contiguous_segments(directory, unit)
    damage = None
    try:
        limit = find_end(directory, start=_first_at_hand(start, cold, segments), unit=unit).position
    except JournalDamagedError as error:
        damage, limit = error, error.position
    reader = JournalReader(directory, unit, join_segments(cold, segments))
    result, entries, compared, otherwise = _run(instance, following, reader, limit)
    agreed = Verification(
        entries=entries,
        sequence=result.sequence,
        digest=result.digest,
        position=result.position,
        tier=tier,
        seconds=time.monotonic() - started,
        started_at=start.sequence,
        cold_head=cold[-1].chain_hash.hex() if cold else "",
        damage=damage,
        snapshots=compared,
        snapshot_difference=otherwise,
    )
    if result.difference is None or result.executed is None:
        return agreed
    recorded = result.difference
    fields = compare_entries(recorded, result.executed, decoder_for(following.versions.plugin))
    return replace(
        agreed,
        entries=entries - 1,
        sequence=recorded.sequence - 1,
        digest=_digest_before(reader, recorded.sequence, start),
        position=recorded.position,
        difference=Difference(recorded.sequence, recorded.position, fields),
    )


def _run(
    instance: Instance, following: Following, reader: JournalReader, limit: int
) -> tuple[Replayed, int, int, SnapshotDifference | None]:
    """Execute up to `limit`, or to what differs: how that ended, entries, snapshots compared, which one differs."""
    entries = compared = 0
    for position, path in stops(instance, following.execution.sequence, limit):
        result = following.run_to(reader, position)
        entries += result.entries
        if result.difference is not None:
            return result, entries, compared, None
        try:
            otherwise = compare_snapshot(following, path)
        except (SnapshotError, OSError):
            continue  # damaged, or removed meanwhile: recovery does not use it, doctor says it
        if otherwise is not None:
            return result, entries, compared, otherwise
        compared += 1
    result = following.run_to(reader, limit)
    return result, entries + result.entries, compared, None


def _first_at_hand(start: JournalStart, cold: Sequence[ColdSegment], files: Sequence[SegmentFile]) -> JournalStart:
    """From where on the end is looked for: cold segments have none."""
    if files and start.position < files[0].first:
        for segment in cold:
            if segment.end == files[0].first:
                return JournalStart(segment.end, segment.last_sequence, segment.last_digest)
    return start


def _check_cold(instance: Instance, cold: Sequence[ColdSegment]) -> None:
    """Read all of the cold segments, and compare their chain with what the instance remembers of it."""
    head = read_head(instance)
    for segment in cold:
        verify_content(segment)
        if head is not None and segment.end == head.position and segment.chain_hash != head.chain_hash:
            raise ColdSegmentError(
                f"cold segments are another chain than the instance's: chain hash={segment.chain_hash.hex()} "
                f"expected={head.chain_hash.hex()} in {segment.path}"
            )


def _digest_before(reader: JournalReader, sequence: int, start: JournalStart) -> int:
    if sequence - 1 == start.sequence:
        return start.digest
    return reader.read(reader.find(sequence - 1)).digest


def verify_instance(
    directory: Path, tier: Tier = "compiled", from_snapshot: Which | None = None, cold: Path | None = None
) -> Verification:
    """Verify the journal of an instance, live or stopped, with the versions from its own store.

    From genesis, or from the newest or oldest usable snapshot; from the oldest too where the journal's first segments
    are gone. With a directory of `cold` segments these are read and executed first. Raises `SnapshotError` where it
    takes a snapshot and there is none, `ColdSegmentError` for what is damaged or missing there.
    """
    instance = open_instance(directory)
    unit = instance.genesis.unit
    segments, _ = contiguous_segments(instance.journal_directory, unit)
    archived = list_cold_segments(cold, instance.instance_id) if cold is not None else []
    _check_cold(instance, archived)
    reader = JournalReader(instance.journal_directory, unit, join_segments(archived, segments))
    if from_snapshot is None and reader.first_position == 0 and first_decider(reader) is None:
        end = find_end(instance.journal_directory, unit=unit)  # raises when it is not empty but damaged
        return Verification(end.entries, end.sequence, end.digest, end.position, tier, 0.0)
    snapshot = None
    if from_snapshot is not None or reader.first_position > 0:
        snapshot = newest_snapshot(instance) if from_snapshot == "newest" else oldest_snapshot(instance)
        if snapshot is None:
            where = f"the journal begins at position={reader.first_position}"
            raise SnapshotError(f"no snapshot of {instance.directory} can be used, and {where}")
    following = begin_following(instance, tier, snapshot, reader=reader)
    return verify_journal(instance, following, tier, archived)
