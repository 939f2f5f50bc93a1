"""The outside that outputs go to: a file of fixed records, which remembers every output it was ever handed.

    0  epoch   8  sequence   16  index   24  process that handed it over   32  BLAKE2b of the message, 16 B   (64 B)

Invariants
    A record is written by one system call into one page, so a killed gateway leaves it whole or not at all.

The gateway's process appends, whoever checks the run reads. A crash leaves the records so far.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_RECORD = struct.Struct("<qqqq16s16x")
RECORD_SIZE = 64

Identity = tuple[int, int, int]


def digest_of(message: bytes) -> bytes:
    """What the venue remembers of a message."""
    return hashlib.blake2b(message, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One output, handed over once."""

    identity: Identity
    process: int
    digest: bytes


class Venue:
    """The venue in the gateway's process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def take(self, identity: Identity, message: bytes) -> None:
        """Remember an output."""
        os.write(self._file, _RECORD.pack(*identity, os.getpid(), digest_of(message)))

    def close(self) -> None:
        os.close(self._file)


def deliveries(path: Path, skip: int) -> Iterator[Delivery]:
    """What the venue was handed, without the first `skip`."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        file.seek(skip * RECORD_SIZE)
        while len(record := file.read(RECORD_SIZE)) == RECORD_SIZE:
            epoch, sequence, index, process, digest = _RECORD.unpack(record)
            yield Delivery((epoch, sequence, index), process, digest)


assert _RECORD.size == RECORD_SIZE
