"""A projection has what every entry says, once, whatever dies while it is made."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from statevec.ipc import log_layout
from statevec.ipc.log import create_log
from statevec.ipc.python_call import store_release
from statevec.journal import entry_layout
from statevec.journal.column_values import Column
from statevec.journal.segments import list_segments
from statevec.roles.projector import CursorDisagreesError, CutAwayError, Progress, Projector
from statevec.roles.projector_database import ProjectionError, ProjectionFile
from statevec.roles.retention import take_away
from tests.audit.decoded_history import DecodedHistory
from tests.audit.recorded_instance import RecordedInstance
from tests.shadow.versions import WIDER, desk_version
from tests.snapshot.histories import RecordedHistory, desk_history, hedge_history

KILLS_LEAST = 3


@pytest.fixture
def seed() -> int:
    made = random.randrange(1 << 30)
    print(f"seed={made}")
    return made


def project(recorded: RecordedInstance, file: Path, **options: Any) -> None:
    Projector(recorded.instance, file, **options).run(lambda: False)


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    connection = duckdb.connect(str(file), read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def rows(file: Path, query: str) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    with opened(file) as connection:
        found = connection.execute(query)
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def everything(file: Path) -> dict[str, list[Any]]:
    """All rows of all tables, sorted; columns by name."""
    with opened(file) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        found = {}
        for table in tables:
            names = sorted(row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall())
            columns = ", ".join(f'"{name}"' for name in names)
            found[table] = [names, *connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()]
        return found


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        assert {name: got.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("batch", [7, 10_000])
def test_tables_have_what_every_entry_says(tmp_path: Path, seed: int, batch: int) -> None:
    recorded = desk_history(tmp_path, seed)
    oracle = DecodedHistory(recorded.instance)
    file = tmp_path / "history.duckdb"
    project(recorded, file, batch=batch)
    same(rows(file, "SELECT * FROM in_quote ORDER BY sequence"), oracle.inputs("Quote"))
    for message in ("Order", "Cancel"):
        found = rows(file, f'SELECT * FROM out_{message.lower()} ORDER BY sequence, "index"')
        same(found, oracle.outputs(message))
    changes = [
        {"sequence": each["sequence"], "operation": each["operation"], "version": each["version"], **each["fields"]}
        for each in oracle.changes("positions")
    ]
    same(rows(file, "SELECT * FROM rec_positions ORDER BY sequence, rowid"), changes)
    found = rows(file, "SELECT * FROM entries ORDER BY sequence")
    assert len(found) == len(oracle.entries)
    for row, entry, decoded in zip(found, oracle.entries, oracle.decoded, strict=True):
        assert (row["sequence"], row["kind"], row["outcome"]) == (entry.sequence, entry.kind_name, entry.outcome)
        assert row["outcome_name"] == entry.outcome_name
        assert row["message"] == (decoded["input"] or {}).get("message")
        assert row["reason"] == decoded.get("rejection", decoded.get("fault"))
    deciders = rows(file, "SELECT * FROM deciders ORDER BY sequence")
    assert [each["version"] for each in deciders] == ["1.0.0", "2.0.0", "2.0.1"]
    assert [each["cause"] for each in deciders] == ["leadership", "operator", "operator"]
    assert [each["name"] for each in rows(file, "SELECT * FROM sources ORDER BY source")] == ["market", "admin"]


def test_enums_are_words_and_what_was_left_out_is_null(tmp_path: Path, seed: int) -> None:
    recorded = hedge_history(tmp_path, seed)
    recorded.append(1, recorded.plugin.schema.encode("RiskConfig", {"instrument": 1, "price_band": 5}), source=1)
    recorded.write()
    oracle = DecodedHistory(recorded.instance)
    file = tmp_path / "history.duckdb"
    project(recorded, file)
    same(rows(file, "SELECT * FROM in_risk_config ORDER BY sequence"), oracle.inputs("RiskConfig"))
    assert rows(file, "SELECT * FROM in_risk_config ORDER BY sequence")[-1]["position_limit"] is None
    same(rows(file, "SELECT * FROM out_place_order ORDER BY sequence"), oracle.outputs("PlaceOrder"))
    statuses = [each["fields"]["status"] for each in oracle.changes("orders")]
    assert [each["status"] for each in rows(file, "SELECT status FROM rec_orders ORDER BY sequence, rowid")] == statuses
    assert rows(file, "SELECT DISTINCT epoch_ns(time) - timestamp_ns AS off FROM entries") == [{"off": 0}]


def test_a_projector_that_is_killed_goes_on_where_it_was(tmp_path: Path, seed: int) -> None:
    """SIGKILL before random steps, again and again; then the file is that of one that was never killed."""
    recorded = RecordedHistory(tmp_path / "instance")
    recorded.random_quotes(60, seed)
    recorded.cut_over(desk_version(tmp_path, WIDER))
    recorded.random_quotes(60, seed + 1)
    recorded.write()
    file, parquet = tmp_path / "killed.duckdb", tmp_path / "killed"
    arguments = [str(recorded.instance.directory), str(file), str(parquet), str(seed)]
    command = [sys.executable, "-m", "tests.roles.killed_projector", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    children = [json.loads(line) for line in said]
    assert [child["killed"] for child in children] == [True] * (len(children) - 1) + [False], children
    assert len(children) >= KILLS_LEAST, children
    assert children[-1]["status"] == 0
    whole = tmp_path / "whole.duckdb"
    project(recorded, whole, parquet=tmp_path / "whole")
    assert everything(file) == everything(whole)
    for table in ("entries", "in_quote", "rec_positions"):
        query = "SELECT sequence FROM read_parquet('{}/*.parquet', union_by_name = true) ORDER BY sequence"
        found = [duckdb.sql(query.format(tmp_path / name / table)).fetchall() for name in ("killed", "whole")]
        assert found[0] == found[1]
        assert found[0]


def test_only_what_is_released_is_projected(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    file = tmp_path / "history.duckdb"
    last = recorded.execution.sequence
    log = create_log(recorded.instance.instance_id, 1 << 26, released_by="journaler")
    try:
        end = len(recorded.content)
        for word in (log_layout.APPENDED, log_layout.DURABLE, log_layout.WRITTEN):
            store_release(log.region, word, end)
        for released in (0, 10, 11, last // 2, last):
            position = recorded.positions[released] if released < last else end
            # SYNC POINT: this test is the journaler.
            store_release(log.region, log_layout.RELEASED_BY_JOURNALER, position)
            project(recorded, file)
            assert [each["sequence"] for each in rows(file, "SELECT * FROM entries")] == list(range(1, released + 1))
    finally:
        log.unlink()
        log.close()


def test_a_rebuild_removes_nothing_but_a_projection(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    text, other = tmp_path / "note.txt", tmp_path / "other.duckdb"
    text.write_text("not ours\n")
    with closing(duckdb.connect(str(other))) as connection:
        connection.execute("CREATE TABLE mine (number INTEGER)")
    tables = tmp_path / "parquet" / "entries"
    tables.mkdir(parents=True)
    for name in ("x.parquet", "12-a.parquet"):
        (tables / name).write_text("not ours either\n")
    for file in (text, other):
        kept = file.read_bytes()
        with pytest.raises(ProjectionError):
            Projector(recorded.instance, file, parquet=tmp_path / "parquet").rebuild()
        assert file.read_bytes() == kept
    Projector(recorded.instance, tmp_path / "new.duckdb", parquet=tmp_path / "parquet").rebuild()
    assert sorted(path.name for path in tables.iterdir()) == ["12-a.parquet", "x.parquet"]


def test_a_cursor_that_disagrees_with_the_log_is_refused_until_a_rebuild(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    file = tmp_path / "history.duckdb"
    project(recorded, file)
    before = everything(file)
    recorded.forge(20, entry_layout.SENT_NS, b"\x07")
    with pytest.raises(CursorDisagreesError, match="--rebuild"):
        project(recorded, file)
    assert everything(file) == before
    projector = Projector(recorded.instance, file)
    projector.rebuild()
    projector.run(lambda: False)
    assert everything(file) != before
    assert everything(file)["projector"][1][-1] == recorded.execution.sequence


def test_a_file_of_something_else_is_refused(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    other = RecordedInstance(tmp_path / "other")
    other.write()
    file = tmp_path / "history.duckdb"
    project(other, file)
    with pytest.raises(ProjectionError, match="projection of another instance"):
        project(recorded, file)
    with duckdb.connect(str(tmp_path / "mine.duckdb")) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(ProjectionError, match=r"this DuckDB file is no projection: .* has tables mine"):
        project(recorded, tmp_path / "mine.duckdb")
    (tmp_path / "text").write_text("not a database, but long enough to look at: " * 100)
    with pytest.raises(ProjectionError, match="projection cannot be opened"):
        project(recorded, tmp_path / "text")


def test_what_was_taken_away_before_it_was_projected_is_named(tmp_path: Path) -> None:
    recorded = RecordedHistory(tmp_path / "instance")
    recorded.random_quotes(5, 1)
    while len(recorded.content) < 3 << 20:
        recorded.append(entry_layout.COMMAND, bytes(16_000), source=1)
    recorded.write()
    sequence = recorded.execution.sequence
    first = list_segments(recorded.instance.journal_directory)[0]
    take_away(recorded.instance, [first], tmp_path / "cold")
    with pytest.raises(CutAwayError, match=r"taken away by retention: journal begins at .*--cold"):
        project(recorded, tmp_path / "history.duckdb")
    project(recorded, tmp_path / "history.duckdb", cold=tmp_path / "cold")
    [found] = rows(tmp_path / "history.duckdb", "SELECT count(*) AS count, max(sequence) AS last FROM entries")
    assert found == {"count": sequence, "last": sequence}
    recorded.random_quotes(3, 2)
    recorded.write()
    project(recorded, tmp_path / "history.duckdb")
    [found] = rows(tmp_path / "history.duckdb", "SELECT max(sequence) AS last FROM entries")
    assert found == {"last": recorded.execution.sequence}


def test_a_projector_that_follows_gives_the_file_up_whenever_it_has_caught_up(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statevec.roles.projector.PAUSE_SECONDS", 0.0)
    recorded = desk_history(tmp_path, seed)
    file, stop = tmp_path / "history.duckdb", threading.Event()
    seen: list[int] = []

    def note(progress: Progress) -> None:
        seen.append(progress.sequence)
        if len(seen) == 1:
            recorded.random_quotes(20, seed)
            recorded.write()
        elif progress.sequence == recorded.execution.sequence:
            stop.set()

    first = recorded.execution.sequence
    found = Projector(recorded.instance, file).run(stop.is_set, follow=True, on_progress=note)
    assert (seen[0], found.sequence, found.entries) == (first, recorded.execution.sequence, recorded.execution.sequence)
    [count] = rows(file, "SELECT count(*) AS count FROM entries")
    assert count == {"count": recorded.execution.sequence}


def test_a_version_that_cannot_be_loaded_leaves_a_gap_that_is_said(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    damaged = recorded.instance.plugin_directory(recorded.plugin.content_hash) / "desk.py"
    damaged.write_text(damaged.read_text() + "\n# changed\n")
    file = tmp_path / "history.duckdb"
    project(recorded, file)
    [gap] = rows(file, "SELECT * FROM gaps")
    assert gap["logic_version"] == 3
    assert "desk.py was changed" in gap["reason"]
    assert len(rows(file, "SELECT * FROM entries")) == recorded.execution.sequence


def test_a_field_whose_type_changes_goes_on_in_a_column_of_its_own(tmp_path: Path) -> None:
    with_number = [Column("sequence", "integer", np.array([1])), Column("size", "integer", np.array([5], np.int16))]
    with_text = [Column("sequence", "integer", np.array([2])), Column("size", "text", np.array([b"xl"]))]
    file = ProjectionFile(tmp_path / "file.duckdb", "1")
    with file:
        assert file.prepare("in_thing", with_number) == {"sequence": "sequence", "size": "size"}
        assert file.prepare("in_thing", with_text) == {"sequence": "sequence", "size": "size_text"}
        assert file.prepare("in_thing", with_number) == {"sequence": "sequence", "size": "size"}
    file.close()
