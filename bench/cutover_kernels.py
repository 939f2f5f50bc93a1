"""Kernels of the cutover drill: load in bursts, and an eye on every entry of the log.

One thread sends market messages, fills the orders, and looks at each released entry once. Messages go in bursts, faster
than the engine takes them: between most neighbouring entries the engine had something to do all the time, so the gap
between them is its own, however the sending thread shares its core. What it counts is one block of int64 (the watch
block):

    0    stop, set by another thread       8    ns between messages    16   entries seen        24  last sequence
    32   lost: numbers that are missing    40   duplicated             48   time of the last entry
    56   commands refused or given up      64   last order id
    80   window: entries left              88   longest gap            96   is around a cutover
    112  gaps around cutovers: address     120  room                   128  taken
    136  gaps elsewhere: address           144  room                   152  taken
    256  last producer sequence of source n at 256 + 8 n

A gap is the longest time, ns, between two neighbouring entries of a window: from the entry before the cutover on,
migration included. Windows elsewhere begin at fixed sequences, as a cutover does.

The driving thread writes, all but the stop word and the rate; others read. A crash leaves what a producer leaves.
"""

from __future__ import annotations

from bench import hedge_feed as market
from bench.hedge_feed import LOG, LOG_SIZE, READER, TARGET, TARGET_SIZE, send_next, send_quote, take_outputs
from statevec.ipc import log_kernels, ring_kernels
from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import next_entry
from statevec.ipc.memory import Region, monotonic_ns, region_at
from statevec.journal import entry_layout as entries

STOP, INTERVAL_NS, ENTRIES, LAST_SEQUENCE = 0, 8, 16, 24
LOST, DUPLICATED, LAST_TIME_NS, REFUSED, LAST_ORDER = 32, 40, 48, 56, 64
LEFT, WINDOW_GAP, IS_CUTOVER = 80, 88, 96
CUTOVERS, CUTOVERS_ROOM, CUTOVERS_TAKEN = 112, 120, 128
QUIET, QUIET_ROOM, QUIET_TAKEN = 136, 144, 152
SOURCES, SOURCES_MAX = 256, 64
WATCH_SIZE = SOURCES + 8 * SOURCES_MAX
WINDOW_ENTRIES = 9
"""The first is the cutover, the second the first that the new version decided."""
QUIET_EVERY = 1_009
BURST = 256
"""Messages at once."""
READ_MOST = 128
LIMIT_NS = 60_000_000_000


@kernel
def _check_dense(watch: Region, place: int, number: int) -> None:
    """Count what is missing before a number, or the number itself if it is not new; the first is taken as it is."""
    last = watch.load_i64(place)
    if last != 0 and number > last + 1:
        watch.store_i64(LOST, watch.load_i64(LOST) + number - last - 1)
    if last != 0 and number <= last:
        watch.store_i64(DUPLICATED, watch.load_i64(DUPLICATED) + 1)
    watch.store_i64(place, max(number, last))


@kernel
def _close_window(watch: Region) -> None:
    base = CUTOVERS if watch.load_i64(IS_CUTOVER) != 0 else QUIET
    room = watch.load_i64(base + 8)
    taken = watch.load_i64(base + 16)
    if taken < room:
        region_at(watch.load_i64(base), 8 * room).store_i64(8 * taken, watch.load_i64(WINDOW_GAP))
    # SYNC POINT: pairs with the drill's acquire: the gap is there before it is counted.
    watch.store_release(base + 16, taken + 1)


@kernel
def _open_window(watch: Region, is_cutover: int) -> None:
    watch.store_i64(LEFT, WINDOW_ENTRIES)
    watch.store_i64(IS_CUTOVER, is_cutover)
    watch.store_i64(WINDOW_GAP, 0)


@kernel
def _note_time(watch: Region, entry: Region) -> None:
    """The gap before an entry, into the window that is open."""
    time_ns = entry.load_i64(entries.TIMESTAMP_NS)
    if entry.load_i32(entries.KIND) == entries.CUTOVER:
        _open_window(watch, 1)
    elif watch.load_i64(LEFT) == 0 and entry.load_i64(entries.SEQUENCE) % QUIET_EVERY == 0:
        _open_window(watch, 0)
    left = watch.load_i64(LEFT)
    if left > 0:
        watch.store_i64(WINDOW_GAP, max(watch.load_i64(WINDOW_GAP), time_ns - watch.load_i64(LAST_TIME_NS)))
        watch.store_i64(LEFT, left - 1)
        if left == 1:
            _close_window(watch)
    watch.store_i64(LAST_TIME_NS, time_ns)


