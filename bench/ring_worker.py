"""The other process of `bench.ring`: `python -m bench.ring_worker ROLE CORE INSTANCE COUNT` (ROLE produce or echo)."""

from __future__ import annotations

import os
import sys

from bench.ring_kernels import echo, produce
from statevec.ipc.idle import SPIN
from statevec.ipc.ring import RingConsumer, RingProducer, attach_ring

MESSAGE_LENGTH = 48
LIMIT_NS = 60_000_000_000


def main() -> int:
    role, core, instance, count = sys.argv[1], *map(int, sys.argv[2:])
    os.sched_setaffinity(0, {core})
    if role == "produce":
        producer = RingProducer.attach("out", instance)
        answer = produce(producer.ring, producer.private, MESSAGE_LENGTH, count, SPIN, LIMIT_NS)
        return 0 if answer == count else 1
    producer = RingProducer.attach("back", instance)
    consumer = RingConsumer(attach_ring("out", instance))
    answer = echo(producer.ring, producer.private, consumer.ring, consumer.private, count, MESSAGE_LENGTH)
    return 0 if answer == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
