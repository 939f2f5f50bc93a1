"""A real engine process under measurement, and in this process the one thread that is all of its surroundings.

The engine's thread has the first core to itself; its other threads (the journaler above all) and the measuring thread
share the rest, which with two cores is one. Journals lie in a directory of their own and go away with it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from bench import hedge_feed as feed
from bench.processes import FIRST_CORE, OTHER_CORE
from statevec.engine.instance import Instance, open_instance
from statevec.ipc.log import attach_log, released_offset
from statevec.ipc.log_kernels import READER_SIZE, open_reader
from statevec.ipc.log_layout import APPENDED, MAX_ENTRY, UNIT, WRITTEN
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.ring import RingProducer
from statevec.ipc.ring_kernels import PRODUCER_LAST_SEQUENCE

START_SECONDS = 120.0
STOP_SECONDS = 120.0
SETTLE_PAUSE_SECONDS = 0.005
RISK = {
    "position_limit": 1_000,
    "order_size_limit": 10,
    "open_quantity_limit": 50,
    "price_band": 1_000,
    "requote_distance": 100,
    "max_order_age_ns": 3_600_000_000_000,
    "open_order_limit": 5,
    "cross_at_trend": 101,
    "risk_switch": "RISK_ON",
}


def work_directory() -> Path:
    """A new directory for an instance; `STATEVEC_BENCH_DIR` says on which disk."""
    return Path(tempfile.mkdtemp(prefix="statevec-bench-", dir=os.environ.get("STATEVEC_BENCH_DIR")))


class MeasuredEngine:
    """`with MeasuredEngine(...) as engine:` an engine that leads a new instance of the hedge plugin."""

    def __init__(
        self,
        durability: str,
        *,
        log_capacity: str = "256MiB",
        rings: int = 0,
        settings: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`rings` more than the engine needs, further `settings` (TOML tables), and `environment` for its process."""
        self.folder = work_directory()
        self.configuration = self.folder / "engine.toml"
        self.errors = self.folder / "engine.err"
        self.process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0
        """From starting the process until it led, the last time."""
        self._environment = {**os.environ, **(environment or {})}
        more = "".join(f'[[ring]]\nname = "idle{number}"\ncapacity = "64KiB"\n' for number in range(rings))
        self.configuration.write_text(
            f'[instance]\ndirectory = "instance"\ndurability = "{durability}"\n'
            f'[plugin]\npath = "{feed.PLUGIN}"\n[log]\ncapacity = "{log_capacity}"\n'
            f'[engine]\ncore = {FIRST_CORE}\nidle = "spin"\n'
            '[[ring]]\nname = "market"\ncapacity = "4MiB"\n[[ring]]\nname = "venue"\ncapacity = "4MiB"\n'
            + more
            + settings
        )

    @property
    def instance(self) -> Instance:
        return open_instance(self.folder / "instance")

    def start(self) -> None:
        """Start the engine process and wait until it leads."""
        reading, writing = os.pipe()
        command = [
            sys.executable,
            "-m",
            "statevec.cli.main",
            "run",
            str(self.configuration),
            "--ready-fd",
            str(writing),
        ]
        begin = time.perf_counter()
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(command, stderr=errors, pass_fds=[writing], env=self._environment)
        os.close(writing)
        try:
            ready, _, _ = select.select([reading], [], [], START_SECONDS)
            line = os.read(reading, 4096) if ready else b""
        finally:
            os.close(reading)
        if not line:
            raise RuntimeError(f"the engine did not start: {self.errors.read_text()[-2000:]}")
        self.start_seconds = time.perf_counter() - begin

    def stop(self) -> None:
        """End the engine cleanly: everything it appended is in the journal."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(STOP_SECONDS) != 0:
            raise RuntimeError(f"the engine failed: {self.errors.read_text()[-2000:]}")
        self.process = None

    def events(self) -> list[dict[str, Any]]:
        """What the engine reported."""
        return [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]

    def drop_shared_memory(self) -> None:
        """Remove rings and log, as a restart of the host does: the next engine has the journal alone."""
        for path in Path("/dev/shm").glob(f"sv-{self.instance.instance_id:016x}-*"):
            path.unlink()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.process is not None:
                self.stop()
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        """Leave no process, no shared memory and no journal, whatever happened."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if (self.folder / "instance" / "instance.json").exists():
            self.drop_shared_memory()
        shutil.rmtree(self.folder, ignore_errors=True)


