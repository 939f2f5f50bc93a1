"""Snapshots that a standby takes now and then, so that the leader never has to: `turn` is called between entries.

    standby's thread    copies its state (a pause of the standby alone) ─► goes on following
    writing thread      file ─► read back ─► the journal is durable so far ─► final name

Invariants
    One snapshot at most is under way. Another standby's counts too: one that is younger than the interval is enough.
    A snapshot that cannot be written is reported (`snapshot_failed`), and the standby goes on.
    Once the standby leads, `stop` was called: nothing is waited for any more.

A crash leaves what `roles/snapshot` says.
"""

from __future__ import annotations

import threading
import time

from statevec.engine.instance import Instance
from statevec.engine.snapshot_file import list_snapshots
from statevec.ipc import log_layout
from statevec.ipc.log import attach_log, released_offset
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import Segment
from statevec.journal.halt_mark import halting_on_failed_sync
from statevec.journal.segments import contiguous_segments, sync_segment
from statevec.roles.events import report
from statevec.roles.following import Following
from statevec.roles.snapshot import Captured, capture, write_snapshot


class StandbyStoppedError(Exception):
    """The standby does not stand by any more: its snapshot is given up."""


def journal_is_durable(instance: Instance, log: Segment | None, position: int) -> bool:
    """Whether the journal is durable up to `position` (rule 12).

    Where no journaler waits for the disk (`memory` mode), or there is none (no log), written segments are synced here.
    Raises `DiskError`; a failed fsync leaves the halt mark, since whoever leads next would sync again, and be told that
    all is well (rule 11).
    """
    durable = 0
    if log is not None:
        # SYNC POINT: pairs with the journaler's release of its positions: the files hold all below them.
        durable = load_acquire(log.region, log_layout.DURABLE)
        if durable >= position:
            return True
        if released_offset(log) != log_layout.RELEASED_BY_LEADER:
            return False
        if load_acquire(log.region, log_layout.WRITTEN) < position:  # SYNC POINT: as above
            return False
    segments, _ = contiguous_segments(instance.journal_directory, instance.genesis.unit)
    with halting_on_failed_sync(instance.halt_path):
        for segment in segments:
            if segment.end > durable and segment.first < position:
                sync_segment(segment)
    return True


class StandbySnapshots:
    """Takes a snapshot of a standby's state every `every_ns`; 0 never. `keep` of them stay."""

    def __init__(self, instance: Instance, every_ns: int, keep: int) -> None:
        self._instance = instance
        self._every_seconds = every_ns / 1e9
        self._keep = keep
        self._due = time.monotonic() + self._every_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def turn(self, following: Following) -> None:
        """Begin a snapshot if it is time; called between two entries."""
        if self._every_seconds == 0 or time.monotonic() < self._due or self.under_way:
            return
        if following.versions.history.current is None:
            return  # no entry yet
        self._due = time.monotonic() + self._every_seconds - self._newest_age()
        if time.monotonic() < self._due:
            return  # another standby was faster
        self._due = time.monotonic() + self._every_seconds
        captured = capture(following)
        self._thread = threading.Thread(target=self._write, args=[captured], name="snapshot", daemon=True)
        self._thread.start()

    @property
    def under_way(self) -> bool:
        """Whether a snapshot is being written."""
        return self._thread is not None and self._thread.is_alive()

    def _newest_age(self) -> float:
        """Seconds since the newest snapshot was taken, the interval at most."""
        try:
            newest = list_snapshots(self._instance.snapshots_directory)[0].stat().st_mtime
        except (OSError, IndexError):
            return self._every_seconds  # there is none, or it was just removed
        return min(max(time.time() - newest, 0.0), self._every_seconds)

    def _write(self, captured: Captured) -> None:
        began = time.monotonic()
        try:
            with attach_log(self._instance.instance_id, owner=self._instance.owner, populate=False) as log:
                path = write_snapshot(
                    self._instance, captured, lambda: self._is_durable(log, captured.position), keep=self._keep
                )
        except StandbyStoppedError:
            return
        except Exception as error:  # whatever it is, following must go on
            report("snapshot_failed", sequence=captured.sequence, error=str(error))
            return
        seconds = round(time.monotonic() - began, 3)
        report(
            "snapshot_taken", sequence=captured.sequence, position=captured.position, path=str(path), seconds=seconds
        )

    def _is_durable(self, log: Segment, position: int) -> bool:
        if self._stopped.is_set():
            raise StandbyStoppedError
        return journal_is_durable(self._instance, log, position)

    def stop(self) -> None:
        """Give up what is under way, and do not wait for it."""
        self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way; whether that is so."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.under_way
