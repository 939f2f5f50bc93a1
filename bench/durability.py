"""The same in `disk` mode: latency against the disk's own fdatasync, throughput against `memory` mode and SQLite's WAL.

fdatasync is timed in the same directory, over the same kind of preallocated file, 4 KiB at a time. SQLite appends rows
of an entry's size and commits every 1,000 of them with `synchronous=FULL`; our journal syncs whatever came meanwhile.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time

import numpy as np

from bench.engine import MeasuredEngine, Surroundings, work_directory
from bench.figure import Comparison, alternate
from bench.live import latencies, throughput
from bench.processes import FIRST_CORE, pinned

RATE = 100_000
SYNC, MEMORY, SQLITE = "fdatasync of 4 KiB", "memory mode", "SQLite WAL, commit per 1,000"
LEAST_OF_SYNC, LEAST_OF_MEMORY = 1 / 2, 0.7
PAGE = 4096
FILE_SIZE = 64 << 20
ENTRY = bytes(288)
ENTRIES_A_COMMIT = 1_000


def sync_ns(count: int) -> float:
    """Median nanoseconds of a write of 4 KiB with its fdatasync, in a preallocated file."""
    folder = work_directory()
    try:
        descriptor = os.open(folder / "file", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, bytes(FILE_SIZE))
            os.fsync(descriptor)
            took = []
            for number in range(count):
                begin = time.perf_counter_ns()
                os.pwrite(descriptor, bytes(PAGE), number * PAGE % FILE_SIZE)
                os.fdatasync(descriptor)
                took.append(time.perf_counter_ns() - begin)
        finally:
            os.close(descriptor)
        return float(np.median(took))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sqlite_rate(seconds: float) -> float:
    """Rows a second into SQLite with a write-ahead log."""
    folder = work_directory()
    try:
        connection = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE entry (sequence INTEGER PRIMARY KEY, content BLOB)")
        sequence = 0
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            rows = [(sequence + number, ENTRY) for number in range(ENTRIES_A_COMMIT)]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO entry VALUES (?, ?)", rows)
            connection.execute("COMMIT")
            sequence += ENTRIES_A_COMMIT
        took = time.perf_counter() - begin
        connection.close()
        return sequence / took
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(smoke: bool) -> list[Comparison]:
    """Latency and throughput in `disk` mode."""
    rounds, seconds, syncs = (1, 0.05, 20) if smoke else (3, 3.0, 1_000)
    return [_latency(rounds, seconds, syncs), _throughput(rounds, seconds, smoke)]


def _latency(rounds: int, seconds: float, syncs: int) -> Comparison:
    figure = Comparison(f"latency p50, {RATE:,}/s, disk", "ns", "lower", target=f"≤ 2 × {SYNC}")
    figure.details = {"rounds": []}
    with MeasuredEngine("disk") as engine, Surroundings(engine, int(RATE * seconds) + 1) as surroundings:

        def ours() -> float:
            found = latencies(surroundings, RATE, seconds)
            figure.details["rounds"].append(found)
            return found["p50"]

        alternate(figure, ours, {SYNC: lambda: sync_ns(syncs)}, rounds)
    return figure.decide({SYNC: LEAST_OF_SYNC})


def _throughput(rounds: int, seconds: float, smoke: bool) -> Comparison:
    figure = Comparison("live throughput, disk", "entries/s", "higher", target=f"≥ 0.7 × {MEMORY}")

    def live(durability: str) -> float:
        with MeasuredEngine(durability) as engine:
            return throughput(engine, seconds, seconds / 10)[0]

    def sqlite() -> float:
        with pinned(FIRST_CORE):
            return sqlite_rate(seconds)

    peers = {SQLITE: sqlite} if smoke else {MEMORY: lambda: live("memory"), SQLITE: sqlite}
    alternate(figure, lambda: live("disk"), peers, rounds)
    return figure.decide({MEMORY: LEAST_OF_MEMORY})
