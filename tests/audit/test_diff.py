"""`state` and `diff`: tables and records as they were after an entry, and what changed between two."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from statevec.audit.state_at import StateAtError, StateWalker
from statevec.audit.state_at_view import view_records, view_tables
from statevec.audit.state_diff import TableDiff, diff_states
from statevec.cli.main import run_command
from statevec.journal.errors import SequenceNotFoundError
from tests.audit.recorded_hedge import RecordedHedge
from tests.audit.recorded_probe import RecordedProbe
from tests.shadow.versions import WIDER, RecordedDesk, desk_version

ENTRIES = 300
PAIRS = 5


@pytest.fixture
def probe(tmp_path: Path) -> RecordedProbe:
    made = RecordedProbe(tmp_path / "instance")
    made.things(6)
    made.write()
    return made


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A probe that no test adds to."""
    made = RecordedProbe(tmp_path_factory.mktemp("still") / "instance")
    made.things(6)
    made.write()
    return made


@pytest.fixture
def run(still, capsys):
    def called(*arguments: str, status: int = 0) -> Any:
        assert run_command([*arguments, "--instance", str(still.instance.directory)]) == status
        out, err = capsys.readouterr()
        assert "--format" in arguments or all(len(line) <= 100 for line in out.splitlines())
        return json.loads(out) if "--format" in arguments else out or err

    return called


def tables_of(walker: StateWalker, sequence: int) -> dict[str, dict[Any, tuple[int, int, dict[str, Any]]]]:
    """All records after an entry, by table and key."""
    following = walker.to(sequence)
    return {
        each.table: {
            record.key: (record.version, record.last_changed, record.fields)
            for record in view_records(following, each.table).records
        }
        for each in view_tables(following).tables
    }


def applied(before: dict[Any, Any], table: TableDiff) -> dict[Any, Any]:
    """A table's records with a difference applied."""
    after = dict(before)
    for record in table.records:
        if record.operation == "deleted":
            del after[record.key]
            continue
        fields = {name: pair[1] for name, pair in record.fields.items()}
        old = {} if record.operation == "inserted" else before[record.key][2]
        after[record.key] = (record.version_after, record.last_changed, {**old, **fields})
    return after


