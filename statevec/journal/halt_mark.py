"""The halt mark: a file that a disk error leaves, so that nobody takes the instance over before a person has looked.

    <instance>/halt     why: call, error, file, position, time

Invariants
    The first reason stays: a later failure, or a second process, does not replace it.
    Nothing but a person removes it (`statevec resume`).

Who writes and who reads: whoever saw a write or fsync of the journal fail writes it, with the instance's lock or, as a
taker of snapshots does, without; who wants to lead reads it.

A crash leaves no mark, or one whose text is cut. Where the disk refuses the mark too, HALTED in the log still says it
(`roles/takeover`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from statevec.journal.disk import DiskError, open_file, sync_directory, sync_file, write_all


def leave_halt_mark(path: Path, reason: str) -> None:
    """Write the mark, durably, unless there is one. Raises `DiskError`."""
    try:
        file = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    try:
        write_all(file, f"{reason} at={datetime.now(UTC).isoformat(timespec='milliseconds')}\n".encode(), 0, path)
        sync_file(file, path)
    finally:
        os.close(file)
    sync_directory(path.parent)


@contextmanager
def halting_on_failed_sync(path: Path) -> Iterator[None]:
    """Leave the mark at `path` when an fsync fails in here: the next one would succeed and mean nothing (rule 11)."""
    try:
        yield
    except DiskError as error:
        if error.call == "fsync":
            try:
                leave_halt_mark(path, str(error))
            except DiskError as failure:
                error.add_note(f"the halt mark could not be written: {failure}")
        raise
