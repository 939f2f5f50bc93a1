"""Cutovers of a running engine: ordered, refused, carried out at a sequence, killed around, followed by a restart.

Each test has an engine of its own on the tally plugin; one later version adds twice the amount, another has another
record.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from statevec.audit.verify import verify_instance
from statevec.engine.store import PluginStore
from statevec.ipc.faults import COMMITTED
from statevec.journal.admin_layout import BY_OPERATOR, BY_PROBATION, CUT_OVER, REFUSED, AdminCommand, Cutover
from statevec.journal.entry_layout import ADMIN, COMMAND, CUTOVER, LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.roles.producer import Producer
from statevec.roles.shadow_report import ShadowReport, write_report
from tests.roles.engine_harness import PLUGIN, STATEVEC, EngineUnderTest, add

TWICE = ("account.total = account.total + message.amount", "account.total = account.total + 2 * message.amount")
FAULTS_AT_7 = (
    "    if message.amount < 0:",
    "    if message.amount == 7:\n        tx.accounts.delete(4_000_000)\n    if message.amount < 0:",
)
ANOTHER_RECORD = ("    total: i64\n", "    total: i64\n    updates: i64\n")


def make_version(folder: Path, number: str, *changes: tuple[str, str]) -> Path:
    """A copy of the tally plugin as version `number`, its source changed."""
    target = folder / f"tally-{number}"
    shutil.copytree(PLUGIN, target, ignore=shutil.ignore_patterns("__pycache__"))
    source = (target / "tally.py").read_text()
    for before, after in (('version="1.0.0"', f'version="{number}"'), *changes):
        assert before in source
        source = source.replace(before, after)
    (target / "tally.py").write_text(source)
    return target


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineUnderTest]:
    made = EngineUnderTest(tmp_path, more="[cutover]\nmin_compared = 3")
    try:
        made.start()
        yield made
    finally:
        made.clean_up()


def command(engine: EngineUnderTest, *words: str) -> subprocess.CompletedProcess[str]:
    arguments = [*STATEVEC, *words, "--instance", str(engine.directory)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)


def stored(engine: EngineUnderTest, path: Path) -> str:
    """Add a version to the engine's store; its content hash."""
    return PluginStore(engine.directory).add(path).content_hash


def force(engine: EngineUnderTest, spec: str, *more: str) -> None:
    done = command(engine, "cutover", spec, "--force", "--why", "test", *(more or ("--next",)))
    assert done.returncode == 0, done.stderr


def send(engine: EngineUnderTest, count: int) -> None:
    with Producer(engine.directory, "market") as producer:
        for _ in range(count):
            sequence = producer.send(add(1, 5), 30)
        producer.wait_appended(sequence, 30)


def totals(entries: list[Entry]) -> list[int]:
    """The account's total after each command, from the deltas."""
    found = []
    for entry in entries:
        if entry.kind == COMMAND:
            image = entry.changes()[0].image
            found.append(int.from_bytes(image[8:16], "little"))
    return found


def test_versions_decide_from_their_cutovers_on_forwards_and_back(engine: EngineUnderTest, tmp_path: Path) -> None:
    stored(engine, make_version(tmp_path, "1.1.0", TWICE))
    send(engine, 2)
    force(engine, "tally@1.1.0")
    send(engine, 2)
    back = command(engine, "rollback", "--why", "again")
    assert back.returncode == 0, back.stderr
    send(engine, 1)
    assert engine.stop() == 0
    assert totals(engine.entries()) == [5, 10, 20, 30, 35]
    assert [entry.logic_version for entry in engine.entries() if entry.kind == COMMAND] == [1, 1, 2, 2, 1]
    for tier in ("compiled", "interpreted"):
        assert verify_instance(engine.directory, tier).verified


