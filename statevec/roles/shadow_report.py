"""The shadow report: what a shadow found so far, as one value for terminal, JSON, page and the cutover's decision.

    <instance>/shadows/<candidate's content hash>.json      the last report of the last shadow of that candidate

Invariants
    The file is replaced whole, about once a second while a shadow runs and at its end; a reader sees an old or a new
    one.
    compared = same + expected + unexpected.

The shadow writes, cutover and people read. A crash leaves the report of at most a second before, whose `updated_ns`
says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from statevec.engine.instance import SHADOWS_DIRECTORY, Instance, InstanceError
from statevec.journal.disk import make_directory, read_file, replace_file


class Found(msgspec.Struct, frozen=True):
    """One difference, and the rule that explains it."""

    path: str
    decided: Any
    candidate: Any
    rule: str | None = None


class Example(msgspec.Struct, frozen=True):
    """One entry on which the versions differ: input, both results and the differences, decoded."""

    sequence: int
    timestamp_ns: int
    kind: str
    input: dict[str, Any] | None
    differences: list[Found]
    decided: dict[str, Any]
    """Outcome, outputs and changes, as `journal/decode` gives them."""
    candidate: dict[str, Any]


class Timeline(msgspec.Struct, frozen=True):
    """Entries that differ along the log: number in each bin of `width` sequences from `first` on."""

    first: int
    width: int
    expected: list[int]
    unexpected: list[int]


class Times(msgspec.Struct, frozen=True):
    """Time of one version per transaction in ns, over the entries that were timed."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    curve: list[tuple[float, float]] = []
    """(time in ns, part of the transactions that took at most that long), for a plot."""


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """See the module's docstring. Sequences, and `migration`, are of the state that was compared."""

    candidate_hash: str
    candidate_name: str
    candidate_version: str
    decider_hash: str
    decider_name: str
    decider_version: str
    instance: str
    mode: str
    from_sequence: int
    to_sequence: int
    """The last entry that was compared; from_sequence - 1 before the first."""
    compared: int
    same: int
    expected: int
    unexpected: int
    caught_up: bool
    """Whether within the last moments everything that the leader had appended was compared."""
    finished: bool
    migration: str
    """Identity (hex) of the migration that the cutover would run, tried on the live state; empty: none is needed."""
    rollback_possible: bool
    """Whether the deciding version could take the state back; tried on the live state, False before that."""
    updated_ns: int
    """Wall clock, ns."""
    seconds: float
    behind_bytes: int
    times: dict[str, Times]
    """`decider` and `candidate`; empty before anything was timed."""
    migration_changes: list[str] = []
    """What the migration does, for people."""
    migration_problem: str = ""
    """Why the migration would fail; empty when it would not, or was not tried yet."""
    rollback_problem: str = ""
    rules: dict[str, int] = {}
    """Entries by the rule that explains (part of) them."""
    unexpected_places: dict[str, int] = {}
    """Unexpected differences by where they are, such as `outputs.PlaceOrder.price`."""
    first_unexpected: list[Example] = []
    worst_unexpected: Example | None = None
    expected_examples: dict[str, Example] = {}
    """The first entry that each rule explained."""
    timeline: Timeline | None = None

    @property
    def reach(self) -> str:
        """How far the shadow is, as the end of a sentence."""
        if self.caught_up:
            return "has caught up"
        if self.behind_bytes:
            return f"is {self.behind_bytes:,} bytes behind"
        return f"ended at sequence {self.to_sequence:,}"

    @property
    def slowdown(self) -> float | None:
        """Median time of the candidate as a multiple of the decider's."""
        decider, candidate = self.times.get("decider"), self.times.get("candidate")
        return candidate.p50 / decider.p50 if decider and candidate and decider.p50 else None


def report_path(instance: Instance, candidate_hash: str) -> Path:
    """Where the report about a candidate lies."""
    return instance.directory / SHADOWS_DIRECTORY / f"{candidate_hash}.json"


def write_report(instance: Instance, report: ShadowReport) -> None:
    """Replace the report's file. Raises `DiskError`."""
    path = report_path(instance, report.candidate_hash)
    make_directory(path.parent)
    replace_file(path, msgspec.json.encode(report), durable=False, mode=0o644)


def read_report(instance: Instance, candidate_hash: str) -> ShadowReport | None:
    """The last report about a candidate, None when no shadow of it ever ran. Raises `InstanceError` for nonsense."""
    path = report_path(instance, candidate_hash)
    try:
        return msgspec.json.decode(read_file(path), type=ShadowReport)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InstanceError(f"{path} is no shadow report: {error}") from error
