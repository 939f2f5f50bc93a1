"""Taking messages out of one ring: read a record once, copy, number, run, publish, advance the head.

Invariants
    A record's length and type are read once, in one atomic load, and checked before use (`ring_kernels.next_record`);
    what the engine works on is its own copy in the log (copy before trust).
    A source's sequence only grows. An equal or lower one is skipped and counted, the first of a run is an entry
    without input; a jump is marked in the entry (rule 4), one beyond MAX_SEQUENCE_JUMP is none but nonsense.
    The position in an entry is the *end* of its record (rule 1).
    A record header that cannot be is the end of that ring: quarantine, as an entry; the other rings go on (rule 5).

The engine thread writes the ring's head and the two sequences in its header page; the producer writes the rest.
A crash between publish and head leaves records that the log has already: the next leader starts at the journaled end.
"""

from __future__ import annotations

from statevec.engine import loop_layout as layout
from statevec.engine.append import close_entry, open_entry, publish, read_clock, room_in_batch
from statevec.engine.cutover import request_is_due
from statevec.ipc import log_layout as log_page
from statevec.ipc import ring_kernels, ring_layout
from statevec.ipc.faults import POISONED
from statevec.ipc.kernel import kernel
from statevec.ipc.kill_points import AFTER_COPY, BEFORE_CLAIM, BEFORE_HEAD, kill_point
from statevec.ipc.memory import Region, region_at
from statevec.ipc.ring_kernels import next_record, release_head
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries


@kernel
def note_running(loop: Region, log: Region, source: int, sequence: int) -> bool:
    """Say in the control page what is about to run (rule 17); True when it killed `poison_limit` leaders already."""
    attempts = 1
    if sequence == loop.load_i64(layout.POISON_SEQUENCE) and source == loop.load_i64(layout.POISON_SOURCE):
        attempts += loop.load_i64(layout.POISON_ATTEMPTS)
        loop.store_i64(layout.POISON_ATTEMPTS, 0)  # a timer's id comes again, and is another input then
    log.store_i64(log_page.RUNNING_SOURCE, source)
    log.store_i64(log_page.RUNNING_SEQUENCE, sequence)
    log.store_i64(log_page.RUNNING_ATTEMPTS, attempts)
    return attempts > loop.load_i64(layout.POISON_LIMIT)


@kernel
def records_of(block: Region) -> Region:
    """Records and trailer of the ring that a ring block describes."""
    return region_at(block.load_i64(layout.RING_ADDRESS), block.load_i64(layout.RING_BYTES))


@kernel
def _skip_duplicate(loop: Region, tx: Region, log: Region, block: Region, sequence: int, now_ns: int) -> None:
    """Count a message that the log has; the first of a run becomes an entry without input."""
    block.store_i64(layout.RING_DUPLICATES, block.load_i64(layout.RING_DUPLICATES) + 1)
    loop.store_i64(layout.DUPLICATES, loop.load_i64(layout.DUPLICATES) + 1)
    if block.load_i64(layout.RING_DUPLICATE_RUN) != 0:
        return
    block.store_i64(layout.RING_DUPLICATE_RUN, 1)
    entry = open_entry(loop, log, entries.DUPLICATES, 0)
    entry.store_i32(entries.SOURCE, block.load_i64(layout.RING_SOURCE))
    entry.store_i64(entries.SOURCE_SEQUENCE, sequence)
    entry.store_i64(entries.SOURCE_POSITION, block.load_i64(layout.RING_CONSUMER + ring_kernels.CONSUMER_HEAD))
    close_entry(loop, tx, log, entry, now_ns)  # the batch's time: what follows in it must not be earlier


@kernel
def _append_record(loop: Region, tx: Region, log: Region, block: Region, length: int, now_ns: int) -> int:
    """Make an entry of the record that the consumer stands at, of `length` bytes; that length, or CORRUPT_SEQUENCE."""
    ring = records_of(block)
    body = block.load_i64(layout.RING_CONSUMER + ring_kernels.CONSUMER_BODY)
    sequence = ring.load_i64(body + ring_layout.PRODUCER_SEQUENCE)
    last = block.load_i64(layout.RING_LAST_SEQUENCE)
    if sequence <= last:
        _skip_duplicate(loop, tx, log, block, sequence, now_ns)
        return length
    if sequence - last > ring_layout.MAX_SEQUENCE_JUMP:
        return ring_kernels.CORRUPT_SEQUENCE
    true_length = length - ring_layout.INGRESS_HEADER_SIZE
    kept = min(true_length, loop.load_i64(layout.MAX_INPUT))
    entry = open_entry(loop, log, entries.COMMAND, kept)
    entry.copy_from(entries.INPUT, ring, body + ring_layout.INGRESS_HEADER_SIZE, kept)
    source = block.load_i64(layout.RING_SOURCE)
    entry.store_i32(entries.SOURCE, source)
    entry.store_i64(entries.SOURCE_SEQUENCE, sequence)
    entry.store_i64(entries.SOURCE_POSITION, block.load_i64(layout.RING_CONSUMER + ring_kernels.CONSUMER_HEAD))
    entry.store_i64(entries.SENT_NS, ring.load_i64(body + ring_layout.SENT_NS))
    entry.store_i32(entries.INPUT_TRUE_LENGTH, true_length)
    if sequence != last + 1:
        entry.store_i32(entries.FLAGS, entries.FLAG_GAP)
    if note_running(loop, log, source, sequence):
        entry.store_i32(entries.OUTCOME, POISONED)
    block.store_i64(layout.RING_LAST_SEQUENCE, sequence)
    block.store_i64(layout.RING_DUPLICATE_RUN, 0)
    kill_point(AFTER_COPY)
    close_entry(loop, tx, log, entry, now_ns)
    return length


