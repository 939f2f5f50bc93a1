"""One run of a backtest: what it is to do, and what it came to. Both travel between processes as JSON.

Invariants
    A task says everything that a run depends on: the same task gives the same result but for the time taken, in
    whatever process.
    A plugin is named by its directory and its content hash: a run does not begin with other bytes than were checked.

Loaded plugins and ticks are kept for the next run of the process. A crash leaves nothing.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from statevec.audit.backtest_engine import VirtualEngine
from statevec.audit.backtest_journal import JournalRun
from statevec.audit.backtest_settings import Changes, Value
from statevec.audit.backtest_surroundings import BacktestError, Watch, drive
from statevec.audit.backtest_tally import Tally
from statevec.demo.backtest_market import HedgeMarket, check_plugin, split_settings
from statevec.demo.instruments import Instrument, Instruments
from statevec.demo.market import generate_ticks
from statevec.demo.ticks import Ticks, read_ticks
from statevec.engine.instance import open_instance
from statevec.engine.plugin.loader import LoadedPlugin, Tier, load_plugin

SHOWN_BREACHES = 5


class Market(msgspec.Struct, frozen=True):
    """Over ticks: of a file, or `generated` ones where there is none."""

    symbol: str
    ticks: str | None
    generated: int
    latency_ns: int
    seed: int


class Recorded(msgspec.Struct, frozen=True):
    """Over the journal of an instance, up to sequence `last` or its end."""

    instance: str
    last: int | None


class Task(msgspec.Struct, frozen=True):
    """What one run does; see the module's docstring. Its number is its place among the runs, from 1 on."""

    number: int
    plugin: str
    """Directory."""
    content_hash: str
    tier: Tier
    settings: dict[str, Value]
    surroundings: Market | None
    recorded: Recorded | None = None


class Result(msgspec.Struct, frozen=True):
    """What one run came to. `figures` are those of the surroundings, `series` columns for a picture."""

    number: int
    plugin: str
    content_hash: str
    settings: dict[str, Value]
    entries: int
    timers: int
    committed: int
    rejected: dict[str, int]
    """How often, by code."""
    rejections: dict[str, str]
    """What those codes mean."""
    faulted: dict[str, int]
    outputs: dict[str, int]
    figures: dict[str, Any]
    breaches: list[str]
    """The first limit breaches, in words."""
    digest: str
    seconds: float
    entries_per_second: int
    series: dict[str, list[float]] = {}

    def value(self, name: str) -> Any:
        """A figure or a count by its name, None without it; of counts by code or message their sum."""
        found = self.figures[name] if name in self.figures else getattr(self, name, None)
        return sum(found.values()) if isinstance(found, dict) else found


@lru_cache
def _plugin(directory: str, content_hash: str) -> LoadedPlugin:
    plugin = load_plugin(directory)
    if plugin.content_hash != content_hash:
        raise BacktestError(
            f"the plugin changed meanwhile: {directory} expected={content_hash} found={plugin.content_hash}"
        )
    return plugin


@lru_cache
def _dispatch(directory: str, content_hash: str, tier: Tier) -> Any:
    return _plugin(directory, content_hash).dispatch(tier)


@lru_cache(maxsize=1)
def market_ticks(symbol: str, file: str | None, generated: int, seed: int) -> tuple[Instrument, Ticks]:
    """The instrument and its quotes. Raises `InstrumentError`, `TickError`."""
    instrument = Instruments.load().get(symbol)
    if file is None:
        return instrument, generate_ticks(instrument, generated, seed)
    return instrument, read_ticks(Path(file), instrument)


def check_task(task: Task) -> None:
    """Raise what would end the run: `BacktestError`, `SettingError`."""
    plugin = _plugin(task.plugin, task.content_hash)
    settings = task.settings
    if task.surroundings is not None:
        check_plugin(plugin)
        _, settings = split_settings(settings)
    Changes(plugin, settings)


def run_task(task: Task, watch: Watch | None = None) -> Result:
    """Do one run in this process; what `watch` raises ends it."""
    plugin = _plugin(task.plugin, task.content_hash)
    engine = VirtualEngine(plugin, _dispatch(task.plugin, task.content_hash, task.tier))
    tally = Tally(plugin)
    if task.surroundings is not None:
        return _over_ticks(task, task.surroundings, engine, tally, watch)
    if task.recorded is None:
        raise BacktestError(f"a run needs ticks or a journal: run={task.number}")
    run = JournalRun(engine, Changes(plugin, task.settings), tally)
    begun = time.perf_counter()
    found = run.run(open_instance(Path(task.recorded.instance)), task.recorded.last, watch)
    return _result(task, engine, tally, time.perf_counter() - begun, found.figures(), [], {})


def _over_ticks(task: Task, asked: Market, engine: VirtualEngine, tally: Tally, watch: Watch | None) -> Result:
    instrument, ticks = market_ticks(asked.symbol, asked.ticks, asked.generated, asked.seed)
    market = HedgeMarket(engine.plugin, instrument, ticks, task.settings, asked.latency_ns, asked.seed)
    begun = time.perf_counter()
    drive(engine, market, tally, watch)
    seconds = time.perf_counter() - begun
    return _result(task, engine, tally, seconds, market.figures(), market.breaches[:SHOWN_BREACHES], market.series())


def _result(
    task: Task,
    engine: VirtualEngine,
    tally: Tally,
    seconds: float,
    figures: dict[str, Any],
    breaches: list[str],
    series: dict[str, list[float]],
) -> Result:
    plugin = engine.plugin
    return Result(
        number=task.number,
        plugin=f"{plugin.name}@{plugin.version}",
        content_hash=plugin.content_hash,
        settings=task.settings,
        entries=tally.entries,
        timers=tally.timers,
        committed=tally.committed,
        rejected=tally.rejected,
        rejections={code: plugin.rejections.get(int(code), "") for code in tally.rejected},
        faulted=tally.faulted,
        outputs=dict(sorted(tally.outputs.items())),
        figures=figures,
        breaches=breaches,
        digest=engine.digest,
        seconds=round(seconds, 3),
        entries_per_second=round(tally.entries / seconds) if seconds else 0,
        series=series,
    )
