"""Where an entry and its re-execution differ, field by field, in the words of the plugin's schema and tables.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from statevec.journal.decode import EntryDecoder
from statevec.journal.entry_layout import ENTRY_HEADER_SIZE
from statevec.journal.entry_view import Entry

DERIVED = ("hash", "digest")
"""Differ in consequence: shown only by themselves they say nothing."""
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One value that came out otherwise; `path` is such as `outputs[0].fields.price`."""

    path: str
    recorded: Any
    executed: Any


def compare_entries(recorded: Entry, executed: Entry, decoder: EntryDecoder) -> list[FieldDifference]:
    """What differs between the entry in the journal and what execution gave; at least one difference."""
    before, after = decoder.entry(recorded), decoder.entry(executed)
    found = list(_compare("", {**before, **dict.fromkeys(DERIVED)}, {**after, **dict.fromkeys(DERIVED)}))
    return found or [_compare_bytes(recorded, executed)]


def _compare(path: str, recorded: Any, executed: Any) -> Iterator[FieldDifference]:
    if isinstance(recorded, dict) and isinstance(executed, dict):
        for name in dict.fromkeys([*recorded, *executed]):
            inner = f"{path}.{name}" if path else name
            yield from _compare(inner, recorded.get(name, MISSING), executed.get(name, MISSING))
    elif isinstance(recorded, list) and isinstance(executed, list):
        for index in range(max(len(recorded), len(executed))):
            left = recorded[index] if index < len(recorded) else MISSING
            right = executed[index] if index < len(executed) else MISSING
            yield from _compare(f"{path}[{index}]", left, right)
    elif recorded != executed:
        yield FieldDifference(path, recorded, executed)


def _compare_bytes(recorded: Entry, executed: Entry) -> FieldDifference:
    """The first byte behind the header that differs; the digest when there is none."""
    for offset in range(ENTRY_HEADER_SIZE, min(recorded.length, executed.length)):
        if recorded.raw[offset] != executed.raw[offset]:
            return FieldDifference(f"byte {offset}", recorded.raw[offset], executed.raw[offset])
    return FieldDifference("digest", recorded.digest, executed.digest)
