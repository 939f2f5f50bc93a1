"""What a process of the demonstration says when it ends, and while it runs.

At its end it writes a small JSON file, whole or not at all (temporary name, rename): the numbers of the inputs that it
offered, and what it counted. While it runs it prints one JSON object a line on standard output, for who watches.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec


class ProducerResult(msgspec.Struct, frozen=True):
    """What was offered to one ring: the numbers `first` to `last` (none when `last` is less)."""

    role: str
    ring: str
    first: int
    last: int
    back_pressured: int
    """How often an offer found the ring full and was tried again."""

    @property
    def offered(self) -> int:
        return self.last - self.first + 1


class VenueResult(msgspec.Struct, frozen=True):
    """What the venue received and what it made of it. Quantities in lots, `cash` in ticks times lots."""

    answers: ProducerResult
    identities: list[tuple[int, int, int]]
    """Identity (epoch, sequence, index) of every output received, in the order they came."""
    expired: int
    duplicate_outputs: int
    duplicate_orders: int
    late_cancels: int
    answers_dropped: int
    answers_doubled: int
    fills: int
    bought: int
    sold: int
    cash: int
    position: int
    position_highest: int
    position_lowest: int


def write_result(file: Path, result: msgspec.Struct) -> None:
    """Put a result under its final name."""
    temporary = file.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(result))
    os.replace(temporary, file)


def report_progress(**values: Any) -> None:
    """Print one line for who watches; one who has gone does not matter."""
    try:
        print(json.dumps(values), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
