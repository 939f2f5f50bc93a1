"""The ring between two processes, in native loops: messages a second, and round trips over two rings.

Peers: Agrona's one-to-one ring and LMAX Disruptor between threads of one JVM, Aeron's C client between two processes
(the client that is inside pyaeron, its media driver embedded). Every reading side checks all bytes of all messages.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.figure import Comparison, Sampler, alternate, alternate_all
from bench.peers import aeron
from bench.peers.java import compile_peer, find_disruptor
from bench.processes import FIRST_CORE, OTHER_CORE, lines_of, pinned, worker
from bench.ring_kernels import consume, ping
from bench.ring_worker import LIMIT_NS, MESSAGE_LENGTH
from statevec.ipc.idle import SPIN
from statevec.ipc.memory import Region
from statevec.ipc.ring import RingConsumer, RingProducer, create_ring

CAPACITY = 1 << 22
PEERS = Path(__file__).parent / "peers"
AGRONA, DISRUPTOR, AERON = "Agrona (Java threads)", "Disruptor (Java threads)", "Aeron C client"
AGRONA_LEAST, AERON_LEAST = 3.0, 5.0
ROUND_TRIP_P99_MOST_NS = 1_000


@contextlib.contextmanager
def rings(*names: str) -> Iterator[tuple[int, dict[str, RingConsumer]]]:
    """Fresh rings with their consumers, gone afterwards."""
    instance = random.getrandbits(62)
    with contextlib.ExitStack() as stack:
        consumers = {}
        for name in names:
            segment = create_ring(name, CAPACITY, instance)
            stack.callback(segment.unlink)
            consumers[name] = RingConsumer(segment)
        yield instance, consumers


def throughput(warm: int, count: int) -> float:
    """Messages a second from another process to this one."""
    with rings("out") as (instance, consumers), pinned(FIRST_CORE):
        ring, private = consumers["out"].ring, consumers["out"].private
        with worker("bench.ring_worker", "produce", OTHER_CORE, instance, warm + count):
            last = consume(ring, private, 0, warm, True, SPIN, LIMIT_NS)
            begin = time.perf_counter_ns()
            last = consume(ring, private, last, count, True, SPIN, LIMIT_NS)
            took_ns = time.perf_counter_ns() - begin
    if last != warm + count:
        raise RuntimeError(f"the ring's reader ended with {last}")
    return count * 1e9 / took_ns


def round_trips(warm: int, count: int) -> np.ndarray:
    """Nanoseconds of each of `count` round trips to another process."""
    samples = np.zeros(warm + count, np.int64)
    with rings("out", "back") as (instance, consumers), pinned(FIRST_CORE):
        back = consumers["back"]
        echoing = worker("bench.ring_worker", "echo", OTHER_CORE, instance, warm + count)
        with RingProducer.attach("out", instance) as out, echoing:
            answer = ping(out.ring, out.private, back.ring, back.private, Region.of(samples), MESSAGE_LENGTH)
    if answer != 0:
        raise RuntimeError(f"the round trips ended with {answer}")
    return samples[warm:]


def _java(source: str, folder: Path, warm: int, count: int, find: Callable[[], Path] | None = None) -> Sampler:
    """Messages a second of a Java class of `peers`, compiled when it is first asked."""
    command: list[str] = []

    def sample() -> float:
        if not command:
            command.extend(compile_peer(PEERS / source, folder, find() if find else None))
        return count * 1e9 / int(lines_of([*command, str(warm), str(count)]))

    return sample


def _aeron_library(folder: Path) -> Path:
    library = folder / "aeron_client.so"
    return library if library.exists() else aeron.build(folder)


def measure(smoke: bool) -> list[Comparison]:
    """Throughput, and round trips' median and 99th percentile."""
    rounds, warm, count, trips = (1, 1_000, 20_000, 2_000) if smoke else (7, 1_000_000, 20_000_000, 200_000)
    thread_note = "the Java peers run between threads of one JVM, not between processes"
    flow = Comparison("ring, two processes, native, 48 B", "messages/s", "higher", excludes=thread_note)
    flow.target = f"≥ {AGRONA_LEAST:g} × Agrona, ≥ {AERON_LEAST:g} × Aeron's C client"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers: dict[str, Sampler] = {AERON: lambda: aeron.throughput(_aeron_library(folder), OTHER_CORE, warm, count)}
        if not smoke:  # a virtual machine takes longer to start than all the rest
            peers[AGRONA] = _java("AgronaRing.java", folder, warm, count)
            peers[DISRUPTOR] = _java("DisruptorRing.java", folder, warm, count, find_disruptor)
        alternate(flow, lambda: throughput(warm, count), peers, rounds)
        flow.decide({AGRONA: AGRONA_LEAST, AERON: AERON_LEAST})
        return [flow, *_round_trip_figures(folder, rounds, trips)]


def _round_trip_figures(folder: Path, rounds: int, trips: int) -> list[Comparison]:
    middle = Comparison("ring, round trip p50, two processes, native, 48 B", "ns", "lower", target="≤ Aeron's")
    tail = Comparison("ring, round trip p99, two processes, native, 48 B", "ns", "lower", target="≤ 1 µs")

    def ours() -> list[float]:
        return [float(each) for each in np.percentile(round_trips(trips // 10, trips), (50, 99))]

    def theirs() -> list[float]:
        samples = aeron.round_trips(_aeron_library(folder), OTHER_CORE, trips // 10, trips)
        return [float(each) for each in np.percentile(samples, (50, 99))]

    alternate_all([middle, tail], ours, {AERON: theirs}, rounds)
    middle.decide({AERON: 1.0})
    tail.met = tail.middle <= ROUND_TRIP_P99_MOST_NS
    return [middle, tail]
