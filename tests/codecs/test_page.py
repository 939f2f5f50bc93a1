"""`docs/sbe.md`, executed from top to bottom: files as it shows them, commands with output, Python with its values."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from statevec.cli.main import run_command

PAGE = Path(__file__).parent.parent.parent / "docs" / "sbe.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """(language, name of a file or nothing, text) of each fenced block."""
    return [(each[1], each[2] or "", each[3]) for each in BLOCK.finditer(PAGE.read_text())]


def write_newer(field: str) -> None:
    """The newer schema that the page describes: its version, a value of an enum, and the field that it shows."""
    text = Path("quotes.xml").read_text().replace('version="0"', 'version="1"')
    sell = '<validValue name="SELL">2</validValue>'
    text = text.replace(sell, f'{sell}<validValue name="SELL_SHORT" sinceVersion="1">3</validValue>')
    Path("quotes2.xml").write_text(text.replace('<group name="levels"', f'{field}<group name="levels"'))


def run_session(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of a block, each of which must print what follows it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        program, *arguments = shlex.split(command)
        assert (program, arguments[0]) == ("statevec", "sbe")
        assert run_command(arguments) == 0, command
        assert capsys.readouterr().out == output, command


def run_python(text: str, scope: dict[str, Any], number: int) -> None:
    """Run a block of a Python session; names stay for the next one."""
    test = doctest.DocTestParser().get_doctest(text, scope, f"{PAGE.name} block {number}", str(PAGE), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    runner.run(test, out=report.append, clear_globs=False)
    scope.update(test.globs)
    assert not runner.failures, "".join(report)


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    kinds = []
    for number, (language, name, text) in enumerate(blocks()):
        kinds.append(language)
        if name:
            Path(name).write_text(text)
        elif language == "xml":
            write_newer(text)
        elif language == "console":
            run_session(text, capsys)
        elif language == "pycon":
            run_python(text, scope, number)
    assert kinds.count("pycon") >= 5 and kinds.count("console") >= 3
