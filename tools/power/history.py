"""The write history of an instance: every call that changes or syncs something on its disk, in order, with its bytes.

Invariants
    A file or directory is known by a number, which it keeps when it is renamed; 0 is the watched directory itself.
    `Seen` is what somebody outside could know before the call was made: a disk that lost the call and everything
    unsynced must still have it.

Nothing here keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass

CREATE, MAKE_DIRECTORY, RENAME, UNLINK, REMOVE_DIRECTORY = "create", "mkdir", "rename", "unlink", "rmdir"
WRITE, RESIZE, ALLOCATE, SYNC = "write", "resize", "allocate", "sync"
ROOT = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """Positions that were published, the epoch in the log, and what a gateway acknowledged (position, outputs)."""

    released: int = 0
    durable: int = 0
    epoch: int = 0
    acknowledged: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One call. `number` is the file or directory that it is about; `directory` is where `name` is, if that matters."""

    call: str
    number: int
    seen: Seen
    directory: int = ROOT
    name: str = ""
    new_name: str = ""
    offset: int = 0
    content: bytes = b""
    journaled: bool = False
    """Whether the journaler wrote it into the segment `name`: then the bytes are the log's."""

    def __str__(self) -> str:
        return f"{self.call} file={self.number} name={self.name!r} offset={self.offset} bytes={len(self.content)}"


@dataclass(frozen=True)
class History:
    """What was recorded, and what was published when it ended."""

    events: list[Event]
    last: Seen
