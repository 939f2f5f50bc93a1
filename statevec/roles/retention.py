"""Retention: taking away the journal's first segments once nobody needs them at hand.

    newest snapshots, verified ─┐
    gateways' cursors ──────────┼─► floor ─► segments wholly below it: archive in the cold directory, read back,
    what a new journaler writes ┘            remember the head of the chain ─► remove, one after the other

Invariants
    A segment goes only when a snapshot that was read back and verified lies behind it, and every registered reader too:
    each gateway that has a directory or is configured (rule 8), whose cursor is made durable before. The last segment
    stays.
    With a cold directory every segment is readable somewhere at any moment: it is removed only after the archived one
    was read back. Without one segments go only when `delete` says so.

Who writes and who reads
    A follower's job, never the leader's; one process at a time, which has the lock of snapshot writers, so that no
    snapshot goes meanwhile. `cold.json` has where the chain of cold segments ends, for when they are moved elsewhere.

A crash leaves a segment in both places at most, or a temporary file; the next run goes on there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from statevec.engine.instance import Instance
from statevec.engine.snapshot_file import list_snapshots, sequence_of
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log, released_offset
from statevec.ipc.memory import signed64
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SegmentError
from statevec.journal.cold_segments import (
    ColdHead,
    ColdSegmentError,
    cold_path,
    first_head,
    list_cold_segments,
    read_cold_segment,
    verify_content,
    write_cold_segment,
)
from statevec.journal.decode import hex64
from statevec.journal.disk import (
    make_directory,
    open_file,
    read_file,
    remove,
    replace_file,
    sync_directory,
    sync_file,
)
from statevec.journal.journaler import start_of_journaling
from statevec.journal.segments import SegmentFile, list_segments
from statevec.roles.cursor import CURSOR_FILE, Cursor, read_cursor
from statevec.roles.events import Speaker
from statevec.roles.snapshot import KEEP, snapshots_locked, usable_snapshots

HEAD_FILE = "cold.json"


class RetentionError(Exception):
    """Segments cannot be taken away as asked; the text says why. Nothing was lost."""


class HeadRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `cold.json` says: the chain's end."""

    position: int
    sequence: int
    digest: str
    chain_hash: str


@dataclass(frozen=True)
class Floor:
    """What lies below `position` is needed by nobody; `held_by` needs what lies there."""

    position: int
    held_by: str


@dataclass(frozen=True)
class Retained:
    """What retention did, or would do."""

    floor: Floor
    segments: int
    bytes: int
    cold_bytes: int
    head: ColdHead | None
    """The chain's end, to be kept elsewhere; None where nothing was ever archived."""
    done: bool
    """False when neither a cold directory nor `delete` was given."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "floor": self.floor.position,
            "held_by": self.floor.held_by,
            "segments": self.segments,
            "bytes": self.bytes,
            "cold_bytes": self.cold_bytes,
            "head": self.head.chain_hash.hex() if self.head else "",
            "head_position": self.head.position if self.head else 0,
            "done": self.done,
        }


def retain(instance: Instance, *, keep: int = KEEP, cold: Path | None = None, delete: bool = False) -> Retained:
    """Take away what nobody needs: into `cold`, or for good with `delete`; with neither only say what would go.

    Raises `RetentionError`, `ColdSegmentError`, `JournalDamagedError` and `OSError`; then the rest stays as it was.
    """
    if cold is not None and delete:
        raise RetentionError("segments are either archived or deleted: give a cold directory, or delete")
    with snapshots_locked(instance):
        if cold is not None or delete:
            _make_cursors_durable(instance)
        floor, snapshot = find_floor(instance, keep)
        segments = list_segments(instance.journal_directory, instance.genesis.unit)
        going = [segment for segment in segments[:-1] if segment.end <= floor.position]
        done = cold is not None or delete
        if going and done:
            _remove_snapshots_before(instance, snapshot)
        cold_bytes = take_away(instance, going, cold) if done else 0
        if going and done:
            size = sum(segment.size for segment in going)
            Speaker("retention", instance).report(
                "segments_taken_away", segments=len(going), bytes=size, cold=cold is not None, floor=floor.position
            )
    return Retained(
        floor=floor,
        segments=len(going),
        bytes=sum(segment.size for segment in going),
        cold_bytes=cold_bytes,
        head=read_head(instance),
        done=done,
    )


def take_away(instance: Instance, segments: Sequence[SegmentFile], cold: Path | None) -> int:
    """Archive the segments, the journal's first ones, if there is a cold directory, and remove them; bytes archived."""
    archive = _Archive(instance, cold) if cold is not None and segments else None
    for segment in segments:
        if archive is not None:
            archive.keep(segment)
        remove(segment.path)
        sync_directory(instance.journal_directory)
    return archive.bytes if archive is not None else 0


