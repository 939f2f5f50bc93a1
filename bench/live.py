"""The live path: ring → engine → log → released, through a real engine process that runs the hedge plugin.

Throughput is sustained from the first offer to the last entry seen; latency is an open loop at a stated rate, from the
planned send time to the moment the gateway's loop sees the released entry. On two cores the engine has one and feeder,
gateway and journaler share the other.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_run import HEDGE, RING, hedge_messages, running_engine
from bench.figure import Comparison
from bench.live_kernels import TIMED_OUT, drive
from statevec.codecs.schema import Schema
from statevec.ipc.log import attach_log, released_offset
from statevec.ipc.memory import Region
from statevec.roles.producer import Producer

DIFFERENT = 4096
LIMIT_NS = 120_000_000_000
QUANTILES = (0.5, 0.99, 0.999, 1.0)


class Client:
    """Feeder and gateway of one running engine."""

    def __init__(self, instance: Path) -> None:
        self._producer = Producer(instance, RING)
        self._end = self._producer._ring
        self._log = attach_log(self._producer.instance.instance_id)
        messages, self._length = hedge_messages(DIFFERENT)
        self._messages = Region.of(bytearray(messages))
        self._prepare()

    def _prepare(self) -> None:
        schema = Schema.load(HEDGE / "hedge.xml")
        risk = {"instrument": 1, "position_limit": 100, "order_size_limit": 10, "open_order_limit": 5}
        risk |= {"open_quantity_limit": 50, "requote_distance": 10, "cross_at_trend": 101}
        self._producer.send(schema.encode("RiskConfig", risk | {"price_band": 1000, "max_order_age_ns": 10**9}))
        sequence = self._producer.send(schema.encode("HedgeIntent", {"instrument": 1, "target_quantity": 0}))
        self._producer.wait_released(sequence, timeout=30)

    def run(self, count: int, rate: int) -> tuple[float, dict[str, float]]:
        """Messages a second, and latency quantiles in ns where `rate` is not 0 (flat out)."""
        latencies = np.zeros(max(count if rate else 1, 1), np.int64)
        plan = np.zeros(8, np.int64)
        period = 1_000_000_000 // rate if rate else 0
        capacity = self._log.capacity
        plan[:7] = [count, self._length, period, capacity, released_offset(self._log), LIMIT_NS, DIFFERENT]
        took = drive(
            self._end.ring, self._end.private, self._log.region, self._messages, Region.of(latencies), Region.of(plan)
        )
        if took == TIMED_OUT:
            raise RuntimeError(f"not all of {count} messages were seen within {LIMIT_NS // 10**9} s")
        if not rate:
            return count / took * 1e9, {}
        latencies.sort()
        names = ("p50", "p99", "p999", "max")
        picked = {name: float(latencies[int((count - 1) * part)]) for name, part in zip(names, QUANTILES, strict=True)}
        return count / took * 1e9, picked

    def close(self) -> None:
        self._log.close()
        self._producer.close()


def engine_thread_statistics(instance: Path) -> dict[str, int]:
    """Page faults and context switches so far of the engine's thread, the one that is pinned to core 0; from /proc."""
    process = int(leader_pid(instance))
    for task in Path(f"/proc/{process}/task").iterdir():
        if "Cpus_allowed_list:\t0\n" in (task / "status").read_text():
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            status = dict(
                line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if "ctxt_switches" in line
            )
            return {
                "minor_faults": int(fields[7]),
                "major_faults": int(fields[9]),
                "voluntary_switches": int(status["voluntary_ctxt_switches"]),
                "involuntary_switches": int(status["nonvoluntary_ctxt_switches"]),
            }
    return {}


def leader_pid(instance: Path) -> str:
    import msgspec

    return str(msgspec.json.decode((instance / "leader.json").read_bytes())["pid"])


def measure(smoke: bool = False) -> list[Comparison]:
    """Throughput and latency in `memory` mode, and what the engine's thread suffered meanwhile."""
    seconds = 0.2 if smoke else 20
    rounds = 1 if smoke else 3
    figures: list[Comparison] = []
    affinity = os.sched_getaffinity(0)
    with running_engine("memory") as instance:
        os.sched_setaffinity(0, {max(affinity)})
        client = Client(instance)
        try:
            client.run(20_000, 0)
            time.sleep(0.5)
            before = engine_thread_statistics(instance)
            throughput = Comparison("live throughput, memory", "messages/s", "higher", target="≥ 3 M/s on 2 cores")
            throughput.ours.append(client.run(int(3_000_000 * seconds), 0)[0])
            throughput.met = throughput.middle >= 3e6
            after = engine_thread_statistics(instance)
            throughput.details = {"engine_thread": {name: after[name] - before[name] for name in after}}
            throughput.excludes = "encoding of the messages, which are made before"
            figures.append(throughput)
            for rate in (100_000, 1_000_000):
                figures += _latency(client, rate, rounds, smoke)
        finally:
            client.close()
            os.sched_setaffinity(0, affinity)
    return figures


def _latency(client: Client, rate: int, rounds: int, smoke: bool) -> list[Comparison]:
    middle = Comparison(f"latency p50, memory, {rate:,}/s", "ns", "lower", target="≤ 3 × one ring hop")
    tail = Comparison(f"latency p99, memory, {rate:,}/s", "ns", "lower", target="≤ 60 µs on 2 cores")
    details: list[dict[str, Any]] = []
    for _ in range(rounds):
        _, quantiles = client.run(rate // 10 if smoke else rate * 3, rate)
        middle.ours.append(quantiles["p50"])
        tail.ours.append(quantiles["p99"])
        details.append(quantiles)
    tail.met = tail.middle <= 60_000
    tail.details = {"rounds": details}
    return [middle, tail]
