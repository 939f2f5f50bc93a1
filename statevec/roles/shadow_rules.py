"""Rules for differences that are meant, from a TOML file: whoever wrote the candidate says what it changes.

    [[expected]]
    name = "orders say why"            # how the report calls the rule
    because = "new in 2.0"             # optional, for whoever signs off
    output = "PlaceOrder"              # or: table = "positions"   or: outcome = "REJECTED(3)" (the candidate's)
    field = "reason"                   # optional; without it any difference of that output or table, also a whole one
    tolerance = 2                      # optional, numbers only: the values differ by at most that much
    relative = 0.01                    # or by at most that part of the greater one
    side = "both"                      # optional: "candidate" or "decided", for what only that version has
    decided = "COMMITTED"              # with outcome, optional: what the deciding version gave
    input = "MarketData"               # optional: only for this message
    when = ["instrument == 3", "bid_price >= 100"]      # optional: all must hold for fields of the input

A difference is expected when a rule covers it, an entry when every one of its differences is. Where an expected outcome
differs, what one version did and the other therefore did not is expected too.

Invariant: a rule that is not understood is an error with its path in the file, never a rule that covers nothing.

The file is read once. A crash leaves nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any, Literal

import msgspec

from statevec.roles.shadow_compare import MISSING, Difference

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"==": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt}
CONDITION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(==|!=|<=|>=|<|>)\s*(\S.*?)\s*")


class RulesError(Exception):
    """The rules file is wrong; the text says where and why."""


@dataclass(frozen=True)
class Condition:
    """A simple comparison of one field of the input."""

    field: str
    operator: str
    value: int | float | str | bool

    def holds(self, fields: dict[str, Any]) -> bool:
        """Whether it holds for an input; what the input does not have, or what cannot be ordered, does not."""
        value: Any = fields
        for name in self.field.split("."):
            value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
        if value is MISSING or value is None:
            return False
        try:
            return COMPARISONS[self.operator](value, self.value)
        except TypeError:
            return False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[expected]]`; see the module's docstring."""

    name: str
    because: str = ""
    output: str | None = None
    table: str | None = None
    outcome: str | None = None
    decided: str | None = None
    field: str | None = None
    side: Literal["any", "both", "candidate", "decided"] = "any"
    tolerance: int | float | None = None
    relative: float | None = None
    input: str | None = None
    when: list[str] = []

    def __post_init__(self) -> None:
        if [self.output, self.table, self.outcome].count(None) != 2:
            raise ValueError("a rule is for one of output, table, outcome")
        if not self.name:
            raise ValueError("a rule has a name")
        if self.outcome is None and self.decided is not None:
            raise ValueError("`decided` goes with `outcome`")
        if self.outcome is not None and (self.field is not None or self.side != "any" or self.has_tolerance):
            raise ValueError("an outcome has no field, side or tolerance")
        if self.has_tolerance and (self.field is None or min(self.tolerance or 0, self.relative or 0) < 0):
            raise ValueError("a tolerance is of one field, and not negative")
        for text in self.when:
            parse_condition(text)

    @property
    def has_tolerance(self) -> bool:
        return self.tolerance is not None or self.relative is not None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    expected: list[Rule] = []


def parse_condition(text: str) -> Condition:
    """A condition such as `bid_price >= 100`; numbers, true, false, names of enum values, quoted text."""
    match = CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"a condition is `field operator value` with one of {' '.join(COMPARISONS)}: {text!r}")
    field, operator, raw = match.groups()
    value: int | float | str | bool
    try:
        value = int(raw)
    except ValueError:
        try:
            value = float(raw)
        except ValueError:
            value = {"true": True, "false": False}.get(raw, raw.strip("\"'"))
    return Condition(field, operator, value)


def load_rules(path: Path) -> list[Rule]:
    """Read a rules file. Raises `RulesError` with the path of what is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rules = msgspec.convert(content, _File).expected
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RulesError(f"{path}: {error}") from error
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        where = place.rstrip("`").lstrip(".")
        raise RulesError(f"{path}: {where}: {text}" if where else f"{path}: {text}") from error
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RulesError(f"{path}: two rules have the name {twice!r}")
    return rules


class Rules:
    """Rules with their conditions parsed. `explain` gives for each difference the rule that covers it."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = list(rules)
        self._conditions = {rule.name: [parse_condition(text) for text in rule.when] for rule in rules}

    def explain(self, differences: Sequence[Difference], message: str, fields: dict[str, Any]) -> list[str | None]:
        """For each difference of one entry the name of the first rule that covers it, or None.

        `message` and `fields` are of the input.
        """
        applicable = [rule for rule in self.rules if self._applies(rule, message, fields)]
        found = [next((rule.name for rule in applicable if covers(rule, each)), None) for each in differences]
        outcome = next((name for name, each in zip(found, differences, strict=True) if each.part == "outcome"), None)
        if outcome is not None:
            found = [
                name or (outcome if is_one_sided(each) else None) for name, each in zip(found, differences, strict=True)
            ]
        return found

    def _applies(self, rule: Rule, message: str, fields: dict[str, Any]) -> bool:
        if rule.input is not None and rule.input != message:
            return False
        return all(condition.holds(fields) for condition in self._conditions[rule.name])


def is_one_sided(difference: Difference) -> bool:
    """Whether only one version has it."""
    return MISSING in (difference.decided, difference.candidate)


def covers(rule: Rule, difference: Difference) -> bool:
    """Whether a rule whose conditions hold covers a difference."""
    if difference.part == "outcome":
        return rule.outcome == difference.candidate and rule.decided in (None, difference.decided)
    if difference.name != (rule.output if difference.part == "output" else rule.table):
        return False
    if rule.field is not None and rule.field != difference.field:
        return False
    sides = {"both": not is_one_sided(difference), "candidate": difference.decided == MISSING}
    sides |= {"any": True, "decided": difference.candidate == MISSING}
    if not sides[rule.side]:
        return False
    return not rule.has_tolerance or _within(rule, difference.decided, difference.candidate)


def _within(rule: Rule, decided: Any, candidate: Any) -> bool:
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (decided, candidate)):
        return False
    apart = abs(decided - candidate)
    if rule.tolerance is not None and apart <= rule.tolerance:
        return True
    return rule.relative is not None and apart <= rule.relative * max(abs(decided), abs(candidate))
