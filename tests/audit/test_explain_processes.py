"""Explaining beside real processes: an engine that runs, Ctrl-C half way, a directory that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.audit.state_at_log import RecordedLog
from statevec.cli.main import run_command
from statevec.roles.producer import Producer
from tests.audit.recorded_probe import RecordedProbe
from tests.audit.test_state_at import everything_in
from tests.roles.conftest import make_engine as make_engine
from tests.roles.engine_harness import STATEVEC, EngineUnderTest, add

WAIT_SECONDS = 60
COMMANDS = (["explain", "3"], ["state"], ["diff", "2", "4"], ["what-if", "4", "--input", "weight=7"])


def statevec(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*STATEVEC, *arguments], capture_output=True, text=True, timeout=WAIT_SECONDS * 10)


def test_a_running_engine_is_explained_and_goes_on_undisturbed(make_engine: Callable[..., EngineUnderTest]) -> None:
    engine = make_engine("memory")
    engine.start()
    with Producer(engine.directory, "market") as producer:
        for amount in range(1, 200):
            last = producer.send(add(amount % 7, amount), timeout=WAIT_SECONDS)
        producer.wait_released(last, WAIT_SECONDS)
        newest = RecordedLog(engine.instance).newest_sequence
        result = statevec("explain", str(newest), "--format", "json", "--instance", str(engine.directory))
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["reproduced"] and found["arrived"]["producer"] == "market"
        assert found["arrived"]["source_sequence"] == last and found["arrived"]["latency_ns"] is not None
        last = producer.send(add(1, 1), timeout=WAIT_SECONDS)
        producer.wait_released(last, WAIT_SECONDS)
    assert RecordedLog(engine.instance).newest_sequence == newest + 1
    assert engine.stop() == 0


@pytest.fixture
def probe(tmp_path: Path) -> RecordedProbe:
    made = RecordedProbe(tmp_path / "instance")
    made.things(6)
    made.write()
    return made


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_directory_that_cannot_be_written_is_read_all_the_same(
    probe: RecordedProbe, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = probe.instance.directory
    for path in [*directory.rglob("*"), directory]:
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    before = everything_in(directory)
    assert run_command([*command, "--instance", str(directory)]) == 0, capsys.readouterr()
    assert everything_in(directory) == before


def test_a_journal_copied_from_another_machine_is_explained(
    probe: RecordedProbe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(probe.instance.directory, copy)
    (copy / "leader.json").write_text('{"host": "elsewhere"}')
    shutil.rmtree(probe.instance.directory)
    for command in COMMANDS:
        assert run_command([*command, "--instance", str(copy)]) == 0, (command, capsys.readouterr())


INTERRUPTED = """
import sys
from statevec.audit import state_at
from statevec.cli.main import main
def begin(*arguments, **options):
    raise KeyboardInterrupt  # a real signal may come in a callback of Python's own, which loses it
state_at.begin_following = begin
main(sys.argv[1:])
"""


def test_ctrl_c_half_way_is_one_line_and_leaves_nothing(probe: RecordedProbe) -> None:
    before = everything_in(probe.instance.directory)
    command = [sys.executable, "-c", INTERRUPTED, "explain", "5", "--instance", str(probe.instance.directory)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS * 10)
    assert (result.returncode, result.stdout, result.stderr.strip()) == (1, "", "error: interrupted")
    assert everything_in(probe.instance.directory) == before
