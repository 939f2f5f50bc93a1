"""What feed, desk and venue have in common: their options, the common start, and offering to a ring without loss.

    python -m statevec.demo.ROLE --instance DIR --ring NAME --ticks FILE --symbol S --start FILE --result FILE …

A participant reads the ticks, waits for the engine if it was told how to see that it leads (`--engine-ready FILE`),
attaches to its ring, prints `{"ready": true}`, and waits until the start file is there: it holds the time, of
CLOCK_MONOTONIC in nanoseconds, at which the first tick is due for everybody.

A participant that is killed leaves its ring to the next producer that attaches, and no result file.
"""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from statevec.codecs.schema import Schema
from statevec.demo.instruments import DEFAULT_FILE, Instrument, Instruments
from statevec.demo.pace import Pace
from statevec.demo.results import ProducerResult, report_progress
from statevec.demo.ticks import Ticks, read_ticks
from statevec.roles.producer import Producer

FILE_POLL_SECONDS = 0.005
RETRY_SECONDS = 0.000_05
RELEASED_SECONDS = 60.0


def hedge_schema() -> Schema:
    """The messages of the hedge plugin."""
    with importlib.resources.as_file(importlib.resources.files("statevec.plugins.hedge") / "hedge.xml") as file:
        return Schema.load(file)


def wait_for_file(file: Path) -> None:
    """Wait until another process has put that file under its name."""
    while not file.exists():
        time.sleep(FILE_POLL_SECONDS)


@dataclass(frozen=True)
class Setup:
    """The options that every participant has, read and checked."""

    instance: Path
    ring: str
    instrument: Instrument
    ticks: Ticks
    start: Path
    result: Path
    seed: int
    rate: float
    speed: float

    def wait_for_start(self) -> Pace:
        """Say that this participant is ready, wait for the start file, and plan the ticks from the time in it."""
        report_progress(ready=True)
        wait_for_file(self.start)
        start_ns = int(self.start.read_text())
        if self.rate > 0:
            return Pace.at_rate(self.ticks, start_ns, self.rate)
        if self.speed > 0:
            return Pace.as_recorded(self.ticks, start_ns, self.speed)
        return Pace.flat_out(self.ticks, start_ns)


FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
OPTIONS = (
    click.option("--instance", type=FOLDER, required=True, help="Directory of the instance."),
    click.option("--engine-ready", type=FILE, help="File that appears once the engine leads."),
    click.option("--ring", required=True, help="Ring to offer to."),
    click.option("--ticks", "ticks_file", type=FILE, required=True, help="CSV file of quotes."),
    click.option("--symbol", required=True, help="Instrument that the quotes are of."),
    click.option("--instruments", "instruments_file", type=FILE, default=DEFAULT_FILE, help="Instrument file."),
    click.option("--repeat", type=click.IntRange(1), default=1, help="How many times to play the quotes."),
    click.option("--rate", type=click.FloatRange(0), default=0.0, help="Ticks per second; 0: by --speed."),
    click.option("--speed", type=click.FloatRange(0), default=0.0, help="Recorded speed times this; 0: flat out."),
    click.option("--start", type=FILE, required=True, help="File that appears with the start time."),
    click.option("--result", type=FILE, required=True, help="File to write at the end."),
    click.option("--seed", type=int, default=1, help="Seed of all chance."),
)


def participant(function: Callable[..., None]) -> click.Command:
    """Make a click command of a function that takes a `Setup`, and options of its own."""

    @wraps(function)
    def command(
        instance: Path,
        engine_ready: Path | None,
        ring: str,
        ticks_file: Path,
        symbol: str,
        instruments_file: Path,
        repeat: int,
        rate: float,
        speed: float,
        start: Path,
        result: Path,
        seed: int,
        **others: Any,
    ) -> None:
        instrument = Instruments.load(instruments_file).get(symbol)
        ticks = read_ticks(ticks_file, instrument).repeated(repeat)
        if engine_ready is not None:
            wait_for_file(engine_ready)
        function(Setup(instance, ring, instrument, ticks, start, result, seed, rate, speed), **others)

    for option in reversed(OPTIONS):
        command = option(command)
    return click.command()(command)


class Sender:
    """Offers messages to one ring; a full ring delays them and is counted, never loses them."""

    def __init__(self, producer: Producer, ring: str) -> None:
        self.producer = producer
        self.ring = ring
        self.first = producer.next_sequence
        self.last = self.first - 1
        self.back_pressured = 0

    def send(self, message: bytes) -> None:
        """Offer until the ring takes it."""
        while (sequence := self.producer.offer(message)) < 0:
            self.back_pressured += 1
            time.sleep(RETRY_SECONDS)
        self.last = sequence

    def wait_released(self) -> None:
        """Wait until everything that was sent is in the log and may be acted on."""
        self.producer.wait_released(self.last, RELEASED_SECONDS)

    def result(self, role: str) -> ProducerResult:
        return ProducerResult(role, self.ring, self.first, self.last, self.back_pressured)
