"""Agrona's own Java class (of 2019) writes to our ring and reads from it, over many laps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.java import PeerMissingError, compile_peer
from statevec.ipc.ring import RingConsumer, RingProducer, create_ring
from statevec.ipc.segment import Segment

COUNT = 20_000
CAPACITY = 1 << 14
LONGEST = 200
DEADLINE_S = 60


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    source = Path(__file__).parent / "java" / "RingPeer.java"
    try:
        return compile_peer(source, tmp_path_factory.mktemp("java"))
    except PeerMissingError as error:
        pytest.skip(str(error))


def length_of(sequence: int) -> int:
    return sequence * 37 % (LONGEST + 1)


def start(peer: list[str], what: str, ring: Segment) -> subprocess.Popen[str]:
    arguments = [*peer, what, f"/dev/shm{ring.name}", str(COUNT), str(LONGEST)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def ring(instance_id: int) -> Iterator[Segment]:
    with create_ring("java", CAPACITY, instance_id) as made:
        yield made


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    return output


def test_agrona_writes_and_we_read(peer: list[str], ring: Segment) -> None:
    process = start(peer, "write", ring)
    try:
        consumer = RingConsumer(ring)
        sequence = 0
        while sequence < COUNT:
            message = consumer.poll()
            if message is None:
                assert process.poll() in (None, 0), process.communicate()[1]
                continue
            sequence += 1
            assert (consumer.sequence, consumer.sent_ns) == (sequence, -sequence)
            assert message == bytes([sequence & 255]) * length_of(sequence)
        tail = consumer.statistics()["tail"]
        assert finish(process).split() == ["wrote", str(COUNT), "tail", str(tail)]
        assert tail > 50 * CAPACITY
        with RingProducer(ring) as ours:  # and we may go on where Java left it
            assert ours.repaired.padded_bytes == 0
            assert ours.offer(b"ours") > 0
        assert consumer.poll() == b"ours"
    finally:
        process.kill()
        process.communicate()


def test_we_write_and_agrona_reads(peer: list[str], ring: Segment) -> None:
    process = start(peer, "read", ring)
    try:
        with RingProducer.attach("java", ring.instance_id) as producer:
            for sequence in range(1, COUNT + 1):
                message = bytes([sequence & 255]) * length_of(sequence)
                while producer.offer(message) < 0:
                    assert process.poll() is None, process.communicate()[1]
            assert finish(process).split()[:2] == ["read", str(COUNT)]
            assert producer.statistics()["used_bytes"] == 0
    finally:
        process.kill()
        process.communicate()
