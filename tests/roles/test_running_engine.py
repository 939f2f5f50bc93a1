"""What producers, gateways and commands see of one engine that runs all the while."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from statevec.cli.main import run_command
from statevec.engine.instance import InstanceError
from statevec.ipc.python_call import store_release
from statevec.ipc.ring import attach_ring
from statevec.ipc.ring_repair import RingError, records_region
from statevec.ipc.segment import SegmentError
from statevec.journal.entry_layout import RING_QUARANTINE
from statevec.roles.cursor import CURSOR_FILE, Cursor, CursorError, CursorRecord, read_cursor
from statevec.roles.gateway import CursorDisagreesError, Gateway, Output
from statevec.roles.producer import BACK_PRESSURED, Producer, ProducerTimeoutError
from tests.roles.engine_harness import SCHEMA, EngineUnderTest, add

WAIT_SECONDS = 60.0
Command = Callable[..., "Result"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    more = '[[gateway]]\nname = "notes"\nmessages = ["Note"]\n[[ring]]\nname = "foreign"\ncapacity = "64KiB"\n'
    more += '[[ring]]\nname = "cut"\ncapacity = "64KiB"'
    running = EngineUnderTest(tmp_path_factory.mktemp("running"), more=more)
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.clean_up()


@dataclass
class Result:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def statevec(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command line in this process."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        status = run_command(list(arguments))
        printed = capsys.readouterr()
        return Result(status, printed.out, printed.err)

    return run


def deliver(gateway: Gateway) -> list[Output]:
    """Everything released so far, acknowledged."""
    found = []
    while (output := gateway.poll()) is not None:
        found.append(output)
        gateway.acknowledge(output)
    return found


def test_a_ring_has_one_producer(engine: EngineUnderTest) -> None:
    with Producer(engine.directory, "market"), pytest.raises(RingError, match="has a producer already"):
        Producer(engine.directory, "market")


def test_a_producer_of_an_unknown_ring_is_told(engine: EngineUnderTest) -> None:
    with pytest.raises(SegmentError, match="no such segment"):
        Producer(engine.directory, "nobody")
    with pytest.raises(InstanceError, match="not a ring's name"):
        Producer(engine.directory, "../x")


def test_a_message_encoded_in_place_is_taken(engine: EngineUnderTest) -> None:
    message = add(50, 5, announce=1)
    with Producer(engine.directory, "market") as producer:
        aborted = producer.try_claim(len(message))
        assert aborted is not None
        aborted.abort()
        claim = producer.try_claim(len(message))
        assert claim is not None
        claim.buffer[:] = message
        sequence = claim.commit()
        assert sequence == producer.sequence
        producer.wait_released(sequence, WAIT_SECONDS)
        assert producer.appended_sequence >= producer.released_sequence == sequence
    with Gateway(engine.directory, "in-place") as gateway:
        assert {"account": 50, "number": 0, "total": 5} in [
            SCHEMA.decode(each.message).to_dict() for each in deliver(gateway)
        ]


def test_a_cursor_stands_between_two_outputs_of_one_entry(engine: EngineUnderTest) -> None:
    """Rule 18: identities are (epoch, sequence, index); what was acknowledged is not handed out again."""
    with Gateway(engine.directory, "halfway") as gateway:
        deliver(gateway)
        with Producer(engine.directory, "market") as producer:
            producer.wait_released(producer.send(add(60, 1, announce=3), WAIT_SECONDS), WAIT_SECONDS)
        first, second = gateway.wait(WAIT_SECONDS), gateway.wait(WAIT_SECONDS)
        assert first is not None
        assert second is not None
        assert second.identity == (*first.identity[:2], first.index + 1)
        gateway.acknowledge(first)
    with Gateway(engine.directory, "halfway") as gateway:
        again = deliver(gateway)
    assert again[0].identity == second.identity
    assert [SCHEMA.decode(each.message).layout.name for each in again] == ["Total", "Total", "Note"]


def test_outputs_are_bound_to_gateways_by_message(engine: EngineUnderTest) -> None:
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(61, 1, announce=2), WAIT_SECONDS), WAIT_SECONDS)
    with Gateway(engine.directory, "notes") as gateway:
        assert {SCHEMA.decode(each.message).layout.name for each in deliver(gateway)} == {"Note"}
    with Gateway(engine.directory, "totals", messages=["Total"]) as gateway:
        assert {SCHEMA.decode(each.message).layout.name for each in deliver(gateway)} == {"Total"}
    with pytest.raises(InstanceError, match="no such message: Totals"):
        Gateway(engine.directory, "wrong", messages=["Totals"])


def test_an_expired_output_is_told_and_not_handed_out(engine: EngineUnderTest) -> None:
    """Rule 23."""
    expired: list[Output] = []
    with Gateway(engine.directory, "late", on_expired=expired.append) as gateway:
        deliver(gateway)
        with Producer(engine.directory, "market") as producer:
            sequence = producer.send(add(62, 1, announce=1, ttl_ns=1), WAIT_SECONDS)
            producer.wait_released(sequence, WAIT_SECONDS)
        assert deliver(gateway) == []
        assert gateway.expired == 1
        assert expired[0].expires_ns < time.time_ns()
        assert gateway.leader_silent_for_ns < WAIT_SECONDS * 1e9


def test_an_acknowledgement_that_cannot_be_written_names_the_cursor(engine: EngineUnderTest) -> None:
    with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "unwritten") as gateway:
        producer.send(add(64, 1, announce=1), WAIT_SECONDS)
        output = gateway.wait(WAIT_SECONDS)
        assert output is not None
        in_the_way = engine.instance.gateways_directory / "unwritten" / f".{CURSOR_FILE}.tmp"
        in_the_way.mkdir()
        with pytest.raises(CursorError, match=r"gateways/unwritten/cursor cannot be written: open failed: EISDIR "):
            gateway.acknowledge(output)
        in_the_way.rmdir()
        assert gateway.cursor == Cursor()
        gateway.acknowledge(output)
        assert gateway.cursor.sequence == output.sequence


def test_one_process_is_a_gateway(engine: EngineUnderTest) -> None:
    """Rule 13: gateways lock their names the same way."""
    with Gateway(engine.directory, "single"), pytest.raises(CursorError, match="another process is gateway 'single'"):
        Gateway(engine.directory, "single")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "0" * 16}, "digest=0000000000000000"),
        ({"epoch": 9}, "epoch=9"),
        ({"sequence": 1 << 40}, "sequence=1099511627776"),
        ({"position": 1 << 40}, "released nothing there"),
        ({"position": 8, "outputs": 0}, "nothing was handed out"),
    ],
)
def test_a_gateway_stops_where_log_and_cursor_disagree(
    engine: EngineUnderTest, change: dict[str, object], message: str
) -> None:
    """Rule 19: with both values."""
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(63, 1, announce=1), WAIT_SECONDS), WAIT_SECONDS)
    name = f"wrong-{'-'.join(change)}"
    with Gateway(engine.directory, name) as gateway:
        deliver(gateway)
        right = gateway.cursor
    file = engine.instance.gateways_directory / name / CURSOR_FILE
    wrong = msgspec.structs.replace(right, **change)
    file.write_bytes(msgspec.json.encode(CursorRecord.of(wrong)))
    with pytest.raises(CursorDisagreesError, match=message):
        Gateway(engine.directory, name)
    assert read_cursor(file.parent) == wrong
    file.write_bytes(b"{}}")
    with pytest.raises(CursorError, match="damaged"):
        Gateway(engine.directory, name)


def test_send_prints_the_entry_and_its_outcome(engine: EngineUnderTest, statevec: Command) -> None:
    instance = ("--instance", str(engine.directory))
    sent = statevec(
        "send", "Add", '{"account": 70, "amount": 3, "announce": 1, "ttl_ns": 0}', *instance, "--format", "json"
    )
    assert sent.returncode == 0, sent.stderr
    facts = json.loads(sent.stdout)
    assert facts["outcome_name"] == "COMMITTED"
    assert facts["outputs"] == [{"message": "Total", "account": 70, "number": 0, "total": 3}]
    rejected = statevec("send", "Add", '{"account": 70, "amount": -3, "announce": 1, "ttl_ns": 0}', *instance)
    assert rejected.returncode == 1
    assert "REJECTED(1) (an amount is not negative), 0 records changed" in rejected.stdout
    changed = statevec("send", "Add", '{"account": 70, "amount": 3, "announce": 0, "ttl_ns": 0}', *instance)
    assert "COMMITTED, 1 record changed" in changed.stdout
    faulted = statevec("send", "Total", '{"account": 70, "number": 0, "total": 0}', *instance, "--format", "json")
    assert json.loads(faulted.stdout)["outcome_name"] == "NO_HANDLER"
    assert json.loads(faulted.stdout)["reason"] == "The plugin has no handler for this message, or for timers."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Subtract", "{}"), "there is no message 'Subtract'"),
        (("Add", "{"), "not JSON"),
        (("Add", "[]"), "Add: not a JSON object"),
        (("Add", '{"count": 1}'), "Add.count: there is no such field (fields: account, amount, announce, ttl_ns)"),
        (("Add", '{"amount": 1, "account": 1, "amount": 2}'), "the key 'amount' stands there twice"),
        (("Add", '{"account": 1, "amount": true}'), "Add.amount: no field holds true or false: true"),
    ],
)
def test_send_refuses_what_cannot_be_encoded(
    engine: EngineUnderTest, statevec: Command, arguments: tuple[str, str], message: str
) -> None:
    sent = statevec("send", *arguments, "--instance", str(engine.directory))
    assert sent.returncode == 2
    assert sent.stderr.startswith("error: ")
    assert message in sent.stderr


def test_status_shows_who_leads_and_how_far(engine: EngineUnderTest, statevec: Command) -> None:
    assert engine.process is not None
    shown = json.loads(statevec("status", "--instance", str(engine.directory), "--format", "json").stdout)
    assert shown["leading"] is True
    assert shown["leader"]["pid"] == engine.process.pid
    assert set(shown["rings"]) == {"operator", "admin", "market", "desk", "foreign", "cut"}
    assert shown["log"]["epoch"] == 1
    assert shown["counters"]["committed"] > 0
    assert "leading" in statevec("status", "--instance", str(engine.directory)).stdout


def test_a_live_instance_is_neither_cleaned_nor_resumed(engine: EngineUnderTest, statevec: Command) -> None:
    for command in ("clean", "resume"):
        refused = statevec(command, "--instance", str(engine.directory))
        assert refused.returncode == 1
        assert "is led by process" in refused.stderr


def test_bytes_that_are_no_message_are_an_entry(engine: EngineUnderTest) -> None:
    with Producer(engine.directory, "desk") as producer:
        for garbage in (b"", b"\xff" * 7, b"\xff" * 40, add(1, 1)[:-1]):
            producer.wait_released(producer.send(garbage, WAIT_SECONDS), WAIT_SECONDS)
        producer.wait_released(producer.send(add(80, 1), WAIT_SECONDS), WAIT_SECONDS)
    entries = [entry for entry in engine.entries_so_far() if entry.source == 3 and entry.source_sequence > 0]
    names = [entry.outcome_name for entry in entries]
    assert names[:2] == ["MALFORMED_MESSAGE", "MALFORMED_MESSAGE"]
    assert all(name in ("MALFORMED_MESSAGE", "WRONG_SCHEMA", "UNKNOWN_TEMPLATE") for name in names[2:4])
    assert names[4] == "COMMITTED"
    assert entries[1].input == b"\xff" * 7


def test_a_ring_with_nonsense_is_quarantined_until_it_is_released_and_the_others_go_on(
    engine: EngineUnderTest, statevec: Command
) -> None:
    """Rule 5: an entry and a counter say so; the full ring answers BACK_PRESSURED."""
    with (
        Producer(engine.directory, "foreign") as producer,
        attach_ring("foreign", engine.instance.instance_id) as segment,
    ):
        producer.wait_released(producer.send(add(81, 1), WAIT_SECONDS), WAIT_SECONDS)
        end = producer.statistics()["tail"] & (segment.capacity - 1)
        store_release(records_region(segment), end, 1 << 32 | 1 << 30)  # a message that is longer than the ring
        deadline = time.monotonic() + WAIT_SECONDS
        while not any(entry.kind == RING_QUARANTINE for entry in engine.entries_so_far()):
            assert time.monotonic() < deadline
        accepted = 0
        while producer.offer(add(81, 1)) != BACK_PRESSURED:
            accepted += 1
        assert 0 < accepted < segment.capacity // 48
        with pytest.raises(ProducerTimeoutError, match="ring stayed full"):
            producer.send(add(81, 1), timeout=0.0)
        refused = statevec("ring", "release", "foreign", "--instance", str(engine.directory))
        assert refused.returncode == 1
        assert "a producer has ring 'foreign': end it first" in refused.stderr
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(82, 1), WAIT_SECONDS), WAIT_SECONDS)
    released = statevec("ring", "release", "foreign", "--instance", str(engine.directory))
    assert "ring foreign is open" in released.stdout
    with Producer(engine.directory, "foreign") as producer:
        assert producer.sequence == 1  # what the log has; the rest was never taken
        producer.wait_released(producer.send(add(81, 1), WAIT_SECONDS), WAIT_SECONDS)
    again = statevec("ring", "release", "foreign", "--instance", str(engine.directory))
    assert "ring 'foreign' is not quarantined" in again.stderr


def test_a_ring_whose_file_was_cut_is_quarantined_and_the_engine_lives(engine: EngineUnderTest) -> None:
    """Rule 5: touching a page behind the end of the file is survived."""
    os.truncate(Path("/dev/shm") / engine.instance.segment_name("ring-cut")[1:], 4096)
    deadline = time.monotonic() + WAIT_SECONDS
    while not any(entry.kind == RING_QUARANTINE and entry.source == 5 for entry in engine.entries_so_far()):
        assert time.monotonic() < deadline
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(83, 1), WAIT_SECONDS), WAIT_SECONDS)


def test_a_foreign_producers_ring_is_repaired_by_command(engine: EngineUnderTest, statevec: Command) -> None:
    """Rule 3."""
    with Producer(engine.directory, "desk") as producer:
        assert producer.try_claim(64) is not None  # and the producer dies
        following = producer.next_sequence
    repaired = statevec("ring", "repair", "desk", "--instance", str(engine.directory))
    assert repaired.returncode == 0
    assert f"88 bytes of uncommitted records became padding; next sequence {following}" in repaired.stdout
