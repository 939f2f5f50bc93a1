"""Engine processes that recover from snapshots: of a live instance, past a damaged one, without the first segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from statevec.audit.verify import verify_instance
from statevec.ipc.clean import clean
from statevec.journal.entry_layout import COMMAND
from statevec.journal.errors import JournalDamagedError
from statevec.journal.recovery import recover
from statevec.journal.segments import list_segments
from statevec.roles.producer import Producer
from statevec.roles.retention import retain
from statevec.roles.snapshot import newest_snapshot
from statevec.roles.snapshot_taker import take_snapshot
from statevec.roles.takeover import known_durable
from tests.audit.recorded_instance import RecordedInstance
from tests.roles.engine_harness import EngineUnderTest, add

WAIT_SECONDS = 60.0


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EngineUnderTest]:
    made = EngineUnderTest(tmp_path, getattr(request, "param", "memory"))
    try:
        yield made
    finally:
        made.clean_up()


def send(engine: EngineUnderTest, count: int, announce: int = 0) -> None:
    with Producer(engine.directory, "market") as producer:
        for _ in range(count):
            sequence = producer.send(add(1, 5, announce=announce), WAIT_SECONDS)
        producer.wait_released(sequence, WAIT_SECONDS)


def recovered(engine: EngineUnderTest) -> int:
    """Sequence of the snapshot from which the last engine process recovered."""
    snapshot = [event for event in engine.events() if event["event"] == "recovered"][-1]["snapshot"]
    assert isinstance(snapshot, int)
    return snapshot


def check_sums(engine: EngineUnderTest, count: int, first: int = 1) -> None:
    """All commands from number `first` on, each added to the sum before it."""
    totals = [
        int.from_bytes(entry.changes()[0].image[8:16], "little") for entry in engine.entries() if entry.kind == COMMAND
    ]
    assert totals == [5 * number for number in range(first, count + 1)]


def test_a_snapshot_of_a_live_instance_is_where_the_next_leader_begins(engine: EngineUnderTest) -> None:
    engine.start()
    send(engine, 20)
    last = engine.entries_so_far()[-1]
    taken = take_snapshot(engine.instance)
    assert taken.sequence == last.sequence
    send(engine, 10)
    engine.kill()
    engine.start()
    assert recovered(engine) == taken.sequence
    send(engine, 5)
    second = take_snapshot(engine.instance)
    assert second.started_at == taken.sequence
    with open(second.path, "r+b") as file:
        file.seek(taken.bytes // 2)
        file.write(b"\xff")
    assert engine.stop() == 0
    engine.start()
    assert recovered(engine) == taken.sequence, "the damaged one is passed over"
    assert any(event["event"] == "snapshot_refused" for event in engine.events())
    assert engine.stop() == 0
    check_sums(engine, 35)
    assert verify_instance(engine.directory).verified
    assert verify_instance(engine.directory, from_snapshot="newest").verified


@pytest.mark.parametrize("engine", ["disk"], indirect=True)
def test_an_instance_without_its_first_segments_goes_on(engine: EngineUnderTest, tmp_path: Path) -> None:
    engine.start()
    send(engine, 900, announce=100)
    assert engine.stop() == 0
    clean(lambda _: True, instance_id=engine.instance.instance_id, discard=True)
    assert len(list_segments(engine.instance.journal_directory)) >= 4
    taken = take_snapshot(engine.instance)
    done = retain(engine.instance, keep=1, cold=tmp_path / "cold")
    assert done.segments >= 2
    engine.start()
    assert recovered(engine) == taken.sequence
    send(engine, 10)
    assert take_snapshot(engine.instance).started_at == taken.sequence
    assert engine.stop() == 0
    whole = verify_instance(engine.directory, cold=tmp_path / "cold")
    assert whole.verified
    assert whole.started_at == 0


def test_recovery_never_cuts_what_a_snapshot_saw_durable(tmp_path: Path) -> None:
    """Rules 9 and 12: the position of a snapshot was durable; a journal that ends before it lost entries."""
    recorded = RecordedInstance(tmp_path / "instance")
    recorded.random_transfers(20, seed=8)
    recorded.write()
    instance, last = recorded.instance, recorded.positions[-1]
    taken = take_snapshot(instance, "interpreted")
    assert known_durable(instance, None, None) == taken.position
    recorded.overwrite(last, bytes(len(recorded.content) - last))
    assert newest_snapshot(instance) is None
    with pytest.raises(
        JournalDamagedError, match=f"position={last} sequence={taken.sequence} durable={taken.position}"
    ):
        recover(instance.journal_directory, durable=known_durable(instance, None, None))
    recorded.write()
    with open(taken.path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert newest_snapshot(instance) is None
    assert known_durable(instance, None, None) == taken.position, "also of one whose image is damaged"
