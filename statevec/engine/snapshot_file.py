"""Snapshot files: what a follower of the log was at one sequence, so that nobody has to begin at genesis.

    snapshots/<sequence, 20 digits>.snapshot        fixed page, header, memory image (`snapshot_layout`)

Invariants
    Every byte of a file is covered by a hash that is checked before anything in it is believed, and the file ends where
    its page says.
    The header says all that execution goes on from and the image does not hold (`SnapshotHeader`). The versions
    themselves come from the plugin store.
    A name ending in `.snapshot` is a whole snapshot that was read back, of a position that is durable in the journal
    (rule 12); `roles/snapshot` gives it that name.

Who writes and who reads
    Followers write (`roles/snapshot`). Recovery, `verify`, shadows and retention read, without a lock.

A crash leaves at most a temporary file (`.NAME.tmp`), which nobody reads and the next writer removes.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from statevec.engine import execution_layout
from statevec.engine import snapshot_layout as layout
from statevec.engine.versions import Decider
from statevec.ipc.memory import Region, signed64
from statevec.journal.disk import open_file, set_size, sync_file, write_all
from statevec.journal.fold import hash_bytes
from statevec.journal.recovery import JournalStart
from statevec.state.records import align

SUFFIX = ".snapshot"
NAME = re.compile(r"[0-9]{20}\.snapshot")
BLOCK_SIZE = 64 << 10
"""What of the image is written at once, or is a hole."""
CARRIED = {
    "budget": execution_layout.BUDGET,
    "logic_version": execution_layout.LOGIC_VERSION,
    "committed": execution_layout.COMMITTED_COUNT,
    "rejected": execution_layout.REJECTED_COUNT,
    "faulted": execution_layout.FAULTED_COUNT,
    "probation_failed": execution_layout.PROBATION_FAILED,
}
"""Fields of the execution block that entries changed and later ones depend on, beside sequence and digest."""


class SnapshotError(Exception):
    """A snapshot is damaged, or cannot be used here; the text says why."""


class SnapshotHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a follower was after the entry `sequence`, beside the arena."""

    instance_id: str
    sequence: int
    position: int
    """Where the next entry begins."""
    digest: str
    """The entry's, 16 hex digits."""
    deciders: list[Decider]
    """Who decided so far; the last one decides now."""
    sources: dict[str, int]
    """Ring name to source number."""
    pending: str
    """The order to cut over that is not carried out yet, as its entry has it, in hex; empty when there is none."""
    execution: dict[str, int]
    """The fields of the execution block that `CARRIED` names."""
    layout_hash: str
    """Of the arena."""
    engine_version: str
    created: str
    """ISO 8601, UTC."""

    @property
    def decider(self) -> Decider:
        return self.deciders[-1]

    @property
    def start(self) -> JournalStart:
        """From where on the journal is still needed."""
        return JournalStart(self.position, self.sequence, signed64(int(self.digest, 16)))


@dataclass(frozen=True)
class SnapshotPage:
    """The sizes and hashes that a file's page states, the page's own hash checked."""

    header_length: int
    image_offset: int
    image_size: int
    header_hash: int
    image_hash: int


def snapshot_path(directory: Path, sequence: int) -> Path:
    """Where the snapshot after the entry `sequence` lies."""
    return directory / f"{sequence:020d}{SUFFIX}"


def sequence_of(path: Path) -> int:
    """The sequence in the name of a snapshot."""
    return int(path.stem)


def list_snapshots(directory: Path) -> list[Path]:
    """All files that are named like snapshots, the newest first."""
    paths = directory.iterdir() if directory.is_dir() else ()
    return sorted((path for path in paths if NAME.fullmatch(path.name)), reverse=True)


def write_file(path: Path, header: SnapshotHeader, image: Region) -> int:
    """Write a snapshot and sync it; its size in bytes. What stood at `path` is replaced."""
    encoded = msgspec.json.encode(header)
    image_offset = align(layout.PAGE_SIZE + len(encoded), layout.PAGE_SIZE)
    padded = encoded.ljust(image_offset - layout.PAGE_SIZE, b"\0")
    page = _make_page(len(encoded), image_offset, padded, image)
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        set_size(descriptor, image_offset + image.size, path)
        write_all(descriptor, page.view, 0, path)
        write_all(descriptor, memoryview(padded), layout.PAGE_SIZE, path)
        for start, end in used_ranges(image):
            write_all(descriptor, image.view[start:end], image_offset + start, path)
        sync_file(descriptor, path)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # what is read back shall come from the disk
    finally:
        os.close(descriptor)
    return image_offset + image.size


def _make_page(header_length: int, image_offset: int, padded: bytes, image: Region) -> Region:
    page = Region.allocate(layout.PAGE_SIZE)
    for offset, value in (
        (layout.PAGE_MAGIC, layout.MAGIC),
        (layout.PAGE_FORMAT, layout.FORMAT_VERSION),
        (layout.HEADER_OFFSET, layout.PAGE_SIZE),
        (layout.HEADER_LENGTH, header_length),
        (layout.IMAGE_OFFSET, image_offset),
        (layout.IMAGE_SIZE, image.size),
        (layout.HEADER_HASH, hash_bytes(Region.of(padded), 0, len(padded), 0)),
        (layout.IMAGE_HASH, hash_bytes(image, 0, image.size, 0)),
    ):
        page.store_i64(offset, value)
    page.store_i64(layout.PAGE_HASH, hash_bytes(page, 0, layout.PAGE_HASH, 0))
    return page


