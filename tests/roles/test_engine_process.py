"""Engines as real processes: started again, killed under load, halted by a disk error; nothing lost, nothing twice."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.ipc.faults import COMMITTED, POISONED
from statevec.ipc.log import attach_log
from statevec.ipc.log_layout import RUNNING_ATTEMPTS, RUNNING_SEQUENCE, RUNNING_SOURCE
from statevec.journal.entry_layout import COMMAND, LEADERSHIP, RING_ATTACH, RING_QUARANTINE
from statevec.journal.entry_view import Entry
from statevec.roles.gateway import Gateway, Output
from statevec.roles.producer import BACK_PRESSURED, Producer
from tests.roles.engine_harness import SCHEMA, STATEVEC, EngineUnderTest, add

MakeEngine = Callable[..., EngineUnderTest]
WAIT_SECONDS = 60.0
KILLED_AT = 17_000
"""So many messages fill the log's window more than once."""


def commands_of(entries: list[Entry], source: int) -> list[int]:
    """Producer sequences of a source's commands, in the log's order."""
    return [entry.source_sequence for entry in entries if entry.kind == COMMAND and entry.source == source]


def offer_until_full(producer: Producer, start: int) -> int:
    """Offer numbered amounts until the ring stays full; the last number that was accepted."""
    refused = 0
    while refused < 1000:
        accepted = producer.offer(add(1, start, announce=start % 50 == 0))
        refused = refused + 1 if accepted == BACK_PRESSURED else 0
        start += accepted != BACK_PRESSURED
    return start - 1


def total_of(entries: list[Entry]) -> int:
    """What a model of the plugin says that all committed amounts add up to."""
    inputs = [SCHEMA.decode(each.input) for each in entries if each.kind == COMMAND and each.outcome == COMMITTED]
    return sum(each.amount for each in inputs)


def _check_new_log(watching: Gateway, engine: EngineUnderTest) -> None:
    """A gateway follows into the log that took the place of the one it was attached to."""
    old = watching.statistics()["log"]["own_id"]
    while watching.statistics()["log"]["own_id"] == old:
        if watching.poll() is None:
            time.sleep(0.01)
    assert watching.statistics()["log"]["capacity"] == 8 << 20
    assert engine.events()[-2]["adopted_log"] is True


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_killed_engine_loses_nothing_and_repeats_nothing(make_engine: MakeEngine, durability: str) -> None:
    """Rules 1, 2, 3, 8, 11, 15: SIGKILL under load; the next leader goes on, producer and gateway live through it."""
    engine = make_engine(durability)
    first = engine.start()
    delivered: list[Output] = []
    with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "venue") as gateway:
        for number in range(1, KILLED_AT + 1):
            producer.send(add(1, number, announce=number % 50 == 0), WAIT_SECONDS)
        engine.kill()  # the last messages wait in the ring, some of them already in the log
        last = offer_until_full(producer, KILLED_AT + 1)
        second = engine.start()
        assert second["epoch"] == first["epoch"] + 1
        producer.send(add(1, last + 1, announce=1), WAIT_SECONDS)
        producer.wait_released(last + 1, WAIT_SECONDS)
        while (output := gateway.poll()) is not None:
            delivered.append(output)
            gateway.acknowledge(output)
        assert gateway.statistics()["times_lapped"] > 0
    assert engine.stop() == 0
    entries = engine.entries()
    assert commands_of(entries, 2) == list(range(1, last + 2))
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert total_of(entries) == sum(range(1, last + 2))
    emitted = [output.identity for entry in entries for output in entry.outputs()]
    assert [output.identity for output in delivered] == emitted
    assert max(Counter(emitted).values()) == 1


def test_an_engine_started_again_goes_on_where_it_ended(make_engine: MakeEngine) -> None:
    """Rules 3, 17 and 19: sequence, digest, numbering and cursor live through a clean stop and a new start."""
    engine = make_engine()
    engine.start()
    with Producer(engine.directory, "market") as producer:
        for number in range(1, 21):
            producer.send(add(number, number, announce=1), WAIT_SECONDS)
        producer.wait_released(20, WAIT_SECONDS)
    with Gateway(engine.directory, "venue") as gateway:
        seen = [gateway.wait(WAIT_SECONDS) for _ in range(12)]
        assert seen[9] is not None
        gateway.acknowledge(seen[9])
    assert engine.stop() == 0
    before = engine.entries()
    assert [entry.kind for entry in before[:4]] == [LEADERSHIP, RING_ATTACH, RING_ATTACH, RING_ATTACH]

    with Producer(engine.directory, "desk") as producer, attach_log(engine.instance.instance_id, writable=True) as log:
        poison = producer.send(add(99, 1))
        for offset, value in ((RUNNING_SOURCE, 3), (RUNNING_SEQUENCE, poison), (RUNNING_ATTEMPTS, 3)):
            log.region.store_i64(offset, value)  # as if it had killed three leaders already (rule 17)
    engine.configuration.write_text(engine.configuration.read_text().replace("4MiB", "8MiB"))
    with Gateway(engine.directory, "watching") as watching:
        second = engine.start()
        _check_new_log(watching, engine)
    assert second["epoch"] == engine.instance.read_epoch() == 2
    with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "venue") as gateway:
        assert producer.next_sequence == 21
        assert producer.send(add(7, 1, announce=1), WAIT_SECONDS) == 21
        identities = []
        for _ in range(11):
            output = gateway.wait(WAIT_SECONDS)
            assert output is not None
            identities.append(output.identity)
            gateway.acknowledge(output)
    assert engine.stop() == 0
    after = engine.entries()
    assert after[: len(before)] == before
    following = [(entry.kind, entry.outcome) for entry in after[len(before) :]]
    assert following == [(LEADERSHIP, COMMITTED), (COMMAND, POISONED), (COMMAND, COMMITTED)]
    emitted = [output.identity for entry in after for output in entry.outputs()]
    assert identities == emitted[10:]
    assert run_command(["clean", "--instance", str(engine.directory)]) == 0
    assert list(Path("/dev/shm").glob(f"sv-{engine.instance.instance_id:016x}-*")) == []


