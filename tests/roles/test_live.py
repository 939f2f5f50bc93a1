"""`look`: what a sample says of an engine, compared with its journal and counters, and of one that is gone."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.engine.instance import LEADER_FILE
from statevec.ipc import ring_layout
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.ring import attach_ring
from statevec.ipc.ring_repair import records_region
from statevec.ipc.segment import Segment
from statevec.journal.entry_layout import COMMAND
from statevec.roles.gateway import Gateway
from statevec.roles.live import Looker, look
from statevec.roles.live_rates import rate
from statevec.roles.live_reasons import Reasons
from statevec.roles.live_sample import GONE, LEADS, SILENT, UNKNOWN, Sample
from statevec.roles.producer import Producer
from tests.roles.engine_harness import EngineUnderTest, add

WAIT_SECONDS = 60.0
INPUTS = 3_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    more = '[[gateway]]\nname = "notes"\nmessages = ["Note"]\n[[ring]]\nname = "cut"\ncapacity = "64KiB"\n'
    running = EngineUnderTest(tmp_path_factory.mktemp("live"), more=more)
    try:
        running.start()
        yield running
    finally:
        running.clean_up()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_sample_says_what_journal_and_counters_say(engine: EngineUnderTest) -> None:
    with Looker(engine.instance) as looker, Producer(engine.directory, "market") as producer:
        before = looker.look()
        for number in range(INPUTS):
            producer.send(add(number % 7, -1 if number % 10 == 0 else 1, announce=number % 3), WAIT_SECONDS)
        producer.wait_released(producer.sequence, WAIT_SECONDS)
        with Gateway(engine.directory, "notes") as gateway:
            output = gateway.poll()
            assert output is not None
            gateway.acknowledge(output)
            until(lambda: looker.look().counters["rejected"] == INPUTS // 10)
            after = looker.look()
            assert after.gateways["notes"].pid == os.getpid()
            cursor = gateway.cursor
    entries = engine.entries_so_far()
    assert after.log is not None
    assert (after.state, after.last_sequence, after.decides) == (LEADS, len(entries), "tally@1.0.0")
    assert after.log.appended == entries[-1].position + entries[-1].length
    assert after.counters["committed"] + after.counters["rejected"] == len(entries)
    commands = [entry for entry in entries if entry.kind == COMMAND]
    assert after.observed.outcomes == Counter(entry.outcome for entry in commands)
    assert (after.observed.entries, after.observed.unseen) == (len(entries), 0)
    late = [entry.timestamp_ns - entry.sent_ns for entry in commands]
    assert after.observed.latency.count == INPUTS
    assert after.observed.latency.sum == sum(max(each, 0) for each in late)
    ring = after.rings["market"]
    assert (ring.producer, ring.appended, ring.used, ring.state) == (os.getpid(), INPUTS, 0, "open")
    assert after.rings["desk"].producer == 0
    seen = after.gateways["notes"]
    assert (seen.position, seen.sequence) == (cursor.position, cursor.sequence)
    assert seen.behind_entries == len(entries) - cursor.sequence
    rates = rate(before, after)
    assert rates.entries * rates.seconds == pytest.approx(after.last_sequence - before.last_sequence)
    assert rates.messages["market"] * rates.seconds == pytest.approx(INPUTS)
    assert rates.observed.outcomes == {0: INPUTS * 9 // 10, 1: INPUTS // 10}
    assert Reasons(engine.instance).line(after.content_hash, 1) == "REJECTED(1): an amount is not negative"


def test_entries_behind_a_position_are_counted_from_the_log(engine: EngineUnderTest) -> None:
    sample = look(engine.instance)
    assert sample.log is not None
    assert sample.log.unreleased_entries == 0
    until(lambda: (log := look(engine.instance).log) is not None and log.unkept_entries == 0)


def test_what_a_ring_claims_is_bounded(engine: EngineUnderTest) -> None:
    with Looker(engine.instance) as looker, attach_ring("desk", engine.instance.instance_id) as segment:
        assert looker.look().rings["desk"].problem == ""
        place = segment.capacity + ring_layout.TAIL
        tail = load_acquire(records_region(segment), place)
        store_release(records_region(segment), place, tail + (1 << 60))
        ring = looker.look().rings["desk"]
        assert (ring.used, ring.fill) == (segment.capacity, 1.0)
        assert ring.problem.startswith("head and tail cannot be: head=")
        until(lambda: looker.look().rings["desk"].state == "quarantined")


def test_a_ring_whose_file_is_cut_while_it_is_looked_at_is_a_problem(
    engine: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Looker(engine.instance) as looker:
        assert looker.look().rings["cut"].problem == ""
        with monkeypatch.context() as between:  # cut after it was checked, before it is read
            between.setattr(Segment, "verify", lambda segment: None)
            os.truncate(Path("/dev/shm") / engine.instance.segment_name("ring-cut")[1:], 4096)
            assert looker.look().rings["cut"].used == 0
        assert "ring-cut" in looker.look().rings["cut"].problem
        assert looker.look().state == LEADS


def test_damaged_files_are_said_and_the_rest_is_shown(engine: EngineUnderTest) -> None:
    directory = engine.instance.directory
    (directory / "gateways" / "torn").mkdir()
    (directory / "gateways" / "torn" / "cursor").write_text("{")
    (directory / "shadows").mkdir(exist_ok=True)
    (directory / "shadows" / "0123.json").write_bytes(b"\xff{")
    (directory / "snapshots").mkdir(exist_ok=True)
    (directory / "snapshots" / f"{7:020}.snapshot").write_bytes(b"short")
    sample = look(engine.instance)
    assert "is damaged" in sample.gateways["torn"].problem
    assert sample.shadows == {}
    assert sample.snapshots[7].problem
    assert sample.state == LEADS
    json.dumps(sample.to_dict())


def test_top_once_prints_the_same_names_each_time(engine: EngineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    with Producer(engine.directory, "market") as producer:
        producer.wait_released(producer.send(add(1, -1), WAIT_SECONDS), WAIT_SECONDS)
    words = ["top", "--instance", str(engine.directory), "--once", "--interval", "0.01"]
    assert run_command([*words, "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    fields = set(Sample.__annotations__)
    assert set(shown) == fields - {"observed"} | {"entries_seen", "latency_ns", "rates"}
    assert shown["state"] == LEADS
    assert set(shown["latency_ns"]) == {"count", "mean", "p50", "p90", "p99", "p999", "max"}
    assert {"seconds", "entries", "bytes", "messages", "entries_seen", "latency_ns"} == set(shown["rates"])
    assert run_command(words) == 0
    table = capsys.readouterr().out
    assert table.startswith("LEADS   pid ")
    assert "REJECTED(1): an amount is not negative" in table
    assert "\x1b" not in table
    assert run_command(["top", "--instance", str(engine.directory), "--format", "json"]) == 2


def test_latency_is_drawn_of_what_comes_meanwhile(
    engine: EngineUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plot", "latency", "--instance", str(engine.directory), "--out", str(tmp_path / "now.png")]
    assert run_command([*words, "--live", "0.1"]) == 1
    assert "no input came within 0.1 s: state=leads" in capsys.readouterr().err
    stop = threading.Event()

    def send() -> None:
        with Producer(engine.directory, "market") as producer:
            while not stop.is_set():
                producer.send(add(1, 1), WAIT_SECONDS)
                time.sleep(0.001)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        assert run_command([*words, "--live", "0.3", "--format", "json"]) == 0
    finally:
        stop.set()
        sending.join()
    figures = json.loads(capsys.readouterr().out)["latency"]
    assert int(figures["inputs"].replace(",", "")) > 0
    assert figures["entries looked at"] == "100%"
    assert (tmp_path / "now.png").stat().st_size > 1_000


def test_a_leader_that_dies_is_gone_and_its_successor_is_seen(make_engine: Callable[..., EngineUnderTest]) -> None:
    engine = make_engine()
    engine.start()
    with Looker(engine.instance) as looker:
        led = looker.look()
        assert led.state == LEADS
        engine.kill()
        until(lambda: looker.look().state == GONE)
        written = (engine.directory / LEADER_FILE).read_bytes()
        elsewhere = {**json.loads(written), "host": "elsewhere"}
        (engine.directory / LEADER_FILE).write_text(json.dumps(elsewhere))
        assert looker.look().state == SILENT, "its log is here: a container of this host"
        assert run_command(["clean", "--instance", str(engine.directory), "--discard"]) == 0
        assert looker.look().state == UNKNOWN
        (engine.directory / LEADER_FILE).write_bytes(written)
        without = looker.look()
        assert (without.log, without.counters) == (None, {})
        assert any("no such segment" in problem for problem in without.problems)
        engine.start()
        until(lambda: looker.look().state == LEADS)
        again = looker.look()
        assert again.leader is not None
        assert again.leader.epoch == 2
        assert again.last_sequence > led.last_sequence
        assert rate(without, again).entries == rate(led, again).entries == 0, "another log cannot be compared"
