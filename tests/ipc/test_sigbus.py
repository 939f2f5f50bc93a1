"""Rule 5: a ring file that its producer shrinks does not kill the process that reads it; any other SIGBUS does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from statevec.ipc.memory import Region
from statevec.ipc.sigbus import guard

CHILD = """
import os, sys
from statevec.ipc import ring_layout
from statevec.ipc.ring import RingConsumer, create_ring
from statevec.ipc.sigbus import guard, unguard

def shrink(segment):
    os.ftruncate(segment.descriptor, ring_layout.PAGE_SIZE)

spare, ring, other = (create_ring(name, 1 << 16, {instance_id}) for name in ("spare", "a", "b"))
unguard(guard(spare.region))
flag, quiet = guard(ring.region), guard(other.region)
consumer = RingConsumer(ring)
shrink(ring)
print(consumer.poll(), flag.load_i64(0), quiet.load_i64(0), flush=True)
ring.region.store_i64(ring_layout.DATA, 5)
print(ring.region.load_i64(ring_layout.DATA), other.region.load_i64(0) != 0, ring.region.load_i64(0), flush=True)
unguard(quiet)
shrink(other)
other.region.load_i64(ring_layout.DATA)
print("not reached", flush=True)
"""


def test_a_shrunk_ring_becomes_zeros_and_an_unguarded_one_kills(instance_id: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CHILD.format(instance_id=instance_id)], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.splitlines() == ["None 1 0", "5 True 0"], run.stderr
    assert run.returncode == -signal.SIGBUS


def test_only_whole_mappings_are_guarded() -> None:
    with pytest.raises(ValueError, match="not a mapping"):
        guard(Region.allocate(4096 + 8, alignment=4096).slice(8, 4096))
