"""`examine(directory)`: everything about an instance that can be wrong, looked at without a lock and without writing.

    identity ─► leader, halt mark, epoch, file system ─► journal, cursors, snapshots, store (`examine_journal`)
             ─► findings, each with what to do

Invariants
    Nothing is written or locked; `cut_torn_tail`, which takes the lock, is the only repair.
    A finding that depends on a leader's work in progress is none: a journal's tail is not judged while somebody leads.
    One thing that cannot be looked at does not keep the others from being looked at.

Who writes and who reads: the instance may be led meanwhile, so what is found is a moment's truth. A crash leaves
nothing.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statevec.audit.examine_journal import (
    everywhere_durable,
    examine_journal,
    examine_snapshots,
    examine_store,
    journal_start,
)
from statevec.audit.finding import Finding, count_problems, fine, note, problem
from statevec.engine.instance import (
    FILE_SYSTEMS,
    Instance,
    InstanceError,
    LeaderLock,
    LeaderRecord,
    file_system_of,
    open_instance,
)
from statevec.ipc.process_identity import START_TOLERANCE_MS, started_ms
from statevec.journal.halt_mark import halting_on_failed_sync
from statevec.journal.recovery import recover


@dataclass(frozen=True)
class Examination:
    """What was found; `instance` is None for a directory that is none."""

    directory: Path
    instance: Instance | None
    led: bool
    findings: list[Finding]

    @property
    def problems(self) -> int:
        return count_problems(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "directory": str(self.directory),
            "instance": "" if self.instance is None else self.instance.genesis.instance_id,
            "led": self.led,
            "problems": self.problems,
            "findings": [each.to_dict() for each in self.findings],
        }


def examine(directory: Path) -> Examination:
    """Look at the instance in `directory`."""
    try:
        instance = open_instance(directory)
    except InstanceError as error:
        remedy = "name the instance's directory, restore instance.json from a copy, or use the statevec that made it"
        return Examination(directory, None, False, [problem(str(error), directory, remedy)])
    try:
        leader = instance.leader()
    except OSError as error:
        findings = [problem(str(error), instance.directory / "leader.json", "see that it can be read")]
        return Examination(instance.directory, instance, False, findings)
    led = leader is not None and is_alive(leader)
    findings = [fine(f"instance {instance.genesis.instance_id}, format {instance.genesis.format_version}", directory)]
    findings += _examine_file_system(instance)
    findings += _examine_leader(instance, leader, led)
    findings += _examine_halt(instance)
    findings += _examine_epoch(instance)
    findings += examine_journal(instance, led)
    findings += examine_snapshots(instance)
    findings += examine_store(instance)
    return Examination(instance.directory, instance, led, findings)


def is_alive(leader: LeaderRecord) -> bool:
    """Whether the process of the record runs on this host; its number alone would not tell."""
    if leader.host != socket.gethostname():
        return False
    started = started_ms(leader.pid)
    return started is not None and abs(started - leader.started_ms) <= START_TOLERANCE_MS


def _examine_file_system(instance: Instance) -> list[Finding]:
    kind = file_system_of(instance.directory)
    if kind in FILE_SYSTEMS:
        return []
    what = f"lies on a file system that statevec does not trust with its lock: {kind}"
    return [problem(what, instance.directory, f"move the directory to one of {', '.join(FILE_SYSTEMS)}")]


def _examine_leader(instance: Instance, leader: LeaderRecord | None, led: bool) -> list[Finding]:
    where = instance.directory / "leader.json"
    if leader is None:
        if where.exists():
            return [problem("leader.json cannot be read", where, f"rm {where}; the next engine writes it again")]
        return [note("no engine ever led this instance", where)]
    who = f"process {leader.pid} on {leader.host} since {leader.since}, epoch {leader.epoch}"
    if led:
        return [fine(f"led by {who}", where)]
    if leader.host != socket.gethostname():
        remedy = "look at it on that host; elsewhere shared memory and processes are not to be seen"
        return [note(f"last led on another host: {who}", where, remedy)]
    return [fine(f"nobody leads; the last was {who}", where)]


def _examine_halt(instance: Instance) -> list[Finding]:
    reason = instance.halt_reason()
    if reason is None:
        return []
    remedy = f"find out why, then: statevec resume --instance {instance.directory}"
    return [problem(f"halted by a disk error: {reason}", instance.halt_path, remedy)]


def _examine_epoch(instance: Instance) -> list[Finding]:
    where = instance.directory / "epoch"
    try:
        return [fine(f"epoch {instance.read_epoch()}", where)]
    except (InstanceError, OSError) as error:
        return [problem(str(error), where, "restore it from a copy")]


def cut_torn_tail(instance: Instance) -> int:
    """Cut what recovery would cut behind the journal's end, with the instance's lock; how many bytes.

    Raises `LeaderActiveError` while somebody leads, `JournalError` for damage that is no torn tail, and whatever keeps
    from telling what was durable (a damaged cursor, a log that is not to be attached): nothing is changed then.
    """
    with LeaderLock(instance.directory), halting_on_failed_sync(instance.halt_path):
        instance.refuse_when_halted()
        durable = everywhere_durable(instance)
        end = recover(instance.journal_directory, start=journal_start(instance), durable=durable)
    return end.used - end.position
