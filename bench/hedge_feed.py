"""One native thread that is the hedge engine's whole surroundings: market data feed, desk, gateway and venue.

    quotes, intents ──▶ ring `market` ─┐
    answers to orders ─▶ ring `venue` ─┴▶ engine ──▶ log ──▶ every released entry is copied,
                                                              its orders are filled at once

What it works with is one block of int64 (the feed block):

    0    market ring: address, size      16  its producer's private memory
    24   venue ring: address, size       40  its producer's private memory
    48   log: address, size              64  its reader's private memory
    72   memory for one entry: address   80  its size
    88   samples, ns each: address       96  how many there is room for     104 how many were taken
    112  state of the random numbers     120 quotes sent    128 intents sent    136 orders filled    144 entries seen
    152  last market sequence seen       160 market source (number in the log)  168 venue sequence
    256  instrument n at 256 + 32 n (n from 1): midpoint, position, target

The thread that calls `drive` writes the block and everything that a producer or a reader writes.
A crash leaves what a producer and a gateway leave.
"""

from __future__ import annotations

from pathlib import Path

import statevec.plugins.hedge
from statevec.codecs.schema import Schema
from statevec.ipc import log_kernels, log_layout, ring_kernels
from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import next_entry
from statevec.ipc.memory import Region, monotonic_ns, pause, region_at
from statevec.ipc.ring_layout import INGRESS_HEADER_SIZE
from statevec.journal import entry_layout as entries

PLUGIN = Path(statevec.plugins.hedge.__file__).parent
SCHEMA = Schema.load(PLUGIN / "hedge.xml")

MARKET_RING, MARKET_RING_SIZE, MARKET_PRODUCER = 0, 8, 16
VENUE_RING, VENUE_RING_SIZE, VENUE_PRODUCER = 24, 32, 40
LOG, LOG_SIZE, READER = 48, 56, 64
TARGET, TARGET_SIZE = 72, 80
SAMPLES, SAMPLES_ROOM, SAMPLES_TAKEN = 88, 96, 104
RANDOM, QUOTES, INTENTS, ORDERS, SEEN = 112, 120, 128, 136, 144
LAST_SEEN, MARKET_SOURCE, VENUE_SEQUENCE = 152, 160, 168
INSTRUMENT, INSTRUMENT_SIZE = 256, 32
MIDPOINT, POSITION, WANTED = 0, 8, 16
INSTRUMENTS = 16
FEED_SIZE = INSTRUMENT + (INSTRUMENTS + 1) * INSTRUMENT_SIZE

INTENT_EVERY = 256
"""Quotes for one hedge intent, which leads to about twenty orders."""
TARGET_LOTS = 100
FIRST_MIDPOINT, LOWEST_MIDPOINT, HIGHEST_MIDPOINT = 100_000, 50_000, 150_000
BATCH = 64
"""Quotes sent between two looks at the log, where nothing is planned."""
LIMIT_NS = 120_000_000_000
LOOK_AT_CLOCK = 1 << 12

TIMED_OUT = -100
READER_FAILED = -101


def _header(message: str) -> int:
    return int.from_bytes(SCHEMA.image(message)[:8], "little")


def _offset(message: str, field: str) -> int:
    """Where a field is in a message, the header included."""
    [found] = [each for each in SCHEMA.messages[message].fields if each.name == field]
    return 8 + found.offset


def _length(message: str) -> int:
    return len(SCHEMA.image(message))


