"""The demonstration itself: an engine, a venue, a desk and a feed as processes, from an empty directory to the result.

    DIR/engine.toml     configuration of the engine
    DIR/ticks.csv       the market, when it is generated
    DIR/instance/       the instance, with its journal
    DIR/logs/           standard error of each process
    DIR/results/        what each process counted
    DIR/ready           what the engine says once it leads
    DIR/start           the start time, once every process is ready

In the middle of the market another version of the logic takes over (`upgrade.py`); later the engine is killed, and a
standby goes on (`failover.py`); both unless that is not wanted.

The order of the end makes the counts exact. The desk's last word is risk-off; desk and feed end when all they sent is
released. Then the venue gets SIGTERM, takes what is still released, answers it, and ends when nothing more comes back.
The engine ends last, with everything on disk.

A crash, or Ctrl-C, leaves the directory but no process; `run_scenario` removes the instance's shared memory.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from statevec.demo.children import Child, Children, poll
from statevec.demo.failover import Death, FailoverRun
from statevec.demo.instruments import Instrument, Instruments
from statevec.demo.market import generate_ticks
from statevec.demo.results import ProducerResult, VenueResult
from statevec.demo.ticks import Ticks, find_instrument, read_ticks, write_ticks
from statevec.demo.upgrade import ADD_SECONDS, Upgrade, UpgradeRun
from statevec.engine.instance import INSTANCE_FILE, LeaderLock, open_instance
from statevec.ipc.clean import clean

MARKET_RING = "market-data"
DESK_RING = "desk"
VENUE_RING = "venue"
GATEWAY = "venue"
START_DELAY_NS = 100_000_000
READY_SECONDS = 600.0
"""A first start compiles everything."""
REST_SECONDS = 120.0
GENERATED_SYMBOL = "EURUSD"
USUAL_SECONDS = 10.0
"""Without a rate the ticks are spread over about that time."""
RATE_LOWEST = 100.0
RATE_HIGHEST = 4_000.0
MIN_COMPARED = 1_000
"""Entries that the shadow must have compared before the cutover; at most an eighth of the ticks."""


class ScenarioError(ValueError):
    """The demonstration cannot be run as it was asked for."""


@dataclass(frozen=True)
class Scenario:
    """What to run."""

    directory: Path
    ticks: Path | None = None
    symbol: str | None = None
    generated: int = 8_000
    repeat: int = 1
    rate: float | None = None
    speed: float | None = None
    durability: Literal["memory", "disk"] = "disk"
    tier: Literal["compiled", "interpreted"] = "compiled"
    seed: int = 1
    upgrade: bool = True
    """Whether hedge version 2 is shadowed and takes over."""
    failover: bool = True
    """Whether the leader is killed and a standby goes on."""

    @property
    def instance(self) -> Path:
        return self.directory / "instance"

    @property
    def results(self) -> Path:
        return self.directory / "results"


@dataclass(frozen=True)
class Market:
    """The quotes that a scenario plays."""

    file: Path
    instrument: Instrument
    ticks: Ticks

    def min_compared(self, repeat: int) -> int:
        """What the engine asks of a shadow, for a market that is played so often."""
        return max(1, min(MIN_COMPARED, len(self.ticks) * repeat // 8))


@dataclass(frozen=True)
class Outcome:
    """What the processes wrote at their end."""

    market: Market
    feed: ProducerResult
    desk: ProducerResult
    venue: VenueResult
    upgrade: Upgrade | None = None
    death: Death | None = None

    @property
    def producers(self) -> list[ProducerResult]:
        return [self.feed, self.desk, self.venue.answers]


Watch = Callable[[str, dict[str, Any]], None]
"""Told now and then what goes on: a phase, and what the venue counts."""


def prepare_market(scenario: Scenario) -> Market:
    """Read the tick file, or generate a market into the directory."""
    instruments = Instruments.load()
    if scenario.ticks is not None:
        by_name = scenario.symbol is not None
        instrument = instruments.get(scenario.symbol or "") if by_name else find_instrument(scenario.ticks, instruments)
        return Market(scenario.ticks, instrument, read_ticks(scenario.ticks, instrument))
    instrument = instruments.get(scenario.symbol or GENERATED_SYMBOL)
    file = scenario.directory / "ticks.csv"
    write_ticks(file, generate_ticks(instrument, scenario.generated, scenario.seed), instrument)
    return Market(file, instrument, read_ticks(file, instrument))


def write_config(scenario: Scenario, min_compared: int) -> Path:
    """The engine's configuration; a JSON string is a TOML string too."""
    with importlib.resources.as_file(importlib.resources.files("statevec.plugins.hedge")) as plugin:
        text = f"""\
[instance]
directory = "instance"
durability = "{scenario.durability}"

[engine]
tier = "{scenario.tier}"

[log]
capacity = "16MiB"

[journal]
segment_size = "16MiB"

[plugin]
path = {json.dumps(str(plugin))}

[cutover]
min_compared = {min_compared}

[[ring]]
name = "{MARKET_RING}"
capacity = "1MiB"

[[ring]]
name = "{DESK_RING}"
capacity = "256KiB"

[[ring]]
name = "{VENUE_RING}"
capacity = "256KiB"

[[gateway]]
name = "{GATEWAY}"
"""
    file = scenario.directory / "engine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def pace_options(scenario: Scenario, ticks: int) -> list[str]:
    """How fast the participants play the market."""
    if scenario.speed is not None:
        return ["--speed", str(scenario.speed)]
    rate = scenario.rate
    if rate is None:
        rate = min(RATE_HIGHEST, max(RATE_LOWEST, ticks / USUAL_SECONDS))
    return ["--rate", str(rate)]


