"""Rules that refuse an operator's command, each with its reason and the figures.

    its sequence is to come
    unless forced: a shadow of it, against the version that decides, compared enough entries, found no unexpected
    difference, has caught up, and saw migration and way back work; its report is not old
    a handover: a standby lives and has caught up

Nothing is written or kept.
"""

from __future__ import annotations

import time

from statevec.engine.config import CutoverConfig
from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.roles.shadow_report import ShadowReport, read_report
from statevec.roles.standby_counters import StandbyState, standbys

MOST_BEHIND_BYTES = 4 << 20
"""A standby runs that in some milliseconds."""


class RefusedError(Exception):
    """The command is refused; the text is the answer to the operator."""


def check_sequence(at_sequence: int, last_sequence: int) -> None:
    """The cutover's sequence must be to come; 0 means the next."""
    if at_sequence != 0 and at_sequence <= last_sequence + 1:
        raise RefusedError(f"sequence {at_sequence} has gone by: the last entry is {last_sequence}")


def find_successor(instance: Instance) -> StandbyState:
    """The standby that is nearest to the leader; who gets the lock in the end, the kernel decides."""
    found = [standby for standby in standbys(instance) if standby.follows]
    if not found:
        raise RefusedError("no standby follows; start one: statevec run CONFIGURATION")
    nearest = min(found, key=lambda standby: standby.behind_bytes)
    if nearest.behind_bytes > MOST_BEHIND_BYTES:
        raise RefusedError(
            f"the nearest standby, process {nearest.pid}, is {nearest.behind_bytes} bytes behind, "
            f"at most {MOST_BEHIND_BYTES}"
        )
    return nearest


def check_shadow(instance: Instance, config: CutoverConfig, decides: LoadedPlugin, candidate_hash: str) -> None:
    """A shadow must have shown that the candidate decides as it is meant to."""
    report = read_report(instance, candidate_hash)
    if report is None:
        raise RefusedError("no shadow of it ever ran; run: statevec shadow")
    if report.decider_hash != decides.content_hash:
        raise RefusedError(
            f"its shadow compared with {report.decider_name}@{report.decider_version}, "
            f"but {decides.name}@{decides.version} decides"
        )
    _check_result(report, config)
    age_ns = time.time_ns() - report.updated_ns
    if age_ns > config.max_report_age:
        raise RefusedError(
            f"its shadow's report is {age_ns / 1e9:.0f} s old, at most {config.max_report_age / 1e9:.0f} s"
        )


def _check_result(report: ShadowReport, config: CutoverConfig) -> None:
    if report.unexpected:
        places = ", ".join(f"{place} {count}" for place, count in list(report.unexpected_places.items())[:3])
        raise RefusedError(f"its shadow found {report.unexpected} unexpected in {report.compared} entries: {places}")
    if report.compared < config.min_compared:
        raise RefusedError(f"its shadow compared {report.compared} entries, at least {config.min_compared} are wanted")
    if not report.caught_up:
        raise RefusedError(f"its shadow {report.reach}")
    if report.migration_problem:
        raise RefusedError(f"its migration would fail: {report.migration_problem}")
    if not report.rollback_possible:
        why = report.rollback_problem or "not tried yet"
        raise RefusedError(f"the version that decides could not take the state back: {why}")
