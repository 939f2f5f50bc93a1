"""The processes of a kill matrix: engine, producer, gateway, one-shot snapshot. Each is one function.

They end with the process that started them, whatever happens to it. What they say goes to a file; that of an engine are
its events. A crash of any of them is what the matrix is about.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from statevec.ipc.kill_points import CONTROL_SIZE, map_control
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire, store_release
from tools.killing.messages import message

OFFERED = 0
"""In a producer's file: the highest number that an `offer` answered with."""
STOP = 8
"""The same: 1 when it shall stop."""
PAUSE_SECONDS = 0.001
BURST_MOST = 8
SLOW_CLAIM = 0.01
"""How often a producer takes its time between a claim and its commit."""
ACKNOWLEDGE_MOST = 64
WAIT_SECONDS = 300.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def make_page(path: Path) -> Region:
    """A producer's file, which outlives it; in this process's memory."""
    path.write_bytes(bytes(CONTROL_SIZE))
    return map_control(path)


def begin(errors: Path) -> None:
    """Send standard error to a file, and end when the parent does."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGKILL))
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)


def run_as(errors: Path, life: Callable[..., None], *arguments: Any) -> None:
    """A process: `life` with its errors in a file."""
    begin(errors)
    life(*arguments)


def engine(configuration: Path) -> None:
    """An engine process: leads, or stands by until it does."""
    from statevec.engine.config import load_config
    from statevec.roles.engine_process import run_engine

    run_engine(load_config(configuration))


def producer(instance: Path, ring: str, account: int, status: Path) -> None:
    """Offer numbered messages until told to stop; then wait until all are released."""
    from statevec.roles.producer import Producer

    page = map_control(status)
    draws = random.Random()
    with Producer(instance, ring) as made:
        while load_acquire(page, STOP) == 0:  # SYNC POINT: pairs with the matrix's release of STOP
            for _ in range(draws.randrange(1, BURST_MOST)):
                claim = made.try_claim(len(message(account, made.next_sequence)))
                if claim is None:
                    break
                number = made.next_sequence
                claim.buffer[:] = message(account, number)
                if draws.random() < SLOW_CLAIM:
                    time.sleep(PAUSE_SECONDS)
                if claim.commit() != number:
                    raise AssertionError(f"message {number} got another number")
                store_release(page, OFFERED, number)  # SYNC POINT: pairs with the acquire of the check
            time.sleep(PAUSE_SECONDS)
        made.wait_released(made.sequence, WAIT_SECONDS)


def gateway(instance: Path, name: str, venue_path: Path) -> None:
    """Hand released outputs to the venue until SIGTERM, then what is left."""
    from statevec.roles.events import report
    from statevec.roles.gateway import Gateway
    from tools.killing.venue import Venue

    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    draws = random.Random()
    venue = Venue(venue_path)
    with Gateway(instance, name) as made:
        report("delivering")
        open_outputs, at_once = 0, 1
        last = None
        while True:
            ending = stopping
            output = made.poll()
            if output is not None:
                venue.take(output.identity, output.message)
                last, open_outputs = output, open_outputs + 1
            if last is not None and (output is None or open_outputs >= at_once):
                made.acknowledge(last)
                last, open_outputs, at_once = None, 0, draws.randint(1, ACKNOWLEDGE_MOST)
            if output is None:
                if ending:
                    break
                time.sleep(PAUSE_SECONDS)
    venue.close()


def snapshot(instance: Path) -> None:
    """Take one snapshot."""
    from statevec.engine.instance import open_instance
    from statevec.roles.snapshot_taker import take_snapshot

    take_snapshot(open_instance(instance))
