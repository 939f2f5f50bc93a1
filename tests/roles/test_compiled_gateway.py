"""A gateway whose outputs compiled code takes: the same outputs as the log has, from the log and from the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from statevec.ipc.kernel import kernel, plain
from statevec.ipc.memory import Region, region_at
from statevec.roles.compiled_gateway import ASK, EXPIRED, CompiledGateway, next_output
from statevec.roles.gateway import Gateway
from statevec.roles.gateway_kernels import EPOCH, INDEX, MESSAGE, MESSAGE_LENGTH, SEQUENCE
from statevec.roles.producer import Producer
from tests.roles.engine_harness import SCHEMA, EngineUnderTest, add

WAIT_SECONDS = 60.0
TAKEN_SIZE = 1 << 20
ROW = 256
"""Bytes that the native venue keeps of an output: epoch, sequence, index, expired, length, then the message."""


@kernel
def hand_out(block: Region, venue: Region, now_ns: int, most: int) -> int:
    """Keep the next outputs in `venue`, whose first word counts them: how many, or ASK when it is to be asked."""
    for taken in range(most):
        length = next_output(block, now_ns)
        if length == ASK:
            return ASK
        if length == 0:
            return taken
        count = venue.load_i64(0)
        row = venue.slice(8 + count * ROW, ROW)
        row.store_i64(0, block.load_i64(EPOCH))
        row.store_i64(8, block.load_i64(SEQUENCE))
        row.store_i64(16, block.load_i64(INDEX))
        row.store_i64(24, 1 if length == EXPIRED else 0)
        row.store_i64(32, block.load_i64(MESSAGE_LENGTH))
        message = region_at(block.load_i64(MESSAGE), block.load_i64(MESSAGE_LENGTH))
        row.copy_from(40, message, 0, block.load_i64(MESSAGE_LENGTH))
        venue.store_i64(0, count + 1)
    return most


Taken = tuple[tuple[int, int, int], bytes]


class Venue:
    """What compiled code kept."""

    def __init__(self) -> None:
        self.region = Region.allocate(TAKEN_SIZE)
        self.expired: list[tuple[int, int, int]] = []

    def take_all(self, gateway: CompiledGateway, function: Callable[..., int], now_ns: int = 0) -> list[Taken]:
        """Everything that is released now, in batches of a few."""
        found: list[Taken] = []
        quiet = 0
        while quiet < 2:
            self.region.store_i64(0, 0)
            answer = function(gateway.block, self.region, now_ns, 7)
            if answer == ASK:
                gateway.ask()
            found += self._kept()
            quiet = quiet + 1 if answer == 0 else 0
        return found

    def _kept(self) -> Iterator[Taken]:
        for number in range(self.region.load_i64(0)):
            row = self.region.slice(8 + number * ROW, ROW)
            identity = (row.load_i64(0), row.load_i64(8), row.load_i64(16))
            if row.load_i64(24):
                self.expired.append(identity)
            yield identity, bytes(row.view[40 : 40 + row.load_i64(32)])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    more = '[[gateway]]\nname = "notes"\nmessages = ["Note"]\n'
    running = EngineUnderTest(tmp_path_factory.mktemp("compiled"), more=more)
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.clean_up()


def send(engine: EngineUnderTest, *messages: bytes) -> None:
    with Producer(engine.directory, "market") as producer:
        for message in messages:
            last = producer.send(message, WAIT_SECONDS)
        producer.wait_released(last, WAIT_SECONDS)


def of_the_log(engine: EngineUnderTest) -> list[Taken]:
    return [(each.identity, bytes(each.message)) for entry in engine.entries_so_far() for each in entry.outputs()]


@pytest.mark.parametrize("function", [hand_out, plain(hand_out)], ids=["compiled", "plain"])
def test_compiled_code_takes_every_output_of_the_log_in_order(
    engine: EngineUnderTest, function: Callable[..., int], request: pytest.FixtureRequest
) -> None:
    send(engine, *(add(1, number, announce=number % 4) for number in range(30)))
    venue = Venue()
    with CompiledGateway(engine.directory, request.node.callspec.id) as gateway:
        taken = venue.take_all(gateway, function)
        assert taken == of_the_log(engine)
        assert gateway.cursor.sequence == 0
        gateway.acknowledge_taken()
        assert gateway.cursor.sequence == taken[-1][0][1]
        send(engine, add(2, 1), add(2, 2, announce=1))
        assert [identity for identity, _ in venue.take_all(gateway, function)] == [of_the_log(engine)[-1][0]]
    with Gateway(engine.directory, request.node.callspec.id) as again:
        output = again.wait(WAIT_SECONDS)
        assert output is not None
        assert output.identity == of_the_log(engine)[-1][0]


def test_what_was_taken_and_not_acknowledged_comes_again_from_the_middle_of_an_entry(engine: EngineUnderTest) -> None:
    """Rule 18, and at least once across a gateway's own death."""
    send(engine, add(3, 1, announce=3))
    with Gateway(engine.directory, "middle") as before:
        while (output := before.poll()) is not None:
            last = output
            if output.sequence == of_the_log(engine)[-1][0][1]:
                break
        before.acknowledge(last)
    for _ in range(2):
        with CompiledGateway(engine.directory, "middle") as gateway:
            assert Venue().take_all(gateway, hand_out) == of_the_log(engine)[-3:]


def test_a_lapped_gateway_reads_on_from_the_files(engine: EngineUnderTest) -> None:
    """Rule 8."""
    with CompiledGateway(engine.directory, "slow") as gateway:
        venue = Venue()
        first = venue.take_all(gateway, hand_out)
        send(engine, *(add(4, number, announce=number % 64 == 0) for number in range(20_000)))
        rest = venue.take_all(gateway, hand_out)
        assert gateway.statistics()["times_lapped"] == 1
        assert not gateway.statistics()["reading_files"]
        assert first + rest == of_the_log(engine)


def test_it_takes_what_it_is_bound_to(engine: EngineUnderTest) -> None:
    send(engine, add(5, 1, announce=2))
    with CompiledGateway(engine.directory, "notes") as gateway:
        taken = Venue().take_all(gateway, hand_out)
    assert taken == [each for each in of_the_log(engine) if SCHEMA.decode(each[1]).layout.name == "Note"]
    assert taken


def test_it_says_which_outputs_have_expired(engine: EngineUnderTest) -> None:
    """Rule 23."""
    venue = Venue()
    with CompiledGateway(engine.directory, "late") as gateway:
        venue.take_all(gateway, hand_out)
        send(engine, add(6, 1, announce=2), add(6, 1, announce=2, ttl_ns=1))
        taken = venue.take_all(gateway, hand_out, time.time_ns() + 1_000_000_000)
    assert len(taken) == 6
    assert venue.expired == [
        identity for identity, message in taken[3:] if SCHEMA.decode(message).layout.name != "Note"
    ]
    assert len(venue.expired) == 2
