"""`statevec doctor`: what it says of a sound instance and of each kind of damage, and what it repairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.engine.instance import LeaderLock
from tests.audit.recorded_instance import RecordedInstance


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(50, 7)
    made.write()
    return made


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def doctor(recorded: RecordedInstance, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = run_command(["doctor", "--instance", str(recorded.instance.directory), "--format", "json", *more])
    found = json.loads(capsys.readouterr().out)
    assert all(each["remedy"] for each in found["findings"] if each["severity"] == "problem")
    return status, [each["what"] for each in found["findings"] if each["severity"] != "ok"]


def test_a_sound_instance_has_no_problem_and_is_not_written_to(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bytes_of(recorded.instance.directory)
    status, said = doctor(recorded, capsys)
    assert status == 0, said
    assert bytes_of(recorded.instance.directory) == before


def test_a_torn_tail_is_shown_and_repair_cuts_it(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rule 9."""
    recorded.overwrite(len(recorded.content), b"\7" * 96)
    status, said = doctor(recorded, capsys)
    assert status == 0
    assert any(f"a torn tail of 96 bytes behind position {len(recorded.content)}" in each for each in said)
    status, said = doctor(recorded, capsys, "--repair")
    assert status == 0
    assert not any("torn tail" in each for each in said)


def test_damage_below_durable_is_a_problem_and_repair_leaves_it(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rule 9: with position and sequence."""
    recorded.overwrite(recorded.positions[10] + 64, b"\xff" * 8)
    before = bytes_of(recorded.instance.directory)
    status, said = doctor(recorded, capsys)
    assert status == 1
    assert any(str(recorded.positions[10]) in each and "11" in each for each in said)
    assert run_command(["doctor", "--repair", "--instance", str(recorded.instance.directory)]) == 1
    assert bytes_of(recorded.instance.directory) == before


def test_each_damaged_file_is_a_problem(recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]) -> None:
    directory = recorded.instance.directory
    (directory / "halt").write_text("fdatasync failed: errno=5")
    (directory / "epoch").write_text("seven")
    (directory / "leader.json").write_text("{")
    source = next((directory / "plugins" / recorded.plugin.content_hash).glob("*.py"))
    source.write_text(source.read_text() + "\n")
    (directory / "gateways" / "venue").mkdir()
    (directory / "gateways" / "venue" / "cursor").write_text("{}}")
    status, said = doctor(recorded, capsys)
    assert status == 1
    for text in ("halted by a disk error: fdatasync", "'seven'", "leader.json", f"{source} was changed", "venue"):
        assert any(text in each for each in said), (text, said)


def test_a_misnamed_segment_and_a_foreign_directory_are_problems(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    next(recorded.instance.journal_directory.glob("*.seg")).rename(recorded.instance.journal_directory / "x.seg")
    assert doctor(recorded, capsys)[0] == 1
    assert run_command(["doctor", "--instance", str(tmp_path)]) == 1


def test_repair_refuses_while_somebody_leads(recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]) -> None:
    with LeaderLock(recorded.instance.directory) as lock:
        lock.record()
        assert doctor(recorded, capsys)[0] == 0
        assert run_command(["doctor", "--repair", "--instance", str(recorded.instance.directory)]) == 1
        assert "is led by process" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["cursor", "log"])
def test_repair_refuses_where_what_was_durable_cannot_be_told(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """Rule 9: a cursor, or a log in shared memory, may know of durable bytes where a tail seems to begin."""
    instance = recorded.instance
    recorded.overwrite(len(recorded.content), b"\7" * 96)
    with LeaderLock(instance.directory) as lock:
        lock.record(durability="disk")
    (instance.gateways_directory / "venue").mkdir()
    log = Path("/dev/shm") / instance.segment_name("log")[1:]
    try:
        if what == "cursor":
            (instance.gateways_directory / "venue" / "cursor").write_text("{}}")
        else:
            log.write_bytes(bytes(8192))
        before = bytes_of(instance.directory)
        status, said = doctor(recorded, capsys)
        assert status == 1
        assert any("cannot tell all that was durable" in each for each in said)
        assert run_command(["doctor", "--repair", "--instance", str(instance.directory)]) == 1
        assert bytes_of(instance.directory) == before
    finally:
        log.unlink(missing_ok=True)
