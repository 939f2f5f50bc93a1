"""Two real processes over one ring and one log, with a producer that is killed at random."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.ring_kernels import consume, produce
from statevec.ipc import log_layout
from statevec.ipc.idle import YIELD
from statevec.ipc.log import LappedError, LogReader, attach_log, create_log
from statevec.ipc.ring import RingConsumer, RingProducer, create_ring

ROOT = Path(__file__).resolve().parents[2]
LIMIT_NS = 30_000_000_000
LENGTH = 48
MESSAGES = 1_000_000

RING_CHILD = """
from bench.ring_kernels import produce
from statevec.ipc.ring import RingProducer
producer = RingProducer.attach("a", {instance_id})
left = {count} - producer.last_sequence
print(produce(producer.ring, producer.private, {length}, left, {strategy}, {limit}), flush=True)
"""

LOG_CHILD = """
from statevec.ipc.log import attach_log
from tests.ipc.stress_kernels import append_entries
log = attach_log({instance_id}, writable=True)
print(append_entries(log.region, log.capacity, {count}, {limit}), flush=True)
"""


def start(source: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_nothing_is_lost_between_processes_when_the_producer_is_killed(instance_id: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    draw = random.Random(seed)
    ring = create_ring("a", 1 << 16, instance_id)
    consumer = RingConsumer(ring)
    child = start(
        RING_CHILD.format(instance_id=instance_id, length=LENGTH, count=MESSAGES, strategy=YIELD, limit=LIMIT_NS)
    )
    try:
        last = consume(consumer.ring, consumer.private, 0, draw.randrange(1, MESSAGES // 2), True, YIELD, LIMIT_NS)
        assert last > 0
        child.send_signal(signal.SIGKILL)
        child.wait()
        with RingProducer.attach("a", instance_id) as ours:
            # What the ring still holds was committed; this process goes on under the numbers after it.
            following = ours.last_sequence
            assert following >= last or following == 0
            ours.last_sequence = max(following, last)
            held = ours.last_sequence - last
            assert consume(consumer.ring, consumer.private, last, held, True, YIELD, LIMIT_NS) == last + held
            assert produce(ours.ring, ours.private, LENGTH, 100, YIELD, LIMIT_NS) == 100
            assert (
                consume(consumer.ring, consumer.private, last + held, 100, True, YIELD, LIMIT_NS) == last + held + 100
            )
    finally:
        stop(child)
        consumer.close()


def test_a_reader_of_a_racing_writer_sees_whole_entries_or_learns_that_it_was_lapped(instance_id: int) -> None:
    count = 200_000
    log = create_log(instance_id, 4 << 20, released_by="leader")
    child = start(LOG_CHILD.format(instance_id=instance_id, count=count, limit=LIMIT_NS))
    seen = lapped = 0
    deadline = time.monotonic() + LIMIT_NS / 1e9
    try:
        reader = LogReader(attach_log(instance_id), 0)
        last = 0
        while True:
            assert time.monotonic() < deadline, (seen, lapped, last)
            finished = child.poll() is not None  # asked first: what it appended is there by then
            try:
                entry = reader.poll()
            except LappedError:
                lapped += 1
                reader = LogReader(log, log.region.load_i64(log_layout.APPENDED))
                continue
            if entry is None:
                if finished:
                    break
                continue
            sequence = int.from_bytes(entry[8:16], "little")
            assert sequence > last
            assert bytes(entry[8:]) == entry[8:16].tobytes() * (len(entry) // 8 - 1)
            last = sequence
            seen += 1
        assert child.communicate(timeout=30)[0].strip() == str(count)
        assert last == count or lapped
    finally:
        stop(child)
