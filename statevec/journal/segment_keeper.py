"""`SegmentKeeper`: has the journaler's next segment ready and takes full ones away, in a thread of its own.

Writing and syncing a new segment takes from a tenth of a second to seconds, and so does syncing a full one in `memory`
mode: neither the journaler's loop nor the engine's main thread may wait for that. The loop changes segments natively;
what it takes and what it leaves behind lie in the journaler's block (`journaler_layout`).

Invariants
    A prepared segment has its final name, durably, before the loop can see it (rule 10).
    In `memory` mode a full segment counts as durable once it was synced, in order of position.

Who writes and who reads
    The keeper's thread, and the journaler's when it finds nothing prepared; one at a time (a lock).

A crash leaves prepared segments, which hold zeros, and perhaps a temporary file; see `segments`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from statevec.ipc.kill_points import AFTER_FDATASYNC, BEFORE_FDATASYNC, kill_point
from statevec.ipc.log_layout import DURABLE
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.journal import journaler_layout as layout
from statevec.journal.disk import make_directory, open_directory, open_file, share_file, sync_directory
from statevec.journal.errors import JournalError
from statevec.journal.segments import (
    READABLE_BY_GROUP,
    SegmentFile,
    create_segment,
    list_segments,
    segment_path,
    sync_segment,
)

NICENESS = 10
"""Of the keeper's thread: it works ahead, and whoever shares its core goes first."""
INTERVAL_SECONDS = 0.02
"""How often the keeper looks whether the loop took the prepared segment."""
DIRECTORY_OF_GROUP = 0o750
"""Mode of the journal's directory where the instance has a group."""


class SegmentKeeper:
    """Keeps the segments of one journaler.

    `halt(errno, position, path)` is called when a full segment cannot be synced. The group of that number may read all.
    `problem` is why the last attempt to prepare a segment failed, None when it did not; `last_problem` why the last one
    did that came after a good one, and `problems` how many of these there were.
    """

    def __init__(
        self,
        directory: Path,
        log: Region,
        block: Region,
        *,
        segment_size: int,
        unit: int,
        group: int | None,
        halt: Callable[[int, int, Path], None],
    ) -> None:
        self.directory = directory
        self._log = log
        self._block = block
        self._segment_size = segment_size
        self._unit = unit
        self._group = group
        self._halt = halt
        self._zeros = bool(block.load_i64(layout.SYNC))
        self._lock = threading.Lock()
        self._unsynced: deque[tuple[int, int]] = deque()  # descriptor and end position of full segments
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._last: SegmentFile | None = None
        self.problem: OSError | None = None
        self.last_problem: OSError | None = None
        self.problems = 0

    @property
    def thread_id(self) -> int | None:
        """The thread's native id, None before it runs."""
        return self._thread.native_id if self._thread else None

    def open_first(self, start: int, durable: int) -> None:
        """Let the loop begin at position `start`; what lies from `durable` to there is synced first."""
        make_directory(self.directory)
        segments = list_segments(self.directory, self._unit)
        self._share(segments)
        if segments:
            sync_directory(self.directory)  # whoever gave a segment its name may have died before the name was durable
        for segment in segments:
            if segment.end > durable and segment.first < start:
                sync_segment(segment)  # `memory` mode: what is not written again was perhaps never synced
        first = next((segment for segment in segments if segment.first <= start < segment.end), None)
        if first is None:
            end = segments[-1].end if segments else start - start % self._unit
            if end != start:
                raise JournalError(f"journal does not reach the log: end={end} first position to write={start}")
            first = self._create(start)
        self._block.store_i64(layout.CURRENT_FILE, self._open(first))
        self._block.store_i64(layout.CURRENT_FIRST, first.first)
        self._block.store_i64(layout.CURRENT_END, first.end)
        self._last = first

    def _share(self, segments: list[SegmentFile]) -> None:
        """Let the group read what was made before there was one."""
        if self._group is None:
            return
        directory = open_directory(self.directory)
        try:
            share_file(directory, self._group, DIRECTORY_OF_GROUP, self.directory)
        finally:
            os.close(directory)
        for segment in segments:
            file = self._open(segment)
            try:
                share_file(file, self._group, READABLE_BY_GROUP, segment.path)
            finally:
                os.close(file)

    def _create(self, first: int) -> SegmentFile:
        # In `memory` mode nobody waits for an fdatasync: allocated space is enough, and half the writing.
        return create_segment(self.directory, first, self._segment_size, self._zeros, self._unit, self._group)

    @staticmethod
    def _open(segment: SegmentFile) -> int:
        return open_file(segment.path, os.O_RDWR)

    def prepare(self) -> None:
        """Take a full segment away and have the next one ready. Raises `OSError` when no segment can be made."""
        with self._lock:
            self._take_retired()
            # SYNC POINT: pairs with next_segment, which takes the prepared segment
            if load_acquire(self._block, layout.NEXT_READY) != 0 or self._last is None:
                return
            first = self._last.end
            path = segment_path(self.directory, first)
            segment = SegmentFile(path, first, path.stat().st_size) if path.exists() else self._create(first)
            self._block.store_i64(layout.NEXT_FILE, self._open(segment))
            self._block.store_i64(layout.NEXT_FIRST, segment.first)
            self._block.store_i64(layout.NEXT_END, segment.end)
            self._last = segment
            store_release(self._block, layout.NEXT_READY, 1)  # SYNC POINT: pairs with next_segment

    def _take_retired(self) -> None:
        if load_acquire(self._block, layout.RETIRED) == 0:  # SYNC POINT: pairs with next_segment
            return
        retired = self._block.load_i64(layout.RETIRED_FILE), self._block.load_i64(layout.RETIRED_END)
        self._unsynced.append(retired)
        store_release(self._block, layout.RETIRED, 0)  # SYNC POINT: pairs with next_segment

    def _sync_retired(self) -> None:
        while self._unsynced:
            file, end = self._unsynced.popleft()
            try:
                if not self._zeros:  # in `disk` mode the loop did it
                    kill_point(BEFORE_FDATASYNC)
                    os.fdatasync(file)
                    kill_point(AFTER_FDATASYNC)
                    # SYNC POINT: pairs with the leader's durable field; in this mode the loop does not write DURABLE
                    store_release(self._log, DURABLE, end)
                # The next segments are written into the page cache's memory that this one gives back: memory that was
                # not used lately costs ten times as much, and in a virtual machine a fault in the host for each page.
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            except OSError as error:
                self._halt(error.errno or 0, end, Path(os.readlink(f"/proc/self/fd/{file}")))
            finally:
                os.close(file)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="segment-keeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)  # of this thread alone
        while not self._stopping.wait(INTERVAL_SECONDS):
            try:
                self.prepare()
                self.problem = None
            except OSError as error:
                if self.problem is None:
                    self.last_problem = error
                    self.problems += 1
                self.problem = error  # perhaps there is space when the journaler needs it; if not, it halts
            self._sync_retired()

    def stop(self) -> None:
        """End the thread, sync what is full, close all files; the loop must have ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._take_retired()
        self._sync_retired()
        if self._block.load_i64(layout.NEXT_READY):
            os.close(self._block.load_i64(layout.NEXT_FILE))
            self._block.store_i64(layout.NEXT_READY, 0)
        self._last = None
