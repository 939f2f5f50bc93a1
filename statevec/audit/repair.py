"""`statevec doctor --repair`: what can be put in order without any doubt, each thing with the lock of who writes it.

    the journal's torn tail         cut, as the next engine would (rule 9)
    temporary files                 removed where the lock of their writers is had: nobody is writing them
    damaged snapshots               set aside, where the journal covers them and another start was verified
    counters of dead processes      removed from shared memory, as `clean` does

Invariants
    Nobody leads meanwhile. A halted instance is not touched: a person looks first (rule 11).
    Nothing that could be read is removed: entries, versions, cursors, logs and rings stay.

A crash leaves what the single steps leave; the next repair goes on.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from statevec.audit.examine_files import DAMAGED_SUFFIX, is_temporary
from statevec.audit.examine_journal import everywhere_durable, has_log, journal_start
from statevec.engine.instance import GATEWAYS_DIRECTORY, Instance, LeaderLock
from statevec.engine.snapshot_file import SnapshotError, list_snapshots, verify_file
from statevec.engine.store import PluginStore
from statevec.ipc.clean import clean
from statevec.ipc.log import attach_log
from statevec.journal.disk import open_directory, remove, remove_tree, rename, sync_directory
from statevec.journal.halt_mark import halting_on_failed_sync
from statevec.journal.recovery import JournalEnd, recover
from statevec.journal.segments import list_segments
from statevec.roles.halted import refuse_when_log_halted
from statevec.roles.snapshot import snapshots_locked


def repair(instance: Instance) -> list[str]:
    """Put in order what is safe to; what was done, a sentence each.

    Raises `LeaderActiveError` while somebody leads, `HaltedError`, `JournalError` for damage that is no torn tail, and
    whatever keeps from telling what was durable (a damaged cursor, a log that is not to be attached): nothing was
    changed then. `DiskError` where the disk fails.
    """
    with LeaderLock(instance.directory), halting_on_failed_sync(instance.halt_path):
        instance.refuse_when_halted()
        if has_log(instance):
            with attach_log(instance.instance_id, owner=instance.owner) as log:
                refuse_when_log_halted(instance, log)
        end = recover(instance.journal_directory, start=journal_start(instance), durable=everywhere_durable(instance))
        cut = end.used - end.position
        done = [f"cut a torn tail of {cut} bytes behind position {end.position}"] if cut else []
        done += _remove_temporary(instance)
        done += _set_damaged_snapshots_aside(instance, end)
        done += [
            f"removed {action.name} from shared memory: {action.reason}"
            for action in clean(lambda _: False, instance_id=instance.instance_id)
            if action.removed
        ]
    return done


def _remove_temporary(instance: Instance) -> list[str]:
    """The leader's lock keeps writers of the first directories away; the others have locks of their own."""
    done = []
    for directory in (instance.directory, instance.journal_directory):
        done += _remove_from(directory, is_locked=True)
    with snapshots_locked(instance):
        done += _remove_from(instance.snapshots_directory, is_locked=True)
    with PluginStore(instance.directory).locked():
        done += _remove_from(instance.directory / "plugins", is_locked=True)
    gateways = instance.directory / GATEWAYS_DIRECTORY
    for gateway in sorted(path for path in gateways.iterdir() if path.is_dir() and not path.is_symlink()):
        done += _remove_from(gateway, is_locked=False)
    return done


def _remove_from(directory: Path, is_locked: bool) -> list[str]:
    """Remove the temporary files of a directory, if its lock is free or had already.

    A directory among them has a lock of its own too: that of the gateway which it was.
    """
    done = []
    for path in sorted(each for each in directory.iterdir() if is_temporary(each) and not each.is_symlink()):
        lock = open_directory(path if path.is_dir() else directory)
        try:
            if path.is_dir() or not is_locked:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                remove_tree(path)
            else:
                remove(path)
            done.append(f"removed {path}, which a dead writer left")
        except BlockingIOError:
            continue  # its writer lives
        finally:
            os.close(lock)
    return done


def _set_damaged_snapshots_aside(instance: Instance, end: JournalEnd) -> list[str]:
    """Rename what is damaged, if the journal, or a whole snapshot that it follows, is there to begin with."""
    with snapshots_locked(instance):
        directory = instance.snapshots_directory
        segments = list_segments(instance.journal_directory, instance.genesis.unit)
        begins = segments[0].first if segments else 0
        can_start, damaged = begins == 0, []
        for path in list_snapshots(directory):
            try:
                header = verify_file(path)
                is_own = header.instance_id == instance.genesis.instance_id
                can_start |= is_own and begins <= header.position <= end.position
            except SnapshotError as error:
                damaged.append((path, error))
        if not can_start:
            return []
        for path, _ in damaged:
            rename(path, path.with_name(path.name + DAMAGED_SUFFIX))
        if damaged:
            sync_directory(directory)
        return [f"set aside {path}: {error}" for path, error in damaged]
