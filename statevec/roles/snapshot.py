"""Snapshots of a follower's state: taking one, finding the one to go on from, going on from it.

    capture(following)            a copy in memory: the only pause, and the follower's, never the leader's
    write_snapshot(...)           temporary name ─► write, fsync ─► read back ─► S is durable (rule 12) ─► final name
    newest_snapshot(...)          the newest one that is whole and belongs to this log; then `restore(...)`

Invariants
    What a restored follower is differs in nothing from one that executed everything from genesis: arena, digest,
    versions, history, and what the execution block carries over.
    A snapshot is used only after every byte of it was checked and its digest compared with the log's entry, where that
    entry is still there. One that is not used is reported, and the next older one is looked at.

Who writes and who reads
    Any follower may write at any time: writers take flock on `snapshots/` for the moment of it. Readers need no lock: a
    snapshot that is removed while it is read is still read whole.

A crash leaves no final name, or a whole snapshot under it; a temporary file is removed by the next writer.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from statevec import __version__
from statevec.engine import execution_layout
from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import LoadedPlugin, Tier
from statevec.engine.snapshot_file import (
    CARRIED,
    SnapshotError,
    SnapshotHeader,
    list_snapshots,
    read_header,
    read_snapshot,
    sequence_of,
    snapshot_path,
    verify_file,
    write_file,
)
from statevec.engine.store import PluginStore, StoreError
from statevec.engine.versions import VersionFollower, VersionHistory, first_decider
from statevec.ipc.kill_points import BEFORE_SNAPSHOT_NAME, kill_point
from statevec.ipc.memory import Region
from statevec.journal.admin_layout import AdminCommand
from statevec.journal.decode import hex64
from statevec.journal.disk import make_directory, open_directory, remove, rename, sync_directory
from statevec.journal.errors import JournalError, SequenceNotFoundError
from statevec.journal.reader import JournalReader
from statevec.journal.segments import contiguous_segments
from statevec.roles.events import report
from statevec.roles.following import Following, History
from statevec.state.arena import ArenaLayout

KEEP = 3
"""How many snapshots are kept when nobody says otherwise."""
DURABLE_PAUSE_SECONDS = 0.001


@dataclass(frozen=True)
class Captured:
    """A copy of a follower, independent of it; its header lacks what only the instance knows."""

    header: SnapshotHeader
    image: Region

    @property
    def sequence(self) -> int:
        return self.header.sequence

    @property
    def position(self) -> int:
        """The position that must be durable before the snapshot may have its name."""
        return self.header.position


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was read and checked, and the version that decides in it."""

    path: Path
    header: SnapshotHeader
    image: Region
    plugin: LoadedPlugin


