"""The values of one look at an instance: what `live` found, for `status`, `top`, metrics and alarms.

Invariants
    Everything is bounded and of the type that it says, whatever files and shared memory held: what was not to be
    believed is in a `problem`, or missing.
    Sizes and positions are bytes, times ns where the name says so, else seconds.

Values only; nothing is written or kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from statevec.roles.live_log import Observed
from statevec.roles.standby_counters import StandbyState

LEADS = "leads"
SILENT = "silent"
GONE = "gone"
BEGINS = "begins"
NONE = "none"
UNKNOWN = "unknown"
"""What a leader can be: gives signs of life; is there without; its process is not there; has the lock and does not lead
yet; nobody ever took the lock; it was on another host, and its log is not here."""


@dataclass(frozen=True)
class LeaderSeen:
    """Who took the lock last."""

    pid: int
    host: str
    since: str
    epoch: int
    durability: str = ""


@dataclass(frozen=True)
class LogSeen:
    """The log's control page."""

    capacity: int
    last_sequence: int
    epoch: int
    appended: int
    written: int
    durable: int
    released: int
    halted: bool
    heartbeat_age_ns: int
    unkept_bytes: int
    """What is appended and not durable; in `memory` mode, where nobody waits for the disk: not written."""
    unkept_entries: int | None
    """The same in entries; None where the log does not tell."""
    unreleased_entries: int | None
    own_id: int

    @property
    def unreleased_bytes(self) -> int:
        return max(0, self.appended - self.released)


@dataclass(frozen=True)
class RingSeen:
    """A ring. `problem` is why it cannot be seen, else empty."""

    capacity: int = 0
    used: int = 0
    appended: int = 0
    """The producer's sequence that the log has."""
    released: int = 0
    producer: int = 0
    """Pid of who has the ring; 0 for nobody."""
    state: str = "unknown"
    """`open`, `suspect`, `quarantined`; `unknown` without the engine's word."""
    messages: int = 0
    duplicates: int = 0
    problem: str = ""

    @property
    def fill(self) -> float:
        """Part of the ring that is used, 0 to 1."""
        return self.used / self.capacity if self.capacity else 0.0


@dataclass(frozen=True)
class GatewaySeen:
    """A gateway's cursor. Behind a cursor that stands there may be nothing for this gateway (see `docs/live.md`)."""

    position: int = 0
    sequence: int = 0
    behind_bytes: int | None = None
    behind_entries: int | None = None
    pid: int = 0
    configured: bool = True
    problem: str = ""


@dataclass(frozen=True)
class ShadowSeen:
    """What the last report of a shadow says."""

    candidate: str
    mode: str
    compared: int
    same: int
    expected: int
    unexpected: int
    caught_up: bool
    finished: bool
    behind_bytes: int
    age_seconds: float


@dataclass(frozen=True)
class SnapshotSeen:
    """A snapshot's header."""

    position: int = 0
    created: str = ""
    decides: str = ""
    problem: str = ""


@dataclass(frozen=True)
class DiskSeen:
    """Room for the instance's files, and in shared memory; bytes."""

    free: int
    size: int
    shared_memory_free: int


@dataclass(frozen=True)
class Sample:
    """Everything about an instance at about one moment."""

    instance: str
    directory: str
    at_ns: int
    """Wall clock."""
    monotonic_ns: int
    state: str
    """Of the leader: one of the words above."""
    halted: str
    """The text of the halt mark, empty without one."""
    leader: LeaderSeen | None
    decides: str
    """name@version of the logic that decides, or what is known of it."""
    content_hash: str
    log: LogSeen | None
    rings: dict[str, RingSeen]
    gateways: dict[str, GatewaySeen]
    standbys: list[StandbyState]
    shadows: dict[str, ShadowSeen]
    """By content hash; those whose process still reports, or that ended last."""
    snapshots: dict[int, SnapshotSeen]
    counters: dict[str, int]
    observed: Observed
    disk: DiskSeen
    alarms: list[dict[str, Any]] = field(default_factory=list)
    """The last events of level warning or alarm, oldest first."""
    problems: list[str] = field(default_factory=list)

    @property
    def last_sequence(self) -> int:
        return self.log.last_sequence if self.log else 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the same names, the histogram as its figures."""
        facts = asdict(self)
        del facts["observed"]
        return {**facts, **observed_facts(self.observed)}


def observed_facts(observed: Observed) -> dict[str, Any]:
    """What was observed, for JSON."""
    counts = {"seen": observed.entries, "unseen": observed.unseen, "other_outcomes": observed.other_outcomes}
    outcomes = {str(outcome): number for outcome, number in observed.outcomes.items()}
    return {"entries_seen": {**counts, "outcomes": outcomes}, "latency_ns": observed.latency.statistics()}
