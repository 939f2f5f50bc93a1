"""Where a follower's entries come from: the journal's segment files, then the live log, back to the files when lapped.

Invariants
    Every entry is run once, in order, from where the follower begins: the position is all there is to carry over.
    In the live log the follower goes up to *appended*: it is private memory that follows, nothing leaves the process.
    The log is mapped read-only. Below its written position the files are whole; without a log they are read to their
    end, and damage below what is durable is an error.

The source writes nothing. A crash leaves nothing.
"""

from __future__ import annotations

import time
from typing import Protocol

from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log, log_statistics
from statevec.ipc.log_kernels import CORRUPT_ENTRY, EMPTY, LAPPED, READER_POSITION, READER_SIZE, open_reader
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import Segment, SegmentError
from statevec.journal import reader_layout
from statevec.journal.entry import CHECK_NAMES
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import NO_LIMIT, JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_kernels import END_OF_RANGE, STOPPED
from statevec.roles.follow_codes import DAMAGED, PAUSED

AT_END = 1
"""`step`: everything that is there was run."""
LOG_CHECK_SECONDS = 0.5
"""How often a source that finds nothing looks whether there is another log segment of that name by now."""


class Runner(Protocol):
    """Runs entries natively, `ENTRIES_PER_CALL` at most; both answer a code of `follow_codes`, or of their own."""

    def segment(self, segment: Region, first: int, cursor: Region) -> int:
        """Run those of a mapped segment file from the cursor on; also codes of `reader_kernels.next_entry`."""

    def log(self, log: Region, reader: Region, target: Region) -> int:
        """Run those of the live log, each copied to `target` first; also codes of `ipc.log_kernels`."""


class EntrySource:
    """Feeds the entries of an instance to `runner` from `position` on; `execution` is the state there."""

    def __init__(self, instance: Instance, execution: Execution, runner: Runner, position: int = 0) -> None:
        self._instance = instance
        self._execution = execution
        self._runner = runner
        self._files = JournalReader(instance.journal_directory, instance.genesis.unit)
        self._cursor: Region | None = self._cursor_at(position)
        self._reader = Region.allocate(READER_SIZE)
        self._copy = Region.allocate(instance.genesis.max_entry)
        self._log: Segment | None = None
        self._checked_at = -LOG_CHECK_SECONDS
        self.times_lapped = 0
        self._find_log()

    def _cursor_at(self, position: int) -> Region:
        cursor = make_cursor(position, self._files.unit)
        chain_cursor(cursor, self._execution.sequence, self._execution.digest)
        return cursor

    def _find_log(self) -> None:
        """Attach to the log that has the name now, if there is one and it is not attached already."""
        now = time.monotonic()
        if now - self._checked_at < LOG_CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            if self._log is not None:
                self._log.verify()
                return
        except SegmentError:
            pass
        try:
            found = attach_log(self._instance.instance_id, owner=self._instance.owner)
        except (SegmentError, LogError):
            return  # no engine has made one, or it is being made
        position = self.position
        self.close()
        self._log = found
        self._cursor = self._cursor_at(position)

    @property
    def position(self) -> int:
        """Where the next entry begins."""
        if self._cursor is not None:
            return self._cursor.load_i64(reader_layout.POSITION)
        return self._reader.load_i64(READER_POSITION)

    @property
    def is_live(self) -> bool:
        """Whether there is a log in shared memory, to which a leader may append."""
        return self._log is not None

    @property
    def behind_bytes(self) -> int:
        """How far the leader's log is ahead, 0 where there is none."""
        if self._log is None:
            return 0
        # SYNC POINT: pairs with the leader's release of the appended position.
        return max(0, load_acquire(self._log.region, log_layout.APPENDED) - self.position)

    def step(self) -> int:
        """Run some entries: a code of the runner, or AT_END. Raises `JournalError` and `LogError`."""
        if self._cursor is not None:
            return self._step_files(self._cursor)
        assert self._log is not None
        answer = self._runner.log(self._log.region, self._reader, self._copy)
        if answer == EMPTY:
            self._find_log()
            return AT_END
        if answer == LAPPED:
            self.times_lapped += 1
            self._cursor = self._cursor_at(self.position)
            return PAUSED
        if answer in (CORRUPT_ENTRY, DAMAGED):
            raise LogError(f"no entry that follows stands where one must: {log_statistics(self._log)}")
        return answer

    def _step_files(self, cursor: Region) -> int:
        limit = NO_LIMIT
        if self._log is not None:
            # SYNC POINT: pairs with the journaler's release of the written position: the files hold all below it.
            limit = load_acquire(self._log.region, log_layout.WRITTEN)
        cursor.store_i64(reader_layout.LIMIT, limit)
        position = cursor.load_i64(reader_layout.POSITION)
        segment = self._files.segment_at(position) if position < limit else None
        if segment is None:
            return self._end_of_files(cursor)
        answer = self._runner.segment(self._files.region(segment), segment.first, cursor)
        if answer == STOPPED:
            return self._end_of_files(cursor)
        return PAUSED if answer == END_OF_RANGE else answer

    def _end_of_files(self, cursor: Region) -> int:
        """What follows is in the log, or nowhere yet, or damaged."""
        position = cursor.load_i64(reader_layout.POSITION)
        limit = cursor.load_i64(reader_layout.LIMIT)
        if self._log is None:
            self._files.judge(cursor)
            self._find_log()
            return AT_END if self._log is None else PAUSED
        if position < limit:
            reason = CHECK_NAMES[cursor.load_i64(reader_layout.CODE)]
            raise JournalDamagedError(position, self._execution.sequence + 1, limit, reason)
        region, capacity = self._log.region, self._log.capacity
        open_reader(region, self._reader, capacity, self._files.unit, log_layout.APPENDED, position)
        self._cursor = None
        self._files.unmap()
        return PAUSED

    def close(self) -> None:
        """Give the log up."""
        if self._log is not None:
            self._log.close()
            self._log = None
