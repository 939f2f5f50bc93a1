"""The command line itself: help, errors in one line, exit status, and that looking at it loads no compiler."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from statevec.cli.main import COMMANDS, run_command
from statevec.engine.instance import create_instance, prepare_directory


def test_help_and_version_load_no_compiler() -> None:
    code = "import sys; from statevec.cli import main; main.run_command(sys.argv[1:]); print('numba' in sys.modules)"
    for arguments in (["--help"], ["--version"], ["run", "--help"], ["send", "--help"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "False", arguments


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", ["run", "send", "status", "plugin", "resume", "ring", "clean"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([name, "--help"]) == 0
    assert f"Usage: statevec {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["fly"], 2, "error: No such command 'fly'."),
        (["status"], 2, "error: Missing option '--instance'."),
        (["clean", "--lost", "xyz"], 2, "error: not an instance id: 'xyz' (16 hex digits, as in instance.json)"),
        (["demo", "--rate", "nan"], 2, "error: Invalid value for '--rate': nan is no finite number"),
        (["demo", "--speed", "inf"], 2, "error: Invalid value for '--speed': inf is no finite number"),
        (["run", "missing.toml"], 2, "error: Invalid value for 'CONFIGURATION': File 'missing.toml' does not exist."),
    ],
)
def test_an_error_is_one_line(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == status
    assert capsys.readouterr().err == message + "\n"


def test_lines_of_an_error_are_kept_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_directory(tmp_path / "instance")
    instance, module = create_instance(tmp_path / "instance"), tmp_path / "plugin" / "plugin.py"
    module.parent.mkdir()
    module.write_text('from statevec import Plugin\nimport time\np = Plugin("p", version="1.0.0", schema="p.xml")\n')
    assert run_command(["plugin", "add", str(module.parent), "--instance", str(instance.directory)]) == 1
    refused = capsys.readouterr().err
    assert refused.startswith(f"error: {module}:2: 'time' cannot be imported")
    assert refused.endswith(" | import time\n")


@pytest.mark.parametrize("command", [["status"], ["resume"], ["clean"], ["ring", "repair", "market"]])
def test_a_directory_that_is_no_instance_is_said_to_be_none(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*command, "--instance", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} is not an instance: it has no instance.json\n"


def test_cleaning_without_an_instance_leaves_rings_and_logs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["clean"]) == 0
    removed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("removed")]
    assert not any("-ring-" in line or "-log " in line for line in removed)


def test_cleaning_says_how_a_ring_that_outlived_its_engine_goes(capsys: pytest.CaptureFixture[str]) -> None:
    number = secrets.randbelow(1 << 62) + 1
    make = f"from statevec.ipc.ring import create_ring; create_ring('a', 4096, {number})"
    subprocess.run([sys.executable, "-c", make], check=True, timeout=120)
    try:
        assert run_command(["clean"]) == 0
        said = capsys.readouterr().out
        assert re.search(rf"kept /sv-{number:016x}-ring-a \(\d+ bytes\): belongs to an instance\n", said)
        assert "--instance DIR takes those of a stopped instance, --lost ID" in said
    finally:
        assert run_command(["clean", "--lost", f"{number:016x}"]) == 0
    assert f"removed /sv-{number:016x}-ring-a" in capsys.readouterr().out
