"""Executing a journal again, at native speed: how a leader gets its state back, and what `verify` compares.

Invariants
    Every entry was checked before it is executed (`reader_kernels.next_entry`); afterwards the digest that execution
    gave is the one that the entry holds. The first difference ends the replay, before anything follows from it.
    The journal is only read.

The caller owns execution and cursor. A crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from statevec.engine.execute import DIGEST_DIFFERS, replay_entry
from statevec.engine.execution import Execution
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region
from statevec.journal import reader_layout
from statevec.journal.entry_layout import ADMIN, CUTOVER, KIND, LEADERSHIP, LENGTH, RING_ATTACH
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_kernels import next_entry

DIFFERENCE = -10
"""`replay_segment`: execution gave another digest than the entry before the cursor holds."""
NOTICE = -11
"""`replay_segment`: the entry before the cursor says who leads, decides or sends from here on; `scratch` holds it."""


@dataclass(frozen=True)
class Replayed:
    """How far a replay went. With a `difference`, that is the entry that came out otherwise, and `executed` how."""

    position: int
    sequence: int
    digest: int
    entries: int
    difference: Entry | None = None
    executed: Entry | None = None


@kernel
def replay_segment(tx: Region, block: Region, segment: Region, first: int, cursor: Region, scratch: Region) -> int:
    """Execute the entries of a mapped segment from the cursor on: DIFFERENCE, NOTICE, or a code of `next_entry`."""
    while True:
        offset = next_entry(segment, first, cursor)
        if offset < 0:
            return offset
        entry = segment.slice(offset, segment.load_i32(offset + LENGTH))
        if replay_entry(tx, block, entry, scratch) == DIGEST_DIFFERS:
            return DIFFERENCE
        kind = entry.load_i32(KIND)
        if kind in (LEADERSHIP, CUTOVER, RING_ATTACH, ADMIN):
            return NOTICE


def replay(
    execution: Execution,
    reader: JournalReader,
    limit: int,
    notice: Callable[[Entry], None] | None = None,
    position: int = 0,
) -> Replayed:
    """Execute from genesis, or from where `execution` is at `position`, to `limit`; all entries below it must be there.

    `notice` is called after each leadership, cutover, admin and ring attach entry; what it raises ends the replay.
    Raises `JournalDamagedError` where entries are missing; a difference is in the result.
    """
    cursor = make_cursor(position, reader.unit, limit)
    chain_cursor(cursor, execution.sequence, execution.digest)
    while cursor.load_i64(reader_layout.POSITION) < limit:
        position = cursor.load_i64(reader_layout.POSITION)
        segment = reader.segment_at(position)
        if segment is None:
            break
        region = reader.region(segment)
        answer = replay_segment(execution.tx, execution.block, region, segment.first, cursor, execution.scratch)
        if answer == DIFFERENCE:
            executed = Entry(execution.scratch.view)
            return _result(cursor, reader.read(executed.position), executed)
        if answer == NOTICE and notice is not None:
            notice(Entry(execution.scratch.view))
        if cursor.load_i64(reader_layout.POSITION) == position:
            break
    end = cursor.load_i64(reader_layout.POSITION)
    if end < limit:
        sequence = cursor.load_i64(reader_layout.SEQUENCE) + 1
        raise JournalDamagedError(end, sequence, limit, "no whole entry follows")
    return _result(cursor, None, None)


def _result(cursor: Region, difference: Entry | None, executed: Entry | None) -> Replayed:
    return Replayed(
        position=cursor.load_i64(reader_layout.POSITION),
        sequence=cursor.load_i64(reader_layout.SEQUENCE),
        digest=cursor.load_i64(reader_layout.DIGEST),
        entries=cursor.load_i64(reader_layout.ENTRIES),
        difference=difference,
        executed=executed,
    )
