"""No command lets a terminal obey what a producer wrote, and each shows it in the same form."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.journal import entry_layout as layout
from tests.audit.recorded_instance import RecordedInstance

NOTES = Path(__file__).parent / "notes"
TITLE = "\x1b[2J\xff\x9b1m\\xff"
TEXT = "line\nerror: forged\r\u202egnp\x1b]0;x\x07\u2028end"
RAW = b"\xff\xfe\x1b"
PARTS = 500
COMMANDS = {
    "journal": ["journal"],
    "explain": ["explain", "2"],
    "state": ["state", "notes", "--at", "2"],
    "diff": ["diff", "1", "2"],
    "what-if": ["what-if", "2", "--input", "number=2"],
    "history": ["history", "notes", "1"],
    "why": ["why", "1:2:0"],
    "sql": ["sql", "SELECT title FROM rec_notes UNION ALL SELECT title FROM in_note"],
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = RecordedInstance(tmp_path_factory.mktemp("screen") / "instance", NOTES)
    for number in (1, 1):
        parts = [{"part": each} for each in range(PARTS)]
        values = {"number": number, "title": TITLE, "text": TEXT, "raw": RAW, "parts": parts}
        made.append(layout.COMMAND, made.plugin.schema.encode("Note", values), source=1)
    made.write()
    return made.instance.directory


def printed(instance: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = run_command([*arguments, "--instance", str(instance)])
    found = capsys.readouterr()
    assert status == 0, found.err
    for line in (found.out + found.err).split("\n"):
        assert line.rstrip("\r").isprintable(), repr(line)
    return found.out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_terminal_obeys_nothing_of_what_a_producer_wrote(
    instance: Path, capsys: pytest.CaptureFixture[str], name: str, form: str
) -> None:
    style = "text" if form == "table" and name in ("explain", "state", "diff", "what-if") else form
    text = printed(instance, capsys, *COMMANDS[name], "--format", style)
    escaped = "\\u001b[2j" if form == "json" and name != "sql" else "\\x1b[2j"  # DuckDB has text with its own escapes
    assert escaped in text.lower()
    assert not any(line.startswith("error: forged") for line in text.split("\n"))


def test_csv_has_the_same_form(instance: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\x1b[2j" in printed(instance, capsys, *COMMANDS["sql"], "--format", "csv").lower()


@pytest.mark.parametrize("name", ["journal", "why"])
def test_a_line_shows_the_first_of_many_parts_and_their_number(
    instance: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = printed(instance, capsys, *COMMANDS[name])
    assert f"… {PARTS} in all" in text
    assert max(map(len, text.splitlines())) < 500


def test_an_error_and_a_table_that_is_not_there_are_one_printable_line(
    instance: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["history", "no\x1b[2J\nsuch", "1", "--instance", str(instance)]) != 0
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.rstrip("\n").isprintable()
