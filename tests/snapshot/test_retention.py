"""Retention: what holds a segment, what goes where, and what a kill leaves."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from statevec.audit.verify import verify_instance
from statevec.cli.main import run_command
from statevec.engine.config import ConfigError, parse_config
from statevec.engine.instance import LeaderLock
from statevec.engine.snapshot_file import list_snapshots
from statevec.ipc import log_layout
from statevec.ipc.log import create_log
from statevec.ipc.python_call import store_release
from statevec.journal import entry_layout as layout
from statevec.journal.cold_segments import ColdSegmentError, cold_path, list_cold_segments
from statevec.journal.errors import JournalError
from statevec.journal.reader import JournalReader
from statevec.journal.segments import list_segments
from statevec.roles.cursor import Cursor, CursorFile
from statevec.roles.retention import HEAD_FILE, RetentionError, find_floor, read_head, retain
from statevec.roles.snapshot import begin_following, capture, newest_snapshot, write_snapshot
from statevec.roles.snapshot_taker import take_snapshot
from tests.audit.recorded_instance import SEGMENT_SIZE, RecordedInstance
from tests.snapshot.histories import run_to


def recorded_segments(directory: Path, size: int = 9 << 20) -> RecordedInstance:
    """Segments of 2 MiB with few, large entries."""
    made = RecordedInstance(directory / "instance")
    while len(made.content) < size:
        made.transfer(3, "IN", 5)
        made.append(layout.COMMAND, bytes(16_000), source=1)
    made.write()
    return made


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = recorded_segments(tmp_path)
    assert len(list_segments(made.instance.journal_directory)) == 5
    return made


def snapshots_behind(recorded: RecordedInstance, *segments: float) -> list[int]:
    """Snapshots of the last entries before those places, in segments; their sequences."""
    following = begin_following(recorded.instance, "interpreted", newest_snapshot(recorded.instance))
    sequences = []
    for place in segments:
        sequence = sum(position < place * SEGMENT_SIZE for position in recorded.positions) - 1
        run_to(recorded, following, sequence)
        write_snapshot(recorded.instance, capture(following), lambda: True)
        sequences.append(sequence)
    return sequences


def firsts(recorded: RecordedInstance) -> list[int]:
    return [segment.first // SEGMENT_SIZE for segment in list_segments(recorded.instance.journal_directory)]


def test_without_a_snapshot_nothing_goes(recorded: RecordedInstance, tmp_path: Path) -> None:
    found = retain(recorded.instance, cold=tmp_path / "cold")
    assert (found.segments, found.floor.position, found.head) == (0, 0, None)
    assert "no snapshot" in found.floor.held_by
    assert firsts(recorded) == [0, 1, 2, 3, 4]


def test_segments_below_all_kept_snapshots_are_archived(recorded: RecordedInstance, tmp_path: Path) -> None:
    whole = verify_instance(recorded.instance.directory, "interpreted")
    sequences = snapshots_behind(recorded, 2.5, 3.5, 4.2)
    cold = tmp_path / "cold"
    found = retain(recorded.instance, keep=3, cold=cold)
    assert (found.segments, found.bytes, found.floor.held_by) == (2, 2 * SEGMENT_SIZE, f"snapshot {sequences[0]}")
    assert 0 < found.cold_bytes < found.bytes
    assert firsts(recorded) == [2, 3, 4]
    assert [each.first for each in list_cold_segments(cold, recorded.instance.instance_id)] == [0, SEGMENT_SIZE]
    assert found.head == read_head(recorded.instance)
    again = retain(recorded.instance, keep=1, cold=cold)
    assert (again.segments, firsts(recorded)) == (2, [4])
    assert again.head is not None
    verified = verify_instance(recorded.instance.directory, "interpreted", cold=cold)
    assert (verified.verified, verified.started_at, verified.digest) == (True, 0, whole.digest)
    assert (verified.entries, verified.cold_head) == (whole.entries, again.head.chain_hash.hex())
    without = verify_instance(recorded.instance.directory, "interpreted")
    assert (without.verified, without.started_at) == (True, sequences[-1])


def test_with_neither_a_cold_directory_nor_delete_it_only_says_what_would_go(recorded: RecordedInstance) -> None:
    snapshots_behind(recorded, 2.5)
    found = retain(recorded.instance)
    assert (found.segments, found.done) == (2, False)
    assert firsts(recorded) == [0, 1, 2, 3, 4]


def test_delete_removes_for_good(recorded: RecordedInstance, tmp_path: Path) -> None:
    sequences = snapshots_behind(recorded, 1.5, 2.5, 3.5)
    with pytest.raises(RetentionError, match="either archived or deleted"):
        retain(recorded.instance, cold=tmp_path / "cold", delete=True)
    assert retain(recorded.instance, keep=2, delete=True).segments == 2
    assert firsts(recorded) == [2, 3, 4]
    kept = [int(path.stem) for path in list_snapshots(recorded.instance.snapshots_directory)]
    assert kept == sequences[:0:-1], "a snapshot whose segments are gone goes too"
    assert verify_instance(recorded.instance.directory, "interpreted").started_at == sequences[1]
    retain(recorded.instance, keep=1, cold=tmp_path / "cold")
    [begun] = list_cold_segments(tmp_path / "cold", recorded.instance.instance_id)
    assert begun.previous_hash == bytes(32), "the chain begins where segments were first archived"


def test_a_gateway_holds_what_it_has_not_acknowledged(recorded: RecordedInstance) -> None:
    """Rule 8: retention never passes a registered reader's cursor."""
    snapshots_behind(recorded, 3.5)
    instance = recorded.instance
    file = CursorFile(instance, "venue")
    assert find_floor(instance, 1)[0].held_by == "gateway venue"
    assert retain(instance, keep=1, delete=True).segments == 0
    at = next(position for position in recorded.positions if position > SEGMENT_SIZE)
    file.write(Cursor(position=at, epoch=1, sequence=recorded.positions.index(at) + 1, digest="1"), durable=False)
    file.close()
    assert retain(instance, keep=1, delete=True).segments == 1
    assert firsts(recorded) == [1, 2, 3, 4]


