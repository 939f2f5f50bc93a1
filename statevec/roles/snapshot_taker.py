"""Taking one snapshot of an instance from outside: a follower that runs once, with or without a live leader.

    newest usable snapshot, or genesis ─► the journal's files up to what is durable ─► a snapshot ─► done

Invariants
    It takes no lock of the leader's and asks nothing of it: it reads segment files, and positions from the log's
    control page where there is a log.
    What is taken is durable in the journal (rule 12). Where no journaler says so, because there is none at work or it
    does not wait for the disk (`memory` mode), the taker syncs those segments itself.

A crash leaves what `roles/snapshot` says.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import Tier
from statevec.engine.snapshot_file import SnapshotError
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log, released_offset
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import Segment, SegmentError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import GENESIS, JournalStart, find_end
from statevec.roles.following import Following
from statevec.roles.snapshot import KEEP, Snapshot, begin_following, capture, newest_snapshot, write_snapshot
from statevec.roles.standby_snapshots import journal_is_durable


@dataclass(frozen=True)
class SnapshotTaken:
    """What was taken. `bytes` is the file's length; what is zero in it takes no space."""

    path: Path
    sequence: int
    position: int
    digest: str
    bytes: int
    started_at: int
    """Sequence of the snapshot that it began with, 0 for genesis."""
    entries: int
    """Entries executed since."""
    new: bool
    """False when the snapshot at that sequence was there already."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path), "seconds": round(self.seconds, 3)}


def take_snapshot(instance: Instance, tier: Tier = "compiled", *, keep: int = KEEP) -> SnapshotTaken:
    """Follow the journal of an instance to what is durable, and keep the state there as a snapshot.

    Raises `SnapshotError` when there is nothing to take, or when the journal comes out otherwise than it says; and what
    reading the journal raises.
    """
    began = time.monotonic()
    found = newest_snapshot(instance)
    log = _attach(instance)
    try:
        return _take(instance, tier, keep, found, log, began)
    finally:
        if log is not None:
            log.close()


def _take(
    instance: Instance, tier: Tier, keep: int, found: Snapshot | None, log: Segment | None, began: float
) -> SnapshotTaken:
    start = GENESIS if found is None else found.header.start
    limit = _end_to_follow(instance, start, log)
    following = begin_following(instance, tier, found)
    _run(instance, following, limit)
    taken = capture(following)
    new = taken.sequence > start.sequence
    if new:
        path = write_snapshot(instance, taken, lambda: journal_is_durable(instance, log, taken.position), keep=keep)
    else:
        assert found is not None  # genesis has no sequence
        path = found.path
    return SnapshotTaken(
        path=path,
        sequence=taken.sequence,
        position=taken.position,
        digest=taken.header.digest,
        bytes=path.stat().st_size,
        started_at=start.sequence,
        entries=taken.sequence - start.sequence,
        new=new,
        seconds=time.monotonic() - began,
    )


def _run(instance: Instance, following: Following, limit: int) -> None:
    reader = JournalReader(instance.journal_directory, instance.genesis.unit)
    result = following.run_to(reader, limit)
    if result.difference is not None:
        raise SnapshotError(
            f"executing the journal again gives something else at sequence={result.difference.sequence} "
            f"position={result.difference.position}; run: statevec verify --instance {instance.directory}"
        )


def _attach(instance: Instance) -> Segment | None:
    """The log, None where there is none."""
    try:
        return attach_log(instance.instance_id, owner=instance.owner, populate=False)
    except (SegmentError, LogError):
        return None


def _end_to_follow(instance: Instance, start: JournalStart, log: Segment | None) -> int:
    """How far to follow: what is durable, or what can be made so."""
    if log is None:
        return find_end(instance.journal_directory, start=start, unit=instance.genesis.unit).position
    by_leader = released_offset(log) == log_layout.RELEASED_BY_LEADER
    # SYNC POINT: pairs with the journaler's release of its positions: the files hold all below them.
    position = load_acquire(log.region, log_layout.WRITTEN if by_leader else log_layout.DURABLE)
    return max(position, start.position)
