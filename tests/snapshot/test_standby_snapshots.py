"""Snapshots that standbys take: when, with which durability, and what ends them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statevec.engine.snapshot_file import list_snapshots
from statevec.ipc import log_layout
from statevec.ipc.log import create_log
from statevec.ipc.python_call import store_release
from statevec.ipc.segment import Segment
from statevec.roles.following import Following
from statevec.roles.producer import Producer
from statevec.roles.standby_snapshots import StandbySnapshots
from tests.audit.recorded_instance import RecordedInstance
from tests.roles.engine_harness import EngineUnderTest, add
from tests.snapshot.histories import followed, run_to

WAIT_SECONDS = 60.0
SOON_NS = 1
HOUR_NS = 3_600_000_000_000
CAPACITY = 4 << 20


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(30, seed=4)
    made.write()
    return made


@pytest.fixture
def make_log(recorded: RecordedInstance) -> Iterator[Callable[[str], Segment]]:
    """The log of a leader that has appended everything and flushed nothing."""
    made: list[Segment] = []

    def make(released_by: str) -> Segment:
        made.append(create_log(recorded.instance.instance_id, CAPACITY, released_by=released_by))  # type: ignore[arg-type]
        store_release(made[-1].region, log_layout.APPENDED, len(recorded.content))
        return made[-1]

    yield make
    for log in made:
        log.unlink()
        log.close()


def names(recorded: RecordedInstance) -> list[int]:
    return [int(path.stem) for path in list_snapshots(recorded.instance.snapshots_directory)]


def begun(recorded: RecordedInstance, following: Following, keep: int = 3) -> StandbySnapshots:
    snapshots = StandbySnapshots(recorded.instance, SOON_NS, keep)
    snapshots.turn(following)
    return snapshots


def test_the_standby_goes_on_while_its_snapshot_waits_for_the_disk(
    recorded: RecordedInstance, make_log: Callable[[str], Segment], capsys: pytest.CaptureFixture[str]
) -> None:
    """Rule 12."""
    log = make_log("journaler")
    following = followed(recorded, 20)
    snapshots = begun(recorded, following)
    store_release(log.region, log_layout.WRITTEN, len(recorded.content))
    store_release(log.region, log_layout.DURABLE, recorded.positions[19])
    run_to(recorded, following, 30)
    snapshots.turn(following)
    assert snapshots.under_way, "one at a time; and written is not durable"
    assert names(recorded) == []
    store_release(log.region, log_layout.DURABLE, recorded.positions[20])
    assert snapshots.wait(WAIT_SECONDS)
    assert names(recorded) == [20]
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["sequence"]) == ("snapshot_taken", 20)


def test_in_memory_mode_it_syncs_what_is_written(
    recorded: RecordedInstance, make_log: Callable[[str], Segment]
) -> None:
    log = make_log("leader")
    snapshots = begun(recorded, followed(recorded, 20))
    assert snapshots.under_way
    store_release(log.region, log_layout.WRITTEN, recorded.positions[20])
    assert snapshots.wait(WAIT_SECONDS)
    assert names(recorded) == [20]


def test_once_it_leads_nothing_is_waited_for_and_nothing_remains(
    recorded: RecordedInstance, make_log: Callable[[str], Segment], capsys: pytest.CaptureFixture[str]
) -> None:
    make_log("journaler")
    snapshots = begun(recorded, followed(recorded, 20))
    snapshots.stop()
    assert snapshots.wait(WAIT_SECONDS)
    assert list(recorded.instance.snapshots_directory.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_a_young_snapshot_of_another_standby_is_enough(
    recorded: RecordedInstance, make_log: Callable[[str], Segment]
) -> None:
    log = make_log("journaler")
    for position in (log_layout.WRITTEN, log_layout.DURABLE):
        store_release(log.region, position, len(recorded.content))
    following = followed(recorded, 20)
    assert begun(recorded, following).wait(WAIT_SECONDS)
    [path] = list_snapshots(recorded.instance.snapshots_directory)
    run_to(recorded, following, 25)
    patient = StandbySnapshots(recorded.instance, HOUR_NS, 3)
    patient.turn(following)
    assert not patient.under_way, "its own hour has just begun"
    patient._due = 0.0
    patient.turn(following)
    assert not patient.under_way, "the other standby's is seconds old"
    os.utime(path, (1, 1))
    patient._due = 0.0
    patient.turn(following)
    assert patient.wait(WAIT_SECONDS)
    assert names(recorded) == [25, 20]


def test_never_means_never(recorded: RecordedInstance) -> None:
    snapshots = StandbySnapshots(recorded.instance, 0, 3)
    snapshots.turn(followed(recorded, 20))
    assert not snapshots.under_way
    assert snapshots.wait(0)


def test_one_that_cannot_be_written_is_reported(
    recorded: RecordedInstance, make_log: Callable[[str], Segment], capsys: pytest.CaptureFixture[str]
) -> None:
    make_log("journaler")
    recorded.instance.snapshots_directory.write_text("in the way")
    following = followed(recorded, 20)
    snapshots = StandbySnapshots(recorded.instance, SOON_NS, 3)
    snapshots._newest_age = lambda: 1.0  # type: ignore[method-assign]
    snapshots.turn(following)
    assert snapshots.wait(WAIT_SECONDS)
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["sequence"]) == ("snapshot_failed", 20)


def test_a_standby_takes_snapshots_while_its_leader_goes_on(tmp_path: Path) -> None:
    """The next leader that has to begin with files begins at one."""
    engine = EngineUnderTest(tmp_path, "disk", more='[retention]\nsnapshot_every = "50ms"\nkeep_snapshots = 2')
    try:
        engine.start()
        standby = engine.stand_by()
        with Producer(engine.directory, "market") as producer:
            for _ in range(20):
                sequence = producer.send(add(1, 5), WAIT_SECONDS)
            producer.wait_released(sequence, WAIT_SECONDS)
        taken = standby.wait_for("snapshot_taken")
        second = engine.stand_by()
        assert second.wait_for("following")["sequence"] >= taken["sequence"], "it does not begin at genesis"
        second.process.terminate()
        assert second.process.wait(WAIT_SECONDS) == 0
        engine.kill()
        engine.succeed(standby)
        assert engine.stop() == 0
        for path in Path("/dev/shm").glob(f"sv-{engine.instance.instance_id:016x}-*"):
            path.unlink()
        engine.start()
        recovered = [event for event in engine.events() if event["event"] == "recovered"][-1]
        assert recovered["snapshot"] >= taken["sequence"]
        assert engine.stop() == 0
        assert len(list_snapshots(engine.instance.snapshots_directory)) <= 2
    finally:
        engine.clean_up()
