"""Removing the shared memory that dead processes left, and only that.

A segment goes when all of this holds:
    it has a name of ours, is a regular file of this user, and its first page is one of ours;
    the process that made it is dead: another boot, or no such pid with that start (`process_identity`);
    for a ring or a log, which outlive a leader, nobody leads the instance: `may_remove` says so, and whoever passes
    it holds the instance's lock while `clean` runs (rule 15);
    a ring has no living producer (its lock is free) and no unread record; a log has no byte beyond durable.
`discard` gives the last line up for unread records and bytes beyond durable: they are lost.

What is not removed is reported with the reason. A crash in between leaves some segments, which the next call removes.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

from statevec.ipc import log_layout, ring_layout, segment_layout
from statevec.ipc.segment import SHARED_MEMORY, SegmentHeader, read_header

OF_AN_INSTANCE = "belongs to an instance"
"""Why a ring or a log stays as long as nobody answers for its instance, led or not."""
UNFINISHED_AGE_S = 60.0
"""A file without a first page is somebody's segment in the making until it is this old."""


@dataclass(frozen=True)
class CleanAction:
    """What happened to one file: removed, or left and why."""

    name: str
    removed: bool
    reason: str
    size: int


def _word(descriptor: int, offset: int) -> int:
    return int.from_bytes(os.pread(descriptor, 8, offset), "little", signed=True)


def _keep_ring(descriptor: int, header: SegmentHeader, discard: bool) -> str | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "a producer is attached"
    trailer = ring_layout.DATA + header.capacity
    unread = _word(descriptor, trailer + ring_layout.TAIL) - _word(descriptor, trailer + ring_layout.HEAD)
    return f"has {unread} unread bytes" if unread and not discard else None


def _keep_log(descriptor: int, header: SegmentHeader, discard: bool) -> str | None:
    beyond = _word(descriptor, log_layout.APPENDED) - _word(descriptor, log_layout.DURABLE)
    return f"has {beyond} bytes beyond durable" if beyond and not discard else None


KEEPERS = {segment_layout.RING: _keep_ring, segment_layout.LOG: _keep_log}


def _reason_to_keep(
    descriptor: int, status: os.stat_result, may_remove: Callable[[int], bool], discard: bool
) -> str | None:
    """Why an open file stays; None when it may go."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_uid != os.getuid():
        return f"belongs to uid {status.st_uid}"
    header = read_header(descriptor)
    if header is None or header.creator.pid == 0:
        age = time.time() - status.st_mtime
        return "unfinished, perhaps being made" if age < UNFINISHED_AGE_S else None
    if header.magic not in (0, segment_layout.MAGIC):
        return "not a segment of statevec"
    if not header.creator.is_dead():
        return f"process {header.creator.pid} is alive"
    if header.magic == 0:
        return None
    if header.layout_version != segment_layout.LAYOUT_VERSION:
        return f"layout version {header.layout_version} is not this program's"
    keeper = KEEPERS.get(header.kind)
    if keeper is None:
        return None
    if not may_remove(header.instance_id):
        return OF_AN_INSTANCE
    return keeper(descriptor, header, discard)


def clean(
    may_remove: Callable[[int], bool], *, instance_id: int | None = None, discard: bool = False
) -> list[CleanAction]:
    """Remove what dead processes left of one instance, or of all; what was done, by name.

    `may_remove(instance id)` is asked before a ring or a log goes: the caller holds that instance's lock if True.
    """
    done: list[CleanAction] = []
    for name in sorted(os.listdir(SHARED_MEMORY)):
        match = re.fullmatch(segment_layout.NAME_PATTERN, f"/{name}")
        if match is None or (instance_id is not None and int(match[1], 16) != instance_id):
            continue
        try:
            descriptor = os.open(SHARED_MEMORY / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        except OSError as error:
            done.append(CleanAction(f"/{name}", False, f"cannot be opened: {error.strerror}", 0))
            continue
        try:
            status = os.fstat(descriptor)
            kept = _reason_to_keep(descriptor, status, may_remove, discard)
            if kept is None:
                os.unlink(SHARED_MEMORY / name)
            done.append(CleanAction(f"/{name}", kept is None, kept or "its creator is dead", status.st_size))
        finally:
            os.close(descriptor)
    return done
