"""`examine(directory)`: everything about an instance that can be wrong, looked at without a lock and without writing.

    identity ─► leader, halt mark, epoch, file system ─► journal, cursors, snapshots, store (`examine_journal`)
             ─► archive, files, shared memory (`examine_archive`, `examine_files`, `examine_memory`)
             ─► findings, each with what to do

Invariants
    Nothing is written or locked (`repair` does that).
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

from statevec.audit.examine_archive import examine_archive
from statevec.audit.examine_files import examine_files
from statevec.audit.examine_journal import (
    examine_journal,
    examine_snapshots,
    examine_store,
)
from statevec.audit.examine_memory import examine_memory
from statevec.audit.finding import Finding, count_problems, fine, note, problem
from statevec.engine.instance import (
    FILE_SYSTEMS,
    Instance,
    InstanceError,
    LeaderRecord,
    file_system_of,
    open_instance,
)
from statevec.ipc.process_identity import START_TOLERANCE_MS, started_ms
from statevec.roles.standing_by import log_identity


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


def examine(directory: Path, cold: Path | None = None) -> Examination:
    """Look at the instance in `directory`, and at its archived segments in `cold`."""
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
    findings += examine_archive(instance, cold)
    findings += examine_files(instance, led)
    findings += examine_memory(instance, led)
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
        seen = log_identity(instance)
        if leader.log and leader.epoch and seen != leader.log:
            what = f"led by {who}, with another log: leads with {leader.log}, here is {seen or 'none'}"
            remedy = "look at it where the leader runs (same boot and /dev/shm); see who removed the log"
            return [problem(what, where, remedy)]
        return [fine(f"led by {who}", where)]
    if leader.host != socket.gethostname():
        remedy = "look at it on that host; elsewhere shared memory and processes are not to be seen"
        return [note(f"last led on another host: {who}", where, remedy)]
    begun = _epoch_begun(instance)
    if begun is not None and leader.epoch > begun:
        what = f"leader.json is of epoch {leader.epoch}, the file epoch says {begun}: not of one time"
        return [problem(what, where, "restore both from one copy; identities of outputs must never come again")]
    return [fine(f"nobody leads; the last was {who}", where)]


def _epoch_begun(instance: Instance) -> int | None:
    """The epoch that was begun last, None where that cannot be told."""
    try:
        return instance.read_epoch()
    except (InstanceError, OSError):
        return None


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
