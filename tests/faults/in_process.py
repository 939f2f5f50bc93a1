"""Running a scenario once for each call that it makes on a file, each time with that call failing."""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.injector import SAID_AS, Fault, Injector, faults_at
from tests.faults.scenarios import Scenario, copy_of

COMMITTING = ("fsync", "rename", "unlink")


@dataclass(frozen=True)
class Outcome:
    """How many calls a scenario makes, how many faults were tried, and what was wrong."""

    scenario: str
    calls: int
    faults: int
    problems: list[str]


def run_scenario(scenario: Scenario, directory: Path, *, quick: bool = False) -> Outcome:
    """Let every call of the scenario fail in every way, one at a time.

    `quick`: of calls of one function on one file only the first, and the last of those that commit something, each in
    one way.
    """
    template, work = directory / "template", directory / "work"
    template.mkdir(parents=True)
    scenario.make(template)
    injector = Injector([work])
    copy_of(template, work)
    with injector.watching():
        scenario.act(work)
    scenario.finish(work)
    calls = injector.calls()
    faults = _quick(injector) if quick else [fault for call in calls for fault in faults_at(call)]
    problems = list(injector.unseen)
    for fault in faults:
        copy_of(template, work)
        problem = _try(scenario, injector, work, fault)
        if problem:
            problems.append(f"{scenario.name}: {fault}: {problem}")
    shutil.rmtree(directory)
    return Outcome(scenario.name, len(calls), len(faults), problems)


def _quick(injector: Injector) -> list[Fault]:
    """Faults at the first call of each kind and the last that commits, in all ways over all of them."""
    counts = injector.counts
    calls = [
        call
        for call in injector.calls()
        if call.occurrence == 1 or (call.function in COMMITTING and call.occurrence == counts[call.function, call.name])
    ]
    ways = [(faults_at(call), number) for number, call in enumerate(calls)]
    return [faults[number % len(faults)] for faults, number in ways]


def _try(scenario: Scenario, injector: Injector, work: Path, fault: Fault) -> str:
    """What is wrong after this fault, empty when nothing is."""
    error: Exception | None = None
    with injector.watching(fault):
        try:
            scenario.act(work)
        except Exception as failure:
            error = failure
    if not injector.hit:
        return "the call did not come again"
    told = _telling(scenario, fault, injector.hit, error)
    if told:
        return told
    try:
        scenario.check(work)
        scenario.act(work)
        scenario.finish(work)
    except Exception as failure:
        return f"afterwards: {failure!r}"
    return ""


def _telling(scenario: Scenario, fault: Fault, path: str, error: Exception | None) -> str:
    """Whether the error says what failed: the call, the file, the errno, and what to do."""
    call = fault.call
    if error is None:
        if any(call.function == function and part in call.name for function, part in scenario.tolerated):
            return ""
        return "nobody noticed"
    said = SAID_AS.get(call.function, call.function)
    for word in (f"{said} failed", errno.errorcode[fault.errno], Path(path).name, ";"):
        if word not in str(error):
            return f"the error does not say {word!r}: {error}"
    return ""
