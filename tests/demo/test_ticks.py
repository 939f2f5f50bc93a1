"""Tick files: both forms, exact prices, and errors that name file, line and reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from statevec.demo.instruments import InstrumentError, Instruments
from statevec.demo.market import generate_ticks
from statevec.demo.ticks import Tick, TickError, find_instrument, read_ticks, write_ticks

INSTRUMENTS = Instruments.load()
EURUSD = INSTRUMENTS.get("EURUSD")
USDJPY = INSTRUMENTS.get("USDJPY")
SHARED = Path(os.environ.get("STATEVEC_SHARED", Path(__file__).parents[3] / "shared"))
COMPACT = "20200101 170000065,1.121200,1.121720,0\n20200101 170010447,1.121200,1.121920,0\n"
ISO = "timestamp,bid,ask\n2013-01-01 22:00:00.295000+00:00,86.655,86.728\n2013-01-01 22:00:01+00:00,86.66,86.7\n"


def write(folder: Path, text: str, name: str = "quotes.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def real_file(name: str) -> Path:
    file = SHARED / "data" / "ticks" / name
    if not file.exists():
        pytest.skip(f"the shared data is not beside the project: {name}")
    return file


def test_the_compact_form_is_read(tmp_path: Path) -> None:
    ticks = read_ticks(write(tmp_path, COMPACT), EURUSD)
    assert list(ticks) == [
        Tick(1_577_898_000_065_000_000, 112_120, 112_172),
        Tick(1_577_898_010_447_000_000, 112_120, 112_192),
    ]


def test_the_form_with_a_header_is_read(tmp_path: Path) -> None:
    ticks = read_ticks(write(tmp_path, ISO), USDJPY)
    assert list(ticks) == [
        Tick(1_357_077_600_295_000_000, 86_655, 86_728),
        Tick(1_357_077_601_000_000_000, 86_660, 86_700),
    ]


def test_line_ends_marks_and_a_missing_last_newline_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "quotes.csv"
    file.write_bytes(b"\xef\xbb\xbf" + COMPACT.strip().replace("\n", "\r\n").encode())
    assert list(read_ticks(file, EURUSD)) == list(read_ticks(write(tmp_path, COMPACT, "plain.csv"), EURUSD))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("20200101 170011000,1.121200", "expected 3 or 4 fields, got 2"),
        ("20200101 170011000,1.121205,1.121720,0", "price between two ticks: '1.121205' tick_size=0.00001"),
        ("20200101 170011000,1.12x,1.121720,0", "not a price: '1.12x'"),
        ("20200101 170011000,nan,1.121720,0", "not a price: 'nan'"),
        ("20200101 170011000,-1.1,1.121720,0", "not a price: '-1.1'"),
        ("20200101 170011000,112.12,112.13,0", "price out of range: '112.12' range=0.5..2.5"),
        ("20200101 170011000,1.12173,1.12172,0", "bid above ask: bid=1.12173 ask=1.12172"),
        ("20200101 170009000,1.12170,1.12172,0", "time goes back: '20200101 170009000'"),
        ("20200101 250009000,1.12170,1.12172,0", "not a time of day: '250009000'"),
        ("20201301 170009000,1.12170,1.12172,0", "month must be in 1..12"),
        ("2020-01-01 17:00:11,1.12170,1.12172,0", "not a time of the form YYYYMMDD HHMMSSmmm"),
        ("20200101 17001١000,1.12170,1.12172,0", "not a time of the form YYYYMMDD HHMMSSmmm"),
    ],
)
def test_a_broken_line_is_named_with_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    file = write(tmp_path, COMPACT + line + "\n" + COMPACT)
    with pytest.raises(TickError) as caught:
        read_ticks(file, EURUSD)
    assert str(caught.value).startswith(f"{file}:3: ")
    assert reason in str(caught.value)


def test_a_broken_iso_time_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, ISO + "yesterday,86.655,86.728\n")
    with pytest.raises(TickError, match=r"quotes\.csv:4: .*yesterday"):
        read_ticks(file, USDJPY)


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path: Path) -> None:
    file = tmp_path / "quotes.csv"
    file.write_bytes(COMPACT.encode() + b"\xff\xfe\x00,1.1,1.2,0\n")
    with pytest.raises(TickError, match=r"quotes\.csv:3: "):
        read_ticks(file, EURUSD)


@pytest.mark.parametrize("text", ["", "\n\n", "timestamp,bid,ask\n"])
def test_a_file_without_ticks_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TickError, match="no ticks"):
        read_ticks(write(tmp_path, text), EURUSD)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TickError, match=r"nowhere\.csv: No such file"):
        read_ticks(tmp_path / "nowhere.csv", EURUSD)


def test_the_real_eurusd_file_is_exact() -> None:
    file = real_file("eurusd-2020-01-quotes.csv")
    ticks = read_ticks(file, find_instrument(file, INSTRUMENTS))
    assert len(ticks) == 9_500
    assert ticks[0] == (1_577_898_000_065_000_000, 112_120, 112_172)


def test_the_real_usdjpy_file_is_exact() -> None:
    file = real_file("usdjpy-2013-01-quotes.csv")
    ticks = read_ticks(file, find_instrument(file, INSTRUMENTS))
    assert len(ticks) == 1_000
    assert USDJPY.format_price(ticks[0].bid) == "86.655"


def test_the_instrument_is_found_by_the_name_of_the_file_or_by_its_first_price(tmp_path: Path) -> None:
    assert find_instrument(write(tmp_path, ISO, "usdjpy-2013.csv"), INSTRUMENTS) is USDJPY
    assert find_instrument(write(tmp_path, ISO, "some.csv"), INSTRUMENTS) is USDJPY
    assert find_instrument(write(tmp_path, COMPACT, "other.csv"), INSTRUMENTS) is EURUSD


def test_an_instrument_that_nothing_tells_is_an_error_that_lists_the_choice(tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="name one of EURUSD, USDJPY, XAUUSD"):
        find_instrument(write(tmp_path, "1,100000000,2\n"), INSTRUMENTS)


def test_repeated_ticks_go_on_in_time(tmp_path: Path) -> None:
    ticks = read_ticks(write(tmp_path, COMPACT), EURUSD).repeated(3)
    assert len(ticks) == 6
    assert list(ticks.times_ns) == sorted(ticks.times_ns)
    assert list(ticks.bids[:2]) == list(ticks.bids[4:])


def test_a_generated_market_depends_on_its_seed_only() -> None:
    first, second, other = (generate_ticks(EURUSD, 500, seed) for seed in (7, 7, 8))
    assert list(first) == list(second) != list(other)
    assert all(tick.bid < tick.ask for tick in first)
    assert list(first.times_ns) == sorted(set(first.times_ns))


def test_written_ticks_are_read_back(tmp_path: Path) -> None:
    ticks = generate_ticks(USDJPY, 300, seed=1)
    file = tmp_path / "ticks.csv"
    write_ticks(file, ticks, USDJPY)
    assert list(read_ticks(file, USDJPY)) == list(ticks)
