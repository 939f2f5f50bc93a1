"""What an examination (`doctor`) finds in the files themselves: owners, modes, links, what was left behind, free space.

Invariants: nothing is written or locked. Gateways may be another user's; everything else is the instance's owner's.
A crash leaves nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from statevec.audit.examine_journal import segments_at_hand
from statevec.audit.finding import Finding, fine, note, problem
from statevec.engine.instance import (
    DIRECTORIES,
    EPOCH_FILE,
    GATEWAYS_DIRECTORY,
    HALT_FILE,
    INSTANCE_FILE,
    LEADER_FILE,
    Instance,
)
from statevec.engine.snapshot_file import list_snapshots
from statevec.roles import alarm_files
from statevec.roles.retention import HEAD_FILE

KNOWN = {INSTANCE_FILE, EPOCH_FILE, LEADER_FILE, HALT_FILE, HEAD_FILE, alarm_files.DIRECTORY, *DIRECTORIES}
PRIVATE = (".seg", ".snapshot", "cursor", EPOCH_FILE, HALT_FILE)
"""Ends of the names of files that only the owner, and where there is one the group, may read."""
DAMAGED_SUFFIX = ".damaged"
"""Of a snapshot that `--repair` set aside."""
SEGMENTS_AHEAD = 2
"""A journaler has one segment in hand and makes the next one."""


def is_temporary(path: Path) -> bool:
    """Whether a file or directory has a name that only a writer at work, or one that died, gives."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def all_paths(directory: Path) -> Iterator[Path]:
    """Everything below a directory; into no link, and into nothing temporary."""
    for path in sorted(directory.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink() and not is_temporary(path):
            yield from all_paths(path)


def examine_files(instance: Instance, led: bool) -> list[Finding]:
    """Each file and directory of the instance by itself, then the space that is left."""
    findings = []
    for path in all_paths(instance.directory):
        try:
            findings += _examine_path(path, instance, led)
        except FileNotFoundError:
            continue  # it went meanwhile
    found = findings or [fine("owners, modes and names of all files are as they must be", instance.directory)]
    return found + _examine_space(instance)


def _examine_path(path: Path, instance: Instance, led: bool) -> list[Finding]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return [problem("a symbolic link, and none is followed", path, "put the file or directory itself there")]
    if is_temporary(path):
        if led:
            return []  # perhaps somebody writes it
        repair = f"statevec doctor --repair --instance {instance.directory}"
        remedy = f"nothing: its writer's next attempt replaces it; or: {repair}"
        return [note("left behind by a writer that died, or being written", path, remedy)]
    if path.name.endswith(DAMAGED_SUFFIX):
        return [note("a damaged snapshot that was set aside", path, "remove it when nobody wants to look at it")]
    if path.parent == instance.directory and path.name not in KNOWN:
        return [note("does not belong to an instance", path, "move it elsewhere")]
    return _examine_rights(path, status, instance)


def _examine_rights(path: Path, status: os.stat_result, instance: Instance) -> list[Finding]:
    findings = []
    mode = stat.S_IMODE(status.st_mode)
    a_gateways = path.is_relative_to(instance.directory / GATEWAYS_DIRECTORY)
    if status.st_uid != instance.owner and not a_gateways:
        what = f"belongs to uid {status.st_uid}, the instance to uid {instance.owner}"
        findings.append(problem(what, path, f"chown {instance.owner} {path}"))
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        findings.append(problem(f"others than its owner may write it: mode={mode:o}", path, f"chmod go-w {path}"))
    if mode & stat.S_IROTH and stat.S_ISREG(status.st_mode) and path.name.endswith(PRIVATE):
        findings.append(problem(f"everybody may read it: mode={mode:o}", path, f"chmod o-r {path}"))
    wanted = stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if stat.S_ISDIR(status.st_mode) else 0)
    if mode & wanted != wanted:
        findings.append(problem(f"its owner may not read and write it: mode={mode:o}", path, f"chmod u+rwX {path}"))
    return findings


def _examine_space(instance: Instance) -> list[Finding]:
    """Free space against what a journaler and the next snapshot take."""
    segments = segments_at_hand(instance)
    snapshots = list_snapshots(instance.snapshots_directory)
    segment = segments[-1].size if segments else 0
    snapshot = max((path.stat().st_blocks * 512 for path in snapshots[:1]), default=0)
    disk = os.statvfs(instance.directory)
    free, wanted = disk.f_bavail * disk.f_frsize, SEGMENTS_AHEAD * segment + snapshot
    journal = sum(each.size for each in segments)
    held = f"the journal has {journal:,} bytes in {len(segments)} segments, snapshots are {len(snapshots)}"
    if free >= wanted:
        return [fine(f"{free:,} bytes are free; {held}", instance.directory)]
    what = f"not enough free space: free={free:,} the next segments and snapshot take {wanted:,}; {held}"
    remedy = f"make room, or see what may go: statevec retain --instance {instance.directory}"
    return [problem(what, instance.directory, remedy)]
