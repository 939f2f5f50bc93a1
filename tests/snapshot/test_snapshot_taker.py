"""`statevec snapshot`, and `verify` from a snapshot: followers that run once over an instance's files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from statevec.audit.verify import verify_instance
from statevec.cli.main import run_command
from statevec.engine.instance import create_instance, prepare_directory
from statevec.engine.snapshot_file import SnapshotError, list_snapshots
from statevec.engine.versions import VersionError
from statevec.journal import entry_layout as layout
from statevec.journal.errors import JournalDamagedError
from statevec.journal.segments import list_segments
from statevec.roles.snapshot_taker import take_snapshot
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import desk_history


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(30, seed=6)
    made.write()
    return made


def long_history(directory: Path) -> RecordedInstance:
    """Three segments, few entries."""
    made = RecordedInstance(directory / "instance")
    while len(made.content) < 5 << 20:
        made.transfer(3, "IN", 5)
        made.append(layout.COMMAND, bytes(16_000), source=1)
    made.write()
    assert len(list_segments(made.instance.journal_directory)) == 3
    return made


def test_the_first_begins_at_genesis_and_the_next_at_the_one_before(recorded: RecordedInstance) -> None:
    first = take_snapshot(recorded.instance, "interpreted")
    sequence = recorded.execution.sequence
    assert (first.sequence, first.position, first.started_at) == (sequence, len(recorded.content), 0)
    assert (first.entries, first.new) == (sequence, True)
    assert first.path == list_snapshots(recorded.instance.snapshots_directory)[0]
    assert first.bytes == first.path.stat().st_size
    again = take_snapshot(recorded.instance, "interpreted")
    assert (again.path, again.entries, again.new) == (first.path, 0, False)
    recorded.random_transfers(10, seed=7)
    recorded.write()
    second = take_snapshot(recorded.instance, "interpreted")
    assert (second.sequence, second.started_at) == (recorded.execution.sequence, sequence)
    assert int(second.digest, 16) == recorded.execution.digest % (1 << 64)


def test_the_command_says_what_it_took(recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["snapshot", "--instance", str(recorded.instance.directory), "--tier", "interpreted"]
    assert run_command([*words, "--format", "json"]) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["sequence"], said["new"]) == (recorded.execution.sequence, True)
    assert said["seconds"] >= 0
    assert run_command(words) == 0
    assert "new        False" in capsys.readouterr().out
    assert run_command(["status", "--instance", str(recorded.instance.directory), "--format", "json"]) == 0
    shown = msgspec.json.decode(capsys.readouterr().out)["snapshots"]
    assert shown[str(said["sequence"])]["position"] == said["position"]
    recorded.transfer(3, "IN", 5)
    recorded.write()
    assert run_command([*words, "--keep", "1"]) == 0
    assert len(list_snapshots(recorded.instance.snapshots_directory)) == 1


def test_there_is_nothing_to_take_of_an_instance_without_entries(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "instance")
    instance = create_instance(tmp_path / "instance")
    with pytest.raises(SnapshotError, match="no entry was ever written"):
        take_snapshot(instance, "interpreted")


def test_no_snapshot_is_taken_of_a_state_that_the_log_does_not_confirm(recorded: RecordedInstance) -> None:
    recorded.forge(4, layout.OUTCOME, (-9).to_bytes(4, "little", signed=True))
    with pytest.raises(SnapshotError, match="something else at sequence=4"):
        take_snapshot(recorded.instance, "interpreted")
    assert list_snapshots(recorded.instance.snapshots_directory) == []


def test_no_snapshot_is_taken_beyond_damage(recorded: RecordedInstance) -> None:
    recorded.overwrite(recorded.positions[9] + layout.INPUT + 9, b"\xff")
    with pytest.raises(JournalDamagedError, match="sequence=10"):
        take_snapshot(recorded.instance, "interpreted")


@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_verify_begins_at_the_snapshot_that_is_asked_for(tmp_path: Path, which: str) -> None:
    recorded = desk_history(tmp_path, 3)
    whole = verify_instance(recorded.instance.directory, "interpreted")
    first = take_snapshot(recorded.instance, "interpreted")
    recorded.random_quotes(5, seed=9)
    recorded.write()
    second = take_snapshot(recorded.instance, "interpreted")
    recorded.random_quotes(5, seed=10)
    recorded.write()
    found = verify_instance(recorded.instance.directory, "interpreted", which)  # type: ignore[arg-type]
    assert found.verified
    assert found.started_at == (first if which == "oldest" else second).sequence
    assert found.entries == recorded.execution.sequence - found.started_at
    assert found.digest == recorded.execution.digest
    assert (whole.started_at, whole.sequence) == (0, first.sequence)


def test_a_difference_right_after_the_snapshot_is_told(recorded: RecordedInstance) -> None:
    taken = take_snapshot(recorded.instance, "interpreted")
    recorded.transfer(3, "IN", 5)
    recorded.forge(recorded.execution.sequence, layout.OUTCOME, (-9).to_bytes(4, "little", signed=True))
    found = verify_instance(recorded.instance.directory, "interpreted", "newest")
    assert found.difference is not None
    assert found.difference.sequence == taken.sequence + 1
    assert (found.entries, found.sequence, f"{found.digest % (1 << 64):016x}") == (0, taken.sequence, taken.digest)


def test_verify_of_a_journal_without_its_first_segments_begins_at_the_oldest_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = long_history(tmp_path)
    content, positions = bytes(recorded.content), list(recorded.positions)
    half = sum(position < 3 << 20 for position in positions)
    recorded.overwrite(positions[half], bytes(len(content) - positions[half]))
    taken = take_snapshot(recorded.instance, "interpreted")
    assert taken.sequence == half
    recorded.overwrite(0, content)
    list_segments(recorded.instance.journal_directory)[0].path.unlink()
    assert run_command(["verify", "--instance", str(recorded.instance.directory), "--tier", "interpreted"]) == 0
    captured = capsys.readouterr()
    assert f"begun after {half}" in captured.err
    assert f"started_at {half}" in captured.out
    again = take_snapshot(recorded.instance, "interpreted")
    assert (again.started_at, again.sequence) == (half, recorded.execution.sequence)
    for path in list_snapshots(recorded.instance.snapshots_directory):
        path.unlink()
    with pytest.raises(SnapshotError, match=r"no snapshot .* journal begins at position=2097152"):
        verify_instance(recorded.instance.directory, "interpreted")
    with pytest.raises((VersionError, JournalDamagedError)):
        take_snapshot(recorded.instance, "interpreted")