class Run:
    """One run of a scenario, phase by phase, inside a `Children` context."""

    def __init__(self, scenario: Scenario, market: Market, children: Children, watch: Watch) -> None:
        self.scenario = scenario
        self.market = market
        self.children = children
        self.watch = watch
        self.min_compared = market.min_compared(scenario.repeat)
        self.upgrade: UpgradeRun | None = None
        self.failover: FailoverRun | None = None
        self.config = write_config(scenario, self.min_compared)
        self.ready_file = scenario.directory / "ready"
        self.start_file = scenario.directory / "start"
        for stale in (self.ready_file, self.start_file):
            stale.unlink(missing_ok=True)  # of an earlier run, whose instance was removed by hand

    def start_engine(self) -> Child:
        """Start the engine; everything else waits for its ready file."""
        command = ["-m", "statevec.cli.main", "run", str(self.config), "--ready-file", str(self.ready_file)]
        return self.children.start("engine", command, lasting=True)

    def start_participant(self, role: str, ring: str, *options: str) -> Child:
        """Start feed, desk or venue; it waits for the common start."""
        scenario, market = self.scenario, self.market
        command = ["-m", f"statevec.demo.{role}", "--instance", str(scenario.instance), "--ring", ring]
        command += [
            "--engine-ready",
            str(self.ready_file),
            "--ticks",
            str(market.file),
            "--symbol",
            market.instrument.symbol,
        ]
        command += ["--repeat", str(scenario.repeat), "--seed", str(scenario.seed)]
        command += pace_options(scenario, len(market.ticks) * scenario.repeat)
        command += ["--start", str(self.start_file), "--result", str(scenario.results / f"{role}.json"), *options]
        return self.children.start(role, command, lasting=role == "venue")

    def wait_for_engine(self) -> None:
        """Wait until the engine leads."""
        for _ in poll(self.children, READY_SECONDS, "the engine to lead"):
            self.watch("engine", {})
            if self.ready_file.exists():
                break

    def prepare_failover(self, engine: Child) -> None:
        """Let a standby follow."""
        self.watch("standby", {})
        self.failover = FailoverRun(self.scenario.instance, self.config, self.children, engine)
        for _ in poll(self.children, READY_SECONDS, "the standby to follow"):
            if self.failover.follows:
                break

    def prepare_upgrade(self) -> None:
        """Add the other version and let its shadow follow."""
        self.watch("upgrade", {})
        upgrade = UpgradeRun(self.scenario.instance, self.scenario.tier, self.min_compared, self.children)
        added = upgrade.add()
        for _ in poll(self.children, ADD_SECONDS, "the plugin to be added"):
            if added.status is not None:
                break
        added.join()
        upgrade.start_shadow(added)
        for _ in poll(self.children, READY_SECONDS, "the shadow to follow"):
            upgrade.turn(0)
            if upgrade.follows:
                break
        self.upgrade = upgrade

    def play(self, feed: Child, desk: Child, venue: Child) -> None:
        """Let all participants begin, and wait until feed and desk are done."""
        for _ in poll(self.children, READY_SECONDS, "engine, feed, desk and venue to be ready"):
            self.watch("participants" if self.ready_file.exists() else "engine", {})
            if all(child.lines for child in (feed, desk, venue)):
                break
        temporary = self.start_file.with_suffix(".tmp")
        temporary.write_text(str(time.monotonic_ns() + START_DELAY_NS))
        os.replace(temporary, self.start_file)
        total = len(self.market.ticks) * self.scenario.repeat
        while feed.status is None or desk.status is None:
            self.children.check()
            sent = feed.progress.get("sent", 0)
            self.watch("market", {**venue.progress, "sent": sent, "total": total})
            if self.upgrade is not None:
                self.upgrade.turn(sent / total)
            if self.failover is not None and (self.upgrade is None or self.upgrade.done):
                self.failover.turn(sent / total)
            time.sleep(0.05)

    def finish(self, feed: Child, desk: Child, venue: Child, engine: Child) -> Outcome:
        """Stop everything in the order that loses nothing, and read the results."""
        for child in (feed, desk):
            child.wait(REST_SECONDS)
        upgrade = None
        if self.upgrade is not None:
            self.watch("cutover", {})
            upgrade = self.upgrade.finish()
        if self.failover is not None:
            self.failover.turn(1.0)
            engine = self.failover.engine
        self.watch("stop", {})
        venue.stop(REST_SECONDS)
        engine.stop(REST_SECONDS)
        results = self.scenario.results
        return Outcome(
            self.market,
            msgspec.json.decode((results / "feed.json").read_bytes(), type=ProducerResult),
            msgspec.json.decode((results / "desk.json").read_bytes(), type=ProducerResult),
            msgspec.json.decode((results / "venue.json").read_bytes(), type=VenueResult),
            upgrade,
            self.failover.done if self.failover is not None else None,
        )