def test_a_cutover_has_the_sequence_that_was_asked_for_and_a_second_order_waits_for_it(
    engine: EngineUnderTest, tmp_path: Path
) -> None:
    stored(engine, make_version(tmp_path, "1.1.0", TWICE))
    send(engine, 1)
    at = engine.entries_so_far()[-1].sequence + 5
    words = ("cutover", "tally@1.1.0", "--at", str(at), "--force", "--why", "planned")
    waiting = subprocess.Popen([*STATEVEC, *words, "--instance", str(engine.directory)], stdout=subprocess.DEVNULL)
    try:
        while not any(entry.kind == ADMIN for entry in engine.entries_so_far()):
            time.sleep(0.01)
        second = command(engine, "rollback")
        assert second.returncode == 1
        assert "another cutover is pending" in second.stderr
        send(engine, 8)
        assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.wait()
    [cutover] = [entry for entry in engine.entries_so_far() if entry.kind == CUTOVER]
    assert cutover.sequence == at
    assert engine.stop() == 0
    assert verify_instance(engine.directory).verified


def test_a_changed_record_is_migrated_at_the_boundary_and_the_store_alone_is_enough_afterwards(
    engine: EngineUnderTest, tmp_path: Path
) -> None:
    version = make_version(tmp_path, "2.0.0", ANOTHER_RECORD)
    stored(engine, version)
    send(engine, 2)
    force(engine, "tally@2.0.0")
    send(engine, 2)
    shutil.rmtree(version)
    engine.kill()
    engine.start()
    send(engine, 1)
    assert engine.stop() == 0
    entries = engine.entries()
    assert totals(entries) == [5, 10, 15, 20, 25]
    assert [entry.logic_version for entry in entries if entry.kind == LEADERSHIP] == [1, 2]
    assert any(event["event"] == "configured_plugin_waits" for event in engine.events())
    for tier in ("compiled", "interpreted"):
        assert verify_instance(engine.directory, tier).verified


def test_an_order_that_a_killed_leader_accepted_is_carried_out_by_the_next(
    engine: EngineUnderTest, tmp_path: Path
) -> None:
    content_hash = stored(engine, make_version(tmp_path, "1.1.0", TWICE))
    send(engine, 1)
    at = engine.entries_so_far()[-1].sequence + 20
    order = AdminCommand(CUT_OVER, at, True, content_hash, "test", "planned")
    with Producer(engine.directory, "admin") as producer:
        producer.wait_appended(producer.send(order.encode(), 30), 30)
    engine.kill()
    engine.start()
    send(engine, 30)
    assert engine.stop() == 0
    [cutover] = [entry for entry in engine.entries() if entry.kind == CUTOVER]
    assert (cutover.sequence, cutover.outcome) == (at, COMMITTED)
    assert len([entry for entry in engine.entries() if entry.kind == ADMIN]) == 1
    assert verify_instance(engine.directory).verified


def shadow_report(engine: EngineUnderTest, content_hash: str, **facts: object) -> None:
    """What a shadow of the candidate would have left."""
    [decider] = [each for each in PluginStore(engine.directory).versions() if each.version == "1.0.0"]
    usual = {
        "candidate_hash": content_hash,
        "candidate_name": "tally",
        "candidate_version": "1.1.0",
        "decider_hash": decider.content_hash,
        "decider_name": "tally",
        "decider_version": "1.0.0",
        "instance": "",
        "mode": "lockstep",
        "from_sequence": 1,
        "to_sequence": 10,
        "compared": 10,
        "same": 10,
        "expected": 0,
        "unexpected": 0,
        "caught_up": True,
        "finished": False,
        "migration": "",
        "rollback_possible": True,
        "updated_ns": time.time_ns(),
        "seconds": 1.0,
        "behind_bytes": 0,
        "times": {},
    }
    write_report(engine.instance, msgspec.convert({**usual, **facts}, ShadowReport))