QUOTE_HEADER, QUOTE_LENGTH = _header("MarketData"), _length("MarketData")
BID_PRICE, ASK_PRICE = _offset("MarketData", "bid_price"), _offset("MarketData", "ask_price")
BID_SIZE, ASK_SIZE = _offset("MarketData", "bid_size"), _offset("MarketData", "ask_size")
QUOTE_TIME, QUOTE_INSTRUMENT = _offset("MarketData", "exchange_time_ns"), _offset("MarketData", "instrument")
INTENT_HEADER, INTENT_LENGTH = _header("HedgeIntent"), _length("HedgeIntent")
INTENT_TARGET, INTENT_INSTRUMENT = _offset("HedgeIntent", "target_quantity"), _offset("HedgeIntent", "instrument")
UPDATE_HEADER, UPDATE_LENGTH = _header("OrderUpdate"), _length("OrderUpdate")
UPDATE_ORDER, UPDATE_SEQUENCE = _offset("OrderUpdate", "order_id"), _offset("OrderUpdate", "venue_sequence")
UPDATE_FILLED, UPDATE_PRICE = _offset("OrderUpdate", "filled_quantity"), _offset("OrderUpdate", "last_price")
UPDATE_STATUS = _offset("OrderUpdate", "status")
HELD_HEADER, HELD_LENGTH = _header("PositionUpdate"), _length("PositionUpdate")
HELD_SEQUENCE, HELD_QUANTITY = _offset("PositionUpdate", "venue_sequence"), _offset("PositionUpdate", "quantity")
HELD_INSTRUMENT = _offset("PositionUpdate", "instrument")
PLACE_TEMPLATE = _header("PlaceOrder") >> 16 & 0xFFFF
PLACE_ORDER, PLACE_PRICE = _offset("PlaceOrder", "order_id"), _offset("PlaceOrder", "price")
PLACE_QUANTITY, PLACE_INSTRUMENT = _offset("PlaceOrder", "quantity"), _offset("PlaceOrder", "instrument")
PLACE_SIDE = _offset("PlaceOrder", "side")
BUY = int(SCHEMA.enum("Side")["BUY"])
FILLED = int(SCHEMA.enum("OrderStatus")["FILLED"])


@kernel
def add(feed: Region, counter: int, amount: int) -> int:
    """Add to a word of the feed block; its new value."""
    value = feed.load_i64(counter) + amount
    feed.store_i64(counter, value)
    return value


@kernel
def _random(feed: Region) -> int:
    """The next random number, 62 bits (xorshift64)."""
    state = feed.load_i64(RANDOM)
    state ^= state << 13
    state ^= (state >> 7) & 0x01FFFFFFFFFFFFFF
    state ^= state << 17
    feed.store_i64(RANDOM, state)
    return (state >> 2) & 0x3FFFFFFFFFFFFFFF


@kernel
def _start(ring: Region, producer: Region, header: int, length: int) -> int:
    """Claim a message and store its header: its offset in the ring, or BACK_PRESSURED."""
    body = ring_kernels.claim(ring, producer, INGRESS_HEADER_SIZE + length)
    if body < 0:
        return body
    ring.store_i64(body + INGRESS_HEADER_SIZE, header)
    return body + INGRESS_HEADER_SIZE


@kernel
def _finish(ring: Region, producer: Region, message: int, sent_ns: int) -> None:
    ring_kernels.commit(ring, producer, message - INGRESS_HEADER_SIZE, sent_ns)


@kernel
def _instrument(feed: Region, instrument: int) -> Region:
    return feed.slice(INSTRUMENT + instrument * INSTRUMENT_SIZE, INSTRUMENT_SIZE)


@kernel
def send_quote(feed: Region, ring: Region, producer: Region, sent_ns: int) -> bool:
    """One step of one instrument's random walk; False when the ring is full."""
    message = _start(ring, producer, QUOTE_HEADER, QUOTE_LENGTH)
    if message < 0:
        return False
    number = _random(feed)
    instrument = 1 + number % INSTRUMENTS
    state = _instrument(feed, instrument)
    midpoint = state.load_i64(MIDPOINT) + ((number >> 8) % 3) - 1
    midpoint = min(max(midpoint, LOWEST_MIDPOINT), HIGHEST_MIDPOINT)
    state.store_i64(MIDPOINT, midpoint)
    ring.store_i64(message + BID_PRICE, midpoint - 1)
    ring.store_i64(message + ASK_PRICE, midpoint + 1)
    ring.store_i64(message + BID_SIZE, 1 + ((number >> 16) & 63))
    ring.store_i64(message + ASK_SIZE, 1 + ((number >> 24) & 63))
    ring.store_i64(message + QUOTE_TIME, sent_ns)
    ring.store_i32(message + QUOTE_INSTRUMENT, instrument)
    _finish(ring, producer, message, sent_ns)
    add(feed, QUOTES, 1)
    return True


