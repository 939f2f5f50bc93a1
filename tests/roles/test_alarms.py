"""Alarms: what the judge finds in samples, when a gateway is stuck, and the command that a follower runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from statevec.cli.main import run_command
from statevec.engine.config import AlarmsConfig, Duration, Size, load_config
from statevec.roles.alarm_files import DIRECTORY
from statevec.roles.alarm_gateways import GatewayWatch
from statevec.roles.alarm_hook import AlarmHook
from statevec.roles.alarm_judge import AlarmJudge, Trouble
from statevec.roles.alarm_process import MODULE, AlarmProcess
from statevec.roles.alarm_watch import TURN_FILE, AlarmWatch
from statevec.roles.flock_holders import FlockHolders
from statevec.roles.gateway import Gateway
from statevec.roles.live import Looker
from statevec.roles.live_sample import GONE, SILENT, RingSeen, Sample
from statevec.roles.producer import Producer
from statevec.roles.standby_counters import StandbyState
from tests.roles.engine_harness import STATEVEC, EngineUnderTest, add

WAIT_SECONDS = 60.0
LIMITS = AlarmsConfig(repeat_after=Duration(10_000_000_000), disk_free=Size(0), shared_memory_free=Size(0))


def until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def command_into(path: Path) -> list[str]:
    """A command that appends its standard input to a file."""
    program = f"import sys; open({str(path)!r}, 'ab').write(sys.stdin.buffer.read())"
    return [sys.executable, "-S", "-c", program]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def watchers(pid: int) -> list[int]:
    """Those children of a process that watch for alarms."""
    return [child.pid for child in psutil.Process(pid).children() if MODULE in child.cmdline()]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    more = "".join(
        f'[[gateway]]\nname = "{name}"\nmessages = ["{message}"]\n'
        for name, message in (("notes", "Note"), ("totals", "Total"))
    )
    running = EngineUnderTest(tmp_path_factory.mktemp("alarms"), more=more)
    try:
        running.start()
        yield running
    finally:
        running.clean_up()


@pytest.fixture
def sample(engine: EngineUnderTest) -> Sample:
    with Looker(engine.instance, watch_log=0) as looker:
        return looker.look()


def names(found: list[Trouble]) -> list[str]:
    return [each.event for each in found]


def test_an_instance_that_is_well_has_no_trouble(sample: Sample) -> None:
    judge = AlarmJudge(LIMITS)
    assert judge.look(sample) == []
    assert judge.look(sample) == []


def test_each_trouble_is_found_in_a_sample(sample: Sample) -> None:
    assert sample.log is not None
    assert sample.leader is not None
    standby = StandbyState(77, 1, 8, (64 << 20) + 1, 0, 0.0)
    quarantined = {**sample.rings, "market": replace(sample.rings["market"], state="quarantined")}
    for event, changed in (
        ("leader_gone", replace(sample, state=GONE)),
        ("leader_silent", replace(sample, state=SILENT, log=replace(sample.log, heartbeat_age_ns=2_500_000_000))),
        ("halted", replace(sample, halted="fdatasync: EIO")),
        ("halted", replace(sample, log=replace(sample.log, halted=True))),
        ("ring_quarantined", replace(sample, rings=quarantined)),
        ("standby_behind", replace(sample, standbys=[standby])),
        ("disk_low", replace(sample, disk=replace(sample.disk, free=-1))),
        ("shared_memory_low", replace(sample, disk=replace(sample.disk, shared_memory_free=-1))),
    ):
        judge = AlarmJudge(LIMITS)
        judge.look(sample)
        assert names(judge.look(changed)) == [event]
        assert judge.look(changed) == [], "what lasts is found once"
        later = replace(changed, monotonic_ns=changed.monotonic_ns + LIMITS.repeat_after)
        assert names(judge.look(later)) == [event], "and again after a while"
        assert judge.look(replace(sample, standbys=changed.standbys, rings={"x": RingSeen()})) in (
            [],
            judge.look(sample),
        )


def test_what_happened_between_two_looks_is_found(sample: Sample) -> None:
    assert sample.leader is not None
    standby = StandbyState(77, 1, 8, 0, 0, 0.0)
    for event, before, after in (
        ("standby_lost", replace(sample, standbys=[standby]), sample),
        ("leader_changed", sample, replace(sample, leader=replace(sample.leader, pid=1, epoch=9))),
        ("inputs_faulted", sample, replace(sample, counters={**sample.counters, "faulted": 10**6})),
        ("engine_waits", sample, replace(sample, counters={**sample.counters, "full_turns": 10**6})),
    ):
        judge = AlarmJudge(LIMITS)
        judge.look(before)
        assert names(judge.look(after)) == [event]
        assert judge.look(after) == []
    judge = AlarmJudge(LIMITS)
    judge.look(replace(sample, standbys=[standby]))
    leads = replace(sample, leader=replace(sample.leader, pid=77, epoch=9))
    assert names(judge.look(leads)) == ["leader_changed"], "a standby that leads is not lost"


def test_a_gateway_is_stuck_when_an_output_of_its_own_waits(engine: EngineUnderTest) -> None:
    watch = GatewayWatch(engine.instance, after_ns=1, repeat_after_ns=1 << 62)

    def look() -> list[Trouble]:
        with Looker(engine.instance, watch_log=0) as looker:
            return watch.look(looker.look())

    def waits() -> list[str]:
        return [f"{each.event} {each.subject}" for each in look()]

    with Producer(engine.directory, "market") as producer:

        def send(announce: int, ttl_ns: int = 0) -> None:
            message = add(1, 1, announce=announce, ttl_ns=ttl_ns)
            producer.wait_released(producer.send(message, WAIT_SECONDS), WAIT_SECONDS)

        send(announce=1, ttl_ns=1)
        look()
        assert waits() == [], "what has expired waits for nobody"
        send(announce=1)
        assert waits() == ["gateway_stuck totals"], "a total is not for the gateway of notes"
        assert waits() == [], "it is told once"
        send(announce=2)
        stuck = look()
        assert [(each.event, each.values["gateway"]) for each in stuck] == [("gateway_stuck", "notes")]
        for name in ("notes", "totals"):
            with Gateway(engine.directory, name) as gateway:
                while (output := gateway.poll()) is not None:
                    last = output
                    gateway.acknowledge(output)
        assert last.sequence == stuck[0].values["sequence"]
        look()
        assert waits() == [], "all is acknowledged"


def test_the_hook_runs_once_for_an_alarm_and_says_once_that_it_failed(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    alarm = {"event": "ring_suspect", "level": "alarm", "ring": "market"}
    good = AlarmHook(AlarmsConfig(command=command_into(tmp_path / "said")), lambda *what: said.append(what))
    assert good.offer(alarm)
    assert not good.offer(alarm)
    assert not good.offer({**alarm, "level": "warning", "ring": "other"})
    assert good.offer({**alarm, "ring": "desk"})
    good.end()
    assert lines(tmp_path / "said") == [alarm, {**alarm, "ring": "desk"}]
    assert said == []
    again = AlarmHook(
        AlarmsConfig(command=command_into(tmp_path / "again"), repeat_after=Duration(1)), lambda *what: None
    )
    assert again.offer(alarm)
    assert again.offer(alarm), "it is told again when `repeat_after` has gone by"
    again.end()
    for command, why in (
        ([sys.executable, "-S", "-c", "import sys; sys.exit('no pager')"], "exit status 1: no pager"),
        (["/nowhere/page"], "No such file"),
        ([sys.executable, "-S", "-c", "import time; time.sleep(60)"], "took longer than 0.2 s and was killed"),
    ):
        said.clear()
        bad = AlarmHook(AlarmsConfig(command=command, timeout=Duration(200_000_000)), lambda *what: said.append(what))
        bad.offer(alarm)
        bad.offer({**alarm, "ring": "desk"})
        bad.end()
        assert len(said) == 1
        assert why in said[0][1]


def test_an_alarm_of_another_process_runs_the_command(engine: EngineUnderTest, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom statevec.engine.instance import open_instance\nfrom statevec.roles.events import Speaker\n"
        "Speaker('leader', open_instance(sys.argv[1])).report('ring_suspect', ring='market', reason='x')\n"
    )
    watch = AlarmWatch(engine.instance, AlarmsConfig(command=command_into(tmp_path / "said")))
    try:
        watch.turn()
        subprocess.run([sys.executable, "-c", program, str(engine.directory)], check=True, capture_output=True)
        watch.turn()
        watch.turn()
    finally:
        watch.close()
    assert [event["event"] for event in lines(tmp_path / "said")] == ["ring_suspect"]


def test_of_watchers_that_standbys_started_one_acts(engine: EngineUnderTest) -> None:
    limits = AlarmsConfig(disk_free=Size(1 << 62), repeat_after=Duration(0))
    first = AlarmWatch(engine.instance, limits, exclusive=True)
    second = AlarmWatch(engine.instance, limits, exclusive=True)
    assert (first.turn(), second.turn()) == (1, 0)
    first.close()
    assert second.turn() == 1
    second.close()


def test_the_command_watches_from_outside(engine: EngineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["alarms", "--instance", str(engine.directory), "--once"]
    assert run_command(words) == 0
    assert run_command([*words, "--run", "'"]) == 2
    assert run_command([*words, "--run", ""]) == 2
    capsys.readouterr()
    configuration = engine.directory.parent / "low.toml"
    configuration.write_text(f"{engine.configuration.read_text()}\n[alarms]\ndisk_free = {1 << 62}\n")
    assert run_command([*words, "--config", str(configuration)]) == 1
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["watching", "disk_low"]


def test_a_standbys_watcher_outlives_the_takeover_and_tells_of_the_death_of_the_leader(
    tmp_path: Path, make_engine: Callable[..., EngineUnderTest]
) -> None:
    """Rule 13: the leader has no child but the one that it started as a standby; that one runs the command."""
    said = tmp_path / "said"
    engine = make_engine(more=f"[alarms]\ncommand = {json.dumps(command_into(said))}\n")
    engine.start()
    assert engine.process is not None
    assert not watchers(engine.process.pid), "who leads from the start has none"
    standby = engine.stand_by()
    watcher = standby.wait_for("watching")["pid"]
    first = engine.process
    engine.kill()
    engine.succeed(standby)
    assert engine.process is not first
    until(lambda: any(event["event"] == "leader_changed" for event in standby.events()))
    assert watchers(standby.process.pid) == [watcher]
    os.kill(standby.process.pid, signal.SIGKILL)
    standby.process.wait()
    until(lambda: "leader_gone" in [event["event"] for event in lines(said)])
    until(lambda: not psutil.pid_exists(watcher))
    gone = lines(said)[-1]
    assert (gone["event"], gone["role"], gone["pid"]) == ("leader_gone", "watch", watcher)


def test_a_watcher_ends_with_a_standby_that_is_told_to_stop(engine: EngineUnderTest, tmp_path: Path) -> None:
    config = load_config(engine.configuration)
    limits = AlarmsConfig(command=command_into(tmp_path / "said"), disk_free=Size(0), shared_memory_free=Size(0))
    watcher = AlarmProcess(msgspec.structs.replace(config, alarms=limits))
    turn = engine.instance.directory / DIRECTORY / TURN_FILE
    until(lambda: turn.exists() and FlockHolders().of(turn.stat()) == watcher.pid)
    watcher.end()
    assert watcher.wait(WAIT_SECONDS) == 0
    assert not (tmp_path / "said").exists()


def test_the_command_ends_on_a_signal(engine: EngineUnderTest) -> None:
    process = subprocess.Popen([*STATEVEC, "alarms", "--instance", str(engine.directory)], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "watching"
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
