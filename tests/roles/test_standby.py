"""Engine processes that stand by, as real processes: leaders killed, stopped, hung; nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.audit.verify import verify_instance
from statevec.engine.instance import LeaderRecord
from statevec.journal.admin_layout import HAND_OVER, AdminCommand
from statevec.journal.entry_layout import ADMIN, COMMAND, CUTOVER, LEADERSHIP
from statevec.roles import standing_by
from statevec.roles.alarm_files import last_alarms
from statevec.roles.following import Following
from statevec.roles.gateway import Gateway, Output
from statevec.roles.producer import Producer
from statevec.roles.standby import Standby, StandbyError
from statevec.roles.standby_counters import standbys
from statevec.roles.standing_by import LeaderWatch, end_process
from statevec.state.arena_layout import ROW_HEADER_SIZE
from tests.roles.engine_harness import EngineUnderTest, StandbyUnderTest, add
from tests.roles.test_cutover import ANOTHER_RECORD, command, force, make_version, stored

MakeEngine = Callable[..., EngineUnderTest]
WAIT_SECONDS = 60.0
MORE_THAN_THE_LOG_HOLDS = 20_000


def send(producer: Producer, first: int, last: int) -> None:
    """Messages numbered `first` to `last`, each tenth with an output; they are released when this returns."""
    for number in range(first, last + 1):
        producer.send(add(1, number, announce=number % 10 == 0), WAIT_SECONDS)
    producer.wait_released(last, WAIT_SECONDS)


def check_all_there(engine: EngineUnderTest, last: int, leaders: int) -> None:
    """Every message is in the log once, in order; execution gives what the leaders wrote."""
    entries = engine.entries()
    assert [each.source_sequence for each in entries if each.kind == COMMAND] == list(range(1, last + 1))
    assert [each.epoch for each in entries if each.kind == LEADERSHIP] == list(range(1, leaders + 1))
    assert verify_instance(engine.directory).verified


def no_segment_of(engine: EngineUnderTest, what: str) -> bool:
    return not list(Path("/dev/shm").glob(engine.instance.segment_name(what)[1:] + "*"))


@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_a_standby_leads_when_its_leader_is_killed(make_engine: MakeEngine, durability: str) -> None:
    """Rules 13, 14, 15: twice in a row; producer and gateway live through it and see each message and output once."""
    engine = make_engine(durability)
    engine.start()
    delivered: list[Output] = []
    with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "venue") as gateway:
        for generation in range(2):
            standby = engine.stand_by()
            send(producer, 300 * generation + 1, 300 * generation + 200)
            for number in range(300 * generation + 201, 300 * generation + 301):
                producer.send(add(1, number, announce=number % 10 == 0), WAIT_SECONDS)
            engine.kill()
            leading = engine.succeed(standby)
            assert leading["epoch"] == generation + 2
            assert standby.wait_for("recovered")["stood_by"] is True
        send(producer, 601, 610)
        while (output := gateway.poll()) is not None:
            delivered.append(output)
            gateway.acknowledge(output)
    assert engine.stop() == 0
    assert len(delivered) == len({output.identity for output in delivered}) == 61
    check_all_there(engine, 610, leaders=3)


def test_the_next_of_several_standbys_leads_when_the_leader_is_stopped(make_engine: MakeEngine) -> None:
    """A planned end: everything is on disk, one standby takes over, the other follows it."""
    engine = make_engine()
    engine.start()
    waiting = [engine.stand_by(), engine.stand_by()]
    assert [each.pid for each in standbys(engine.instance)] == sorted(each.process.pid for each in waiting)
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, 20)
        assert engine.stop() == 0
        first = next_leader(waiting)
        engine.succeed(first)
        send(producer, 21, 40)
        engine.kill()
        last = next(each for each in waiting if each is not first)
        engine.succeed(last)
        send(producer, 41, 60)
    assert engine.stop() == 0
    assert no_segment_of(engine, "counters-standby-")
    check_all_there(engine, 60, leaders=3)


def test_a_standby_that_is_stopped_leaves_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.start()
    standby = engine.stand_by()
    standby.process.send_signal(signal.SIGTERM)
    assert standby.process.wait(WAIT_SECONDS) == 0
    assert no_segment_of(engine, "counters-standby-")
    assert standby.events()[-1]["event"] == "stopped"
    assert engine.stop() == 0


def test_a_standby_that_joins_late_begins_in_the_files(make_engine: MakeEngine) -> None:
    """Rule 8: what the log has overwritten comes from the segment files, without a hole."""
    engine = make_engine()
    engine.start()
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, MORE_THAN_THE_LOG_HOLDS)
        standby = engine.stand_by()
        send(producer, MORE_THAN_THE_LOG_HOLDS + 1, MORE_THAN_THE_LOG_HOLDS + 100)
        engine.kill()
        engine.succeed(standby)
        send(producer, MORE_THAN_THE_LOG_HOLDS + 101, MORE_THAN_THE_LOG_HOLDS + 110)
    assert engine.stop() == 0
    check_all_there(engine, MORE_THAN_THE_LOG_HOLDS + 110, leaders=2)


def test_a_standby_passes_through_a_cutover_with_a_migration(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine(more="[cutover]\nmin_compared = 3")
    engine.start()
    standby = engine.stand_by()
    stored(engine, make_version(tmp_path, "2.0.0", ANOTHER_RECORD))
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, 20)
        force(engine, "tally@2.0.0")
        send(producer, 21, 40)
        engine.kill()
        engine.succeed(standby)
        send(producer, 41, 60)
    assert engine.stop() == 0
    entries = engine.entries()
    switch = next(each.sequence for each in entries if each.kind == CUTOVER)
    assert {each.logic_version for each in entries if each.sequence > switch} == {2}
    check_all_there(engine, 60, leaders=2)


def test_a_leader_that_hangs_is_reported_and_ended_when_asked(make_engine: MakeEngine) -> None:
    """Rule 16: through a descriptor of that very process; then the lock is waited for."""
    engine = make_engine()
    engine.start()
    standby = engine.stand_by("--kill-hung-after", "3")
    assert engine.process is not None
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, 10)
        engine.process.send_signal(signal.SIGSTOP)
        silent = standby.wait_for("leader_silent", WAIT_SECONDS)
        assert silent["leader"] == engine.process.pid
        assert standby.wait_for("leader_killed", WAIT_SECONDS)["leader"] == engine.process.pid
        assert engine.process.wait(WAIT_SECONDS) == -signal.SIGKILL
        engine.succeed(standby)
        send(producer, 11, 20)
    assert engine.stop() == 0
    check_all_there(engine, 20, leaders=2)


def test_an_operator_hands_the_lead_over(make_engine: MakeEngine) -> None:
    """Refused while nobody stands by; then the leader ends by itself, with an entry that says who asked for it."""
    engine = make_engine()
    engine.start()
    refused = command(engine, "handover", "--why", "maintenance")
    assert refused.returncode == 1
    assert "no standby follows; start one: statevec run CONFIGURATION" in refused.stderr
    standby = engine.stand_by()
    assert engine.process is not None
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, 10)
        done = command(engine, "handover", "--why", "maintenance", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["epoch"] == 2
        assert engine.process.wait(WAIT_SECONDS) == 0
        assert engine.events()[-1]["by"] == "handover"
        engine.succeed(standby)
        send(producer, 11, 20)
    assert engine.stop() == 0
    orders = [AdminCommand.decode(each.input) for each in engine.entries() if each.kind == ADMIN]
    assert [(each.command, each.why) for each in orders] == [(HAND_OVER, "maintenance")] * 2
    check_all_there(engine, 20, leaders=2)


def test_status_shows_standbys(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.start()
    standby = engine.stand_by()
    shown = json.loads(command(engine, "status", "--format", "json").stdout)["standbys"]
    assert set(shown) == {str(standby.process.pid)}
    assert shown[str(standby.process.pid)]["times_lapped"] == 0
    assert engine.stop() == 0
    engine.succeed(standby)
    assert engine.stop() == 0


def test_a_halt_mark_keeps_a_standby_from_leading(make_engine: MakeEngine) -> None:
    """Rule 11: after a disk error nobody takes over until an operator has cleared the mark."""
    engine = make_engine()
    engine.start()
    standby = engine.stand_by()
    engine.instance.halt_path.write_text("fdatasync failed\n")
    engine.kill()
    assert standby.process.wait(WAIT_SECONDS) == 1
    assert "was halted by a disk error: fdatasync failed" in standby.errors.read_text()
    failed = standby.wait_for("failed")
    assert (failed["level"], failed["instance"]) == ("alarm", engine.instance.genesis.instance_id)
    assert [event["event"] for event in last_alarms(engine.directory, 1)] == ["failed"]
    assert command(engine, "resume").returncode == 0
    assert engine.start()["epoch"] == 2
    assert engine.stop() == 0


def test_a_process_with_the_leaders_number_is_not_the_leader() -> None:
    """Rule 16: a number that is used again means another process."""
    assert not end_process(LeaderRecord(pid=os.getpid(), host="here", since="", epoch=1, started_ms=1))
    assert not end_process(LeaderRecord(pid=2**22, host="here", since="", epoch=1))


def test_a_standby_that_executes_otherwise_ends_itself(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.start()
    with Producer(engine.directory, "market") as producer:
        send(producer, 1, 10)
        assert engine.entries_so_far()
        standby = Standby.of(engine.instance, "compiled")
        assert standby is not None
        run_all(standby)
        send(producer, 11, 20)
        flip_state(standby.following)
        with pytest.raises(StandbyError, match=r"something else than the leader wrote: sequence=\d+ position=\d+"):
            run_all(standby)
        standby.close()
        send(producer, 21, 22)
    assert engine.stop() == 0


def test_a_standby_does_not_follow_a_leader_whose_log_it_does_not_see(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 13: another /dev/shm, or another boot that shares the directory."""
    engine = make_engine()
    engine.start()
    watch = LeaderWatch(engine.instance, None)
    watch.look()
    monkeypatch.setattr(standing_by, "BLIND_SECONDS", 0.0)
    monkeypatch.setattr(standing_by, "log_identity", lambda instance: "another:1:2")
    watch.look()
    with pytest.raises(StandbyError, match="does not see the log of the leader"):
        watch.look()
    watch.close()
    assert engine.stop() == 0


def next_leader(waiting: list[StandbyUnderTest]) -> StandbyUnderTest:
    """Whichever of them leads first."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for standby in waiting:
            if any(event["event"] == "leading" for event in standby.events()):
                return standby
        time.sleep(0.01)
    raise AssertionError("no standby leads")


def run_all(standby: Standby) -> None:
    """Run what is there."""
    while standby.step():
        pass


def flip_state(following: Following) -> None:
    """Change a bit of a record, as failing memory would."""
    table = following.execution.layout.tables["accounts"]
    offset = table.row(0) + ROW_HEADER_SIZE + table.spec.record.offset("total")
    following.execution.arena.store_i64(offset, following.execution.arena.load_i64(offset) ^ 1)