@kernel
def _send_intent(feed: Region, ring: Region, producer: Region, sent_ns: int) -> bool:
    """Turn one instrument's target round; False when the ring is full."""
    message = _start(ring, producer, INTENT_HEADER, INTENT_LENGTH)
    if message < 0:
        return False
    instrument = 1 + _random(feed) % INSTRUMENTS
    state = _instrument(feed, instrument)
    wanted = -TARGET_LOTS if state.load_i64(WANTED) > 0 else TARGET_LOTS
    state.store_i64(WANTED, wanted)
    ring.store_i64(message + INTENT_TARGET, wanted)
    ring.store_i32(message + INTENT_INSTRUMENT, instrument)
    _finish(ring, producer, message, sent_ns)
    add(feed, INTENTS, 1)
    return True


@kernel
def send_next(feed: Region, sent_ns: int) -> bool:
    """The next message of feed or desk; False when the ring is full."""
    ring = region_at(feed.load_i64(MARKET_RING), feed.load_i64(MARKET_RING_SIZE))
    producer = region_at(feed.load_i64(MARKET_PRODUCER), ring_kernels.PRODUCER_SIZE)
    if feed.load_i64(QUOTES) >= (feed.load_i64(INTENTS) + 1) * INTENT_EVERY:
        return _send_intent(feed, ring, producer, sent_ns)
    return send_quote(feed, ring, producer, sent_ns)


@kernel
def _wait_for_room(ring: Region, producer: Region, header: int, length: int) -> int:
    """As `_start`, but wait: the engine empties this ring whatever we do. TIMED_OUT when it does not."""
    deadline = monotonic_ns() + LIMIT_NS
    turns = 0
    message = _start(ring, producer, header, length)
    while message < 0:
        turns += 1
        pause()
        if turns % LOOK_AT_CLOCK == 0 and monotonic_ns() > deadline:
            return TIMED_OUT
        message = _start(ring, producer, header, length)
    return message


@kernel
def _fill_order(feed: Region, output: Region) -> bool:
    """The venue: the whole order at its price, at once, with an order update and a position update."""
    ring = region_at(feed.load_i64(VENUE_RING), feed.load_i64(VENUE_RING_SIZE))
    producer = region_at(feed.load_i64(VENUE_PRODUCER), ring_kernels.PRODUCER_SIZE)
    instrument = output.load_i32(PLACE_INSTRUMENT)
    quantity = output.load_i64(PLACE_QUANTITY)
    state = _instrument(feed, instrument)
    held = state.load_i64(POSITION) + (quantity if output.load_u8(PLACE_SIDE) == BUY else -quantity)
    state.store_i64(POSITION, held)
    sequence = add(feed, VENUE_SEQUENCE, 1)
    now_ns = monotonic_ns()
    message = _wait_for_room(ring, producer, UPDATE_HEADER, UPDATE_LENGTH)
    if message < 0:
        return False
    ring.store_i64(message + UPDATE_ORDER, output.load_i64(PLACE_ORDER))
    ring.store_i64(message + UPDATE_SEQUENCE, sequence)
    ring.store_i64(message + UPDATE_FILLED, quantity)
    ring.store_i64(message + UPDATE_PRICE, output.load_i64(PLACE_PRICE))
    ring.store_i8(message + UPDATE_STATUS, FILLED)
    _finish(ring, producer, message, now_ns)
    message = _wait_for_room(ring, producer, HELD_HEADER, HELD_LENGTH)
    if message < 0:
        return False
    ring.store_i64(message + HELD_SEQUENCE, sequence)
    ring.store_i64(message + HELD_QUANTITY, held)
    ring.store_i32(message + HELD_INSTRUMENT, instrument)
    _finish(ring, producer, message, now_ns)
    add(feed, ORDERS, 1)
    return True


