"""The change of logic in the middle of a demonstration, with the commands that an operator would use.

    statevec plugin add …/hedge_v2                   before the market opens
    statevec shadow hedge@2.0.0 --mode independent   from then on, on the live stream, with the rules of hedge_v2
    statevec cutover hedge@2.0.0 --next              once enough was compared and most of the market is still to come

Invariants
    The cutover is never forced: the leader refuses it unless the shadow consents, and a refused one is ordered again
    as long as the market goes on, a few times after it.
    The shadow lives until the cutover is in the log; its counts up to then are what is shown.

A crash leaves the shadow's last report in the instance; the processes are those of `Children`, which leaves none.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from statevec.demo.children import Child, ChildError, Children, poll
from statevec.engine.instance import open_instance
from statevec.roles.shadow_report import ShadowReport, read_report

CANDIDATE = "statevec.plugins.hedge_v2"
SPEC = "hedge@2.0.0"
RULES = "shadow.toml"
ADD_SECONDS = 600.0
"""A first `plugin add` compiles."""
CONSENT_SECONDS = 600.0
"""A market that is played flat out is over long before its shadow has caught up."""
PART_BEFORE = 0.15
"""Of the market, before the cutover is ordered: on two busy cores it takes some seconds to load the candidate."""
REFUSALS_MOST = 20


@dataclass(frozen=True)
class Upgrade:
    """A cutover that took place: the sequence that the command said, the shadow's report on which it was ordered."""

    sequence: int
    report: ShadowReport
    refusals: int


class UpgradeRun:
    """The three commands, one after the other; call `turn` while the market is played."""

    def __init__(self, instance: Path, tier: str, min_compared: int, children: Children) -> None:
        self.done: Upgrade | None = None
        self._min_compared = min_compared
        self._instance = instance
        self._tier = tier
        self._children = children
        self._hash = ""
        self._shadow: Child | None = None
        self._cutover: Child | None = None
        self._report: ShadowReport | None = None
        self._refusals = 0

    def add(self) -> Child:
        """Begin to add the candidate to the instance's store."""
        with importlib.resources.as_file(importlib.resources.files(CANDIDATE)) as path:
            return self._start("plugin add", ["plugin", "add", str(path)])

    def start_shadow(self, added: Child) -> None:
        """Begin to compare."""
        self._hash = added.progress["content_hash"]
        with importlib.resources.as_file(importlib.resources.files(CANDIDATE) / RULES) as rules:
            words = ["shadow", SPEC, "--mode", "independent", "--rules", str(rules), "--tier", self._tier]
        self._shadow = self._start("shadow", words, lasting=True, judged=False)

    def report(self) -> ShadowReport | None:
        """What the shadow has found so far; None before its first report."""
        return read_report(open_instance(self._instance), self._hash)

    @property
    def follows(self) -> bool:
        """Whether the shadow has caught up and follows."""
        report = self.report()
        return report is not None and report.caught_up and report.rollback_possible

    def turn(self, part: float) -> None:
        """Go on with what is to be done when that part of the market was played."""
        if self.done is not None or self._shadow is None:
            return
        if self._shadow.status is not None:
            raise ChildError(self._shadow.failure(f"ended with status {self._shadow.status} while it was needed"))
        if self._cutover is None and part >= PART_BEFORE:
            self._report = self.report()
            if self._consents(self._report):
                self._cutover = self._start("cutover", ["cutover", SPEC, "--next", "--why", "demo"], judged=False)
        elif self._cutover is not None and self._cutover.status is not None:
            self._take_answer(self._cutover)

    def finish(self) -> Upgrade:
        """Wait until the cutover is done; `ChildError` when it is refused for good."""
        for _ in poll(self._children, CONSENT_SECONDS, "the cutover"):
            self.turn(1.0)
            if self.done is not None:
                return self.done
        raise AssertionError("poll ends with an error")

    def _consents(self, report: ShadowReport | None) -> bool:
        """Whether it is worth asking the leader, who looks at the same report."""
        if report is None:
            return False
        if report.unexpected or report.migration_problem:
            places = report.migration_problem or ", ".join(report.unexpected_places)
            raise ChildError(f"the shadow found {report.unexpected} unexpected in {report.compared} entries: {places}")
        return report.caught_up and report.rollback_possible and report.compared >= self._min_compared

    def _take_answer(self, cutover: Child) -> None:
        self._cutover = None
        cutover.join()
        if cutover.status == 0:
            assert self._report is not None
            assert self._shadow is not None
            self.done = Upgrade(int(cutover.progress["sequence"]), self._report, self._refusals)
            self._shadow.end()
            return
        self._refusals += 1
        if self._refusals > REFUSALS_MOST:
            raise ChildError(cutover.failure("was refused"))

    def _start(self, name: str, words: list[str], lasting: bool = False, judged: bool = True) -> Child:
        command = ["-m", "statevec.cli.main", *words, "--instance", str(self._instance), "--format", "json"]
        return self._children.start(name.replace(" ", "-"), command, lasting, judged)