def capture(following: Following) -> Captured:
    """Copy what `following` is after its last entry. Raises `SnapshotError` before the first."""
    execution = following.execution
    if following.versions.history.current is None:
        raise SnapshotError("there is nothing to take a snapshot of: no entry was executed")
    image = Region.allocate(execution.arena.size, alignment=4096)
    ctypes.memmove(image.address, execution.arena.address, image.size)
    pending = following.history.pending
    header = SnapshotHeader(
        instance_id="",
        sequence=execution.sequence,
        position=following.position,
        digest=hex64(execution.digest),
        deciders=list(following.versions.history.deciders),
        sources=dict(following.history.sources),
        pending="" if pending is None else pending.encode().hex(),
        execution={name: execution.block.load_i64(offset) for name, offset in CARRIED.items()},
        layout_hash=execution.layout.hash,
        engine_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    return Captured(header, image)


def write_snapshot(instance: Instance, captured: Captured, is_durable: Callable[[], bool], *, keep: int = KEEP) -> Path:
    """Make a file of what was captured; its path. Afterwards at most `keep` snapshots are there, the newest ones.

    `is_durable` says whether the journal is durable up to `captured.position`; it is asked until it says yes, and what
    it raises ends the writing. Raises `SnapshotError` when what was written does not read back, and `OSError`.
    """
    header = msgspec.structs.replace(captured.header, instance_id=instance.genesis.instance_id)
    directory = instance.snapshots_directory
    target = snapshot_path(directory, header.sequence)
    with snapshots_locked(instance):
        _remove_left_behind(directory)
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            write_file(temporary, header, captured.image)
            if verify_file(temporary) != header:
                raise SnapshotError(f"snapshot does not read back as it was written: {temporary}")
            while not is_durable():
                time.sleep(DURABLE_PAUSE_SECONDS)
            kill_point(BEFORE_SNAPSHOT_NAME)
            rename(temporary, target)
        finally:
            remove(temporary, missing_ok=True)
        sync_directory(directory)
        for old in list_snapshots(directory)[max(1, keep) :]:
            remove(old)
    return target


@contextmanager
def snapshots_locked(instance: Instance) -> Iterator[None]:
    """Be the only one who writes or removes snapshots of the instance; makes their directory."""
    directory = instance.snapshots_directory
    if not directory.is_dir():
        make_directory(directory, 0o700)
        sync_directory(directory.parent)
    descriptor = open_directory(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_left_behind(directory: Path) -> None:
    """Remove the temporary files of writers that died; who calls this has the lock."""
    for path in directory.glob(".*.tmp"):
        remove(path)


def usable_snapshots(
    instance: Instance, *, end: int | None = None, last: int | None = None, oldest_first: bool = False
) -> Iterator[Snapshot]:
    """Snapshots that recovery may go on from, newest first: whole, of this instance, and agreeing with its log.

    `end` is where the log ends; without it, the journal's files say so. Others are reported as `snapshot_refused`. Only
    those of sequences up to `last`, when it is given.
    """
    paths = list_snapshots(instance.snapshots_directory)
    reader = _reader_of(instance)
    for path in reversed(paths) if oldest_first else paths:
        if last is not None and sequence_of(path) > last:
            continue
        try:
            _compare(read_header(path), instance, reader, end)
            header, image = read_snapshot(path)
            plugin = PluginStore(instance.directory).load(header.decider.content_hash)
            wants = ArenaLayout([*ENGINE_TABLES, *plugin.table_specs]).hash
            if wants != header.layout_hash:
                raise SnapshotError(f"its arena is laid out otherwise: layout={header.layout_hash} expected={wants}")
        except (SnapshotError, StoreError, PluginError, OSError) as error:
            report("snapshot_refused", path=str(path), reason=str(error))
            continue
        yield Snapshot(path, header, image, plugin)


def snapshots_durable(instance: Instance) -> int:
    """The highest position at which a snapshot of the instance was taken: everything below was durable (rule 12).

    Also of one whose image is damaged, or that the journal does not reach: then the journal lost what it had.
    """
    known = 0
    for path in list_snapshots(instance.snapshots_directory):
        try:
            header = read_header(path)
        except (SnapshotError, OSError):
            continue  # its damage is reported where it would be used
        if header.instance_id == instance.genesis.instance_id:
            known = max(known, header.position)
    return known


def _reader_of(instance: Instance) -> JournalReader:
    """Of the journal's files up to the first gap: what is behind one is for recovery to judge."""
    segments, _ = contiguous_segments(instance.journal_directory, instance.genesis.unit)
    return JournalReader(instance.journal_directory, instance.genesis.unit, segments)


def newest_snapshot(instance: Instance, *, end: int | None = None, last: int | None = None) -> Snapshot | None:
    """The newest of `usable_snapshots`, None when there is none: then only genesis is left."""
    return next(usable_snapshots(instance, end=end, last=last), None)


def oldest_snapshot(instance: Instance) -> Snapshot | None:
    """The oldest of `usable_snapshots`, None when there is none."""
    return next(usable_snapshots(instance, oldest_first=True), None)


def _compare(header: SnapshotHeader, instance: Instance, reader: JournalReader, end: int | None) -> None:
    """Raise `SnapshotError` when the log is not the one that led to the snapshot, or cannot lead on from it."""
    if header.instance_id != instance.genesis.instance_id:
        raise SnapshotError(f"of another instance: id={header.instance_id} expected={instance.genesis.instance_id}")
    last = reader.end_of_files if end is None else end
    if header.position > last:
        raise SnapshotError(f"beyond the log: position={header.position} log ends at {last}")
    if header.position < reader.first_position:
        raise SnapshotError(
            f"the journal does not reach back to it: position={header.position} journal begins at "
            f"{reader.first_position}"
        )
    try:
        digest = reader.read(reader.find(header.sequence)).digest
    except SequenceNotFoundError as error:
        if header.position > reader.first_position:
            raise SnapshotError(f"beyond the log: {error}") from error
        return  # its entry went with a segment that is not needed any more
    except JournalError:
        return  # not readable; recovery judges the damage
    if hex64(digest) != header.digest:
        raise SnapshotError(
            f"of another history: sequence={header.sequence} digest={header.digest} log={hex64(digest)}"
        )


def restore(snapshot: Snapshot, instance: Instance, tier: Tier) -> Following:
    """Go on from a snapshot, whose image becomes the arena: use it once. Raises `ArenaMismatchError`."""
    header, plugin = snapshot.header, snapshot.plugin
    execution = Execution(
        plugin.table_specs, plugin.dispatch(tier), max_entry=instance.genesis.max_entry, image=snapshot.image
    )
    carried = [(offset, header.execution[name]) for name, offset in CARRIED.items()]
    for offset, value in (
        (execution_layout.SEQUENCE, header.sequence),
        (execution_layout.DIGEST, header.start.digest),
        *carried,
    ):
        execution.block.store_i64(offset, value)
    versions = VersionFollower(execution, plugin, tier, PluginStore(instance.directory).load)
    versions.history = VersionHistory(list(header.deciders))
    pending = AdminCommand.decode(bytes.fromhex(header.pending)) if header.pending else None
    return Following(versions, History(dict(header.sources), pending), header.position)


def begin_following(
    instance: Instance,
    tier: Tier,
    snapshot: Snapshot | None,
    configured: Callable[[], LoadedPlugin] | None = None,
    reader: JournalReader | None = None,
) -> Following:
    """A follower at `snapshot`, or before the first entry when that is None.

    `configured` loads the plugin that decides first where the journal is empty; `reader` reads another selection of
    segments than the files at hand. Raises `VersionError` when the journal
    does not reach back to genesis, `SnapshotError` when it is empty and nothing is configured.
    """
    if snapshot is not None:
        return restore(snapshot, instance, tier)
    first = first_decider(reader or _reader_of(instance), instance.instance_id)
    if first is not None:
        plugin = PluginStore(instance.directory).load(first.content_hash)
    elif configured is not None:
        plugin = configured()
    else:
        raise SnapshotError(f"there is nothing to follow: no entry was ever written in {instance.directory}")
    return Following.from_genesis(instance, plugin, tier)
