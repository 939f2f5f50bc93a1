"""Instruments: exact conversion between decimals and integers, and checks of the file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statevec.demo.instruments import DEFAULT_FILE, InstrumentError, Instruments, PriceError

INSTRUMENTS = Instruments.load()


@given(st.sampled_from(sorted(INSTRUMENTS.by_symbol)), st.integers(0, 10_000))
def test_every_tick_survives_its_text(symbol: str, offset: int) -> None:
    instrument = INSTRUMENTS.get(symbol)
    ticks = instrument.start_ticks + offset
    assert instrument.ticks(instrument.format_price(ticks)) == ticks
    assert instrument.ticks(instrument.format_price(ticks) + "00") == ticks


def test_a_price_between_two_ticks_is_not_rounded() -> None:
    with pytest.raises(PriceError, match=r"between two ticks: '1950\.03' tick_size=0\.05"):
        INSTRUMENTS.get("XAUUSD").ticks("1950.03")


def test_people_see_decimals_and_units() -> None:
    instrument = INSTRUMENTS.get("eurusd")
    assert instrument.format_price(112_120) == "1.12120"
    assert instrument.format_quantity(-30) == "-30,000"
    assert instrument.money(25 * 4) == Decimal("1.00")
    assert instrument.format_money(-12_345_678) == "-123,456.78 USD"


def test_an_unknown_symbol_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InstrumentError, match=r"no instrument 'GBPUSD' in instruments\.toml: it has EURUSD, USDJPY"):
        INSTRUMENTS.get("GBPUSD")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("id = 2", "id = 1", "same symbol or id"),
        ('tick_size = "0.00001"', 'tick_size = "0"', "EURUSD: tick_size must be positive"),
        ("price_decimals = 5", "price_decimals = 4", "price_decimals=4 cannot show tick_size=0.00001"),
        ("lot_size = 1000", "lot_size = 0", "lot_size must be positive"),
        ('start_price = "1.12000"', 'start_price = "9.12"', "EURUSD: price out of range"),
        ("quote_lots = 500", "quote_lot = 500", "unknown field `quote_lot`"),
        ("id = 1", 'id = "one"', "Expected `int`, got `str`"),
    ],
)
def test_a_wrong_instrument_file_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    file = tmp_path / "instruments.toml"
    file.write_text(DEFAULT_FILE.read_text().replace(old, new, 1))
    with pytest.raises(InstrumentError) as caught:
        Instruments.load(file)
    assert reason in str(caught.value)
