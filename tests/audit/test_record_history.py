"""The history of a record is what every delta says about its key, newest first, with and without snapshots."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from statevec.audit.record_history import RecordHistory, UnknownRecordError
from statevec.cli.main import run_command
from statevec.ipc.kernel import plain
from statevec.journal.column_layout import CHANGES
from statevec.journal.entry_layout import COMMAND
from statevec.journal.reader import JournalReader
from statevec.journal.search import Needle, Needles, Search
from statevec.journal.search_kernels import search
from statevec.journal.segments import list_segments
from statevec.roles.retention import take_away
from statevec.roles.snapshot import capture, write_snapshot
from tests.audit.decoded_history import DecodedHistory
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import RecordedHistory, desk_history, followed, hedge_history

KEYS_COMPARED = 3
HISTORIES = {"desk": (desk_history, "positions"), "hedge": (hedge_history, "orders")}


@pytest.fixture
def seed() -> int:
    made = random.randrange(1 << 30)
    print(f"seed={made}")
    return made


def expected(oracle: DecodedHistory, table: str) -> dict[int, list[dict[str, Any]]]:
    """The changes of each key, newest first."""
    found: dict[int, list[dict[str, Any]]] = {}
    key = oracle.key_of(oracle.entries[-1], table)
    for change in oracle.changes(table):
        found.setdefault(change["fields"][key], []).insert(0, change)
    return found


def compare(recorded: RecordedInstance, table: str, changes: dict[int, list[dict[str, Any]]]) -> None:
    for key, wanted in list(changes.items())[:KEYS_COMPARED]:
        found = RecordHistory(recorded.instance, table, key).find(1_000)
        for name in ("operation", "version", "row", "fields"):
            assert [getattr(each, name) for each in found.versions] == [each[name] for each in wanted], (key, name)
        assert [each.entry.sequence for each in found.versions] == [each["sequence"] for each in wanted]
        assert found.ended == "no record of that key was there before"
        for newer, older, version in zip(wanted, wanted[1:], found.versions, strict=False):
            if newer["operation"] == "updated":
                before, after = older["fields"], newer["fields"]
                names = [name for name in after if before.get(name) != after[name]]
                assert version.changed == {name: (before.get(name), after[name]) for name in names}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_has_every_change_of_the_key(tmp_path: Path, seed: int, name: str) -> None:
    """A cutover in which fields are added, records that end, records inserted again: all in these histories."""
    make, table = HISTORIES[name]
    recorded = make(tmp_path, seed)
    changes = expected(DecodedHistory(recorded.instance), table)
    assert changes
    compare(recorded, table, changes)
    for sequence in (recorded.execution.sequence // 2, recorded.execution.sequence):
        write_snapshot(recorded.instance, capture(followed(recorded, sequence)), lambda: True)
        compare(recorded, table, changes)


def test_a_record_of_the_same_key_that_was_deleted_comes_before_the_insertion(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    changes = expected(DecodedHistory(recorded.instance), "engine_timers")
    assert any([each["operation"] for each in found].count("inserted") > 1 for found in changes.values())
    compare(recorded, "engine_timers", changes)


def test_a_limit_shows_the_newest(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    for key, wanted in expected(DecodedHistory(recorded.instance), "positions").items():
        found = RecordHistory(recorded.instance, "positions", key).find(2)
        assert [each.entry.sequence for each in found.versions] == [each["sequence"] for each in wanted[:2]]
        assert (found.ended == "") == (len(wanted) > 2)


def test_a_table_or_key_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, seed: int) -> None:
    instance = desk_history(tmp_path, seed).instance
    with pytest.raises(UnknownRecordError, match=r"no table 'orders'; there are: .*positions"):
        RecordHistory(instance, "orders", 1).find()
    for key in (999, 1 << 40, -1):
        with pytest.raises(UnknownRecordError, match=f"no record of that key was ever changed here: .*key={key};"):
            RecordHistory(instance, "positions", key).find()


def test_what_was_taken_away_is_said_and_found_in_cold_segments(tmp_path: Path) -> None:
    recorded = RecordedHistory(tmp_path / "instance")
    recorded.quote(1, 100)
    recorded.quote(1, 101)
    while len(recorded.content) < 3 << 20:
        recorded.append(COMMAND, bytes(16_000), source=1)
    recorded.quote(1, 102)
    recorded.write()
    last = recorded.execution.sequence
    write_snapshot(recorded.instance, capture(followed(recorded, last)), lambda: True)
    first = list_segments(recorded.instance.journal_directory)[0]
    take_away(recorded.instance, [first], tmp_path / "cold")
    found = RecordHistory(recorded.instance, "positions", 1).find()
    assert [each.entry.sequence for each in found.versions] == [last]
    assert "in segments that were taken away: sequence=3" in found.ended
    assert not found.versions[0].before_known
    whole = RecordHistory(recorded.instance, "positions", 1, tmp_path / "cold").find()
    assert [each.entry.sequence for each in whole.versions] == [last, 3, 2]


def damaged(tmp_path: Path) -> tuple[RecordedHistory, list[int]]:
    """A history of position 1 over three units, and the sequences of its quotes: the last two are in one unit."""
    recorded = RecordedHistory(tmp_path / "instance")
    sequences = []
    for price in (100, 101, 102, 103):
        recorded.quote(1, price)
        sequences.append(recorded.execution.sequence)
        unit = len(recorded.content) >> 20
        while price < 102 and len(recorded.content) >> 20 == unit:
            recorded.append(COMMAND, bytes(16_000), source=1)
    for _ in range(3):
        recorded.append(COMMAND, bytes(64), source=1)  # so all quotes were seen durable
    recorded.write()
    return recorded, sequences


def flip(recorded: RecordedInstance, sequence: int, offset: int) -> int:
    """Flip a bit at an offset of an entry; gives its position."""
    reader = JournalReader(recorded.instance.journal_directory)
    position = reader.find(sequence)
    segment = reader.segment_at(position)
    assert segment is not None
    with open(segment.path, "r+b") as file:
        file.seek(position - segment.first + offset)
        byte = file.read(1)[0]
        file.seek(position - segment.first + offset)
        file.write(bytes([byte ^ 1]))
    return position


@pytest.mark.parametrize("offset", [0, 100], ids=["in the frame", "behind the frame"])
@pytest.mark.parametrize("quote", [0, 1, 2, 3])
def test_damage_is_said_where_it_hides_versions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], quote: int, offset: int
) -> None:
    recorded, sequences = damaged(tmp_path)
    position = flip(recorded, sequences[quote], offset)
    capfd.readouterr()
    for form in ("table", "json"):
        arguments = ["history", "positions", "1", "--instance", str(recorded.instance.directory), "--format", form]
        assert run_command(arguments) == 1
        said = capfd.readouterr().err
        assert f"position={position} sequence={sequences[quote]}" in said, said


def test_why_says_damage_that_may_hide_what_came_later(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorded, sequences = damaged(tmp_path)
    position = flip(recorded, sequences[2], 100)
    capfd.readouterr()
    assert run_command(["why", f"1:{sequences[1]}:0", "--instance", str(recorded.instance.directory)]) == 1
    assert f"position={position} sequence={sequences[2]}" in capfd.readouterr().err


@pytest.mark.parametrize("number", [1 << 63, 1 << 64, 1 << 200])
def test_a_sequence_beyond_63_bits_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int) -> None:
    recorded = RecordedHistory(tmp_path / "instance")
    recorded.write()
    at = ["--instance", str(recorded.instance.directory)]
    for command in (
        ["explain", f"{number}", *at],
        ["state", "--at", f"{number}", *at],
        ["diff", f"{number}", "1", *at],
        ["diff", "1", f"{number}", *at],
        ["what-if", f"{number}", *at],
        ["why", f"1:{number}:0", *at],
        ["journal", "--from", f"{number}", *at],
        ["journal", "--to", f"{number}", *at],
        ["plot", "lag", "--around", f"{number}", *at],
        ["plot", "latency", "--from", f"{number}", *at],
        ["backtest", "desk.py", "--to", f"{number}"],
    ):
        capfd.readouterr()
        assert run_command(command) in (1, 2), command
        assert "9223372036854775807" in capfd.readouterr().err, command


def test_a_segment_that_was_cut_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorded, _ = damaged(tmp_path)
    segment = list_segments(recorded.instance.journal_directory)[0].path
    with open(segment, "r+b") as file:
        file.truncate(segment.stat().st_size - 4096)
    at = ["--instance", str(recorded.instance.directory)]
    for command in (
        ["history", "positions", "1"],
        ["why", "1:3:0"],
        ["why", "7"],
        ["explain", "3"],
        ["state"],
        ["state", "--at", "3"],
        ["diff", "1", "3"],
        ["journal"],
        ["journal", "--from", "2"],
        ["journal", "--last", "2"],
    ):
        capfd.readouterr()
        assert run_command([*command, *at]) == 1, command
        assert "segment was cut: size=" in capfd.readouterr().err, command


def test_the_command_says_what_changed_and_because_of_what(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded = desk_history(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    changes = expected(oracle, "positions")
    messages = {each["sequence"]: (each["input"] or {}).get("message") for each in oracle.decoded}
    key = next(iter(changes))
    at = ["--instance", str(recorded.instance.directory)]
    capfd.readouterr()  # what making the history said
    assert run_command(["history", "positions", str(key), *at, "--format", "json"]) == 0
    said = msgspec.json.decode(capfd.readouterr().out)
    assert said["versions"][0]["sequence"] == changes[key][0]["sequence"]
    causes = [(each["sequence"], each["input"]["message"]) for each in said["versions"]]
    assert causes == [(sequence, messages[sequence]) for sequence, _ in causes]
    assert run_command(["history", "positions", str(key), *at, "--limit", "1"]) == 0
    text = capfd.readouterr().out
    assert "decided by  desk@" in text
    assert f"statevec explain {changes[key][0]['sequence']}" in text
    assert run_command(["history", "positions", "none", *at]) == 2
    assert "a key is a number" in capfd.readouterr().err


def test_the_plain_kernel_finds_the_same(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = desk_history(tmp_path, seed)
    reader = JournalReader(recorded.instance.journal_directory)
    needles = Needles(recorded.plugin.schema, [Needle(CHANGES, 4, 0, (3).to_bytes(4, "little"))])
    finds = Search(reader, lambda version: needles).forward(0)
    assert finds[0]
    monkeypatch.setattr("statevec.journal.search.search", plain(search))
    assert Search(reader, lambda version: needles).forward(0) == finds
    assert Search(reader, lambda version: needles, room=1).forward(0) == (finds[0][:1], False)
