"""`statevec shadow` as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from statevec.cli.main import run_command
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.store import PluginStore
from tests.shadow.versions import DEARER, STRICTER, RecordedDesk, desk_version

RULES = """
[[expected]]
name = "two <ticks>"
because = "asked for by the desk & agreed"
output = "Order"
field = "price"
"""


def arguments(recorded: RecordedDesk, candidate: Path | str, *more: str) -> list[str]:
    common = ["--instance", str(recorded.instance.directory), "--until-caught-up", "--tier", "interpreted"]
    return ["shadow", str(candidate), *common, *more]


def test_the_table_shows_counts_and_the_first_difference_side_by_side(
    recorded: RecordedDesk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments(recorded, desk_version(tmp_path, DEARER))) == 1
    printed = capsys.readouterr().out
    assert re.search(r"candidate +desk@2\.0\.0", printed)
    assert re.search(r"unexpected +[1-9]", printed)
    assert re.search(r"outputs\.Order\.price +[1-9]", printed)
    first = re.search(r"First unexpected difference: sequence .*\n *Quote instrument=\d+ price=(\d+)", printed)
    assert first is not None
    assert re.search(rf"outputs\.Order\[0\]\.price +{first[1]} +{int(first[1]) + 2}", printed)


def test_expected_differences_are_a_success(
    recorded: RecordedDesk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    more = ("--rules", str(tmp_path / "rules.toml"), "--format", "json")
    assert run_command(arguments(recorded, desk_version(tmp_path, DEARER), *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["expected"] == found["rules"]["two <ticks>"] > 0
    assert (found["unexpected"], found["caught_up"], found["rollback_possible"]) == (0, True, True)


def test_the_page_is_whole_and_loads_nothing(recorded: RecordedDesk, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    page = tmp_path / "report.html"
    more = ("--rules", str(tmp_path / "rules.toml"), "--html", str(page))
    assert run_command(arguments(recorded, desk_version(tmp_path, DEARER, STRICTER), *more)) == 1
    text = page.read_text()
    assert "two &lt;ticks&gt;" in text
    assert "asked for by the desk &amp; agreed" in text
    assert "Worst unexpected difference" in text
    assert not re.search(r"(src|href)=|<script|url\(", text)
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        assert len(ElementTree.fromstring(plot)) > 1


def test_a_candidate_is_found_in_the_store(
    recorded: RecordedDesk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = PluginStore(recorded.instance.directory).keep(load_plugin(desk_version(tmp_path, version="3.1.0")))
    for named in ("desk@3.1.0", stored.content_hash[:8]):
        assert run_command(arguments(recorded, named, "--format", "json")) == 0
        assert json.loads(capsys.readouterr().out)["candidate_hash"] == stored.content_hash


@pytest.mark.parametrize(
    ("candidate", "more", "status", "message"),
    [
        ("desk@9.9.9", (), 1, "'desk@9.9.9' was never added"),
        ("desk@1.0.0", ("--from", "9", "--to", "3"), 1, "there is no entry to compare: from=9 to=3"),
        ("desk@1.0.0", ("--rules", "/nowhere.toml"), 2, "'/nowhere.toml' does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    recorded: RecordedDesk,
    capsys: pytest.CaptureFixture[str],
    candidate: str,
    more: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    assert run_command(arguments(recorded, candidate, *more)) == status
    assert message in capsys.readouterr().err
