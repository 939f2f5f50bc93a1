"""Failover: from SIGKILL of the leader to the first input that its standby appended, and released.

A producer sends one message right after the kill and looks at what the engine tells it in its ring. The kernel's part,
from the signal until the dead process's lock is free, is in the details: `lock_ms`, as far as the standby's report
tells, which comes a moment after the lock. Each round has a leader and a standby of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import numpy as np

from bench import hedge_feed as feed
from bench.engine import START_SECONDS, MeasuredEngine
from bench.figure import Comparison
from statevec.roles.producer import Producer

TARGETS_MS = {"memory": (3.0, 10.0), "disk": (3.0, 10.0)}
ROUNDS, ROUNDS_SMOKE = 20, 1
MESSAGES = 2_000
PAUSE_SECONDS = 0.000_05
SETTLE_SECONDS = 0.3


def measure(smoke: bool) -> list[Comparison]:
    """One figure for each durability."""
    modes = ["memory"] if smoke else ["memory", "disk"]
    return [_failover(mode, ROUNDS_SMOKE if smoke else ROUNDS) for mode in modes]


def _failover(durability: str, rounds: int) -> Comparison:
    p50, p99 = TARGETS_MS[durability]
    more = "" if durability == "memory" else " and one fdatasync more"
    figure = Comparison(f"failover, {durability}", "ms", "lower", target=f"p50 ≤ {p50:g} ms, p99 ≤ {p99:g} ms{more}")
    figure.excludes = "100 MB of state: the hedge plugin has less"
    found: dict[str, list[float]] = {"lock_ms": [], "appended_ms": [], "released_ms": []}
    with MeasuredEngine(durability) as engine, Producer(engine.folder / "instance", "market") as producer:
        message = feed.SCHEMA.encode("MarketTrend", {"instrument": 1, "trend": 20})
        for _ in range(MESSAGES):
            producer.send(message, START_SECONDS)
        for number in range(rounds):
            _one(engine, producer, message, number, found)
    figure.ours = found["appended_ms"]
    figure.details = {name: _percentiles(values) for name, values in found.items()}
    reached = figure.details["appended_ms"]
    figure.met = reached["p50"] <= p50 and reached["p99"] <= p99
    return figure


def _one(
    engine: MeasuredEngine, producer: Producer, message: bytes, number: int, found: dict[str, list[float]]
) -> None:
    standby = _standby(engine, number)
    try:
        time.sleep(SETTLE_SECONDS)
        assert engine.process is not None
        killed_ns = time.time_ns()
        begin = time.perf_counter()
        engine.process.kill()
        sequence = producer.send(message, START_SECONDS)
        while producer.appended_sequence < sequence:
            time.sleep(PAUSE_SECONDS)
        found["appended_ms"].append((time.perf_counter() - begin) * 1e3)
        while producer.released_sequence < sequence:
            time.sleep(PAUSE_SECONDS)
        found["released_ms"].append((time.perf_counter() - begin) * 1e3)
        engine.process.wait()
    except BaseException:
        standby.kill()
        standby.wait()
        raise
    engine.process = standby
    started = _event(engine, number, "started")
    found["lock_ms"].append(datetime.fromisoformat(started["at"]).timestamp() * 1e3 - killed_ns / 1e6)


def _standby(engine: MeasuredEngine, number: int) -> subprocess.Popen[bytes]:
    """Another engine process on the same instance, which follows when this returns."""
    command = [sys.executable, "-m", "statevec.cli.main", "run", str(engine.configuration)]
    with open(engine.folder / f"standby{number}.err", "wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
    deadline = time.monotonic() + START_SECONDS
    while not _has(engine, number, "following"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"no standby: {(engine.folder / f'standby{number}.err').read_text()[-2000:]}")
        time.sleep(0.01)
    return process


def _events(engine: MeasuredEngine, number: int) -> list[dict[str, Any]]:
    lines = (engine.folder / f"standby{number}.err").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _has(engine: MeasuredEngine, number: int, name: str) -> bool:
    return any(each["event"] == name for each in _events(engine, number))


def _event(engine: MeasuredEngine, number: int, name: str) -> dict[str, Any]:
    return next(each for each in _events(engine, number) if each["event"] == name)


def _percentiles(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(max(values), 2)}