def test_a_gateway_that_never_came_holds_everything(recorded: RecordedInstance) -> None:
    """Rule 8: it is configured, so it will want every output."""
    snapshots_behind(recorded, 3.5)
    with LeaderLock(recorded.instance.directory) as lock:
        lock.record(gateways={"late": None})
    found = retain(recorded.instance, keep=1, delete=True)
    assert (found.segments, found.floor.held_by) == (0, "gateway late")


def test_a_damaged_snapshot_holds_nothing(recorded: RecordedInstance) -> None:
    """A segment goes only when a snapshot lies behind it that was read back and verified."""
    snapshots_behind(recorded, 1.5, 3.5)
    newest = list_snapshots(recorded.instance.snapshots_directory)[0]
    with open(newest, "r+b") as file:
        file.seek(9_000)
        file.write(b"\xff")
    assert retain(recorded.instance, keep=1, delete=True).segments == 1


@pytest.mark.parametrize(("released_by", "going"), [("leader", 1), ("journaler", 3)])
def test_what_the_next_journaler_writes_again_stays(recorded: RecordedInstance, released_by: str, going: int) -> None:
    """Rule 11: in `memory` mode it begins a window before the appended position, wherever a snapshot was synced."""
    snapshots_behind(recorded, 3.5)
    capacity = 8 << 20
    log = create_log(recorded.instance.instance_id, capacity, released_by=released_by)  # type: ignore[arg-type]
    try:
        store_release(log.region, log_layout.APPENDED, len(recorded.content))
        store_release(log.region, log_layout.WRITTEN, len(recorded.content))
        store_release(log.region, log_layout.DURABLE, 0 if released_by == "leader" else len(recorded.content))
        found = retain(recorded.instance, keep=1, delete=True)
        assert found.segments == going
        if released_by == "leader":
            assert found.floor.position == len(recorded.content) + log_layout.MAX_BATCH_BYTES - capacity
            assert "the log" in found.floor.held_by
    finally:
        log.unlink()
        log.close()


def test_the_last_segment_stays(recorded: RecordedInstance) -> None:
    take_snapshot(recorded.instance, "interpreted")
    recorded.overwrite(len(recorded.content), b"")
    retain(recorded.instance, keep=1, delete=True)
    assert firsts(recorded) == [4]


def test_cold_segments_may_lie_elsewhere_by_now(recorded: RecordedInstance, tmp_path: Path) -> None:
    snapshots_behind(recorded, 2.5)
    cold = tmp_path / "cold"
    retain(recorded.instance, cold=cold)
    moved = tmp_path / "tape"
    cold.rename(moved)
    snapshots_behind(recorded, 4.2)
    retain(recorded.instance, keep=1, cold=cold)
    assert [path.name for path in sorted(cold.iterdir())] == [
        cold_path(cold, each * SEGMENT_SIZE).name for each in (2, 3)
    ]
    for path in moved.iterdir():
        shutil.copy(path, cold)
    assert verify_instance(recorded.instance.directory, "interpreted", cold=cold).started_at == 0
    (recorded.instance.directory / HEAD_FILE).unlink()
    cold_path(cold, 3 * SEGMENT_SIZE).unlink()
    while len(recorded.content) < 11 << 20:
        recorded.append(layout.COMMAND, bytes(16_000), source=1)
    recorded.write()
    take_snapshot(recorded.instance, "interpreted")
    with pytest.raises(RetentionError, match="does not follow the cold segments"):
        retain(recorded.instance, keep=1, cold=cold)


