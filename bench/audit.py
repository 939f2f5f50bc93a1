"""Questions to a journal of 10 million hedge entries with snapshots: how long each command takes, with its start.

The journal comes from a real engine that one native thread drives (`hedge_feed`), with a snapshot every two million
entries; afterwards the engine has stopped, and the files are in the page cache. Entries, records and orders that are
asked for are drawn with a fixed seed. `top` is measured while the engine works at full load, as the part of a core that
its process takes. There is no peer: the targets are absolute.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import hedge_feed as feed
from bench.engine import MeasuredEngine, Surroundings
from bench.figure import Comparison
from bench.processes import OTHER_CORE, pinned
from statevec.audit.questions import ask, questions
from statevec.engine.instance import Instance
from statevec.journal.reader import JournalReader
from statevec.roles.snapshot_taker import take_snapshot

ENTRIES, ENTRIES_SMOKE = 10_000_000, 20_000
SNAPSHOTS = 5
QUESTIONS, QUESTIONS_SMOKE = 7, 1
SLOWEST_SECONDS = 2.0
SQL_SLOWEST_SECONDS = 1.0
PROJECTED_LEAST = 300_000
TOP_MOST_PERCENT = 5.0
TOP_SECONDS, TOP_SECONDS_SMOKE = 20.0, 2.0
RATE_SMOKE = 10_000.0
DRIVEN_SECONDS = 0.5
WAIT_SECONDS = 600.0
STATEVEC = [sys.executable, "-m", "statevec.cli.main"]
SEED = 20261124


def measure(smoke: bool) -> list[Comparison]:
    """Commands over history, projection and questions in SQL, and the price of a look."""
    figures: list[Comparison] = []
    with MeasuredEngine("memory") as engine, Surroundings(engine) as surroundings:
        seconds, rate = (TOP_SECONDS_SMOKE, RATE_SMOKE) if smoke else (TOP_SECONDS, 0.0)
        figures.append(_top(engine.instance, surroundings, seconds, rate))
    with MeasuredEngine("memory") as engine:
        _fill(engine, ENTRIES_SMOKE if smoke else ENTRIES)
        engine.stop()
        figures += _questions(engine.instance, QUESTIONS_SMOKE if smoke else QUESTIONS)
        figures += _sql(engine.instance, engine.folder / "history.duckdb")
    return figures


def _fill(engine: MeasuredEngine, entries: int) -> None:
    """Drive the engine until its journal has that many entries, with `SNAPSHOTS` snapshots on the way."""
    with Surroundings(engine) as surroundings:
        for number in range(1, SNAPSHOTS + 1):
            while surroundings.block.load_i64(feed.SEEN) < entries * number // SNAPSHOTS:
                surroundings.drive(DRIVEN_SECONDS if entries > ENTRIES_SMOKE else DRIVEN_SECONDS / 50)
            surroundings.settle()
            take_snapshot(engine.instance, keep=SNAPSHOTS + 1)


def _seconds(*arguments: str) -> float:
    """How long a command takes from its start to its end; it must succeed."""
    begin = time.perf_counter()
    done = subprocess.run([*STATEVEC, *arguments], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"statevec {' '.join(arguments)}: {done.stderr[-2000:]}")
    return time.perf_counter() - begin


def _questions(instance: Instance, count: int) -> list[Comparison]:
    """`explain`, `why`, `history`, `state --at`, each of entries anywhere in the journal."""
    draws = random.Random(SEED)
    reader = JournalReader(instance.journal_directory, instance.genesis.unit)
    last = reader.last_sequence()
    where = ("--instance", str(instance.directory))

    def anywhere() -> str:
        return str(draws.randint(1, last))

    def an_output() -> str:
        for entry in reader.entries(sequence=draws.randint(1, last // 2)):
            for output in entry.outputs():
                return f"{output.epoch}:{output.sequence}:{output.index}"
        raise RuntimeError("no order follows")

    def an_order() -> str:
        for entry in reader.entries(sequence=draws.randint(1, last // 2)):
            for output in entry.outputs():
                return str(feed.SCHEMA.decode(output.message).to_dict()["order_id"])
        raise RuntimeError("no order follows")

    asked: dict[str, Any] = {
        "explain": lambda: ("explain", anywhere()),
        "why, an order": lambda: ("why", an_order()),
        "why, an output": lambda: ("why", an_output()),
        "history": lambda: ("history", "positions", str(draws.randint(1, feed.INSTRUMENTS))),
        "state --at": lambda: ("state", "--at", anywhere(), "positions"),
        "diff, 1,000 entries": lambda: ("diff", (first := anywhere()), str(min(last, int(first) + 1000))),
    }
    figures = []
    for name, make in asked.items():
        figure = Comparison(f"{name}, journal of {last / 1e6:.1f} M entries", "s", "lower")
        figure.target = f"≤ {SLOWEST_SECONDS:g} s, process start included"
        figure.ours = [_seconds(*make(), *where) for _ in range(count)]
        figure.details = {"slowest": max(figure.ours)}
        figure.met = max(figure.ours) <= SLOWEST_SECONDS
        figures.append(figure)
    return figures


def _sql(instance: Instance, database: Path) -> list[Comparison]:
    """The projector, and the page of ready questions over what it made."""
    last = JournalReader(instance.journal_directory, instance.genesis.unit).last_sequence()
    projected = Comparison("projector into DuckDB", "entries/s", "higher", target=f"≥ {PROJECTED_LEAST:,}")
    took = _seconds("project", "--instance", str(instance.directory), "--into", str(database))
    projected.ours = [last / took]
    projected.details = {"entries": last, "seconds": took, "bytes": database.stat().st_size}
    projected.met = projected.middle >= PROJECTED_LEAST
    slowest = Comparison("slowest ready question in SQL", "s", "lower")
    slowest.target = f"≤ {SQL_SLOWEST_SECONDS:g} s each, process start left out"
    times = {name: _asked_seconds(database, each.sql) for name, each in questions().items()}
    slowest.ours = [max(times.values())]
    slowest.details = {"each": times}
    slowest.met = slowest.middle <= SQL_SLOWEST_SECONDS
    return [projected, slowest]


def _asked_seconds(database: Path, sql: str) -> float:
    begin = time.perf_counter()
    ask(database, sql)
    return time.perf_counter() - begin


def _top(instance: Instance, surroundings: Surroundings, seconds: float, rate: float) -> Comparison:
    """The part of a core that a `top` takes beside an engine at that rate, 0 for full load."""
    figure = Comparison("statevec top, of a core", "%", "lower", target=f"≤ {TOP_MOST_PERCENT:g} %")
    command = [sys.executable, "-m", "bench.top_process", str(instance.directory), str(seconds)]
    with pinned(OTHER_CORE), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it starts on the core of the thread that drives
        while process.poll() is None:
            surroundings.drive(DRIVEN_SECONDS, rate)
        found = json.loads(process.stdout.read())
    figure.ours = [found["percent"]]
    figure.details = found
    figure.met = figure.middle <= TOP_MOST_PERCENT
    return figure