class Surroundings:
    """Feed, desk, gateway and venue of one engine, to be driven by this thread alone."""

    def __init__(self, engine: MeasuredEngine, samples: int = 0) -> None:
        instance = engine.instance
        self._market = RingProducer.attach("market", instance.instance_id)
        self._venue = RingProducer.attach("venue", instance.instance_id)
        self._log = attach_log(instance.instance_id)
        self._entry = Region.allocate(MAX_ENTRY)
        self._reader = Region.allocate(READER_SIZE)
        self._samples = np.zeros(max(samples, 1), np.int64)
        self._samples.fill(0)  # touched now: no page fault while it is driven
        self.block = Region.allocate(feed.FEED_SIZE)
        self._sources = instance.leader().rings if instance.leader() is not None else {}
        released = released_offset(self._log)
        position = load_acquire(self._log.region, released)
        open_reader(self._log.region, self._reader, self._log.capacity, UNIT, released, position)
        self._fill_block()
        self._send_risk_settings()

    def _fill_block(self) -> None:
        for offset, value in (
            (feed.MARKET_RING, self._market.ring.address),
            (feed.MARKET_RING_SIZE, self._market.ring.size),
            (feed.MARKET_PRODUCER, self._market.private.address),
            (feed.VENUE_RING, self._venue.ring.address),
            (feed.VENUE_RING_SIZE, self._venue.ring.size),
            (feed.VENUE_PRODUCER, self._venue.private.address),
            (feed.LOG, self._log.region.address),
            (feed.LOG_SIZE, self._log.region.size),
            (feed.READER, self._reader.address),
            (feed.TARGET, self._entry.address),
            (feed.TARGET_SIZE, self._entry.size),
            (feed.SAMPLES, self._samples.ctypes.data),
            (feed.RANDOM, 0x2545F4914F6CDD1D),
            (feed.MARKET_SOURCE, self._sources["market"]),
        ):
            self.block.store_i64(offset, value)
        for number in range(1, feed.INSTRUMENTS + 1):
            offset = feed.INSTRUMENT + number * feed.INSTRUMENT_SIZE
            self.block.store_i64(offset + feed.MIDPOINT, feed.FIRST_MIDPOINT)

    def _send_risk_settings(self) -> None:
        for number in range(1, feed.INSTRUMENTS + 1):
            self._market.offer(feed.SCHEMA.encode("RiskConfig", {"instrument": number, **RISK}))

    def drive(self, seconds: float, rate: float = 0.0) -> dict[str, float]:
        """Send for that long at `rate` messages a second (0: flat out), read everything; what happened."""
        self.settle()
        counters = {"quotes": feed.QUOTES, "intents": feed.INTENTS, "orders": feed.ORDERS, "entries": feed.SEEN}
        before = {name: self.block.load_i64(offset) for name, offset in counters.items()}
        self.block.store_i64(feed.SAMPLES_TAKEN, 0)
        self.block.store_i64(feed.SAMPLES_ROOM, self._samples.size if rate else 0)
        begin = time.perf_counter()
        answer = feed.drive(self.block, int(seconds * 1e9), round(1e9 / rate) if rate else 0)
        took = time.perf_counter() - begin
        if answer < 0:
            raise RuntimeError(f"driving the engine ended with {answer}")
        after = {name: self.block.load_i64(offset) for name, offset in counters.items()}
        return {"seconds": took, **{name: after[name] - before[name] for name in counters}}

    def settle(self) -> None:
        """Wait until the journaler has written what was appended: what came before is no part of what comes."""
        # SYNC POINT: pairs with the journaler's and the leader's release of their positions.
        while load_acquire(self._log.region, WRITTEN) < load_acquire(self._log.region, APPENDED):
            time.sleep(SETTLE_PAUSE_SECONDS)

    @property
    def samples(self) -> np.ndarray:
        """The latencies of the last `drive` at a rate, ns."""
        return self._samples[: self.block.load_i64(feed.SAMPLES_TAKEN)]

    @property
    def offered(self) -> dict[str, int]:
        """The last producer sequence of each ring that this thread fills."""
        producers = {"market": self._market, "venue": self._venue}
        return {name: each.private.load_i64(PRODUCER_LAST_SEQUENCE) for name, each in producers.items()}

    @property
    def bytes_in_log(self) -> int:
        """Bytes of the log that were released so far."""
        return load_acquire(self._log.region, released_offset(self._log))

    def close(self) -> None:
        """Give rings and log up."""
        self._market.close()
        self._venue.close()
        self._log.close()

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, {OTHER_CORE})
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        os.sched_setaffinity(0, {FIRST_CORE, OTHER_CORE})
