"""Cold segments: full segments of the journal that nobody needs at hand, compressed and chained, in another directory.

    COLD/0000000000000000.cold      the segment that begins at that position (`cold_layout`), in frames of one UNIT
    COLD/0000000004000000.cold      the next one; its header has the chain hash of the one before

Invariants
    The chain hash of a segment covers its content and the chain hash before it: whoever keeps the last one (the *head*)
    elsewhere knows of every change in all of them. Without that, somebody could write all of them anew.
    A name ending in `.cold` is a whole file that was read back. It never changes.
    What is archived is sound: each entry follows from the one before, to the segment's end.

Who writes and who reads
    Retention (`roles/retention`) writes, one process at a time. Anybody reads, without a lock.

A crash leaves at most a temporary file (`.NAME.tmp`), which the next attempt replaces.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard
from blake3 import blake3

from statevec.ipc.memory import Region
from statevec.journal import cold_layout as layout
from statevec.journal import reader_layout
from statevec.journal.disk import open_file, rename, sync_directory, sync_file, write_all
from statevec.journal.entry import CHECK_NAMES
from statevec.journal.entry_layout import SEQUENCE
from statevec.journal.errors import JournalDamagedError, JournalError
from statevec.journal.reader import chain_cursor, make_cursor
from statevec.journal.reader_kernels import END_OF_RANGE, walk
from statevec.journal.segments import SegmentFile, StoredSegment

SUFFIX = ".cold"
COMPRESSION_LEVEL = 3
NO_HASH = bytes(layout.HASH_SIZE)

_NAME = re.compile(r"[0-9a-f]{16}\.cold")


class ColdSegmentError(JournalError):
    """A cold segment is damaged, or does not belong where it lies; the text says which and why."""


@dataclass(frozen=True, slots=True)
class ColdUnit:
    """One unit of a cold segment; to a reader it is a small segment: positions `first` … `end` - 1."""

    path: Path
    first: int
    size: int
    offset: int
    length: int
    sequence: int
    """Of its first entry."""

    @property
    def end(self) -> int:
        return self.first + self.size

    def load(self) -> Region:
        """Its bytes, decompressed. Raises `ColdSegmentError`, `OSError`."""
        file = open_file(self.path, os.O_RDONLY)
        try:
            return Region.of(_decompress(self, os.pread(file, self.length, self.offset)))
        finally:
            os.close(file)


@dataclass(frozen=True)
class ColdHead:
    """Where the chain of cold segments ends, and what the next one must follow from."""

    position: int
    sequence: int | None
    """Of the last entry before; None where that is not known, since a chain begins with any segment."""
    digest: int
    chain_hash: bytes


GENESIS_HEAD = ColdHead(0, 0, 0, NO_HASH)


def first_head(position: int) -> ColdHead:
    """Before the first cold segment of an instance, which begins at `position`."""
    return GENESIS_HEAD if position == 0 else ColdHead(position, None, 0, NO_HASH)


@dataclass(frozen=True)
class ColdSegment:
    """What the header of a cold segment says, its hashes checked but not its content."""

    path: Path
    instance_id: int
    first: int
    size: int
    first_sequence: int
    last_sequence: int
    last_digest: int
    content_hash: bytes
    previous_hash: bytes
    chain_hash: bytes
    units: tuple[ColdUnit, ...]

    @property
    def end(self) -> int:
        return self.first + self.size

    @property
    def head(self) -> ColdHead:
        """Behind this segment."""
        return ColdHead(self.end, self.last_sequence, self.last_digest, self.chain_hash)


def cold_path(directory: Path, first: int) -> Path:
    """Where the cold segment that begins at position `first` lies."""
    return directory / f"{first:016x}{SUFFIX}"


def _decompress(unit: ColdUnit, frame: bytes) -> bytes:
    try:
        content = zstandard.ZstdDecompressor().decompress(frame, max_output_size=unit.size)
    except zstandard.ZstdError as error:
        raise ColdSegmentError(
            f"cold segment is damaged: unit at position={unit.first}: {error} in {unit.path}"
        ) from error
    if len(content) != unit.size:
        raise ColdSegmentError(
            f"cold segment is damaged: unit at position={unit.first} size={len(content)} expected={unit.size} "
            f"in {unit.path}"
        )
    return content


def read_cold_segment(path: Path) -> ColdSegment:
    """Header and table of the cold segment at `path`. Raises `ColdSegmentError`, `OSError`."""
    descriptor = open_file(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        page = os.pread(descriptor, layout.PAGE_SIZE, 0)
        header = _check_page(page, path)
        count = header.load_i64(layout.SIZE) // header.load_i64(layout.UNIT)
        table = os.pread(descriptor, count * layout.UNIT_ENTRY_SIZE, layout.PAGE_SIZE)
    finally:
        os.close(descriptor)
    if blake3(table).digest() != page[layout.TABLE_HASH : layout.TABLE_HASH + layout.HASH_SIZE]:
        raise ColdSegmentError(f"cold segment is damaged: the hash of its table differs in {path}")
    units = tuple(_units_of(Region.of(table), header, path))
    if units[-1].offset + units[-1].length != size:
        raise ColdSegmentError(
            f"cold segment was cut: size={size} expected={units[-1].offset + units[-1].length} in {path}"
        )
    load = header.load_i64
    return ColdSegment(
        path=path,
        instance_id=load(layout.INSTANCE_ID),
        first=load(layout.FIRST),
        size=load(layout.SIZE),
        first_sequence=load(layout.FIRST_SEQUENCE),
        last_sequence=load(layout.LAST_SEQUENCE),
        last_digest=load(layout.LAST_DIGEST),
        content_hash=page[layout.CONTENT_HASH : layout.CONTENT_HASH + layout.HASH_SIZE],
        previous_hash=page[layout.PREVIOUS_HASH : layout.PREVIOUS_HASH + layout.HASH_SIZE],
        chain_hash=page[layout.CHAIN_HASH :],
        units=units,
    )


def _check_page(page: bytes, path: Path) -> Region:
    header = Region.of(page)
    if len(page) < layout.PAGE_SIZE or header.load_i64(layout.PAGE_MAGIC) != layout.MAGIC:
        raise ColdSegmentError(f"not a cold segment: {path}")
    version = header.load_i64(layout.PAGE_FORMAT)
    if version != layout.FORMAT_VERSION:
        raise ColdSegmentError(
            f"cold segment of another format: version={version} expected={layout.FORMAT_VERSION} in {path}"
        )
    if blake3(page[: layout.CHAIN_HASH]).digest() != page[layout.CHAIN_HASH :]:
        raise ColdSegmentError(f"cold segment is damaged: the hash of its first page differs in {path}")
    return header


def _units_of(table: Region, header: Region, path: Path) -> Iterator[ColdUnit]:
    unit, first = header.load_i64(layout.UNIT), header.load_i64(layout.FIRST)
    for number in range(header.load_i64(layout.SIZE) // unit):
        entry = number * layout.UNIT_ENTRY_SIZE
        yield ColdUnit(
            path,
            first + number * unit,
            unit,
            table.load_i64(entry + layout.UNIT_OFFSET),
            table.load_i64(entry + layout.UNIT_LENGTH),
            table.load_i64(entry + layout.UNIT_SEQUENCE),
        )


def list_cold_segments(directory: Path, instance_id: int) -> list[ColdSegment]:
    """All cold segments of a directory in order, checked to meet and to be one chain of one instance.

    Raises `ColdSegmentError`. A missing directory has none.
    """
    found: list[ColdSegment] = []
    paths = directory.iterdir() if directory.is_dir() else ()
    for path in sorted(path for path in paths if _NAME.fullmatch(path.name)):
        segment = read_cold_segment(path)
        if path != cold_path(directory, segment.first):
            raise ColdSegmentError(f"cold segment is misnamed: position={segment.first} in {path}")
        if segment.instance_id != instance_id:
            raise ColdSegmentError(
                f"cold segment of another instance: id={segment.instance_id:016x} expected={instance_id:016x} in {path}"
            )
        if found:
            _check_follows(found[-1], segment)
        found.append(segment)
    return found


def _check_follows(before: ColdSegment, segment: ColdSegment) -> None:
    if segment.first != before.end or segment.first_sequence != before.last_sequence + 1:
        raise ColdSegmentError(
            f"a cold segment is missing: expected position={before.end} sequence={before.last_sequence + 1} "
            f"found position={segment.first} sequence={segment.first_sequence} in {segment.path}"
        )
    if segment.previous_hash != before.chain_hash:
        raise ColdSegmentError(
            f"cold segments are not one chain: chain hash of {before.path.name}={before.chain_hash.hex()} "
            f"expected={segment.previous_hash.hex()} in {segment.path}"
        )


def join_segments(cold: Sequence[ColdSegment], files: Sequence[SegmentFile]) -> list[StoredSegment]:
    """What a reader needs to go from the cold segments on to the files at hand; a file counts more than its archive.

    Raises `ColdSegmentError` when segments between them are missing.
    """
    first = files[0].first if files else None
    units = [unit for segment in cold for unit in segment.units if first is None or unit.end <= first]
    if first is not None and cold and (units[-1].end if units else cold[0].first) < first:
        raise ColdSegmentError(
            f"segments are missing: the cold ones end at position={cold[-1].end}, the journal begins at {first}"
        )
    return [*units, *files]


def verify_content(segment: ColdSegment) -> None:
    """Decompress all of a cold segment and compare the hash of its content. Raises `ColdSegmentError`."""
    hasher = blake3()
    for unit in segment.units:
        hasher.update(unit.load().view)
    if hasher.digest() != segment.content_hash:
        raise ColdSegmentError(f"cold segment is damaged: the hash of its content differs in {segment.path}")


def write_cold_segment(
    directory: Path, segment: SegmentFile, head: ColdHead, *, instance_id: int, unit: int
) -> ColdSegment:
    """Archive a full segment in `directory` behind `head`, and read it back; a file of that name is replaced.

    Raises `JournalDamagedError` when the segment is not sound, `ColdSegmentError` when it does not read back.
    """
    content = segment.load()
    end = _check_sound(content, segment, head, unit)
    target = cold_path(directory, segment.first)
    temporary = target.with_name(f".{target.name}.tmp")
    descriptor = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        table = _write_frames(descriptor, content, unit, temporary)
        page = Region.allocate(layout.PAGE_SIZE)
        for offset, value in (
            (layout.PAGE_MAGIC, layout.MAGIC),
            (layout.PAGE_FORMAT, layout.FORMAT_VERSION),
            (layout.INSTANCE_ID, instance_id),
            (layout.UNIT, unit),
            (layout.FIRST, segment.first),
            (layout.SIZE, segment.size),
            (layout.FIRST_SEQUENCE, content.load_i64(SEQUENCE)),
            (layout.LAST_SEQUENCE, end.load_i64(reader_layout.SEQUENCE)),
            (layout.LAST_DIGEST, end.load_i64(reader_layout.DIGEST)),
        ):
            page.store_i64(offset, value)
        hashes = blake3(content.view).digest() + blake3(table).digest() + head.chain_hash
        page.view[layout.CONTENT_HASH : layout.CONTENT_HASH + len(hashes)] = hashes
        page.view[layout.CHAIN_HASH :] = blake3(page.view[: layout.CHAIN_HASH]).digest()
        write_all(descriptor, bytes(page.view) + table, 0, temporary)
        sync_file(descriptor, temporary)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # what is read back shall come from the disk
    finally:
        os.close(descriptor)
    verify_content(read_cold_segment(temporary))
    rename(temporary, target)
    sync_directory(directory)
    return read_cold_segment(target)


def _check_sound(content: Region, segment: SegmentFile, head: ColdHead, unit: int) -> Region:
    """Walk over all entries of a full segment; the cursor at its end."""
    cursor = make_cursor(segment.first, unit)
    if head.sequence is not None:
        chain_cursor(cursor, head.sequence, head.digest)
    if walk(content, segment.first, cursor) != END_OF_RANGE:
        position, sequence = cursor.load_i64(reader_layout.POSITION), cursor.load_i64(reader_layout.SEQUENCE)
        reason = CHECK_NAMES[cursor.load_i64(reader_layout.CODE)]
        raise JournalDamagedError(position, sequence + 1, segment.end, reason)
    return cursor


def _write_frames(descriptor: int, content: Region, unit: int, path: Path) -> bytes:
    """Compress each unit into a frame of its own, behind the place of the table; the table."""
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
    count = content.size // unit
    offset = layout.PAGE_SIZE + count * layout.UNIT_ENTRY_SIZE
    table = Region.allocate(count * layout.UNIT_ENTRY_SIZE)
    for number in range(count):
        frame = compressor.compress(content.view[number * unit : (number + 1) * unit])
        write_all(descriptor, frame, offset, path)
        entry = number * layout.UNIT_ENTRY_SIZE
        table.store_i64(entry + layout.UNIT_OFFSET, offset)
        table.store_i64(entry + layout.UNIT_LENGTH, len(frame))
        table.store_i64(entry + layout.UNIT_SEQUENCE, content.load_i64(number * unit + SEQUENCE))
        offset += len(frame)
    return bytes(table.view)