def test_a_disk_error_stops_releases_and_the_leader_until_an_operator_resumes(make_engine: MakeEngine) -> None:
    """Rule 11: nothing unsafe is released, nobody leads before `resume`, and then nothing is missing."""
    engine = make_engine("disk")
    engine.start()
    assert engine.process is not None
    with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "venue") as gateway:
        producer.send(add(1, 1, announce=1), WAIT_SECONDS)
        producer.wait_released(1, WAIT_SECONDS)
        assert gateway.wait(WAIT_SECONDS) is not None
        limits = (1024, resource.RLIM_INFINITY)  # as on a full disk: writes behind the first kilobyte fail
        resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, limits)
        producer.send(add(1, 2, announce=1), WAIT_SECONDS)
        assert engine.process.wait(WAIT_SECONDS) == 1
        assert gateway.poll() is None
        assert producer.released_sequence == 1
        halted = subprocess.run(engine.command(), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
        assert halted.returncode == 1
        assert "was halted by a disk error: pwrite failed: EFBIG" in halted.stderr
        resumed = subprocess.run(
            [*STATEVEC, "resume", "--instance", str(engine.directory)], capture_output=True, text=True, check=False
        )
        assert resumed.returncode == 0
        assert "EFBIG" in resumed.stdout
        engine.start()
        output = gateway.wait(WAIT_SECONDS)
        assert output is not None
        assert SCHEMA.decode(output.message).total == 3
    assert engine.stop() == 0
    assert commands_of(engine.entries(), 2) == [1, 2]


def test_a_ring_that_was_damaged_while_nobody_led_is_quarantined_and_released(make_engine: MakeEngine) -> None:
    """Rules 3, 4 and 5: the engine leads without it; its producer goes on after the log, in a new ring."""
    engine = make_engine("disk")
    engine.start()
    with Producer(engine.directory, "market") as producer:
        for number in range(1, 4):
            producer.wait_released(producer.send(add(1, number), WAIT_SECONDS), WAIT_SECONDS)
    assert engine.stop() == 0
    path = Path("/dev/shm") / engine.instance.segment_name("ring-market")[1:]
    with open(path, "r+b") as file:
        file.write(b"\xff" * 8)  # another magic number
    engine.start()
    with Producer(engine.directory, "desk") as producer:
        producer.wait_released(producer.send(add(2, 1), WAIT_SECONDS), WAIT_SECONDS)
    assert run_command(["ring", "release", "market", "--instance", str(engine.directory)]) == 0
    with Producer(engine.directory, "market") as producer:
        assert (producer.sequence, producer.released_sequence) == (3, 3)
        producer.wait_released(producer.send(add(1, 4), WAIT_SECONDS), WAIT_SECONDS)
    engine.kill()
    engine.start()
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(1, 5), WAIT_SECONDS), WAIT_SECONDS)
    assert engine.stop() == 0
    entries = engine.entries()
    market = [each.source for each in entries if each.kind == RING_QUARANTINE]
    assert len(market) == 1
    assert commands_of(entries, market[0]) == [1, 2, 3, 4, 5]
    assert run_command(["verify", "--instance", str(engine.directory)]) == 0


def test_a_configuration_that_is_wrong_ends_with_status_2_and_the_path(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text('[instance]\ndirectory = "i"\n[plugin]\npath = "p"\n[engine]\ncore = "two"\n')
    result = subprocess.run([*STATEVEC, "run", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == f"error: {file}: engine.core: expected int, got str\n"
    assert not (tmp_path / "i").exists()


def test_shared_memory_that_does_not_suffice_is_refused_with_the_figures(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.configuration.write_text(engine.configuration.read_text().replace("4MiB", "1048576GiB"))
    result = subprocess.run(engine.command(), capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: not enough shared memory: needed={(1 << 50) + 3 * (1 << 17)} free=")
    assert not engine.directory.exists()


def test_a_signal_before_it_leads_stops_an_engine_too(make_engine: MakeEngine) -> None:
    """SIGTERM at any moment ends cleanly: here as soon as it says anything."""
    engine = make_engine()
    process = subprocess.Popen(engine.command(), stderr=subprocess.PIPE, text=True)
    engine.process = process  # type: ignore[assignment]
    assert process.stderr is not None
    with process.stderr:
        assert '"event":"started"' in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.wait(600) == 0