def find_floor(instance: Instance, keep: int) -> tuple[Floor, int]:
    """The floor, and the sequence of the oldest of the newest `keep` usable snapshots (0 without any)."""
    position, sequence, held_by = 0, 0, "no snapshot that can be used"
    for number, snapshot in enumerate(usable_snapshots(instance), 1):
        position, sequence = snapshot.header.position, snapshot.header.sequence
        held_by = f"snapshot {sequence}"
        if number == keep:
            break
    for name, cursor in _cursors(instance).items():
        if cursor.position < position:
            position, held_by = cursor.position, f"gateway {name}"
    again = _written_again(instance)
    if again is not None and again < position:
        position, held_by = again, "the log: the next leader's journaler writes it again"
    return Floor(position, held_by), sequence


def _written_again(instance: Instance) -> int | None:
    """From where on a new journaler would write the log's bytes again (rule 11): it needs the segments for that."""
    try:
        log = attach_log(instance.instance_id, owner=instance.owner, populate=False)
    except (SegmentError, LogError):
        return None
    with log:
        memory = released_offset(log) == log_layout.RELEASED_BY_LEADER
        # SYNC POINT: pairs with the journaler's and the leader's releases of their positions.
        durable = load_acquire(log.region, log_layout.DURABLE)
        appended = load_acquire(log.region, log_layout.APPENDED)  # SYNC POINT: as above
        return start_of_journaling("memory" if memory else "disk", durable, appended, log.capacity)


def _cursors(instance: Instance) -> dict[str, Cursor]:
    """Of every gateway that has a directory, or that the last leader was configured with."""
    leader = instance.leader()
    names = set(leader.gateways) if leader is not None else set()
    if instance.gateways_directory.is_dir():
        names |= {path.name for path in instance.gateways_directory.iterdir() if path.is_dir()}
    return {name: read_cursor(instance.gateways_directory / name) for name in sorted(names)}


def _make_cursors_durable(instance: Instance) -> None:
    """In `memory` mode no acknowledgement waits for the disk: after power loss a gateway would need older segments."""
    if not instance.gateways_directory.is_dir():
        return
    for directory in instance.gateways_directory.iterdir():
        try:
            file = open_file(directory / CURSOR_FILE, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            sync_file(file, directory / CURSOR_FILE)
        finally:
            os.close(file)
        sync_directory(directory)
    sync_directory(instance.gateways_directory)


def _remove_snapshots_before(instance: Instance, sequence: int) -> None:
    """Nobody can go on from a snapshot whose segments are gone."""
    for path in list_snapshots(instance.snapshots_directory):
        if sequence_of(path) < sequence:
            remove(path)


def read_head(instance: Instance) -> ColdHead | None:
    """The chain's end as the instance remembers it, None when nothing was archived. Raises `RetentionError`."""
    path = instance.directory / HEAD_FILE
    try:
        record = msgspec.json.decode(read_file(path), type=HeadRecord)
        digest, chain_hash = signed64(int(record.digest, 16)), bytes.fromhex(record.chain_hash)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, ValueError) as error:
        raise RetentionError(f"{path} is damaged: {error}") from error
    return ColdHead(record.position, record.sequence, digest, chain_hash)


class _Archive:
    """The chain of cold segments in one directory, and its end."""

    def __init__(self, instance: Instance, directory: Path) -> None:
        self._instance = instance
        self._directory = directory
        self.bytes = 0
        if not directory.is_dir():
            make_directory(directory, 0o700)
            sync_directory(directory.parent.resolve())
        there = list_cold_segments(directory, instance.instance_id)
        heads = [head for head in (read_head(instance), there[-1].head if there else None) if head is not None]
        self.head = max(heads, key=lambda head: head.position, default=None)

    def keep(self, segment: SegmentFile) -> None:
        """Archive a segment behind the chain's end, or see that it is there already."""
        head = self.head or first_head(segment.first)
        if segment.first < head.position:
            self._check_kept(segment)
            return
        if segment.first != head.position:
            raise RetentionError(
                f"the journal does not follow the cold segments: they end at position={head.position} "
                f"journal begins at {segment.first}"
            )
        genesis = self._instance.genesis
        written = write_cold_segment(
            self._directory, segment, head, instance_id=self._instance.instance_id, unit=genesis.unit
        )
        self.head = written.head
        self.bytes += written.path.stat().st_size
        record = HeadRecord(written.end, written.last_sequence, hex64(written.last_digest), written.chain_hash.hex())
        replace_file(self._instance.directory / HEAD_FILE, msgspec.json.encode(record))

    def _check_kept(self, segment: SegmentFile) -> None:
        """A run that was cut short archived the segment and did not remove it."""
        path = cold_path(self._directory, segment.first)
        if not path.exists():
            raise RetentionError(f"{segment.path} was archived before, but {path} is not there: put it back")
        kept = read_cold_segment(path)
        verify_content(kept)
        if kept.content_hash != blake3(segment.load().view).digest():
            raise ColdSegmentError(f"cold segment is another one than {segment.path}: {path}")
