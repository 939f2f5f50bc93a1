"""Which logic version decided from which sequence to which: what a journal's leadership and cutover entries say.

An *ordinal* is the number that stands for a logic version in every entry's header. Leadership and cutover entries say
which content an ordinal means; a version that decided before keeps its ordinal.

Where the journal does not reach back to genesis any more, the versions that its first entries' ordinals stand for are
read from the headers of snapshots.

Invariant: what is found comes out of checked entries and headers. Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from statevec.engine.instance import Instance
from statevec.engine.snapshot_file import SnapshotError, list_snapshots, read_header
from statevec.engine.versions import decider_of
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as entries
from statevec.journal import reader_layout as layout
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_kernels import next_entry
from statevec.journal.segments import contiguous_segments


@dataclass(frozen=True)
class Decided:
    """One logic version decided the entries `first` to `last`, both included; `last` of the present one may grow."""

    ordinal: int
    content_hash: str
    first: int
    last: int


@kernel
def next_change(segment: Region, first: int, cursor: Region) -> int:
    """Offset of the next leadership, cutover, or entry of another ordinal than the one before; else as `next_entry`."""
    before = cursor.load_i64(layout.LOGIC_VERSION)
    while True:
        offset = next_entry(segment, first, cursor)
        if offset < 0:
            return offset
        kind = segment.load_i32(offset + entries.KIND)
        if kind == entries.LEADERSHIP or kind == entries.CUTOVER:
            return offset
        if segment.load_i32(offset + entries.LOGIC_VERSION) != before:
            return offset


class _History:
    """Collects what entries say about ordinals; `hashes` are those known before the first of them."""

    def __init__(self, hashes: dict[int, str]) -> None:
        self.decided: list[Decided] = []
        self._hashes = hashes

    def see(self, entry: Entry) -> None:
        """Take in an entry; a cutover is itself decided by the version before it."""
        decider = decider_of(entry)
        if decider is not None:
            self._hashes[decider.logic_version] = decider.content_hash
        if not self.decided or self.decided[-1].ordinal != entry.logic_version:
            self.close(entry.sequence - 1)
            known = self._hashes.get(entry.logic_version, "")
            self.decided.append(Decided(entry.logic_version, known, entry.sequence, entry.sequence))

    def close(self, sequence: int) -> None:
        """Let who decided last have done so up to `sequence`."""
        if self.decided:
            self.decided[-1] = replace(self.decided[-1], last=sequence)


def _known_before(instance: Instance) -> dict[int, str]:
    """Content hash of each ordinal, as the newest snapshot that can be read has it."""
    for path in list_snapshots(instance.snapshots_directory):
        try:
            header = read_header(path)
        except (SnapshotError, OSError):
            continue  # who goes on from it says what is wrong
        if header.instance_id == instance.genesis.instance_id:
            return {decider.logic_version: decider.content_hash for decider in header.deciders}
    return {}


def deciders(instance: Instance) -> list[Decided]:
    """Who decided what, in order, as far as the journal's files are there, written and sound."""
    unit = instance.genesis.unit
    segments, _ = contiguous_segments(instance.journal_directory, unit)
    if not segments:
        return []
    reader = JournalReader(instance.journal_directory, unit, segments)
    cursor = make_cursor(reader.first_position, unit)
    if reader.first_position == 0:
        chain_cursor(cursor, 0, 0)
    history = _History({} if reader.first_position == 0 else _known_before(instance))
    for segment in segments:
        region = reader.region(segment)
        while (offset := next_change(region, segment.first, cursor)) >= 0:
            history.see(Entry(region.view[offset:]))
        if cursor.load_i64(layout.POSITION) < segment.end:
            break
    history.close(cursor.load_i64(layout.SEQUENCE))
    return history.decided