def test_changed_and_exchanged_cold_segments_fail_verification(recorded: RecordedInstance, tmp_path: Path) -> None:
    snapshots_behind(recorded, 4.2)
    cold = tmp_path / "cold"
    retain(recorded.instance, cold=cold)
    other = recorded_segments(tmp_path / "other")
    snapshots_behind(other, 4.2)
    retain(other.instance, cold=tmp_path / "other-cold")
    path = cold_path(cold, SEGMENT_SIZE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"\xff" + whole[-8:])
    with pytest.raises(ColdSegmentError, match="damaged"):
        verify_instance(recorded.instance.directory, "interpreted", cold=cold)
    path.write_bytes(whole)
    with pytest.raises(ColdSegmentError, match="another instance"):
        verify_instance(recorded.instance.directory, "interpreted", cold=tmp_path / "other-cold")
    record = recorded.instance.directory / HEAD_FILE
    said = msgspec.json.decode(record.read_bytes())
    record.write_bytes(msgspec.json.encode({**said, "chain_hash": "ab" * 32}))
    with pytest.raises(ColdSegmentError, match="another chain than the instance's"):
        verify_instance(recorded.instance.directory, "interpreted", cold=cold)


def test_a_reader_of_a_segment_that_was_taken_away_is_told_so(recorded: RecordedInstance) -> None:
    """Rule 8: a reader that nobody registered gets a named error."""
    snapshots_behind(recorded, 2.5)
    reader = JournalReader(recorded.instance.journal_directory)
    late = JournalReader(recorded.instance.journal_directory)
    mapped = next(reader.entries())
    retain(recorded.instance, delete=True)
    assert mapped.sequence == 1, "what was mapped stays readable"
    with pytest.raises(JournalError, match="not needed any more and was taken away"):
        next(late.entries())
    with pytest.raises(JournalError, match="before the journal: position=0 first=4194304"):
        JournalReader(recorded.instance.journal_directory).read(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_snapshots = 0", r"retention.keep_snapshots: must be 1 or more, got 0"),
        ('cold = "x"\ndelete = true', r"retention.delete: segments are either archived or deleted"),
        ('snapshot_every = "soon"', r"retention.snapshot_every: expected a number or a text"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(text: str, message: str) -> None:
    whole = f'[instance]\ndirectory = "i"\n[plugin]\npath = "p"\n[retention]\n{text}\n'
    with pytest.raises(ConfigError, match=message):
        parse_config(whole, Path("/"))


def test_the_commands(recorded: RecordedInstance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshots_behind(recorded, 3.5)
    plugin = recorded.instance.plugin_directory(recorded.plugin.content_hash)
    configuration = tmp_path / "engine.toml"
    configuration.write_text(
        f'[instance]\ndirectory = "instance"\n[plugin]\npath = "{plugin}"\n'
        '[retention]\ncold = "cold"\nkeep_snapshots = 1\n'
    )
    words = ["--instance", str(recorded.instance.directory)]
    assert run_command(["retain", *words]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert run_command(["retain", *words, "--config", str(configuration), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["segments"], said["done"], len(said["head"])) == (3, True, 64)
    cold = ["--cold", str(tmp_path / "cold")]
    assert run_command(["verify", *words, *cold, "--tier", "interpreted", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["cold_head"] == said["head"]
    assert run_command(["journal", *words, *cold, "--to", "3", "--format", "json"]) == 0
    assert [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename", "unlink"])
def test_a_failing_disk_leaves_the_segment_and_the_next_run_goes_on(
    recorded: RecordedInstance, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots_behind(recorded, 1.5)
    whole = verify_instance(recorded.instance.directory, "interpreted")
    cold = tmp_path / "cold"
    original = getattr(os, call)

    def full(*arguments: object, **named: object) -> object:
        monkeypatch.setattr(os, call, original)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="failed: ENOSPC"):
        retain(recorded.instance, cold=cold)
    assert firsts(recorded) == [0, 1, 2, 3, 4]
    assert retain(recorded.instance, cold=cold).segments == 1
    verified = verify_instance(recorded.instance.directory, "interpreted", cold=cold)
    assert (verified.entries, verified.digest) == (whole.entries, whole.digest)


def test_a_kill_at_any_step_leaves_every_segment_readable(tmp_path: Path) -> None:
    recorded = recorded_segments(tmp_path, 3 << 20)
    whole = verify_instance(recorded.instance.directory, "interpreted")
    script = Path(__file__).with_name("killed_retention.py")
    directory, cold = recorded.instance.directory, tmp_path / "cold"
    command = [sys.executable, "-m", f"tests.snapshot.{script.stem}", str(directory), str(cold)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, cwd=Path(__file__).parents[2]
    )
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 12
    assert steps[-1] == {"step": steps[-1]["step"], "killed": False, "readable": True, "removed": True}
    assert all(step["readable"] for step in steps)
    assert not steps[0]["removed"]
    verified = verify_instance(directory, "interpreted", cold=cold)
    assert (verified.entries, verified.digest) == (whole.entries, whole.digest)