def test_without_a_shadows_consent_a_cutover_is_refused_with_reason_and_figures(
    engine: EngineUnderTest, tmp_path: Path
) -> None:
    content_hash = stored(engine, make_version(tmp_path, "1.1.0", TWICE))
    send(engine, 1)

    def refusal(**facts: object) -> str:
        if facts:
            shadow_report(engine, content_hash, **facts)
        done = command(engine, "cutover", "tally@1.1.0", "--next")
        assert done.returncode == 1
        return done.stderr

    assert "no shadow of it ever ran" in refusal()
    assert "7 unexpected in 10 entries" in refusal(unexpected=7)
    assert "compared 2 entries, at least 3" in refusal(compared=2)
    assert "is 99 bytes behind" in refusal(caught_up=False, behind_bytes=99)
    assert "could not take the state back: no" in refusal(rollback_possible=False, rollback_problem="no")
    assert "would fail: too narrow" in refusal(migration_problem="too narrow")
    assert "but tally@1.0.0 decides" in refusal(decider_hash="ab" * 16)
    assert "s old, at most" in refusal(updated_ns=1)
    shadow_report(engine, content_hash)
    accepted = command(engine, "cutover", "tally@1.1.0", "--next")
    assert accepted.returncode == 0, accepted.stderr
    assert "decides already" in command(engine, "cutover", "tally@1.1.0", "--next", "--force", "--why", "x").stderr
    refused = [entry for entry in engine.entries_so_far() if entry.kind == ADMIN and entry.outcome == REFUSED]
    assert len(refused) == 9


def test_wrong_orders_are_refused_and_nothing_stops(engine: EngineUnderTest, tmp_path: Path) -> None:
    send(engine, 3)
    assert "nothing to roll back to" in command(engine, "rollback").stderr
    assert "never added" in command(engine, "cutover", "tally@9.9.9", "--next").stderr
    content_hash = stored(engine, make_version(tmp_path, "1.1.0", TWICE))
    gone = command(engine, "cutover", "tally@1.1.0", "--at", "3", "--force", "--why", "late")
    assert "sequence 3 has gone by" in gone.stderr
    (PluginStore(engine.directory).version(content_hash).directory / "tally.py").write_text("broken")
    damaged = command(engine, "cutover", "tally@1.1.0", "--next", "--force", "--why", "damaged")
    assert damaged.returncode == 1
    assert "damaged" in damaged.stderr
    with Producer(engine.directory, "admin") as producer:
        producer.wait_appended(producer.send(b"nonsense", 30), 30)
    send(engine, 1)
    assert engine.stop() == 0
    assert totals(engine.entries()) == [5, 10, 15, 20]
    assert verify_instance(engine.directory).verified


@pytest.mark.parametrize("changes", [(), (ANOTHER_RECORD,)], ids=["same record", "another record"])
def test_a_version_that_faults_on_probation_is_left_by_itself(
    engine: EngineUnderTest, tmp_path: Path, changes: tuple[tuple[str, str], ...]
) -> None:
    stored(engine, make_version(tmp_path, "1.1.0", TWICE, FAULTS_AT_7, *changes))
    send(engine, 1)
    force(engine, "tally@1.1.0")
    with Producer(engine.directory, "market") as producer:
        for amount in (5, 7, 5, 7):
            sequence = producer.send(add(1, amount), 30)
        producer.wait_appended(sequence, 30)
    engine.kill()
    engine.start()
    send(engine, 1)
    assert engine.stop() == 0
    entries = engine.entries()
    commands = [entry for entry in entries if entry.kind == COMMAND]
    assert [entry.logic_version for entry in commands] == [1, 2, 2, 1, 1, 1]
    assert totals([entry for entry in commands if entry.outcome == COMMITTED]) == [5, 15, 20, 27, 32]
    causes = [Cutover.decode(entry.input).cause for entry in entries if entry.kind == CUTOVER]
    assert causes == [BY_OPERATOR, BY_PROBATION]
    for tier in ("compiled", "interpreted"):
        assert verify_instance(engine.directory, tier).verified
