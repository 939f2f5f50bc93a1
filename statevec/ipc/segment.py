"""Named shared memory: made whole or not at all, attached only when everything about it is as expected.

A segment is a file in /dev/shm that any process of any language can map. Its first page (`segment_layout`) says what
it is; the rest belongs to its kind.

Invariants
    `create` answers for every byte: the memory is reserved before it is touched (a file that is only truncated to
    its size kills the process when memory runs out), and the magic is stored last.
    `attach` trusts no byte that it has not compared, and reads the page through the file before it maps anything.
    A mapping lives until the last `Region` of it is gone, so no `Region` ever dangles.

Who writes and who reads: the creator writes the first page, see the layouts of the kinds for the rest.

A crash while creating leaves a file without magic; a crash later leaves the segment. `clean` removes both.
"""

from __future__ import annotations

import grp
import mmap
import os
import re
import secrets
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import posix_ipc

from statevec.ipc import segment_layout as layout
from statevec.ipc.memory import Region
from statevec.ipc.process_identity import ProcessIdentity, boot_id

SHARED_MEMORY = Path("/dev/shm")
RESERVE_BYTES = 1 << 20
"""What creating leaves free in shared memory for others."""


class SegmentError(Exception):
    """A segment cannot be made or is not what was expected; the text has rule and values."""


def segment_name(instance_id: int, what: str) -> str:
    """The name of an instance's segment: `/sv-<instance id>-<what>`, `what` being `log`, `ring-…` or `counters-…`."""
    return check_name(f"/{layout.NAME_PREFIX}{instance_id:016x}-{what}")


def check_name(name: str) -> str:
    """`name` itself when it is a segment's name; else `SegmentError`."""
    if not re.fullmatch(layout.NAME_PATTERN, name):
        raise SegmentError(
            f"not a segment's name: {name!r}; names are /sv-<16 hex digits>-log, -ring-NAME, -counters-NAME"
        )
    return name


@dataclass(frozen=True)
class SegmentHeader:
    """The first page's fields."""

    magic: int
    layout_version: int
    kind: int
    size: int
    capacity: int
    instance_id: int
    own_id: int
    creator: ProcessIdentity
    created_ns: int

    @classmethod
    def unpack(cls, content: bytes) -> SegmentHeader:
        magic, version, kind, size, capacity, instance, own, pid, started, boot, namespace, created = struct.unpack(
            layout.HEADER_FORMAT, content
        )
        creator = ProcessIdentity(pid, started, boot, namespace)
        return cls(magic, version, kind, size, capacity, instance, own, creator, created)

    def pack(self) -> bytes:
        who = self.creator
        return struct.pack(
            layout.HEADER_FORMAT,
            *(self.magic, self.layout_version, self.kind, self.size, self.capacity, self.instance_id, self.own_id),
            *(who.pid, who.started_ms, who.boot_id, who.pid_namespace, self.created_ns),
        )


def read_header(descriptor: int) -> SegmentHeader | None:
    """The header of an open segment, read through the file; None when the file is too short for one."""
    content = os.pread(descriptor, layout.HEADER_SIZE, 0)
    return SegmentHeader.unpack(content) if len(content) == layout.HEADER_SIZE else None


def remove_dead(name: str) -> bool:
    """Remove a segment whose creator is dead, for kinds that do not outlive it; whether the name is free now."""
    path = SHARED_MEMORY / check_name(name)[1:]
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        header = read_header(descriptor)
        dead = header is not None and header.creator.pid != 0 and header.creator.is_dead()
        if dead:
            path.unlink(missing_ok=True)
        return dead
    finally:
        os.close(descriptor)


def free_bytes() -> int:
    """Shared memory that is still free, in bytes."""
    status = os.statvfs(SHARED_MEMORY)
    return status.f_bavail * status.f_frsize


def _reserve(name: str, descriptor: int, size: int) -> None:
    free = free_bytes()
    if size + RESERVE_BYTES <= free:
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            free = free_bytes()
            reason = f" ({error.strerror})"
    else:
        reason = ""
    raise SegmentError(
        f"not enough shared memory{reason}: needed={size} free={free} in {SHARED_MEMORY} segment={name!r}"
    )


def _map(descriptor: int, size: int, writable: bool, populate: bool = True) -> Region:
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return Region.of(mmap.mmap(descriptor, size, mmap.MAP_SHARED | (mmap.MAP_POPULATE if populate else 0), protection))


def _check_file(name: str, descriptor: int, owner: int) -> os.stat_result:
    status = os.fstat(descriptor)
    try:
        named = os.stat(SHARED_MEMORY / name[1:], follow_symlinks=False)
    except FileNotFoundError:
        raise SegmentError(f"segment is gone: name={name!r}") from None
    if not stat.S_ISREG(named.st_mode) or (named.st_dev, named.st_ino) != (status.st_dev, status.st_ino):
        raise SegmentError(f"segment is not a regular file in {SHARED_MEMORY}: name={name!r} mode={named.st_mode:o}")
    if status.st_uid != owner:
        raise SegmentError(f"segment has another owner: name={name!r} uid={status.st_uid} expected={owner}")
    return status


