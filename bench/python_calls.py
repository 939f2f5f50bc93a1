"""Offering and polling from Python, as a Python user does it: one process offers a message and polls it again.

Peers: pyaeron over aeron:ipc with its embedded media driver, iceoryx2, pyzmq over ipc://, multiprocessing.Queue. The
figure is pairs of calls a second. In one process the cost is the calls' own: no peer waits for another core, but
`multiprocessing.Queue` hands over to a thread of its own and pyzmq to its I/O thread, as they always do.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable

from bench.figure import Comparison, alternate
from bench.processes import FIRST_CORE, pinned
from statevec.ipc.ring import RingConsumer, RingProducer, create_ring

MESSAGE = bytes(range(48))
AERON, ICEORYX, ZMQ, QUEUE = "pyaeron", "iceoryx2", "pyzmq ipc://", "multiprocessing.Queue"
LEAST = {AERON: 1.5, ICEORYX: 10.0, QUEUE: 30.0}
BATCH = 100
"""Messages offered before they are polled: enough to see both calls warm, few enough for every peer's buffers."""
WAIT_SECONDS = 10.0

Loop = Callable[[int], None]


def _rate(loop: Loop, count: int) -> float:
    """Pairs of calls a second; `loop(n)` offers n messages and takes them again."""
    loop(BATCH)
    begin = time.perf_counter()
    for _ in range(count // BATCH):
        loop(BATCH)
    return count // BATCH * BATCH / (time.perf_counter() - begin)


def _ours(count: int) -> float:
    instance = random.getrandbits(62)
    with pinned(FIRST_CORE), contextlib.ExitStack() as stack:
        segment = create_ring("calls", 1 << 20, instance)
        stack.callback(segment.unlink)
        producer = stack.enter_context(RingProducer.attach("calls", instance))
        consumer = RingConsumer(segment)

        def loop(number: int) -> None:
            offer, poll = producer.offer, consumer.poll
            for _ in range(number):
                offer(MESSAGE)
            for _ in range(number):
                poll()

        rate = _rate(loop, count)
        if consumer.sequence != producer.last_sequence or consumer.poll() is not None:
            raise RuntimeError("messages are missing")
        return rate


def _pyaeron(count: int) -> float:
    import pyaeron

    received = 0

    def take(buffer: object, header: object) -> None:
        nonlocal received
        received += 1

    with pyaeron.Aeron(embedded=True) as client:
        subscription = client.add_subscription(pyaeron.IPC_CHANNEL, 10)
        publication = client.add_exclusive_publication(pyaeron.IPC_CHANNEL, 10)
        publication.await_connected()

        def loop(number: int) -> None:
            offer, poll = publication.offer, subscription.poll
            wanted = received + number
            for _ in range(number):
                while not offer(MESSAGE):
                    pass
            while received < wanted:
                poll(take)

        return _rate(loop, count)


class _Message(ctypes.Structure):
    """48 bytes as iceoryx2 wants them: a fixed type."""

    _fields_ = [("content", ctypes.c_uint8 * 48)]

    @staticmethod
    def type_name() -> str:
        """The name under which iceoryx2 compares types."""
        return "Message48"


def _iceoryx(count: int) -> float:
    import iceoryx2

    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    name = iceoryx2.ServiceName.new(f"statevec-bench-{random.getrandbits(48):x}")
    builder = node.service_builder(name).publish_subscribe(_Message)
    service = builder.subscriber_max_buffer_size(2 * BATCH).open_or_create()
    publisher = service.publisher_builder().create()
    subscriber = service.subscriber_builder().buffer_size(2 * BATCH).create()
    message = _Message.from_buffer_copy(MESSAGE)

    def loop(number: int) -> None:
        send, receive = publisher.send_copy, subscriber.receive
        for _ in range(number):
            send(message)
        for _ in range(number):
            sample = receive()
            assert sample is not None
            sample.delete()

    rate = _rate(loop, count)
    publisher.delete()
    subscriber.delete()
    return rate


def _zmq(count: int) -> float:
    import zmq

    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        puller, pusher = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        try:
            puller.bind(f"ipc://{folder}/socket")
            pusher.connect(f"ipc://{folder}/socket")

            def loop(number: int) -> None:
                send, receive = pusher.send, puller.recv
                for _ in range(number):
                    send(MESSAGE)
                for _ in range(number):
                    receive()

            return _rate(loop, count)
        finally:
            pusher.close(0)
            puller.close(0)


def _queue(count: int) -> float:
    queue: multiprocessing.Queue[bytes] = multiprocessing.Queue()
    try:

        def loop(number: int) -> None:
            put, get = queue.put, queue.get
            for _ in range(number):
                put(MESSAGE)
            for _ in range(number):
                get(timeout=WAIT_SECONDS)

        return _rate(loop, count)
    finally:
        queue.close()
        queue.join_thread()


def measure(smoke: bool) -> list[Comparison]:
    """Pairs of `offer` and `poll` a second."""
    rounds, count, slow_count = (1, 2_000, 1_000) if smoke else (7, 2_000_000, 200_000)
    comparison = Comparison("ring, Python offer + poll, 48 B", "pairs/s", "higher")
    comparison.target = ", ".join(f"≥ {least:g} × {peer}" for peer, least in LEAST.items())
    comparison.excludes = "the wait for another process: both calls are made by one thread, in batches of 100"
    peers = {
        AERON: lambda: _pyaeron(count),
        ICEORYX: lambda: _iceoryx(slow_count),
        ZMQ: lambda: _zmq(slow_count),
        QUEUE: lambda: _queue(slow_count),
    }
    alternate(comparison, lambda: _ours(count), peers, rounds)
    return [comparison.decide(LEAST)]
