"""Tick files: quotes as CSV, in either of two forms, read into columns of integers.

    20200101 170000065,1.121200,1.121720,0                     no header: date, time with milliseconds, bid, ask, volume
    2013-01-01 22:00:00.295000+00:00,86.655,86.728             header `timestamp,bid,ask`; ISO 8601 time, bid, ask

The form is found from the first line. A time without an offset is taken as UTC: only the differences matter here.

Invariants of what was read: there is at least one tick; times never go back; every price is a whole number of ticks of
the instrument, in its range; the bid is not above the ask. A line that breaks one of these ends the reading with a
`TickError` that says `file:line: reason`: data that is silently repaired would end in wrong orders.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from statevec.demo.instruments import Instrument, InstrumentError, Instruments, PriceError

HEADER = "timestamp,bid,ask"
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class TickError(ValueError):
    """A tick file cannot be used; the message is `file:line: reason`."""


class Tick(NamedTuple):
    """One quote: nanoseconds since 1970, and prices in ticks."""

    time_ns: int
    bid: int
    ask: int


class Ticks:
    """Quotes of one instrument in the order of their times, as three columns of 64-bit integers."""

    def __init__(self) -> None:
        self.times_ns = array("q")
        self.bids = array("q")
        self.asks = array("q")

    def append(self, time_ns: int, bid: int, ask: int) -> None:
        self.times_ns.append(time_ns)
        self.bids.append(bid)
        self.asks.append(ask)

    def __len__(self) -> int:
        return len(self.times_ns)

    def __getitem__(self, index: int) -> Tick:
        return Tick(self.times_ns[index], self.bids[index], self.asks[index])

    def __iter__(self) -> Iterator[Tick]:
        return map(Tick, self.times_ns, self.bids, self.asks)

    def repeated(self, times: int) -> Ticks:
        """These quotes `times` times in a row, each round later than the one before by the length of a round."""
        repeated = Ticks()
        round_ns = self.times_ns[-1] - self.times_ns[0] + MILLISECOND_NS
        for number in range(times):
            repeated.times_ns.extend(time_ns + number * round_ns for time_ns in self.times_ns)
            repeated.bids.extend(self.bids)
            repeated.asks.extend(self.asks)
        return repeated


def compact_time_reader() -> Callable[[str], int]:
    """A function from `YYYYMMDD HHMMSSmmm` to nanoseconds since 1970."""
    days_ns: dict[str, int] = {}

    def read(text: str) -> int:
        day, separator, clock = text.partition(" ")
        if len(day) != 8 or separator != " " or len(clock) != 9 or not (clock.isascii() and clock.isdigit()):
            raise ValueError(f"not a time of the form YYYYMMDD HHMMSSmmm: {text!r}")
        day_ns = days_ns.get(day)
        if day_ns is None:
            if not (day.isascii() and day.isdigit()):
                raise ValueError(f"not a date: {day!r}")
            date = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=UTC)
            day_ns = days_ns[day] = (date - EPOCH) // MICROSECOND * 1_000
        hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:6])
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError(f"not a time of day: {clock!r}")
        return day_ns + ((hour * 60 + minute) * 60 + second) * SECOND_NS + int(clock[6:]) * MILLISECOND_NS

    return read


def iso_time(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time, UTC where it names no offset."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - EPOCH) // MICROSECOND * 1_000


def price_reader(instrument: Instrument) -> Callable[[str], int]:
    """A function from a price's text to ticks that remembers what it has seen: prices repeat a lot in a file."""
    seen: dict[str, int] = {}

    def read(text: str) -> int:
        ticks = seen.get(text)
        if ticks is None:
            ticks = seen[text] = instrument.ticks(text)
        return ticks

    return read


def _lines(file: Path) -> list[str]:
    try:
        # Bytes that are no UTF-8 become characters that no number has, so their line is the one that is named.
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise TickError(f"{file}: {error.strerror}") from error
    return text.split("\n")


def read_ticks(file: Path, instrument: Instrument) -> Ticks:
    """All quotes of a file; see the module's docstring for the forms and for what is an error."""
    lines = _lines(file)
    has_header = lines[0].strip().lower() == HEADER
    field_counts = {3} if has_header else {3, 4}
    read_time = iso_time if has_header else compact_time_reader()
    read_price = price_reader(instrument)
    ticks = Ticks()
    before_ns = -(1 << 63)
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            fields = line.strip().split(",")
            if fields == [""] or (number == 1 and has_header):
                continue
            if len(fields) not in field_counts:
                expected = " or ".join(map(str, sorted(field_counts)))
                raise ValueError(f"expected {expected} fields, got {len(fields)}: {line.strip()[:80]!r}")
            time_ns, bid, ask = read_time(fields[0]), read_price(fields[1]), read_price(fields[2])
            if bid > ask:
                raise ValueError(f"bid above ask: bid={fields[1]} ask={fields[2]}")
            if time_ns < before_ns:
                raise ValueError(f"time goes back: {fields[0]!r}")
            before_ns = time_ns
            ticks.append(time_ns, bid, ask)
    except ValueError as error:
        raise TickError(f"{file}:{number}: {error}") from error
    if not ticks:
        raise TickError(f"{file}:{number}: no ticks in the file")
    return ticks


def write_ticks(file: Path, ticks: Ticks, instrument: Instrument) -> None:
    """Write quotes in the form without a header, so that `read_ticks` gives them back (times to the millisecond)."""
    lines = []
    for tick in ticks:
        milliseconds = tick.time_ns // MILLISECOND_NS
        time = EPOCH + timedelta(milliseconds=milliseconds)
        moment = f"{time:%Y%m%d %H%M%S}{milliseconds % 1_000:03}"
        lines.append(f"{moment},{instrument.format_price(tick.bid)},{instrument.format_price(tick.ask)},0\n")
    file.write_text("".join(lines), encoding="ascii")


def find_instrument(file: Path, instruments: Instruments) -> Instrument:
    """The instrument that a tick file is about: named by the file's name, else the only one its first price fits."""
    for symbol, instrument in instruments.by_symbol.items():
        if file.name.upper().startswith(symbol):
            return instrument
    rows = [line.split(",") for line in _lines(file) if line.strip() and line.strip().lower() != HEADER]
    fitting = [each for each in instruments.by_symbol.values() if rows and _fits(rows[0], each)]
    if len(fitting) != 1:
        raise InstrumentError(
            f"{file}: neither its name nor its first price says which instrument it is: "
            f"name one of {', '.join(instruments.by_symbol)}"
        )
    return fitting[0]


def _fits(fields: list[str], instrument: Instrument) -> bool:
    try:
        instrument.ticks(fields[1])
    except (IndexError, PriceError):
        return False
    return True