def _check_header(
    name: str, header: SegmentHeader | None, kind: int, instance_id: int, file_size: int
) -> SegmentHeader:
    if header is None or header.magic == 0:
        raise SegmentError(f"segment is not finished: name={name!r} size={file_size}")
    kinds = layout.KINDS
    checks = [
        ("magic", f"{header.magic:#x}", f"{layout.MAGIC:#x}"),
        ("layout version", header.layout_version, layout.LAYOUT_VERSION),
        ("kind", kinds.get(header.kind, header.kind), kinds[kind]),
        ("instance id", f"{header.instance_id:016x}", f"{instance_id:016x}"),
        ("boot id", header.creator.boot_id.hex(), boot_id().hex()),
    ]
    for what, found, expected in checks:
        if found != expected:
            raise SegmentError(f"segment's {what} differs: name={name!r} found={found} expected={expected}")
    if not layout.PAGE_SIZE < header.size <= file_size or not 0 < header.capacity < header.size:
        sizes = f"file={file_size} stated={header.size} capacity={header.capacity}"
        raise SegmentError(f"segment's size is wrong: name={name!r} {sizes}")
    return header


class Segment:
    """One named shared-memory segment, mapped. Use `create` or `attach`; a context manager that closes."""

    def __init__(self, name: str, descriptor: int, header: SegmentHeader, region: Region, writable: bool) -> None:
        self.name = name
        self.descriptor = descriptor
        self.header = header
        self.region = region
        self.writable = writable

    @classmethod
    def create(
        cls, name: str, kind: int, size: int, capacity: int, instance_id: int, *, group: str | int | None = None
    ) -> Self:
        """Make a zeroed segment of `size` bytes; `SegmentError` when the name is taken or memory is short.

        Mode 0600. With `group` (name or number) of that group, which may write a ring (0660) and read all else (0640).
        """
        check_name(name)
        assert kind in layout.KINDS and size > layout.PAGE_SIZE and 0 < capacity < size and 0 < instance_id < 1 << 63
        try:
            shared = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600, size=0)
        except posix_ipc.ExistentialError:
            raise SegmentError(f"segment exists already: name={name!r}") from None
        descriptor = shared.fd
        try:
            _reserve(name, descriptor, size)
            number = grp.getgrnam(group).gr_gid if isinstance(group, str) else group
            mode = 0o600
            if number is not None:
                os.fchown(descriptor, -1, number)
                mode = 0o660 if kind == layout.RING else 0o640
            os.fchmod(descriptor, mode)
            region = _map(descriptor, size, True)
            own_id = secrets.randbelow((1 << 63) - 1) + 1
            header = SegmentHeader(
                layout.MAGIC, layout.LAYOUT_VERSION, kind, size, capacity, instance_id, own_id,
                ProcessIdentity.current(), time.time_ns(),
            )  # fmt: skip
            packed = header.pack()
            region.view[8 : len(packed)] = packed[8:]
        except BaseException:
            os.close(descriptor)
            posix_ipc.unlink_shared_memory(name)
            raise
        return cls(name, descriptor, header, region, True)

    def publish(self) -> None:
        """Store the magic: the creator has written the kind's own header, others may attach now."""
        assert self.writable
        # The only reader looks through the file (`read_header`), a system call: an ordinary store is enough.
        self.region.store_i64(layout.MAGIC_AT, layout.MAGIC)

    @classmethod
    def attach(
        cls, name: str, kind: int, instance_id: int, *, writable: bool = True, owner: int | None = None,
        populate: bool = True,
    ) -> Self:  # fmt: skip
        """Map an existing segment after checking all that its first page says; `SegmentError` says what differs.

        `owner` is the uid that it must belong to, by default this process's. Without `populate` its pages are mapped
        as they are touched: it is there at once, and gone at once.
        """
        check_name(name)
        try:
            shared = posix_ipc.SharedMemory(name, read_only=not writable)
        except posix_ipc.ExistentialError:
            raise SegmentError(f"no such segment: name={name!r}") from None
        except posix_ipc.PermissionsError:
            raise SegmentError(f"no permission: name={name!r} writable={writable}") from None
        descriptor = shared.fd
        try:
            status = _check_file(name, descriptor, os.getuid() if owner is None else owner)
            header = _check_header(name, read_header(descriptor), kind, instance_id, status.st_size)
            region = _map(descriptor, header.size, writable, populate)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(name, descriptor, header, region, writable)

    @property
    def capacity(self) -> int:
        return self.header.capacity

    @property
    def size(self) -> int:
        return self.header.size

    @property
    def instance_id(self) -> int:
        return self.header.instance_id

    @property
    def own_id(self) -> int:
        return self.header.own_id

    def verify(self) -> None:
        """`SegmentError` when file or first page are not any more what they were when this process mapped them."""
        status = _check_file(self.name, self.descriptor, os.fstat(self.descriptor).st_uid)
        if status.st_size < self.size:
            raise SegmentError(f"segment was cut: name={self.name!r} file={status.st_size} stated={self.size}")
        found = read_header(self.descriptor)
        if found != self.header:
            raise SegmentError(f"segment's first page changed: name={self.name!r} found={found} was={self.header}")

    def statistics(self) -> dict[str, Any]:
        """What the first page says, for people and programs."""
        header = self.header
        return {
            "name": self.name,
            "kind": layout.KINDS[header.kind],
            "size": header.size,
            "capacity": header.capacity,
            "instance_id": f"{header.instance_id:016x}",
            "own_id": f"{header.own_id:016x}",
            "creator_pid": header.creator.pid,
            "created_ns": header.created_ns,
        }

    def close(self) -> None:
        """Give up this process's hold; memory stays mapped as long as a `Region` of it is used. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        self.region = Region(0, 0)

    def unlink(self) -> None:
        """Remove the name, so that nobody can attach any more; nothing happens when another segment has it now."""
        try:
            _check_file(self.name, self.descriptor, os.fstat(self.descriptor).st_uid)
            posix_ipc.unlink_shared_memory(self.name)
        except (SegmentError, posix_ipc.ExistentialError):
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
