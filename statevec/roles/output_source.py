"""Where a gateway's entries come from: the log, or the journal's segment files for what the log does not hold.

Invariants
    Entries come in order, without gap, and only when they are released.
    Going over from one to the other happens at an entry's boundary: the position is all there is to carry over.
    When the log's segment was replaced by another one (the old one cleaned away while no engine ran), the source goes
    on in the new one at the same position.

The source writes nothing. A crash leaves nothing.
"""

from __future__ import annotations

import time

from statevec.engine.instance import Instance
from statevec.ipc import log_layout
from statevec.ipc.log import LappedError, LogError, attach_log, released_position
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import Segment, SegmentError
from statevec.journal.entry_layout import KIND, POSITION
from statevec.journal.entry_view import Entry
from statevec.roles.events import Speaker
from statevec.roles.output_reader import OutputReader
from statevec.roles.segment_scanner import SegmentScanner

REPLACED_CHECK_SECONDS = 0.5
"""How often a source that finds nothing looks whether the log's segment is still the one of that name."""


class OutputSource:
    """Entries of an instance from `position` on, the start of an entry; `gateway` is for whom, to report."""

    def __init__(self, instance: Instance, position: int, gateway: str = "") -> None:
        self._instance = instance
        self._gateway = gateway
        self._speaker = Speaker("gateway", instance)
        self.log: Segment = attach_log(instance.instance_id, owner=instance.owner)
        self.times_lapped = 0
        self._reader = OutputReader(self.log, position)
        self._scanner: SegmentScanner | None = None
        self._checked_at = time.monotonic()

    @property
    def reader_address(self) -> int:
        """Address of the private block of the log's reader, for compiled code that reads on from where it is."""
        return self._reader.address

    @property
    def reading_files(self) -> bool:
        """Whether entries come from the segment files now."""
        return self._scanner is not None

    def next_entry(self) -> Entry | None:
        """The next entry, whatever it holds; None when none is released."""
        return self._next(only_outputs=False)

    def next_with_outputs(self) -> Entry | None:
        """The next entry that has outputs; None when none is released."""
        return self._next(only_outputs=True)

    def _next(self, only_outputs: bool) -> Entry | None:
        if self._scanner is not None:
            entry = self._next_from_files(self._scanner, only_outputs)
            if entry is not None or self._scanner is not None:
                return entry
        try:
            found = self._reader.poll_outputs() if only_outputs else self._reader.poll()
        except LappedError:
            position = self._reader.position
            if self.times_lapped == 0:
                self._tell_lapped(position)
            self.times_lapped += 1
            self._scanner = SegmentScanner(self._instance.journal_directory, position)
            return self._next_from_files(self._scanner, only_outputs)
        if found is None:
            self._follow_replaced_log()
            return None
        return Entry(found)

    def _tell_lapped(self, position: int) -> None:
        if self._gateway:
            self._speaker.report("gateway_lapped", gateway=self._gateway, position=position)

    def _next_from_files(self, scanner: SegmentScanner, only_outputs: bool) -> Entry | None:
        """From the files up to what is both released and written; then back to the log."""
        # SYNC POINT: pairs with the journaler's release of the written position: the files hold all below it.
        written = load_acquire(self.log.region, log_layout.WRITTEN)
        limit = min(released_position(self.log), written)
        entry = scanner.next_entry(limit, only_outputs)
        if entry is None:
            self._reader = OutputReader(self.log, scanner.position)
            self._scanner = None
        return entry

    def last_entry(self, at_least: int) -> Entry | None:
        """The entry that was passed over or returned last, if its position is `at_least` that; else None."""
        if self._scanner is not None:
            entry = self._scanner.last_passed()
            return entry if entry is not None and entry.position >= at_least else None
        copy, position = self._reader.entry, self._reader.entry_position
        # Padding that was passed over since has replaced the first bytes of the copy, a lap any of them.
        whole = copy.load_i32(KIND) > 0 and copy.load_i64(POSITION) == position
        return Entry(copy.view) if whole and position >= at_least else None

    def _follow_replaced_log(self) -> None:
        """Attach to the log that has the name now, if it is another segment than the one that is mapped."""
        now = time.monotonic()
        if now - self._checked_at < REPLACED_CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            self.log.verify()
        except SegmentError:
            try:
                replaced = attach_log(self._instance.instance_id, owner=self._instance.owner)
            except (SegmentError, LogError):
                return  # no engine has made one yet
            position = self._reader.position
            self.log.close()
            self.log = replaced
            self._reader = OutputReader(replaced, position)
            if self._gateway:
                self._speaker.report(
                    "gateway_log_replaced", gateway=self._gateway, position=position, log=replaced.name
                )

    def close(self) -> None:
        """Give the log up."""
        self.log.close()
