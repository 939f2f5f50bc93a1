"""`Explanation`: everything that is told of one entry, as plain data. `to_dict` is the JSON of `statevec explain`.

The names of the fields are the names in JSON; they stay. Times are nanoseconds since 1970, hashes and digests hex,
enums by name. Where the entry did not come out as recorded, `reproduced` is False, `differences` says in what, and
nothing else is explained: reads, lookups, lines, changes, outputs and invariants are empty then.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arrived:
    """The input and where it came from. `message` and `fields`, or `bytes` (hex) and `reason` why they are none."""

    source: int
    """Number of the ring, 0 for the engine itself."""
    producer: str
    """Name of the ring, empty for the engine."""
    source_sequence: int
    """The producer's own number."""
    sent_ns: int
    """When the producer sent it, by its clock; 0 where it did not say."""
    latency_ns: int | None
    """From sent to sequenced; None where that is not known."""
    gap: bool
    true_length: int
    message: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    bytes: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Decided:
    """The version that decided, and since which entry: a `cutover`, a `leadership`, or where the `journal` begins."""

    name: str
    version: str
    content_hash: str
    logic_version: int
    since_sequence: int
    since_kind: str


@dataclass(frozen=True)
class ReadRecord:
    """A record that was read, as it was then; see `trace.Read`."""

    table: str
    key: Any
    fields: dict[str, Any]
    version: int
    last_changed: int
    line: int
    by: str
    changed: bool
    times: int


@dataclass(frozen=True)
class TableLookup:
    """A question to a table and its answer; see `trace.Lookup`."""

    table: str
    how: str
    index: str
    value: Any
    found: list[Any]
    count: int
    line: int
    by: str
    times: int


@dataclass(frozen=True)
class ChangedRecord:
    """What the entry did to a record: `fields` are [before, after] by name, all of an inserted or deleted one."""

    table: str
    key: Any
    operation: str
    version_before: int | None
    version_after: int | None
    previous_sequence: int
    """The entry that changed it before, 0 for none."""
    fields: dict[str, list[Any]]


@dataclass(frozen=True)
class EmittedOutput:
    """An output; `identity` is epoch:sequence:index."""

    identity: str
    message: str
    fields: dict[str, Any]
    expires_ns: int


@dataclass(frozen=True)
class AskedInvariant:
    """An invariant that was checked after the handler, about which record or table."""

    name: str
    subject: str
    held: bool


@dataclass(frozen=True)
class Refusal:
    """Why nothing was committed: a rejection's code and text, a fault's name and text; the line, 0 where none is."""

    kind: str
    """`rejection`, `fault` or `invariant`."""
    code: int
    name: str
    text: str
    line: int
    source: str
    """The line's text."""


@dataclass(frozen=True)
class Difference:
    """A value that came out otherwise than recorded."""

    path: str
    recorded: Any
    executed: Any


@dataclass(frozen=True)
class Explanation:
    """See the module's docstring."""

    sequence: int
    kind: str
    epoch: int
    position: int
    timestamp_ns: int
    outcome: str
    outcome_code: int
    digest: str
    arrived: Arrived
    decided: Decided
    reproduced: bool
    told: list[str]
    """What happened in words, where the entry is one of the engine's own, or was not run."""
    differences: list[Difference] = field(default_factory=list)
    file: str = ""
    """The plugin's module, whose lines are meant."""
    reads: list[ReadRecord] = field(default_factory=list)
    lookups: list[TableLookup] = field(default_factory=list)
    left_out: int = 0
    """Reads and lookups that were too many to be listed."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Functions that ran (`explain_lines`)."""
    changes: list[ChangedRecord] = field(default_factory=list)
    outputs: list[EmittedOutput] = field(default_factory=list)
    invariants: list[AskedInvariant] = field(default_factory=list)
    refusal: Refusal | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