def test_a_difference_leads_from_one_state_to_the_other(tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    recorded = RecordedHedge(tmp_path / "instance", seed)
    recorded.run(ENTRIES)
    recorded.write()
    walker, source = StateWalker(recorded.instance), random.Random(seed)
    for _ in range(PAIRS):
        first, last = sorted(source.sample(range(recorded.execution.sequence + 1), 2))
        before, after = tables_of(walker, first), tables_of(walker, last)
        found = diff_states(walker, first, last)
        by_table = {each.table: each for each in found.tables}
        for table in after:
            expected = applied(before[table], by_table[table]) if table in by_table else before[table]
            assert expected == after[table], (seed, first, last, table)


def test_what_did_not_change_is_left_out(probe):
    walker = StateWalker(probe.instance)
    assert diff_states(walker, 5, 5).tables == []
    found = diff_states(walker, 5, 6)
    assert {each.table: (each.inserted, each.deleted, each.updated) for each in found.tables} == {
        "things": (1, 0, 0),
        "totals": (0, 0, 1),
    }
    assert [each.table for each in diff_states(walker, 5, 6, "things").tables] == ["things"]
    engine = {each.table for each in diff_states(walker, 5, 6, engine=True).tables}
    assert {"engine_clock", "engine_sources"} < engine


def test_deleted_and_inserted_again_is_another_record(probe):
    first = probe.say("Find", tag=40)
    probe.say("Remove", number=4)
    removed = probe.execution.sequence
    probe.say("Add", number=4, grade="LOW", weight=1)
    probe.write()
    walker = StateWalker(probe.instance)
    (deleted,) = diff_states(walker, first, removed, "things").tables[0].records
    assert (deleted.operation, deleted.key, deleted.version_before) == ("deleted", 4, 2)
    (table,) = diff_states(walker, first, removed + 1, "things").tables
    assert (table.inserted, table.deleted, table.updated) == (1, 1, 0)
    assert table.records[0].operation == "replaced"
    assert table.records[0].fields == {"weight": [104, 1], "label": [40, 0]}


def test_across_a_migration_fields_that_are_new_or_gone_are_said(tmp_path):
    desk = RecordedDesk(tmp_path / "instance")
    desk.quote(1, 150)
    before = desk.quote(2, 150)
    desk.cut_over(desk_version(tmp_path, WIDER))
    after = desk.quote(2, 151)
    desk.write()
    found = diff_states(StateWalker(desk.instance), before, after)
    assert (found.version_before, found.version_after) == ("desk@1.0.0", "desk@2.0.0")
    (table,) = found.tables
    assert (table.new_fields, table.gone_fields, table.updated) == (["refused"], [], 1)
    assert [record.key for record in table.records] == [2]


def test_a_difference_goes_forward_and_stays_inside_the_journal(probe):
    walker = StateWalker(probe.instance)
    with pytest.raises(StateAtError, match="first=6 last=5"):
        diff_states(walker, 6, 5)
    with pytest.raises(SequenceNotFoundError, match="sequence=99 first=1 last=8"):
        diff_states(walker, 5, 99)


def test_state_shows_tables_records_and_one_record(run):
    tables = run("state", "--format", "json")
    assert tables == {
        "sequence": 8,
        "version": "probe@1.0.0",
        "tables": [
            {"table": "things", "records": 6, "capacity": 64},
            {"table": "totals", "records": 2, "capacity": 4},
        ],
    }
    things = run("state", "things", "--at", "4", "--format", "json")
    assert [each["key"] for each in things["records"]] == [1, 2]
    one = run("state", "things", "2", "--at", "4", "--format", "json")["records"]
    assert one == [
        {
            "key": 2,
            "version": 1,
            "last_changed": 4,
            "fields": {"number": 2, "grade": "LOW", "tag": 20, "weight": 102, "label": 0},
        }
    ]
    assert run("state", "things", "0x2", "--at", "4", "--format", "json")["records"] == one
    assert "things[2] version 1, last changed by entry 4" in run("state", "things", "2")
    assert "things                           6 of 64 records" in run("state")
    assert "engine_ids" in run("state", "--engine")
    assert "no records" in run("state", "things", "--at", "2")
    assert "… 4 more" in run("state", "things", "--limit", "2")


def test_keys_are_numbers_names_or_characters(run):
    for key in ("HIGH", "H", str(ord("H"))):
        (record,) = run("state", "totals", key, "--format", "json")["records"]
        assert record["fields"] == {"grade": "HIGH", "weight": 309}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("state", "--at", "99"), "sequence is not in the journal: sequence=99 first=1 last=8"),
        (("state", "--at", "-1"), "sequence is not in the journal: sequence=-1 first=1 last=8"),
        (("state", "thongs"), "state thongs: no such table in probe@1.0.0; its tables are things, totals"),
        (("state", "things", "99"), "state things[99]: no such record after entry 8"),
        (("state", "things", "x"), "state things[x]: not a number: 'x'"),
        (("state", "things", "-1"), "state things[-1]: out of range of u32: -1, from 0 to 4294967295"),
        (("state", "totals", "NONE"), "state totals[NONE]: no such value: 'NONE'; Grade has LOW, HIGH"),
        (("diff", "6", "5"), "a difference goes forward: first=6 last=5; name the earlier entry first"),
        (("diff", "1", "5", "thongs"), "state thongs: no such table in probe@1.0.0; its tables are things, totals"),
        (("explain", "99"), "sequence is not in the journal: sequence=99 first=1 last=8"),
        (("what-if", "99", "--input", "x=1"), "sequence is not in the journal: sequence=99 first=1 last=8"),
    ],
)
def test_what_is_not_there_is_one_line_and_status_1(run, arguments, error):
    assert run(*arguments, status=1) == f"error: {error}\n"


def test_diff_is_text_and_json(run):
    text = run("diff", "4", "6")
    assert "things: 2 inserted, 0 deleted, 0 updated" in text
    assert "totals[HIGH] updated, version 1 -> 2, last changed by entry 5" in text
    assert "weight: 101 -> 204" in text
    found = run("diff", "4", "6", "totals", "--format", "json")
    assert [each["table"] for each in found["tables"]] == ["totals"]
    assert "nothing changed" in run("diff", "4", "4")
