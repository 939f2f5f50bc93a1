"""A gateway's durable cursor: how far its outputs were acknowledged, and the right to move it.

    gateways/NAME/        the gateway's own directory; flock on it is the right to be that gateway (rule 13)
    gateways/NAME/cursor  JSON: position, epoch, sequence, digest (hex), outputs, and a CRC-32 of these

Invariants
    `position`, `epoch`, `sequence` and `digest` name one entry; of that entry the first `outputs` outputs were
    acknowledged, of every entry before it all. All are 0 (position 0, sequence 0) before the first.
    The file is replaced whole, so a reader sees an old or a new cursor.

The gateway that holds the lock writes; recovery and people read. `retire` takes the whole directory away in one step,
to `.gateway-NAME.tmp` beside `gateways/`; a crash may leave that, nobody reads it, and the next `retire` removes it.
Any other crash leaves the old or the new cursor, never one ahead of what was acknowledged: outputs after it are handed
out again, with the identity they had.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from pathlib import Path

import msgspec

from statevec.engine.config import NAME
from statevec.engine.instance import Instance, InstanceError
from statevec.journal.disk import (
    make_directory,
    open_directory,
    read_file,
    remove_tree,
    rename,
    replace_file,
    sync_directory,
)

CURSOR_FILE = "cursor"
READABLE_BY_GROUP = 0o640
"""Mode of the cursor of a gateway that is another user: the engine reads it as the directory's group."""


class CursorError(Exception):
    """The cursor is damaged or cannot be written, or another process is this gateway."""


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was acknowledged (see the module's docstring)."""

    position: int = 0
    epoch: int = 0
    sequence: int = 0
    digest: str = ""
    outputs: int = 0


class CursorRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says: a number of outputs that one flipped bit makes larger would lose outputs."""

    cursor: Cursor
    crc: int

    @classmethod
    def of(cls, cursor: Cursor) -> CursorRecord:
        """The record of a cursor."""
        return cls(cursor, zlib.crc32(msgspec.json.encode(cursor)))


def read_cursor(directory: Path) -> Cursor:
    """The cursor in a gateway's directory; one at the beginning when there is none. Raises `CursorError`."""
    file = directory / CURSOR_FILE
    try:
        record = msgspec.json.decode(read_file(file), type=CursorRecord)
    except FileNotFoundError:
        return Cursor()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CursorError(f"{file} is damaged: {error}") from error
    cursor = record.cursor
    if record != CursorRecord.of(cursor):
        raise CursorError(f"{file} is damaged: crc={record.crc} expected={CursorRecord.of(cursor).crc}")
    numbers = (cursor.position, cursor.epoch, cursor.sequence, cursor.outputs)
    if min(numbers) < 0 or cursor.position % 8:
        raise CursorError(f"{file} is damaged: position, epoch, sequence, outputs={numbers}")
    return cursor


class CursorFile:
    """One gateway's cursor, locked for this process until `close`."""

    def __init__(self, instance: Instance, name: str) -> None:
        """Take the lock of gateway `name`, or raise `CursorError`; never waits."""
        if NAME.fullmatch(name) is None:
            raise InstanceError(f"not a gateway's name: {name!r} (1 to 31 of a-z, 0-9, - and _)")
        self.directory = instance.gateways_directory / name
        if not self.directory.is_dir():
            make_directory(self.directory)
            sync_directory(instance.gateways_directory)
        self._descriptor = open_directory(self.directory)
        is_owner = os.fstat(self._descriptor).st_uid == instance.owner
        self._mode = 0o600 if is_owner else READABLE_BY_GROUP
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise CursorError(f"another process is gateway {name!r} of {instance.directory}") from None
        try:
            self.cursor = read_cursor(self.directory)
        except CursorError:
            self.close()
            raise

    def write(self, cursor: Cursor, durable: bool) -> None:
        """Replace the cursor; `durable` waits until it survives power loss too. After `CursorError` it is as before."""
        if (cursor.position, cursor.outputs) < (self.cursor.position, self.cursor.outputs):
            raise CursorError(f"a cursor only moves forward: from={self.cursor} to={cursor}")
        file = self.directory / CURSOR_FILE
        try:
            replace_file(file, msgspec.json.encode(CursorRecord.of(cursor)), durable, self._mode)
        except OSError as error:
            raise CursorError(
                f"{file} cannot be written: {error}; what was not acknowledged will be handed out again"
            ) from error
        self.cursor = cursor

    def close(self) -> None:
        """Give the lock up; harmless when that was done."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def retire(instance: Instance, name: str) -> Cursor:
    """Forget gateway `name`, so that its cursor holds no segment back any more; the cursor it had.

    Raises `CursorError` when it is at work, not there, or still configured.
    """
    leader = instance.leader()
    if leader is not None and name in leader.gateways:
        raise CursorError(f"gateway {name!r} is configured: take it out of the configuration, start the engine again")
    if NAME.fullmatch(name) is not None and not (instance.gateways_directory / name).is_dir():
        raise CursorError(f"there is no gateway {name!r} in {instance.gateways_directory}")
    file = CursorFile(instance, name)
    try:
        aside = instance.directory / f".gateway-{name}.tmp"
        remove_tree(aside)
        rename(file.directory, aside)
        sync_directory(instance.gateways_directory)
        sync_directory(instance.directory)
        remove_tree(aside)
    finally:
        file.close()
    return file.cursor
