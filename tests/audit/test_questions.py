"""Ready questions say what a count over the decoded entries says; the command asks them, and the page shows them."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from statevec.audit.questions import Answer, QuestionError, ask, question, questions, table_lines
from statevec.cli.main import run_command
from statevec.journal.entry_layout import SENT_NS
from statevec.roles.projector import Projector
from statevec.roles.projector_database import ProjectionError, ProjectionFile
from tests.audit.decoded_history import DecodedHistory
from tests.snapshot.histories import RecordedHistory, desk_history, hedge_history

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"


@pytest.fixture
def seed() -> int:
    made = random.randrange(1 << 30)
    print(f"seed={made}")
    return made


def answer(file: Path, name: str) -> list[dict[str, Any]]:
    found = ask(file, question(name).sql)
    return [dict(zip(found.names, row, strict=True)) for row in found.rows]


def test_every_question_can_be_asked_of_the_hedge_engine(tmp_path: Path, seed: int) -> None:
    recorded = hedge_history(tmp_path, seed)
    recorded.append(1, recorded.plugin.schema.encode("RiskConfig", {"instrument": 9}), source=1)
    recorded.write()
    file = tmp_path / "history.duckdb"
    Projector(recorded.instance, file).run(lambda: False)
    oracle = DecodedHistory(recorded.instance)
    found = {name: answer(file, name) for name in questions()}
    placed = [each for each in found["orders_per_hour_and_reason"] if each["what"] == "placed"]
    assert sum(each["orders"] for each in placed) == len(oracle.outputs("PlaceOrder"))
    reasons = Counter(each["reason"] for each in oracle.outputs("CancelOrder"))
    cancelled = {
        each["reason"]: each["orders"] for each in found["orders_per_hour_and_reason"] if each["what"] == "cancelled"
    }
    assert cancelled == dict(reasons)
    rejected = Counter(decoded.get("rejection") for decoded in oracle.decoded if decoded["outcome_code"] > 0)
    counted: Counter[str] = Counter()
    for each in found["rejected_and_why"]:
        counted[each["reason"]] += each["inputs"]
    assert counted == rejected
    assert rejected
    [ended] = found["fill_ratio_per_hour"]
    assert (ended["ended"], ended["orders"], ended["fill_ratio"]) == ("NO ANSWER", len(oracle.outputs("PlaceOrder")), 0)
    [decided] = found["decided_by_version"]
    assert (decided["version"], decided["entries"]) == ("hedge@1.0.0", len(oracle.entries))


def test_cutovers_divide_what_is_compared(tmp_path: Path, seed: int) -> None:
    recorded = desk_history(tmp_path, seed)
    file = tmp_path / "history.duckdb"
    Projector(recorded.instance, file).run(lambda: False)
    found = answer(file, "changed_at_cutovers")
    cutovers = [entry.sequence for entry in DecodedHistory(recorded.instance).entries if entry.kind_name == "cutover"]
    assert sorted({each["cutover"] for each in found}) == cutovers
    assert [each["side"] for each in found] == ["before", "behind"] * len(cutovers)
    versions = [each["version"] for each in answer(file, "decided_by_version")]
    assert versions == ["desk@1.0.0", "desk@2.0.0", "desk@2.0.1"]


def test_latency_is_from_sent_to_sequenced_where_the_sender_says_when(tmp_path: Path) -> None:
    recorded = RecordedHistory(tmp_path / "instance")
    for price in range(5):
        recorded.quote(1, price)
    recorded.write()
    entry = DecodedHistory(recorded.instance).entries[2]
    recorded.forge(entry.sequence, SENT_NS, (entry.timestamp_ns - 7_000).to_bytes(8, "little"))
    file = tmp_path / "history.duckdb"
    Projector(recorded.instance, file).run(lambda: False)
    [found] = answer(file, "latency_by_source")
    assert (found["sent_by"], found["inputs"], found["p50"], found["most"]) == ("source 1", 1, 7.0, 7.0)
    with pytest.raises(QuestionError, match=r"(?s)cannot be answered: .*out_place_order.*; tables: .*in_quote"):
        answer(file, "slippage")


def test_the_command_projects_what_is_missing_and_asks(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded = desk_history(tmp_path, seed)
    at = ["--instance", str(recorded.instance.directory)]
    file = tmp_path / "history.duckdb"
    capfd.readouterr()
    query = "SELECT count(*) AS entries, max(time) AS last FROM entries"
    assert run_command(["sql", query, *at, "--format", "json"]) == 0
    said = msgspec.json.decode(capfd.readouterr().out)
    assert said["sequence"] == said["rows"][0]["entries"] == recorded.execution.sequence
    assert run_command(["sql", query, "--into", str(file)]) == 1
    assert "make one with statevec project" in capfd.readouterr().err
    assert run_command(["sql", "--question", "decided_by_version", *at, "--into", str(file), "--format", "csv"]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith("desk@1.0.0,")
    assert run_command(["sql", "DELETE FROM entries", "--into", str(file)]) == 1
    assert "read-only" in capfd.readouterr().err
    assert run_command(["sql", "--question", "none"]) == 1
    assert "there are: changed_at_cutovers, decided_by_version" in capfd.readouterr().err
    assert run_command(["sql"]) == 2
    assert run_command(["sql", "--question", "slippage", "--show"]) == 0
    assert "ASOF JOIN" in capfd.readouterr().out
    assert run_command(["project", *at, "--into", str(file), "--format", "json"]) == 0
    assert msgspec.json.decode(capfd.readouterr().out)["entries"] == 0


def test_a_file_that_is_no_projection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectionError, match="there is no projection"):
        ask(tmp_path / "none", "SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "COPY deciders TO '{0}/copied.csv'",
        "EXPORT DATABASE '{0}/exported'",
        "ATTACH '{0}/attached.duckdb'",
        "ATTACH '{0}/other.duckdb' (READ_ONLY)",
        "INSTALL httpfs",
        "LOAD '{0}/code.duckdb_extension'",
        "SELECT * FROM read_text('{0}/secret.csv')",
        "SELECT * FROM read_csv('{0}/secret.csv')",
        "SELECT * FROM '{0}/secret.csv'",
        "SELECT * FROM glob('{0}/*')",
        "SET enable_external_access = true",
        "RESET enable_external_access",
        "SET lock_configuration = false",
        "SET temp_directory = '{0}/elsewhere'",
        "CALL enable_logging(storage = 'file', storage_path = '{0}/logs')",
        "SELECT 1; COPY deciders TO '{0}/second.csv'",
        "DELETE FROM deciders",
    ],
)
def test_a_question_reaches_nothing_but_the_projection(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "history.duckdb"
    for made in (file, tmp_path / "other.duckdb"):
        ProjectionFile(made, "0123456789abcdef").close()
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    (tmp_path / "code.duckdb_extension").write_bytes(b"no code")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    refused = r"(?s)operations are disabled|disabled through configuration|has been locked|read-only mode"
    with pytest.raises(QuestionError, match=refused) as error:
        ask(file, statement.format(tmp_path))
    assert "; tables: " not in str(error.value)  # no table was looked for in vain
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize("nothing", ["", " ;", "-- SELECT 1"])
def test_a_question_without_a_statement_is_refused(tmp_path: Path, nothing: str) -> None:
    file = tmp_path / "history.duckdb"
    ProjectionFile(file, "0123456789abcdef").close()
    with pytest.raises(QuestionError, match="the question has no statement: query="):
        ask(file, nothing)


def test_a_table_has_numbers_to_the_right() -> None:
    lines = list(table_lines(Answer(["name", "count"], [("a", 5), ("longer", None)], 1)))
    assert lines == ["name    count", "a           5", "longer      -"]
    assert list(table_lines(Answer(["name"], [], 0))) == ["name"]


def test_the_page_shows_every_question() -> None:
    shown = set(re.findall(r"--question (\w+)", PAGE.read_text()))
    assert shown == set(questions())
