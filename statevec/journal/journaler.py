"""`Journaler`: the thread that copies the log into segment files, and the Python around its native loop.

Invariants
    One journaler for one log and one directory; who holds the instance's lock runs it.
    Begins by writing again all that is not known to be durable (rule 11).
    After a failure it writes the halt mark and stays halted: `error` says why, nothing is retried.
    In `disk` mode nothing counts as durable before the segment that holds it has its name (rule 10).

Who writes and who reads
    See `journaler_kernels` for the shared positions. `prepare` and `stop` are called by one other thread, the engine's
    main thread.

A crash at any point: see `journaler_kernels` and `segments`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Literal

from statevec.ipc.log_layout import APPENDED, DATA, DURABLE, HALTED, MAX_BATCH_BYTES, UNIT, WRITTEN
from statevec.ipc.memory import Region
from statevec.journal import journaler_layout as layout
from statevec.journal.errors import JournalError, JournalHaltedError
from statevec.journal.journaler_kernels import DRAINED, FAILED, NEED_SEGMENT, journal_loop, sync_current
from statevec.journal.segments import (
    SEGMENT_SIZE,
    SegmentFile,
    create_segment,
    list_segments,
    segment_path,
    sync_directory,
    sync_segment,
)

Durability = Literal["memory", "disk"]
IDLE_NS = 20_000
"""How long the loop sleeps when there is nothing to write."""
HALT_NAME = "halt"


class Journaler:
    """Journals one log (the region of its whole segment) into `directory` until stopped.

    `halt_path` is where the halt mark goes, by default `halt` beside the journal's directory.
    """

    def __init__(
        self,
        directory: Path,
        log: Region,
        durability: Durability,
        *,
        segment_size: int = SEGMENT_SIZE,
        idle_ns: int = IDLE_NS,
        halt_path: Path | None = None,
        unit: int = UNIT,
    ) -> None:
        capacity = log.size - DATA
        if capacity <= 0 or capacity & (capacity - 1) or capacity % unit or segment_size % unit:
            raise ValueError(f"sizes do not fit: capacity={capacity} segment_size={segment_size} unit={unit}")
        self.directory = directory
        self.error: JournalHaltedError | None = None
        self._log = log
        self._durability: Durability = durability
        self._segment_size = segment_size
        self._unit = unit
        self._halt_path = halt_path or directory.parent / HALT_NAME
        self._lock = threading.Lock()  # prepare() runs in two threads
        self._thread: threading.Thread | None = None
        self._closed = False
        self._block = block = Region.allocate(layout.BLOCK_SIZE, 128)
        block.store_i64(layout.SYNC, int(durability == "disk"))
        block.store_i64(layout.IDLE_NS, idle_ns)
        block.store_i64(layout.CAPACITY, capacity)
        self._last_prepared = self._open_first(self._start_position(capacity))

    def _start_position(self, capacity: int) -> int:
        """From where to write again (rule 11): the durable position, as far as the log still holds it.

        In `memory` mode it may not: then what is older has been written, and dead leaders tear at most the oldest
        MAX_BATCH_BYTES of the window.
        """
        durable = self._log.load_acquire(DURABLE)  # SYNC POINT: pairs with the journaler before this one
        appended = self._log.load_acquire(APPENDED)  # SYNC POINT: pairs with the leader's publish
        if not 0 <= durable <= appended:
            raise JournalError(f"log is not sound: durable={durable} appended={appended}")
        return max(durable, appended + MAX_BATCH_BYTES - capacity) if self._durability == "memory" else durable

    def _open_first(self, start: int) -> SegmentFile:
        self.directory.mkdir(parents=True, exist_ok=True)
        segments = list_segments(self.directory, self._unit)
        holding = [segment for segment in segments if segment.first <= start < segment.end]
        if not holding:
            end = segments[-1].end if segments else start - start % self._unit
            if end != start:
                raise JournalError(f"journal does not reach the log: end={end} first position to write={start}")
            holding = [self._create(start)]
        durable = self._log.load_acquire(DURABLE)  # SYNC POINT: pairs with the journaler before this one
        for segment in segments:
            if segment.end > durable and segment.first < start:
                sync_segment(segment)  # `memory` mode: what is not written again was perhaps never synced
        block, first = self._block, holding[0]
        block.store_i64(layout.CURRENT_FILE, self._open(first))
        block.store_i64(layout.CURRENT_FIRST, first.first)
        block.store_i64(layout.CURRENT_END, first.end)
        block.store_i64(layout.WRITTEN_POSITION, start)
        block.store_i64(layout.DURABLE_POSITION, durable)
        return first

    def _create(self, first: int) -> SegmentFile:
        # In `memory` mode nobody waits for an fdatasync: allocated space is enough, and half the writing.
        return create_segment(self.directory, first, self._segment_size, self._durability == "disk", self._unit)

    @staticmethod
    def _open(segment: SegmentFile) -> int:
        return os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)

    def start(self) -> None:
        """Start the thread; it first writes again what is not known to be durable."""
        if self._thread is not None:
            raise JournalError(f"journaler was started before: {self.directory}")
        self._thread = threading.Thread(target=self._run, name="journaler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (answer := journal_loop(self._log, self._block)) == NEED_SEGMENT:
                self._block.store_i64(layout.SEGMENT_WAITS, self._block.load_i64(layout.SEGMENT_WAITS) + 1)
                self.prepare()
            if answer == FAILED:
                self._halt(
                    layout.OPERATION_NAMES[self._block.load_i64(layout.FAILURE_OPERATION)],
                    self._block.load_i64(layout.FAILURE_ERRNO),
                    self._block.load_i64(layout.FAILURE_POSITION),
                )
        except OSError as error:
            self._halt("preparing a segment", error.errno or 0, self._block.load_i64(layout.WRITTEN_POSITION))

    def prepare(self) -> None:
        """Have the next segment ready, and close the one that is full. Call it often, from the engine's main thread.

        It takes as long as writing and syncing one segment takes; the journaler does it itself when it finds nothing
        prepared, and waits. Raises `OSError` when no segment can be made: the caller may try again, the journaler
        itself halts when it needs one. In `memory` mode this is also where full segments are synced.
        """
        with self._lock:
            self._retire()
            # SYNC POINT: pairs with next_segment, which takes the prepared segment
            if self._block.load_acquire(layout.NEXT_READY) != 0:
                return
            first = self._last_prepared.end
            path = segment_path(self.directory, first)
            if path.exists():
                segment = SegmentFile(path, first, path.stat().st_size)
            else:
                segment = self._create(first)
            self._block.store_i64(layout.NEXT_FILE, self._open(segment))
            self._block.store_i64(layout.NEXT_FIRST, segment.first)
            self._block.store_i64(layout.NEXT_END, segment.end)
            self._last_prepared = segment
            self._block.store_release(layout.NEXT_READY, 1)  # SYNC POINT: pairs with next_segment

    def _retire(self) -> None:
        if self._block.load_acquire(layout.RETIRED) == 0:  # SYNC POINT: pairs with next_segment
            return
        file = self._block.load_i64(layout.RETIRED_FILE)
        try:
            if self._durability == "memory":
                os.fdatasync(file)
                # SYNC POINT: pairs with the leader's durable field; the loop does not write DURABLE in this mode
                self._log.store_release(DURABLE, self._block.load_i64(layout.RETIRED_END))
        except OSError as error:
            self._halt("fdatasync", error.errno or 0, self._block.load_i64(layout.RETIRED_END))
        finally:
            os.close(file)
            self._block.store_release(layout.RETIRED, 0)  # SYNC POINT: pairs with next_segment

    def _halt(self, operation: str, errno: int, position: int) -> None:
        """Stop all releases, leave the mark, remember why. The first reason stays."""
        self._log.store_release(HALTED, 1)  # SYNC POINT: pairs with the leader's check in every turn
        path = segment_path(self.directory, self._block.load_i64(layout.CURRENT_FIRST))
        if self.error is not None:
            return
        self.error = JournalHaltedError(operation, errno, position, path)
        try:
            with open(self._halt_path, "x", encoding="utf-8") as file:
                file.write(f"{self.error}\n")
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self._halt_path.parent)
        except OSError as failure:
            # A full disk may refuse the mark as well; HALTED in the log and this error still stop the leader.
            self.error.add_note(f"the halt mark could not be written: {failure}")

    def stop(self) -> None:
        """Drain and end the thread: everything appended is written and synced when this returns.

        The leader must have stopped before. Raises `JournalHaltedError` when that was not possible.
        """
        self._block.store_release(layout.STOP, 1)  # SYNC POINT: pairs with journal_loop
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            if self.error is None:
                self._sync_rest()
        self._close()
        if self.error is not None:
            raise self.error

    def _sync_rest(self) -> None:
        self._retire()
        answer = sync_current(self._log, self._block)
        if answer < 0:
            self._halt("fdatasync", -answer, self._block.load_i64(layout.WRITTEN_POSITION))

    def _close(self) -> None:
        block = self._block
        for present, file in ((layout.RETIRED, layout.RETIRED_FILE), (layout.NEXT_READY, layout.NEXT_FILE)):
            if block.load_i64(present):
                os.close(block.load_i64(file))
                block.store_i64(present, 0)
        if not self._closed:
            os.close(block.load_i64(layout.CURRENT_FILE))
            self._closed = True

    @property
    def running(self) -> bool:
        """Whether the thread still journals: False before `start`, after `stop`, and once halted."""
        return self._thread is not None and self._thread.is_alive()

    def statistics(self) -> dict[str, int]:
        """Positions and counters, by name."""
        log, block = self._log, self._block
        # SYNC POINT: pairs with the stores of journaler_kernels and the leader's publish
        positions = {"written": WRITTEN, "durable": DURABLE, "appended": APPENDED, "halted": HALTED}
        found = {name: log.load_acquire(offset) for name, offset in positions.items()}
        return found | {name: block.load_acquire(offset) for name, offset in layout.COUNTERS.items()}


assert DRAINED == 0 > NEED_SEGMENT > FAILED
