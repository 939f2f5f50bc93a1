"""Events: the catalogue is complete, each has its fields, and the last ones are kept in two small files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import msgspec
import pytest

from statevec.engine.instance import Instance, create_instance, prepare_directory
from statevec.roles import alarm_files
from statevec.roles.alarm_files import BEFORE, DIRECTORY, FILE_BYTES, LAST, LINE_BYTES, append, last_alarms
from statevec.roles.event_catalogue import ALARM, COMMON_FIELDS, EVENTS, INFO, WARNING, table
from statevec.roles.events import Speaker

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN, END = "<!-- catalogue -->\n", "\n<!-- end of catalogue -->"


@cache
def reported() -> list[tuple[str, str, set[str], bool]]:
    """Where, event, names of fields, and whether more come from a `**` argument: of every report in the sources."""
    found = []
    for path in sorted((ROOT / "statevec").rglob("*.py")):
        text = path.read_text()
        if not re.search(r"\b(report|Trouble)\(", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            told = called in ("report", "Trouble") and isinstance(first, ast.Constant)
            if not told or not isinstance(first, ast.Constant) or not isinstance(first.value, str):
                continue
            names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
            more = any(keyword.arg is None for keyword in node.keywords)
            if called == "Trouble":  # its values are a dictionary
                values = [*node.args[2:], *(each.value for each in node.keywords if each.arg == "values")]
                assert len(values) == 1, (path, node.lineno)
                assert isinstance(values[0], ast.Dict), (path, node.lineno)
                names = {key.value for key in values[0].keys if isinstance(key, ast.Constant)}
            found.append((f"{path.relative_to(ROOT)}:{node.lineno}", first.value, names, more))
    return found


def test_every_event_that_is_reported_is_in_the_catalogue_and_no_other() -> None:
    calls = reported()
    assert {event: where for where, event, _, _ in calls if event not in EVENTS} == {}
    assert set(EVENTS) - {event for _, event, _, _ in calls} == set()


def test_events_have_the_fields_of_the_catalogue() -> None:
    for where, event, names, more in reported():
        kind = EVENTS[event]
        fields, all_fields = set(kind.fields), {*kind.fields, *kind.sometimes}
        assert names <= all_fields, where
        assert more or fields <= names, where
        assert not all_fields & set(COMMON_FIELDS), event


def test_every_kind_of_event_says_what_it_means_and_alarms_what_to_do() -> None:
    for name, kind in EVENTS.items():
        assert kind.level in (INFO, WARNING, ALARM), name
        assert kind.meaning.endswith("."), name
        assert kind.level != ALARM or kind.action, name


def test_the_page_shows_the_catalogue() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == table()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    prepare_directory(tmp_path / "instance")
    return create_instance(tmp_path / "instance")


def test_an_event_is_a_line_and_what_matters_is_kept(instance: Instance) -> None:
    program = (
        "import sys\nfrom statevec.engine.instance import open_instance\nfrom statevec.roles.events import Speaker\n"
        "speaker = Speaker('gateway', open_instance(sys.argv[1]))\n"
        "speaker.report('gateway_log_replaced', gateway='a', position=1, log='x')\n"
        "speaker.report('gateway_lapped', gateway='venue', position=8)\n"
        "speaker.report('halted', reason='ä\\n' * 5000)\n"
    )
    command = [sys.executable, "-c", program, str(instance.directory)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    replaced, lapped, halted = (json.loads(line) for line in ended.stderr.splitlines())
    assert set(lapped) == {*COMMON_FIELDS, "gateway", "position"}
    assert (lapped["level"], lapped["role"]) == ("warning", "gateway")
    assert lapped["instance"] == instance.genesis.instance_id
    assert replaced["level"] == "info"
    assert len(halted["reason"]) < 1100
    assert last_alarms(instance.directory, 10) == [lapped, halted]


class ClosedPipe:
    """Standard error whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [ClosedPipe(), None])
def test_nobody_listening_does_not_hurt_who_reports(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    Speaker("test").report("halted", reason="x")


def test_the_files_stay_small_whoever_writes(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for count in range(400):
            event = {"event": "halted", "at": "", "thread": number, "count": count, "text": "x" * (count % 700)}
            append(tmp_path, msgspec.json.encode(event))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = {path.name: path.stat().st_size for path in (tmp_path / DIRECTORY).iterdir()}
    assert set(files) == {LAST, BEFORE}
    assert max(files.values()) <= FILE_BYTES + LINE_BYTES
    kept = last_alarms(tmp_path, 10_000)
    for number in range(4):
        counts = [event["count"] for event in kept if event["thread"] == number]
        assert counts == sorted(counts)
    assert last_alarms(tmp_path, 3) == kept[-3:]


def test_lines_that_are_no_events_are_passed_over(tmp_path: Path) -> None:
    append(tmp_path, b'{"event": "halted", "at": "now"}')
    append(tmp_path, b"x" * LINE_BYTES)
    with open(tmp_path / DIRECTORY / LAST, "ab") as file:
        file.write(b'\xff\x00\n[1]\n{"event": 3, "at": "x"}\n{"event": "hal')
    assert last_alarms(tmp_path, 10) == [{"event": "halted", "at": "now"}]


def test_a_directory_that_cannot_be_written_is_let_be(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).write_text("in the way")
    append(tmp_path, b"{}")
    assert last_alarms(tmp_path, 1) == []
    assert alarm_files.last_alarms(tmp_path / "nowhere", 1) == []
