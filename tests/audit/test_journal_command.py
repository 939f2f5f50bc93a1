"""`statevec journal` and `statevec verify` as a user calls them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from statevec.cli.journal import journal, verify
from statevec.journal import entry_layout as layout
from tests.audit.recorded_instance import RecordedInstance


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    made = RecordedInstance(tmp_path_factory.mktemp("audit") / "instance")
    made.transfer(7, "IN", 100)
    made.transfer(7, "OUT", 500)
    made.timer(7)
    made.append(layout.COMMAND, b"nonsense", source=1)
    made.transfer(8, "IN", 5)
    made.write()
    return made


def run(command, recorded, *arguments, status=0):
    result = CliRunner().invoke(command, ["--instance", str(recorded.instance.directory), *arguments])
    assert result.exit_code == status, result.output
    return result.stdout


def listed(recorded, *arguments):
    return [json.loads(line) for line in run(journal, recorded, "--format", "json", *arguments).splitlines()]


def test_journal_prints_inputs_outputs_and_changes_decoded(recorded):
    lines = listed(recorded)
    assert [each["kind"] for each in lines] == ["leadership", "command", "command", "timer", "command", "command"]
    leadership, transfer, rejected, timer, nonsense, _ = lines
    assert leadership["input"]["fields"]["plugin_name"] == "ledger"
    assert transfer["input"] == {
        "message": "Transfer",
        "fields": {"account": 7, "direction": "IN", "amount": 100},
    }
    assert transfer["outputs"] == [
        {"index": 0, "expires_ns": 0, "message": "Receipt", "fields": {"account": 7, "balance": 100}}
    ]
    by_table = {each["table"]: each for each in transfer["changes"]}
    assert by_table["accounts"]["operation"] == "inserted"
    assert by_table["accounts"]["fields"] == {"account": 7, "direction": "IN", "balance": 100}
    assert by_table["engine_timers"]["fields"]["timer_id"] == 7
    assert (rejected["outcome"], rejected["changes"], rejected["outputs"]) == ("REJECTED(1)", [], [])
    assert rejected["rejection"] == "the account does not hold that much"
    assert timer["input"]["message"] == "TimerFired"
    assert (nonsense["outcome_code"] < 0, nonsense["input"]["bytes"]) == (True, b"nonsense".hex())
    assert nonsense["fault"] == "The header names another schema."


@pytest.mark.parametrize(
    ("arguments", "sequences"),
    [
        (["--from", "3"], [3, 4, 5, 6]),
        (["--to", "2"], [1, 2]),
        (["--from", "2", "--to", "3"], [2, 3]),
        (["--last", "2"], [5, 6]),
        (["--last", "100"], [1, 2, 3, 4, 5, 6]),
        (["--kind", "command"], [2, 3, 5, 6]),
        (["--from", "7"], []),
    ],
)
def test_journal_selects_entries(recorded, arguments, sequences):
    assert [each["sequence"] for each in listed(recorded, *arguments)] == sequences


def test_the_table_shows_what_happened_in_words(recorded):
    text = run(journal, recorded)
    assert "Transfer account=7 direction=IN amount=100" in text
    assert "Receipt account=7 balance=100" in text
    assert "because   the account does not hold that much" in text
    assert "because   The header names another schema." in text
    assert "2023-11-14T22:13:20.000000002" in text


def test_journal_refuses_options_that_contradict(recorded):
    run(journal, recorded, "--last", "1", "--from", "2", status=2)


@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_verify_prints_the_digest_and_that_it_is_right(recorded, tier):
    found = json.loads(run(verify, recorded, "--tier", tier, "--format", "json"))
    assert (found["verified"], found["entries"], found["tier"]) == (True, 6, tier)
    assert found["digest"] == f"{recorded.execution.digest & (1 << 64) - 1:016x}"
    assert found["digest"] in run(verify, recorded)


def test_verify_fails_with_status_1_where_the_journal_is_damaged(tmp_path):
    made = RecordedInstance(tmp_path / "instance")
    for _ in range(6):
        made.transfer(1, "IN", 1)
    made.write()
    made.overwrite(made.positions[2] + layout.INPUT, b"\xff\xff")
    found = json.loads(run(verify, made, "--format", "json", status=1))
    assert (found["verified"], found["damage"]["sequence"]) == (False, 3)
    assert "damaged" in run(verify, made, status=1)


def test_verify_fails_with_status_1_where_execution_differs(tmp_path):
    made = RecordedInstance(tmp_path / "instance")
    made.transfer(1, "IN", 1)
    made.forge(2, layout.OUTCOME, (5).to_bytes(4, "little"))
    text = run(verify, made, status=1)
    assert "first difference at sequence=2" in text
    assert "outcome: recorded=REJECTED(5) executed=COMMITTED" in text


def test_without_the_plugin_the_bytes_are_shown(tmp_path):
    made = RecordedInstance(tmp_path / "instance")
    made.transfer(1, "IN", 1)
    made.write()
    made.instance.plugin_directory(made.plugin.content_hash).rename(tmp_path / "gone")
    result = CliRunner().invoke(journal, ["--instance", str(made.instance.directory), "--format", "json"])
    assert result.exit_code == 0
    assert "not in the store" in result.stderr
    assert json.loads(result.stdout.splitlines()[1])["input"]["reason"] == "schema is not known"


def test_what_lies_before_a_missing_segment_is_listed_and_then_the_gap_is_told(tmp_path):
    made = RecordedInstance(tmp_path / "instance")
    while len(made.content) < (4 << 20):
        made.append(layout.COMMAND, bytes(16_000), source=1)
    made.write()
    sorted(made.instance.journal_directory.glob("*.seg"))[1].unlink()
    result = CliRunner().invoke(journal, ["--instance", str(made.instance.directory), "--format", "json"])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == sum(position < 2 << 20 for position in made.positions)
    assert "a segment is missing" in str(result.exception)
