"""Instruments: symbol, number, tick and lot size, so that people see decimals and the engine sees integers.

A price is an integer number of ticks, a quantity an integer number of lots. Conversion is exact in both directions:
it is integer arithmetic on the digits of the text, never a float. A price between two ticks is an error, not rounded.

The instruments stand in `instruments.toml` beside this module, or in another file of the same form.

Invariants, checked when a file is read: symbols and ids are unique, sizes are positive, `price_decimals` suffices to
show every tick exactly, the price range is a whole number of ticks.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

DEFAULT_FILE = Path(__file__).with_name("instruments.toml")
DECIMAL = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)


class InstrumentError(ValueError):
    """The instrument file is wrong, or it has no such instrument."""


class PriceError(ValueError):
    """A text is not a price of the instrument; the message says why."""


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One instrument of the file; its fields are explained there."""

    symbol: str
    id: int
    tick_size: Decimal
    price_decimals: int
    lot_size: int
    currency: str
    price_range: tuple[Decimal, Decimal]
    start_price: Decimal
    quote_lots: int

    @cached_property
    def _tick(self) -> tuple[int, int]:
        """The tick size as a fraction: numerator and denominator."""
        return self.tick_size.as_integer_ratio()

    @cached_property
    def _bounds(self) -> tuple[int, int]:
        """The price range in ticks."""
        low, high = self.price_range
        return self._ticks_of(low), self._ticks_of(high)

    def _ticks_of(self, price: Decimal) -> int:
        numerator, denominator = price.as_integer_ratio()
        return self._exact(numerator, denominator, str(price))

    def _exact(self, numerator: int, denominator: int, text: str) -> int:
        ticks, rest = divmod(numerator * self._tick[1], denominator * self._tick[0])
        if rest:
            raise PriceError(f"price between two ticks: {text!r} tick_size={self.tick_size} symbol={self.symbol}")
        return ticks

    def ticks(self, text: str) -> int:
        """The price `text` (plain decimal digits) in ticks; `PriceError` if it is none of this instrument."""
        match = DECIMAL.fullmatch(text)
        if match is None:
            raise PriceError(f"not a price: {text!r}")
        fraction = match[2] or ""
        ticks = self._exact(int(match[1] + fraction), 10 ** len(fraction), text)
        low, high = self._bounds
        if not low <= ticks <= high:
            raise PriceError(
                f"price out of range: {text!r} range={self.price_range[0]}..{self.price_range[1]} symbol={self.symbol}"
            )
        return ticks

    @property
    def start_ticks(self) -> int:
        """The price at which a generated market begins, in ticks."""
        return self._ticks_of(self.start_price)

    def price(self, ticks: int) -> Decimal:
        """The price of a number of ticks, exactly."""
        return self.tick_size * ticks

    def format_price(self, ticks: int) -> str:
        """The price as people see it: `112120` is `1.12120`."""
        return f"{self.price(ticks):.{self.price_decimals}f}"

    def format_quantity(self, lots: int) -> str:
        """The quantity as people see it, in units: 3 lots of 1,000 are `3,000`."""
        return f"{lots * self.lot_size:,}"

    def money(self, ticks_times_lots: int) -> Decimal:
        """An amount of the quote currency from a sum of price in ticks times quantity in lots."""
        return self.tick_size * ticks_times_lots * self.lot_size

    def format_money(self, ticks_times_lots: int) -> str:
        """The amount as people see it, with its currency: `-1,234.50 USD`."""
        return f"{self.money(ticks_times_lots):,.2f} {self.currency}"

    def check(self) -> None:
        """Raise `InstrumentError` if the fields contradict each other."""
        positive: dict[str, int | Decimal] = {
            "id": self.id,
            "tick_size": self.tick_size,
            "lot_size": self.lot_size,
            "quote_lots": self.quote_lots,
        }
        for name, value in positive.items():
            if value <= 0:
                raise InstrumentError(f"{self.symbol}: {name} must be positive: {value}")
        if self.tick_size.scaleb(self.price_decimals) % 1:
            raise InstrumentError(
                f"{self.symbol}: price_decimals={self.price_decimals} cannot show tick_size={self.tick_size}"
            )
        try:
            self.ticks(str(self.start_price))
        except PriceError as error:
            raise InstrumentError(f"{self.symbol}: {error}") from error


class Instruments:
    """All instruments of a file, by symbol."""

    def __init__(self, instruments: list[Instrument], file: Path) -> None:
        self.file = file
        self.by_symbol = {each.symbol: each for each in instruments}
        self.by_id = {each.id: each for each in instruments}
        if len(self.by_symbol) < len(instruments) or len(self.by_id) < len(instruments):
            raise InstrumentError(f"{file}: two instruments with the same symbol or id")

    @classmethod
    def load(cls, file: Path = DEFAULT_FILE) -> Instruments:
        """Read and check an instrument file."""
        try:
            content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
            instruments = msgspec.convert(content.get("instrument", []), list[Instrument])
            for each in instruments:
                each.check()
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise InstrumentError(f"{file}: {error}") from error
        return cls(instruments, file)

    def get(self, symbol: str) -> Instrument:
        """The instrument with that symbol, in any case of letters."""
        found = self.by_symbol.get(symbol.upper())
        if found is None:
            raise InstrumentError(f"no instrument {symbol!r} in {self.file.name}: it has {', '.join(self.by_symbol)}")
        return found