@kernel
def take_outputs(feed: Region, entry: Region) -> bool:
    """Fill every order that an entry places; False when the engine stopped taking messages."""
    place = entries.INPUT + ((entry.load_i32(entries.INPUT_LENGTH) + 7) & -8)
    end = place + entry.load_i32(entries.OUTPUTS_LENGTH)
    while place < end:
        length = entry.load_i32(place + entries.OUTPUT_LENGTH)
        output = entry.slice(place + entries.OUTPUT_MESSAGE, length - entries.OUTPUT_MESSAGE)
        if (output.load_i64(0) >> 16) & 0xFFFF == PLACE_TEMPLATE and not _fill_order(feed, output):
            return False
        place += length
    return True


@kernel
def _note_seen(feed: Region, entry: Region) -> None:
    """Take the sample of a market message: from its planned time to now."""
    add(feed, SEEN, 1)
    if entry.load_i32(entries.SOURCE) != feed.load_i64(MARKET_SOURCE):
        return
    feed.store_i64(LAST_SEEN, entry.load_i64(entries.SOURCE_SEQUENCE))
    taken = feed.load_i64(SAMPLES_TAKEN)
    if taken < feed.load_i64(SAMPLES_ROOM):
        samples = region_at(feed.load_i64(SAMPLES), 8 * feed.load_i64(SAMPLES_ROOM))
        samples.store_i64(8 * taken, monotonic_ns() - entry.load_i64(entries.SENT_NS))
        feed.store_i64(SAMPLES_TAKEN, taken + 1)


@kernel
def read_log(feed: Region, most: int) -> int:
    """Take at most that many released entries, as a gateway does; how many, or a code."""
    log = region_at(feed.load_i64(LOG), feed.load_i64(LOG_SIZE))
    reader = region_at(feed.load_i64(READER), log_kernels.READER_SIZE)
    target = region_at(feed.load_i64(TARGET), feed.load_i64(TARGET_SIZE))
    taken = 0
    while taken < most:
        length = next_entry(log, reader, target)
        if length == log_kernels.EMPTY:
            return taken
        if length < 0:
            return READER_FAILED
        taken += 1
        _note_seen(feed, target)
        if target.load_i32(entries.OUTPUTS_LENGTH) != 0 and not take_outputs(feed, target):
            return TIMED_OUT
    return taken


@kernel
def _reader_is_near(feed: Region) -> bool:
    """Whether the log's writer is less than half the log ahead: beyond its window a reader must go to the files.

    It is that far ahead where the disk is slower than the engine; that a gateway then reads files is not measured here.
    """
    log = region_at(feed.load_i64(LOG), feed.load_i64(LOG_SIZE))
    reader = region_at(feed.load_i64(READER), log_kernels.READER_SIZE)
    # SYNC POINT: pairs with the leader's publish.
    ahead = log.load_acquire(log_layout.APPENDED) - reader.load_i64(log_kernels.READER_POSITION)
    return ahead < (feed.load_i64(LOG_SIZE) - log_layout.DATA) // 2


@kernel
def _drain(feed: Region) -> int:
    """Read until the last market message was seen; 0 or a code."""
    producer = region_at(feed.load_i64(MARKET_PRODUCER), ring_kernels.PRODUCER_SIZE)
    deadline = monotonic_ns() + LIMIT_NS
    last = producer.load_i64(ring_kernels.PRODUCER_LAST_SEQUENCE)
    while feed.load_i64(LAST_SEEN) < last:
        got = read_log(feed, BATCH)
        if got < 0:
            return got
        if got == 0 and monotonic_ns() > deadline:
            return TIMED_OUT
    return 0


@kernel
def drive(feed: Region, duration_ns: int, interval_ns: int) -> int:
    """Send one message every `interval_ns`, stamped with its planned time; with 0 as many as ring and reader take.

    After `duration_ns` nothing more is sent, and all that was sent is read. Messages sent, or a code.
    """
    begin = monotonic_ns()
    now = begin
    sent = 0
    while now - begin < duration_ns:
        if interval_ns == 0:
            batch = 0
            while batch < BATCH and _reader_is_near(feed) and send_next(feed, now):
                batch += 1
            sent += batch
        elif now >= begin + sent * interval_ns and send_next(feed, begin + sent * interval_ns):
            sent += 1
        got = read_log(feed, 2 * BATCH)
        if got < 0:
            return got
        now = monotonic_ns()
    answer = _drain(feed)
    return sent if answer == 0 else answer
