"""What an examination (`doctor`) finds of archived (cold) segments: the instance's memory of them, and the files.

Invariants: nothing is written or locked. Without the archive's directory `cold.json` and the journal are compared.
A crash leaves nothing.
"""

from __future__ import annotations

from pathlib import Path

from statevec.audit.examine_journal import segments_at_hand
from statevec.audit.finding import Finding, fine, note, problem
from statevec.engine.instance import Instance
from statevec.journal.cold_segments import ColdHead, ColdSegmentError, list_cold_segments, verify_content
from statevec.roles.retention import HEAD_FILE, RetentionError, read_head

RESTORE = "put the missing or damaged files there from a copy of the archive"


def examine_archive(instance: Instance, cold: Path | None) -> list[Finding]:
    """The chain's end against the journal's beginning, and all files of the archive where its directory is given."""
    where = instance.directory / HEAD_FILE
    try:
        head = read_head(instance)
    except (RetentionError, OSError) as error:
        return [problem(str(error), where, "restore it from a copy, or archive into an empty directory without it")]
    segments = segments_at_hand(instance)
    begins = segments[0].first if segments else 0
    findings = _compare(head, begins, where)
    if cold is not None:
        findings += _examine_cold(instance, cold, head, begins)
    elif head is not None:
        what = f"archived up to position {head.position}, chain hash {head.chain_hash.hex()}"
        findings.append(note(what, where, "to look at the archive too, give its directory: --cold DIR"))
    return findings


def _compare(head: ColdHead | None, begins: int, where: Path) -> list[Finding]:
    if head is None and begins > 0:
        return [note(f"the journal begins at position {begins}; what was before was removed for good", where)]
    if head is not None and head.position < begins:
        what = f"segments are missing: archived up to position {head.position}, the journal begins at {begins}"
        return [problem(what, where, "restore the segments between from a copy; execution begins at a snapshot")]
    return []


def _examine_cold(instance: Instance, cold: Path, head: ColdHead | None, begins: int) -> list[Finding]:
    try:
        found = list_cold_segments(cold, instance.instance_id)
        for segment in found:
            verify_content(segment)
    except (ColdSegmentError, OSError) as error:
        return [problem(str(error), cold, RESTORE)]
    end = found[-1].head if found else None
    if head is not None and (end is None or end.position < head.position):
        ends = end.position if end is not None else 0
        what = f"cold segments are missing at the end: archived up to position {head.position}, found up to {ends}"
        return [problem(what, cold, RESTORE)]
    if head is not None and end is not None and end.position == head.position and end.chain_hash != head.chain_hash:
        what = f"another chain than the instance's: chain hash={end.chain_hash.hex()} expected={head.chain_hash.hex()}"
        return [problem(what, cold, RESTORE)]
    if end is not None and end.position < begins:
        return [problem(f"cold segments end at position {end.position}, the journal begins at {begins}", cold, RESTORE)]
    first = found[0].first if found else 0
    return [fine(f"{len(found)} cold segments from position {first} on are whole and one chain", cold)]
