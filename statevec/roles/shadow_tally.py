"""Counting what a shadow finds: same, expected and unexpected entries, and the ones worth showing.

Invariants
    Memory does not grow with the log: examples, places and the timeline have a bound.
    An entry is unexpected when one of its differences is.

Private memory: a crash leaves nothing but what the report says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.decode import EntryDecoder
from statevec.journal.entry_view import Entry
from statevec.roles.shadow_compare import MISSING, Difference
from statevec.roles.shadow_report import Example, Found, Timeline
from statevec.roles.shadow_rules import Rules, is_one_sided
from statevec.roles.shadow_side import Side

FIRST_EXAMPLES = 5
PLACES_MAX = 200
_NONE: list[str | None] = [None]
OTHER_PLACES = "elsewhere"
BINS = 120


class _Bins:
    """Counts along sequences in at most BINS bins, whose width doubles when they do not suffice."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._width = 1
        self._counts = {False: [0] * BINS, True: [0] * BINS}

    def add(self, sequence: int, unexpected: bool, entries: int = 1) -> None:
        while (place := (sequence - self._first) // self._width) >= BINS:
            self._width *= 2
            for counts in self._counts.values():
                counts[:] = [sum(counts[each : each + 2]) for each in range(0, BINS, 2)] + [0] * (BINS // 2)
        self._counts[unexpected][place] += entries

    def timeline(self, last: int) -> Timeline:
        """Up to sequence `last`."""
        used = min(BINS, max(1, -(-(last - self._first + 1) // self._width)))
        return Timeline(self._first, self._width, self._counts[False][:used], self._counts[True][:used])


class Tally:
    """`add` an entry that the kernels found different; the counts are attributes."""

    def __init__(self, rules: Rules, first_sequence: int, decider: LoadedPlugin, candidate: LoadedPlugin) -> None:
        self._rules = rules
        self.decided_by(decider, candidate)
        self.same = 0
        """Entries whose bytes differ and whose meaning does not."""
        self.expected = 0
        self.unexpected = 0
        self.by_rule: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.first: list[Example] = []
        self.worst: Example | None = None
        self._worst_severity: tuple[int, float] = (-1, 0.0)
        self.expected_examples: dict[str, Example] = {}
        self.bins = _Bins(first_sequence)

    def decided_by(self, decider: LoadedPlugin, candidate: LoadedPlugin) -> None:
        """From now on entries are of these versions."""
        self._side = Side(decider)
        self._decoders = (decoder_for(decider), decoder_for(candidate))

    def add_explained(self, sequence: int, by_rule: Mapping[str, int], entries: int) -> None:
        """Take in entries up to `sequence` that the kernels found explained by rules of which examples are known."""
        self.expected += entries
        self.by_rule.update(by_rule)
        self.bins.add(sequence, False, entries)

    @property
    def rule_names(self) -> list[str]:
        """All rules, in their order."""
        return [rule.name for rule in self._rules.rules]

    def add(
        self,
        entries: tuple[Entry, Entry],
        differences: Sequence[Difference],
    ) -> None:
        """Take in what two versions gave for one input, the decider's first."""
        if not differences:
            self.same += 1
            return
        decided = entries[0]
        names = (
            self._rules.explain(differences, *self._side.input(decided))
            if self._rules.rules
            else _NONE * len(differences)
        )
        self.by_rule.update({name for name in names if name is not None})
        unexpected = None in names
        self.bins.add(decided.sequence, unexpected)

        def example() -> Example:
            return _example(entries, differences, names, self._decoders)

        if unexpected:
            self.unexpected += 1
            self._keep_unexpected(
                [each for each, name in zip(differences, names, strict=True) if name is None], example
            )
            return
        self.expected += 1
        for name in names:
            if name is not None and name not in self.expected_examples:
                self.expected_examples[name] = example()

    def _keep_unexpected(self, unexplained: list[Difference], example: Callable[[], Example]) -> None:
        other_outcome = any(each.part == "outcome" for each in unexplained)
        for each in unexplained:
            if other_outcome and is_one_sided(each):
                continue  # what one version did because it came to another outcome: that is counted already
            place = place_of(each)
            known = place in self.places or len(self.places) < PLACES_MAX
            self.places[place if known else OTHER_PLACES] += 1
        if len(self.first) < FIRST_EXAMPLES:
            self.first.append(example())
        worst = max(severity(each) for each in unexplained)
        if worst > self._worst_severity:
            self._worst_severity = worst
            self.worst = example()


def place_of(difference: Difference) -> str:
    """Where a difference is, whichever record or output it is in."""
    if difference.part == "outcome":
        return f"outcome {difference.decided} -> {difference.candidate}"
    sides = "" if difference.field else f" only {'decided' if difference.candidate == MISSING else 'by the candidate'}"
    return f"{difference.part}s.{difference.name}" + (f".{difference.field}" if difference.field else sides)


def severity(difference: Difference) -> tuple[int, float]:
    """How bad a difference is: another outcome, then an output that one version has alone, then by how much."""
    if difference.part == "outcome":
        return 3, 0.0
    if is_one_sided(difference) and not difference.field:
        return (2 if difference.part == "output" else 1), 0.0
    apart = 0.0
    values = (difference.decided, difference.candidate)
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        greater = max(abs(difference.decided), abs(difference.candidate))
        apart = abs(difference.decided - difference.candidate) / greater if greater else 0.0
    return (1 if difference.part == "output" else 0), apart


def _example(
    entries: tuple[Entry, Entry],
    differences: Sequence[Difference],
    names: Sequence[str | None],
    decoders: tuple[EntryDecoder, EntryDecoder],
) -> Example:
    decided = entries[0]
    shown: list[dict[str, Any]] = []
    for entry, decoder in zip(entries, decoders, strict=True):
        decoded = decoder.entry(entry)
        kept = ("outcome", "rejection", "outputs", "changes")
        shown.append({name: decoded[name] for name in kept if name in decoded})
    return Example(
        sequence=decided.sequence,
        timestamp_ns=decided.timestamp_ns,
        kind=decided.kind_name,
        input=decoders[0].input(decided),
        differences=[
            Found(each.path, each.decided, each.candidate, name) for each, name in zip(differences, names, strict=True)
        ],
        decided=shown[0],
        candidate=shown[1],
    )
