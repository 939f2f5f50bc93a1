"""`Journaler`: the thread that copies the log into segment files, and the Python around its native loop.

Invariants
    One journaler for one log and one directory; who holds the instance's lock runs it.
    Begins by writing again all that is not known to be durable (rule 11).
    After a failure it writes the halt mark and stays halted: `error` says why, nothing is retried.

Who writes and who reads
    See `journaler_kernels` for the shared positions, `segment_keeper` for the files.

A crash at any point: see `journaler_kernels` and `segments`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Literal

from statevec.ipc.log_layout import APPENDED, DATA, DURABLE, FIRST_POSITION, HALTED, MAX_BATCH_BYTES, UNIT, WRITTEN
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from statevec.journal import journaler_layout as layout
from statevec.journal.disk import DiskError
from statevec.journal.errors import JournalError, JournalHaltedError
from statevec.journal.halt_mark import leave_halt_mark
from statevec.journal.journaler_kernels import FAILED, NEED_SEGMENT, journal_loop, sync_current
from statevec.journal.segment_keeper import SegmentKeeper
from statevec.journal.segments import SEGMENT_SIZE, segment_path

Durability = Literal["memory", "disk"]
IDLE_NS: dict[Durability, int] = {"disk": 20_000, "memory": 200_000}
"""How long the loop sleeps when there is nothing to write. In `memory` mode nobody waits for it, but each of its writes
takes a core from somebody where cores are few: short writes, not too often."""
HALT_NAME = "halt"


def load_loop() -> None:
    """Have the loop compiled or loaded: a leader shall not find the log full meanwhile."""
    block = Region.allocate(layout.BLOCK_SIZE, 128)
    block.store_i64(layout.STOP, 1)
    journal_loop(Region.allocate(DATA, 128), block)


def start_of_journaling(durability: Durability, durable: int, appended: int, capacity: int) -> int:
    """From where on a new journaler writes a log again: the durable position, as far as the log still holds it.

    In `memory` mode it may not: then what is older has been written, and a dead leader tore at most the oldest
    MAX_BATCH_BYTES of the window.
    """
    return durable if durability == "disk" else max(durable, appended + MAX_BATCH_BYTES - capacity)


class Journaler:
    """Journals one log (the region of its whole segment) into `directory` until stopped.

    `halt_path` is where the halt mark goes, by default `halt` beside the journal's directory. `idle_ns` is by default
    that of the mode; 0 spins. The group of that number may read the files.
    """

    def __init__(
        self,
        directory: Path,
        log: Region,
        durability: Durability,
        *,
        segment_size: int = SEGMENT_SIZE,
        idle_ns: int | None = None,
        halt_path: Path | None = None,
        unit: int = UNIT,
        group: int | None = None,
    ) -> None:
        capacity = log.size - DATA
        if capacity <= 0 or capacity & (capacity - 1) or capacity % unit or segment_size % unit:
            raise ValueError(f"sizes do not fit: capacity={capacity} segment_size={segment_size} unit={unit}")
        self.directory = directory
        self.error: JournalHaltedError | None = None
        self._log = log
        self._halt_path = halt_path or directory.parent / HALT_NAME
        self._thread: threading.Thread | None = None
        self._closed = False
        self._halting = threading.Lock()
        self._block = block = Region.allocate(layout.BLOCK_SIZE, 128)
        block.store_i64(layout.SYNC, int(durability == "disk"))
        block.store_i64(layout.IDLE_NS, IDLE_NS[durability] if idle_ns is None else idle_ns)
        block.store_i64(layout.CAPACITY, capacity)
        self._keeper = SegmentKeeper(
            directory, log, block, segment_size=segment_size, unit=unit, group=group, halt=self._halt_after_sync
        )
        self._begin(durability, capacity)

    def _begin(self, durability: Durability, capacity: int) -> None:
        """Set out from where to write again (rule 11)."""
        durable = load_acquire(self._log, DURABLE)  # SYNC POINT: pairs with the journaler before this one
        appended = load_acquire(self._log, APPENDED)  # SYNC POINT: pairs with the leader's publish
        first = self._log.load_i64(FIRST_POSITION)
        if not first <= durable <= appended:
            raise JournalError(f"log is not sound: first={first} durable={durable} appended={appended}")
        start = start_of_journaling(durability, durable, appended, capacity)
        self._keeper.open_first(start, durable)
        self._block.store_i64(layout.WRITTEN_POSITION, start)
        self._block.store_i64(layout.DURABLE_POSITION, durable)

    def start(self) -> None:
        """Start the threads; what is not known to be durable is written again first."""
        if self._thread is not None or self._closed:
            raise JournalError(f"journaler was started before: {self.directory}")
        load_loop()
        self._thread = threading.Thread(target=self._run, name="journaler", daemon=True)
        self._thread.start()
        self._keeper.start()

    def _run(self) -> None:
        try:
            while (answer := journal_loop(self._log, self._block)) == NEED_SEGMENT:
                self._block.store_i64(layout.SEGMENT_WAITS, self._block.load_i64(layout.SEGMENT_WAITS) + 1)
                self._keeper.prepare()
            if answer == FAILED:
                operation = layout.OPERATION_NAMES[self._block.load_i64(layout.FAILURE_OPERATION)]
                errno = self._block.load_i64(layout.FAILURE_ERRNO)
                self._halt(operation, errno, self._block.load_i64(layout.FAILURE_POSITION))
        except OSError as error:
            what, file = "preparing a segment", None
            if isinstance(error, DiskError):
                what, file = f"preparing a segment: {error.call}", Path(error.filename)
            self._halt(what, error.errno or 0, self._block.load_i64(layout.WRITTEN_POSITION), file)

    def prepare(self) -> None:
        """Have the next segment ready now; the keeper's thread does it anyway. Raises `OSError` when it can't."""
        self._keeper.prepare()

    @property
    def prepare_problem(self) -> OSError | None:
        """Why the next segment could not be made, None when it could; once it is needed the journaler halts."""
        return self._keeper.problem

    @property
    def prepare_problems(self) -> tuple[int, OSError | None]:
        """How often making the next segment failed after it had succeeded, and why it did the last time."""
        return self._keeper.problems, self._keeper.last_problem

    def pin_to(self, cores: set[int]) -> None:
        """Keep the journaler's threads on these cores."""
        for thread_id in (self._thread.native_id if self._thread else None, self._keeper.thread_id):
            if thread_id is not None:
                os.sched_setaffinity(thread_id, cores)

    def _halt_after_sync(self, errno: int, position: int, path: Path) -> None:
        self._halt("fdatasync", errno, position, path)

    def _halt(self, operation: str, errno: int, position: int, path: Path | None = None) -> None:
        """Stop all releases, leave the mark, remember why. The first reason stays."""
        store_release(self._log, HALTED, 1)  # SYNC POINT: pairs with the leader's check in every turn
        path = path or segment_path(self.directory, self._block.load_i64(layout.CURRENT_FIRST))
        with self._halting:
            if self.error is not None:
                return
            error = JournalHaltedError(operation, errno, position, path)
            try:
                leave_halt_mark(self._halt_path, error.what)
            except OSError as failure:
                # A full disk may refuse the mark as well; HALTED in the log stops this leader, and whoever comes next.
                error = JournalHaltedError(operation, errno, position, path, str(failure))
            self.error = error

    def stop(self) -> None:
        """Drain and end the threads: everything appended is written and synced when this returns.

        The leader must have stopped before. Raises `JournalHaltedError` when that was not possible.
        """
        store_release(self._block, layout.STOP, 1)  # SYNC POINT: pairs with journal_loop
        if self._thread is not None:
            self._thread.join()
        if not self._closed:
            self._closed = True
            self._keeper.stop()
            if self._thread is not None and self.error is None:
                answer = sync_current(self._log, self._block)
                if answer < 0:
                    self._halt("fdatasync", -answer, self._block.load_i64(layout.WRITTEN_POSITION))
            os.close(self._block.load_i64(layout.CURRENT_FILE))
        if self.error is not None:
            raise self.error

    @property
    def running(self) -> bool:
        """Whether the thread still journals: False before `start`, after `stop`, and once halted."""
        return self._thread is not None and self._thread.is_alive()

    def statistics(self) -> dict[str, int]:
        """Positions and counters, by name."""
        log, block = self._log, self._block
        # SYNC POINT: pairs with the stores of journaler_kernels and the leader's publish
        positions = {"written": WRITTEN, "durable": DURABLE, "appended": APPENDED, "halted": HALTED}
        found = {name: load_acquire(log, offset) for name, offset in positions.items()}
        return found | {name: load_acquire(block, offset) for name, offset in layout.COUNTERS.items()}