@kernel
def _check_orders(watch: Region, entry: Region) -> None:
    """Order ids only grow: an order that came twice has one that is not new."""
    place = entries.INPUT + ((entry.load_i32(entries.INPUT_LENGTH) + 7) & -8)
    end = place + entry.load_i32(entries.OUTPUTS_LENGTH)
    while place < end:
        length = entry.load_i32(place + entries.OUTPUT_LENGTH)
        output = entry.slice(place + entries.OUTPUT_MESSAGE, length - entries.OUTPUT_MESSAGE)
        if (output.load_i64(0) >> 16) & 0xFFFF == market.PLACE_TEMPLATE:
            order_id = output.load_i64(market.PLACE_ORDER)
            if order_id <= watch.load_i64(LAST_ORDER):
                watch.store_i64(DUPLICATED, watch.load_i64(DUPLICATED) + 1)
            watch.store_i64(LAST_ORDER, order_id)
        place += length


@kernel
def _note(feed: Region, watch: Region, entry: Region) -> None:
    """Take one entry in."""
    kind = entry.load_i32(entries.KIND)
    source = entry.load_i32(entries.SOURCE)
    watch.store_i64(ENTRIES, watch.load_i64(ENTRIES) + 1)
    _check_dense(watch, LAST_SEQUENCE, entry.load_i64(entries.SEQUENCE))  # others read it as it is, now and then
    if source != 0 and (kind == entries.COMMAND or kind == entries.ADMIN):
        _check_dense(watch, SOURCES + 8 * source, entry.load_i64(entries.SOURCE_SEQUENCE))
    if kind == entries.ADMIN and entry.load_i32(entries.OUTCOME) != 0:
        # SYNC POINT: pairs with the drill's acquire.
        watch.store_release(REFUSED, watch.load_i64(REFUSED) + 1)
    if kind == entries.COMMAND and source == feed.load_i64(market.MARKET_SOURCE):
        feed.store_i64(market.LAST_SEEN, entry.load_i64(entries.SOURCE_SEQUENCE))
    _note_time(watch, entry)
    _check_orders(watch, entry)


@kernel
def watch_log(feed: Region, watch: Region, most: int) -> int:
    """Take at most that many released entries and fill their orders; how many, or a code."""
    log = region_at(feed.load_i64(LOG), feed.load_i64(LOG_SIZE))
    reader = region_at(feed.load_i64(READER), log_kernels.READER_SIZE)
    target = region_at(feed.load_i64(TARGET), feed.load_i64(TARGET_SIZE))
    taken = 0
    while taken < most:
        length = next_entry(log, reader, target)
        if length == log_kernels.EMPTY:
            return taken
        if length < 0:
            return market.READER_FAILED
        taken += 1
        _note(feed, watch, target)
        if target.load_i32(entries.OUTPUTS_LENGTH) != 0 and not take_outputs(feed, target):
            return market.TIMED_OUT
    return taken


@kernel
def watch_rest(feed: Region, watch: Region) -> int:
    """Look at entries until the last market message was seen; 0 or a code."""
    producer = region_at(feed.load_i64(market.MARKET_PRODUCER), ring_kernels.PRODUCER_SIZE)
    deadline = monotonic_ns() + LIMIT_NS
    last = producer.load_i64(ring_kernels.PRODUCER_LAST_SEQUENCE)
    while feed.load_i64(market.LAST_SEEN) < last:
        got = watch_log(feed, watch, READ_MOST)
        if got < 0:
            return got
        if got == 0 and monotonic_ns() > deadline:
            return market.TIMED_OUT
    return 0


@kernel
def drive_watched(feed: Region, watch: Region) -> int:
    """Send bursts at the rate that the watch block says, and look at everything, until told to stop; 0 or a code.

    A thread that lost its core sends afterwards what it missed.
    """
    due_ns = monotonic_ns()
    # SYNC POINT: pairs with the drill's release of STOP.
    while watch.load_acquire(STOP) == 0:
        now = monotonic_ns()
        if now >= due_ns:
            sent = 0
            while sent < BURST and send_next(feed, now):
                sent += 1
            due_ns += sent * watch.load_relaxed(INTERVAL_NS)
        got = watch_log(feed, watch, READ_MOST)
        if got < 0:
            return got
    return watch_rest(feed, watch)


@kernel
def burst(feed: Region, watch: Region, count: int) -> int:
    """Fill the ring with quotes, then look at them; entries a second by the engine's clock, or a code."""
    ring = region_at(feed.load_i64(market.MARKET_RING), feed.load_i64(market.MARKET_RING_SIZE))
    producer = region_at(feed.load_i64(market.MARKET_PRODUCER), ring_kernels.PRODUCER_SIZE)
    sent = 0
    while sent < count and send_quote(feed, ring, producer, monotonic_ns()):
        sent += 1
    before = watch.load_i64(ENTRIES)
    got = 0
    while got == 0:
        got = watch_log(feed, watch, 1)
    begin = watch.load_i64(LAST_TIME_NS)
    if got > 0:
        got = watch_rest(feed, watch)
    if got < 0:
        return got
    return (watch.load_i64(ENTRIES) - before - 1) * 1_000_000_000 // max(1, watch.load_i64(LAST_TIME_NS) - begin)