def run_scenario(scenario: Scenario, watch: Watch) -> Outcome:
    """Run all of it; nothing that was started is left behind, however it ends."""
    if scenario.instance.exists():
        raise ScenarioError(f"a demonstration starts with a new instance, and there is one: {scenario.instance}")
    scenario.directory.mkdir(parents=True, exist_ok=True)
    scenario.results.mkdir(exist_ok=True)
    market = prepare_market(scenario)
    try:
        with Children(scenario.directory / "logs") as children:
            run = Run(scenario, market, children, watch)
            engine = run.start_engine()
            venue = run.start_participant("venue", VENUE_RING, "--gateway", GATEWAY)
            desk = run.start_participant("desk", DESK_RING)
            feed = run.start_participant("feed", MARKET_RING)
            run.wait_for_engine()
            if scenario.upgrade:
                run.prepare_upgrade()
            if scenario.failover:
                run.prepare_failover(engine)
            run.play(feed, desk, venue)
            return run.finish(feed, desk, venue, engine)
    finally:
        remove_shared_memory(scenario.instance)


def remove_shared_memory(directory: Path) -> None:
    """Remove all segments of an instance whose processes have ended, unread messages included."""
    if (directory / INSTANCE_FILE).exists():
        instance = open_instance(directory)
        with LeaderLock(directory):
            clean(
                lambda instance_id: instance_id == instance.instance_id, instance_id=instance.instance_id, discard=True
            )