def used_ranges(image: Region) -> Iterator[tuple[int, int]]:
    """The parts (start, end) of an image, whole blocks, that hold anything but zeros; neighbours are one part."""
    words = np.frombuffer(image.view, np.int64)
    block = BLOCK_SIZE // 8
    whole = len(words) // block * block
    used = words[:whole].reshape(-1, block).any(axis=1)
    used = np.append(used, words[whole:].any())  # what is left of the last block, perhaps nothing
    edges = np.flatnonzero(np.diff(np.concatenate(([False], used, [False])).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        yield first * BLOCK_SIZE, min(last * BLOCK_SIZE, image.size)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = open_file(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, size: int, offset: int, path: Path) -> Region:
    """`size` bytes of the file from `offset` on, in memory of this process."""
    content = Region.allocate(size, alignment=4096)
    view = content.view
    while view:
        count = os.preadv(descriptor, [view], offset)
        if count == 0:
            raise SnapshotError(f"snapshot was cut: nothing at offset={offset} in {path}")
        view = view[count:]
        offset += count
    return content


def _read_page(descriptor: int, path: Path) -> SnapshotPage:
    size = os.fstat(descriptor).st_size
    if size < layout.PAGE_SIZE:
        raise SnapshotError(f"snapshot was cut: size={size} at least {layout.PAGE_SIZE} in {path}")
    page = _read(descriptor, layout.PAGE_SIZE, 0, path)
    load = page.load_i64
    if load(layout.PAGE_MAGIC) != layout.MAGIC:
        raise SnapshotError(f"not a snapshot: magic={load(layout.PAGE_MAGIC):x} expected={layout.MAGIC:x} in {path}")
    version = load(layout.PAGE_FORMAT)
    if version != layout.FORMAT_VERSION:
        raise SnapshotError(f"snapshot of another format: version={version} expected={layout.FORMAT_VERSION} in {path}")
    if load(layout.PAGE_HASH) != hash_bytes(page, 0, layout.PAGE_HASH, 0):
        raise SnapshotError(f"snapshot is damaged: the hash of its first page differs in {path}")
    found = SnapshotPage(
        header_length=load(layout.HEADER_LENGTH),
        image_offset=load(layout.IMAGE_OFFSET),
        image_size=load(layout.IMAGE_SIZE),
        header_hash=load(layout.HEADER_HASH),
        image_hash=load(layout.IMAGE_HASH),
    )
    room = found.image_offset - layout.PAGE_SIZE
    sound = 0 < found.header_length <= room <= layout.HEADER_LENGTH_MOST and found.image_size > 0
    if not sound or found.image_offset + found.image_size != size:
        raise SnapshotError(f"snapshot is damaged: size={size} does not fit {found} in {path}")
    return found


def _read_header(descriptor: int, page: SnapshotPage, path: Path) -> SnapshotHeader:
    padded = _read(descriptor, page.image_offset - layout.PAGE_SIZE, layout.PAGE_SIZE, path)
    if hash_bytes(padded, 0, padded.size, 0) != page.header_hash:
        raise SnapshotError(f"snapshot is damaged: the hash of its header differs in {path}")
    try:
        header = msgspec.json.decode(padded.view[: page.header_length], type=SnapshotHeader)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"header of a snapshot cannot be read: {error} in {path}") from error
    if not header.deciders or header.execution.keys() != CARRIED.keys() or header.sequence < 1:
        raise SnapshotError(f"header of a snapshot is incomplete: {header} in {path}")
    return header


def read_header(path: Path) -> SnapshotHeader:
    """What the snapshot at `path` says, its image unread. Raises `SnapshotError`, `OSError`."""
    with _opened(path) as descriptor:
        return _read_header(descriptor, _read_page(descriptor, path), path)


def read_snapshot(path: Path) -> tuple[SnapshotHeader, Region]:
    """Header and image of the snapshot at `path`, all of it checked. Raises `SnapshotError`, `OSError`."""
    with _opened(path) as descriptor:
        page = _read_page(descriptor, path)
        header = _read_header(descriptor, page, path)
        image = _read(descriptor, page.image_size, page.image_offset, path)
    _check_image(image, page, path)
    return header, image


def verify_file(path: Path) -> SnapshotHeader:
    """Read every byte of the snapshot at `path` and compare all hashes; no memory is needed for the image.

    Raises `SnapshotError`, `OSError`.
    """
    with _opened(path) as descriptor:
        page = _read_page(descriptor, path)
        header = _read_header(descriptor, page, path)
        mapped = Region.of(mmap.mmap(descriptor, page.image_offset + page.image_size, mmap.MAP_SHARED, mmap.PROT_READ))
        _check_image(mapped.slice(page.image_offset, page.image_size), page, path)
    return header


def _check_image(image: Region, page: SnapshotPage, path: Path) -> None:
    if hash_bytes(image, 0, image.size, 0) != page.image_hash:
        raise SnapshotError(f"snapshot is damaged: the hash of its image differs in {path}")
