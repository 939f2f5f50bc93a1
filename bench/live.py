"""The live path: ring → engine → log → released, through a real engine process that runs the hedge plugin.

One native thread is feed, desk, gateway and venue (`hedge_feed`). Throughput counts entries that the gateway has copied
out of the log, sustained. Latency is an open loop at a stated rate, from the planned time of each message to the moment
its released entry was copied, every message a sample. With two cores the engine has one; feed, gateway and journaler
share the other, so the tail shows the journaler's turns: one figure takes the same with the journaler's priority at its
lowest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.engine import MeasuredEngine, Surroundings
from bench.engine_thread import counted_system_calls, engine_thread, others_idle, suffered
from bench.figure import Comparison, alternate
from bench.processes import CORES, FIRST_CORE
from bench.ring import round_trips
from statevec.engine.loop_layout import MAX_RINGS

RATES = (100_000, 1_000_000)
HOP = "one ring hop"
QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
LEAST_THROUGHPUT = 3e6 if len(CORES) < 4 else 5e6
LEAST_OF_HOP = 1 / 3
TAIL_MOST_NS = 60_000 if len(CORES) < 3 else 5_000
QUIET_TAIL_MOST_NS = 5_000
QUIET_MESSAGES = 2_000_000
FEW_RINGS_LEAST = 1 / 1.5
RINGS_OF_ITS_OWN = 3
"""Operator, market and venue."""
EXCLUDES = "with two cores nothing: feed, venue, gateway and journaler share the core that is not the engine's"


def throughput(engine: MeasuredEngine, seconds: float, warm: float) -> tuple[float, dict[str, Any]]:
    """Entries a second that the gateway saw, and what was in them."""
    with Surroundings(engine) as surroundings:
        surroundings.drive(warm)
        before = surroundings.bytes_in_log
        found = surroundings.drive(seconds)
        found["bytes_per_entry"] = round((surroundings.bytes_in_log - before) / found["entries"], 1)
    return found["entries"] / found["seconds"], found


def latencies(surroundings: Surroundings, rate: int, seconds: float) -> dict[str, float]:
    """Quantiles in ns at that rate; the first tenth of a second is left out."""
    surroundings.drive(seconds, rate)
    samples = surroundings.samples
    kept = samples[min(rate // 10, samples.size // 2) :]
    return {name: float(np.percentile(kept, part)) for name, part in QUANTILES.items()}


def measure(smoke: bool) -> list[Comparison]:
    """Throughput, what the engine's thread suffers, latency at two rates, many rings."""
    return [_sustained(smoke), *_latency_figures(smoke)] + ([] if smoke else [_many_rings()])


def _sustained(smoke: bool) -> Comparison:
    seconds, warm, traced = (0.2, 0.05, 0.05) if smoke else (20.0, 1.0, 1.0)
    figure = Comparison("live throughput, memory", "entries/s", "higher", excludes=EXCLUDES)
    figure.target = f"≥ {LEAST_THROUGHPUT / 1e6:g} M/s on {len(CORES)} cores, {seconds:g} s"
    with MeasuredEngine("memory") as engine:
        assert engine.process is not None
        process = engine.process.pid
        thread = engine_thread(process, FIRST_CORE)
        throughput(engine, warm, warm)
        before = suffered(process, thread)
        rate, found = throughput(engine, seconds, warm)
        after = suffered(process, thread)
        figure.ours.append(rate)
        thread_found = {name: after[name] - before[name] for name in after}
        with counted_system_calls(thread, thread_found):
            throughput(engine, traced, 0.01)
    figure.details = {"mix": found, "engine_thread": thread_found}
    figure.met = figure.middle >= LEAST_THROUGHPUT
    return figure


def _latency_figures(smoke: bool) -> list[Comparison]:
    rounds, seconds, trips = (1, 0.05, 2_000) if smoke else (5, 3.0, 100_000)
    made: list[Comparison] = []
    with MeasuredEngine("memory", log_capacity="1GiB") as engine:
        assert engine.process is not None
        process = engine.process.pid
        thread = engine_thread(process, FIRST_CORE)
        with Surroundings(engine, int(max(RATES) * seconds) + 1) as surroundings:
            surroundings.drive(0.05 if smoke else 1.0)
            for rate in RATES:
                figures = _latency_pair(rate, TAIL_MOST_NS, "memory")
                quiet = _latency_pair(rate, QUIET_TAIL_MOST_NS, "memory, journaler at lowest priority")
                for _ in range(rounds):
                    hop = float(np.median(round_trips(trips // 10, trips))) / 2
                    _take_round(figures, latencies(surroundings, rate, seconds), hop)
                    surroundings.settle()
                    with others_idle(process, thread):  # what is sent meanwhile must fit into the log unwritten
                        _take_round(quiet, latencies(surroundings, rate, min(seconds, QUIET_MESSAGES / rate)), hop)
                made += [*_judge(figures, TAIL_MOST_NS), *_judge(quiet, QUIET_TAIL_MOST_NS)]
    return made


def _latency_pair(rate: int, most_ns: int, how: str) -> tuple[Comparison, Comparison]:
    middle = Comparison(f"latency p50, {rate:,}/s, {how}", "ns", "lower", target=f"≤ 3 × {HOP}", excludes=EXCLUDES)
    tail = Comparison(f"latency p99, {rate:,}/s, {how}", "ns", "lower", target=f"≤ {most_ns / 1000:g} µs")
    tail.details = {"rounds": []}
    return middle, tail


def _take_round(figures: tuple[Comparison, Comparison], found: dict[str, float], hop: float) -> None:
    middle, tail = figures
    middle.ours.append(found["p50"])
    middle.peers.setdefault(HOP, []).append(hop)
    tail.ours.append(found["p99"])
    tail.details["rounds"].append(found)


def _judge(figures: tuple[Comparison, Comparison], most_ns: int) -> tuple[Comparison, Comparison]:
    middle, tail = figures
    middle.decide({HOP: LEAST_OF_HOP})
    tail.met = tail.middle <= most_ns
    return figures


def _many_rings() -> Comparison:
    few = f"{RINGS_OF_ITS_OWN} rings"
    figure = Comparison(f"live throughput, memory, {MAX_RINGS} rings", "entries/s", "higher", excludes=EXCLUDES)
    figure.target = f"a transaction ≤ 1.5 × that with {few}"

    def sample(more: int) -> float:
        with MeasuredEngine("memory", rings=more) as engine:
            return throughput(engine, 3.0, 0.3)[0]

    alternate(figure, lambda: sample(MAX_RINGS - RINGS_OF_ITS_OWN), {few: lambda: sample(0)}, 3)
    return figure.decide({few: FEW_RINGS_LEAST})
