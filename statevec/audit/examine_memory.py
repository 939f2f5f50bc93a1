"""What an examination (`doctor`) finds in shared memory: the segments of an instance, and what dead processes left.

Invariants: segments are read through their files and never mapped or locked, so that damage there harms nobody here.
A crash leaves nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from statevec.audit.finding import Finding, fine, note, problem
from statevec.engine.instance import Instance
from statevec.ipc import log_layout, segment_layout
from statevec.ipc.process_identity import boot_id
from statevec.ipc.segment import SHARED_MEMORY, SegmentHeader, read_header

GROUP_MODES = {segment_layout.RING: 0o660}
"""The widest mode of a kind; of all others 0640."""


def examine_memory(instance: Instance, led: bool) -> list[Finding]:
    """Every segment in shared memory that has the instance's name."""
    prefix = instance.segment_name("")[1:]
    findings: list[Finding] = []
    paths = sorted(SHARED_MEMORY.glob(f"{prefix}*"))
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # it went meanwhile
        except OSError as error:
            findings.append(problem(f"cannot be opened: {error.strerror}", path, f"see who made it: ls -l {path}"))
            continue
        try:
            findings += _examine(descriptor, path, instance, led)
        finally:
            os.close(descriptor)
    if not paths:
        return [note("no shared memory: no engine since the host started, or it was cleaned", SHARED_MEMORY)]
    return findings or [fine(f"{len(paths)} segments of shared memory are as they must be", SHARED_MEMORY)]


def _examine(descriptor: int, path: Path, instance: Instance, led: bool) -> list[Finding]:
    status = os.fstat(descriptor)
    clean = f"statevec clean --instance {instance.directory}"
    header = read_header(descriptor)
    if not stat.S_ISREG(status.st_mode) or header is None or header.magic == 0:
        return [] if led else [note("unfinished: its maker died, or is making it", path, f"nothing; or: {clean}")]
    if header.magic != segment_layout.MAGIC or header.instance_id != instance.instance_id:
        what = f"not a segment of this instance: magic={header.magic:x} id={header.instance_id:016x}"
        return [problem(what, path, f"stop the engine and who else has it, then: rm {path}")]
    findings = _examine_rights(status, header, path, instance)
    if header.creator.boot_id != boot_id():
        what = "of another boot of this host: what it says of processes means nothing"
        return [*findings, problem(what, path, f"{clean} --discard; it may hold what no disk has")]
    if header.kind == segment_layout.LOG:
        findings += _examine_log(descriptor, path, instance, led)
    elif header.kind != segment_layout.RING and header.creator.is_dead():
        findings.append(note(f"left by process {header.creator.pid}, which is dead", path, f"nothing; or: {clean}"))
    return findings


def _examine_rights(status: os.stat_result, header: SegmentHeader, path: Path, instance: Instance) -> list[Finding]:
    findings = []
    if status.st_uid != instance.owner:
        what = f"belongs to uid {status.st_uid}, the instance to uid {instance.owner}: nobody attaches to it"
        findings.append(problem(what, path, f"see what made it, stop that, then: rm {path}"))
    mode = stat.S_IMODE(status.st_mode)
    widest = GROUP_MODES.get(header.kind, 0o640)
    if mode & ~widest:
        findings.append(problem(f"more may open it than shall: mode={mode:o}", path, f"chmod {widest:o} {path}"))
    return findings


def _examine_log(descriptor: int, path: Path, instance: Instance, led: bool) -> list[Finding]:
    def word(offset: int) -> int:
        return int.from_bytes(os.pread(descriptor, 8, offset), "little", signed=True)

    findings = []
    if word(log_layout.HALTED) != 0:
        remedy = f"find out why, then: statevec resume --instance {instance.directory}"
        findings.append(problem("the log was halted by a disk error", path, remedy))
    beyond = word(log_layout.APPENDED) - word(log_layout.DURABLE)
    if beyond > 0 and not led:
        what = f"the log has {beyond:,} bytes that are not known to be on disk"
        findings.append(note(what, path, "start an engine, which writes them; do not remove shared memory before"))
    return findings
