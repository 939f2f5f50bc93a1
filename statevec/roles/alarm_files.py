"""The last warnings and alarms of an instance, where whoever looks finds them: two small files.

    alarms/last.jsonl      events of level warning or alarm, a JSON object a line, oldest first
    alarms/before.jsonl    what `last.jsonl` was when it had become too long

Invariants
    Both together never hold more than about 2 * `FILE_BYTES`; a line is at most `LINE_BYTES` long.
    They are for people and hooks, not a record: a full disk, or a process that dies, loses lines here. Standard error
    of each process has them all.

Every process that reports appends, each line with one write at the end of the file; which of two writers renames is
settled by flock on `alarms/`, and who does not get it goes on without. Anybody reads. A crash leaves at most a line
that is cut short, which readers pass over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

DIRECTORY = "alarms"
LAST = "last.jsonl"
BEFORE = "before.jsonl"
FILE_BYTES = 64 << 10
LINE_BYTES = 4 << 10


def append(instance_directory: Path, line: bytes) -> None:
    """Keep one event, a line without its end; what cannot be kept is let go."""
    if len(line) >= LINE_BYTES:
        return
    directory = instance_directory / DIRECTORY
    with suppress(OSError):
        directory.mkdir(exist_ok=True, mode=0o750)
        if not _write(directory, line, FILE_BYTES):
            _turn_over(directory)
            _write(directory, line, FILE_BYTES + LINE_BYTES)


def _write(directory: Path, line: bytes, most: int) -> bool:
    """Append a line to a file that then has fewer than `most` bytes; whether it was appended."""
    descriptor = os.open(directory / LAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        fits = os.fstat(descriptor).st_size + len(line) < most
        if fits:
            os.write(descriptor, line + b"\n")
        return fits
    finally:
        os.close(descriptor)


def _turn_over(directory: Path) -> None:
    """Begin a new file, unless another process does so at this moment or has done it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (directory / LAST).stat().st_size + LINE_BYTES >= FILE_BYTES:
            os.rename(directory / LAST, directory / BEFORE)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file.read(FILE_BYTES + 2 * LINE_BYTES).splitlines()
    except OSError:
        return


def last_alarms(instance_directory: Path, count: int) -> list[dict[str, Any]]:
    """The last `count` events that are kept, oldest first; lines that are none are passed over."""
    directory = instance_directory / DIRECTORY
    found: list[dict[str, Any]] = []
    for line in [*_lines(directory / BEFORE), *_lines(directory / LAST)]:
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(event.get("event"), str) and isinstance(event.get("at"), str):
            found.append(event)
    return found[-count:]
