"""The messages of a kill matrix: to the tally plugin, each with its number inside, so that what arrives can be told.

Invariant: what a message must give follows from its number alone (`outputs_of`).
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from statevec.codecs.schema import Schema

PLUGIN = Path(__file__).resolve().parents[2] / "tests" / "roles" / "tally"
SCHEMA = Schema.load(PLUGIN / "tally.xml")
NEXT_VERSION = "2.0.0"
ANOTHER_RECORD = ("    total: i64\n", "    total: i64\n    updates: i64\n")
"""The next version has another record, so a cutover to it migrates."""
_HEADER_SIZE = 8
_FIELDS = struct.Struct("<Iq")


def message(account: int, number: int) -> bytes:
    """Message `number` of the producer that has that account."""
    return SCHEMA.encode("Add", {"account": account, "amount": number, "announce": announced(number), "ttl_ns": 0})


def announced(number: int) -> int:
    """How many totals message `number` asks for."""
    return number % 4 if number % 3 == 0 else 0


def outputs_of(number: int) -> int:
    """How many outputs the entry of message `number` has: its totals, and a note when there are several."""
    totals = announced(number)
    return totals + (totals > 1)


def parts_of(content: bytes) -> tuple[int, int]:
    """Account and number of a message."""
    account, number = _FIELDS.unpack_from(content, _HEADER_SIZE)
    return account, number


def make_next_version(folder: Path) -> Path:
    """The plugin that a cutover lets decide, in a directory below `folder`."""
    target = folder / "tally-next"
    shutil.copytree(PLUGIN, target, ignore=shutil.ignore_patterns("__pycache__"))
    source = (target / "tally.py").read_text()
    for before, after in (('version="1.0.0"', f'version="{NEXT_VERSION}"'), ANOTHER_RECORD):
        assert before in source
        source = source.replace(before, after)
    (target / "tally.py").write_text(source)
    return target


assert parts_of(message(7, 1 << 40)) == (7, 1 << 40)
