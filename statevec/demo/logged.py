"""The log as the review sees it: entries with their messages decoded, in the order of their sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

COMMITTED = 0


class Message(NamedTuple):
    """A decoded message; enums are the names of their values."""

    name: str
    fields: dict[str, Any]


class LoggedEntry(NamedTuple):
    """One entry. `ring` is the name of its source, empty for the engine's own; `message` is None without one."""

    sequence: int
    epoch: int
    ring: str
    ring_sequence: int
    timestamp_ns: int
    sent_ns: int
    outcome: int
    message: Message | None
    outputs: list[Message]
    version: str = ""
    """Of the logic that decided."""

    @property
    def committed(self) -> bool:
        return self.outcome == COMMITTED