@kernel
def poll_ring(loop: Region, tx: Region, log: Region, block: Region) -> int:
    """Take a bounded batch from a ring, publish, then give its space back; records taken, padding too."""
    ring = records_of(block)
    consumer = block.slice(layout.RING_CONSUMER, ring_kernels.CONSUMER_SIZE)
    before = consumer.load_i64(ring_kernels.CONSUMER_HEAD)
    length = next_record(ring, consumer)
    taken = 0
    if length >= 0:
        now_ns = read_clock(loop)
        batch = loop.load_i64(layout.BATCH)
        while length >= 0:
            kill_point(BEFORE_CLAIM)
            length = _append_record(loop, tx, log, block, length, now_ns)
            if length < 0:
                break
            taken += 1
            if taken == batch or not room_in_batch(loop) or request_is_due(loop):
                break
            length = next_record(ring, consumer)
        block.store_i64(layout.RING_MESSAGES, block.load_i64(layout.RING_MESSAGES) + taken)
        publish(loop, log)
        tell_appended(block)
    if consumer.load_i64(ring_kernels.CONSUMER_HEAD) != before:
        kill_point(BEFORE_HEAD)
        release_head(ring, consumer)
    if length < 0 and length != ring_kernels.EMPTY:
        block.store_i64(layout.RING_REASON, length)
        quarantine_ring(loop, tx, log, block)
        taken += 1
    return taken


@kernel
def tell_appended(block: Region) -> None:
    """Tell the producer, in the ring's first page, up to which of its sequences the log has its messages."""
    sequence = block.load_i64(layout.RING_LAST_SEQUENCE)
    if sequence != block.load_i64(layout.RING_TOLD_APPENDED):
        block.store_i64(layout.RING_TOLD_APPENDED, sequence)
        page = region_at(block.load_i64(layout.RING_PAGE_ADDRESS), ring_layout.DATA)
        # SYNC POINT: pairs with the producer's acquire of its appended sequence.
        page.store_release(ring_layout.APPENDED_SEQUENCE, sequence)


@kernel
def tell_released(loop: Region, log: Region, block: Region) -> None:
    """The same for what is released: the sequence at a checkpoint is told once the checkpoint's position is released.

    One checkpoint is under way at a time, so the answer is right at every moment and at most one checkpoint late.
    """
    told = block.load_i64(layout.RING_TOLD_RELEASED)
    checkpoint = block.load_i64(layout.RING_CHECKPOINT_SEQUENCE)
    if checkpoint == told:
        checkpoint = block.load_i64(layout.RING_LAST_SEQUENCE)
        if checkpoint == told:
            return
        block.store_i64(layout.RING_CHECKPOINT_SEQUENCE, checkpoint)
        block.store_i64(layout.RING_CHECKPOINT_POSITION, loop.load_i64(layout.PUBLISHED))
    on_disk = loop.load_i64(layout.DURABILITY) == layout.DISK
    released_at = log_page.RELEASED_BY_JOURNALER if on_disk else log_page.RELEASED_BY_LEADER
    # SYNC POINT: pairs with the release of the released position by whoever releases in this mode.
    if log.load_acquire(released_at) >= block.load_i64(layout.RING_CHECKPOINT_POSITION):
        block.store_i64(layout.RING_TOLD_RELEASED, checkpoint)
        page = region_at(block.load_i64(layout.RING_PAGE_ADDRESS), ring_layout.DATA)
        # SYNC POINT: pairs with the producer's acquire of its released sequence.
        page.store_release(ring_layout.RELEASED_SEQUENCE, checkpoint)


@kernel
def quarantine_ring(loop: Region, tx: Region, log: Region, block: Region) -> None:
    """Take nothing more from this ring; the entry says why. Loop and main thread may both find it: one entry."""
    block.store_i64(layout.RING_STATUS, layout.RING_QUARANTINED)
    if block.load_i64(layout.RING_QUARANTINE_ENTERED) != 0:
        return
    block.store_i64(layout.RING_QUARANTINE_ENTERED, 1)
    entry = open_entry(loop, log, entries.RING_QUARANTINE, admin.QUARANTINE_LENGTH)
    source = block.load_i64(layout.RING_SOURCE)
    head = block.load_i64(layout.RING_CONSUMER + ring_kernels.CONSUMER_HEAD)
    entry.store_i64(entries.INPUT, admin.QUARANTINE_SBE_HEADER)
    entry.store_i64(entries.INPUT + admin.RING_INSTANCE, block.load_i64(layout.RING_INSTANCE))
    entry.store_i64(entries.INPUT + admin.RING_SOURCE, source)
    entry.store_i64(entries.INPUT + admin.QUARANTINE_POSITION, head)
    entry.store_i64(entries.INPUT + admin.QUARANTINE_REASON, block.load_i64(layout.RING_REASON))
    entry.store_i32(entries.SOURCE, source)
    entry.store_i64(entries.SOURCE_POSITION, head)
    close_entry(loop, tx, log, entry, read_clock(loop))
    loop.store_i64(layout.QUARANTINES, loop.load_i64(layout.QUARANTINES) + 1)
    publish(loop, log)
