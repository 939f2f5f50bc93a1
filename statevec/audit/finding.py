"""One thing that an examination of an instance found, and what an operator does about it.

Invariant: a problem always says what to do; what is in order needs nothing. Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was found (`what`), at which file or segment (`where`), and what to do (`remedy`), mostly a command."""

    severity: Severity
    what: str
    where: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def fine(what: str, where: object) -> Finding:
    """Something is as it must be."""
    return Finding("ok", what, str(where))


def note(what: str, where: object, remedy: str = "") -> Finding:
    """Something worth knowing, with which the instance works."""
    return Finding("note", what, str(where), remedy)


def problem(what: str, where: object, remedy: str) -> Finding:
    """Something that is not as it must be."""
    return Finding("problem", what, str(where), remedy)


def count_problems(findings: Sequence[Finding]) -> int:
    """How many of them are problems."""
    return sum(each.severity == "problem" for each in findings)
