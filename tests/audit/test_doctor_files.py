"""`statevec doctor` on files, shared memory, archive, store and snapshots: what it finds, and what `--repair` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statevec.audit.doctor import examine
from statevec.audit.repair import repair
from statevec.audit.verify import verify_instance
from statevec.cli.main import run_command
from statevec.engine.instance import HaltedError, Instance, LeaderLock
from statevec.engine.snapshot_file import list_snapshots
from statevec.ipc import log_layout, segment_layout
from statevec.ipc.counters import create_counters
from statevec.ipc.log import create_log
from statevec.ipc.ring import create_ring
from statevec.roles.cursor import Cursor, CursorFile
from statevec.roles.halted import resume
from statevec.roles.retention import retain
from statevec.roles.snapshot_taker import take_snapshot
from tests.audit.recorded_instance import SEGMENT_SIZE, RecordedInstance

LEFT = """
import sys
from statevec.ipc.counters import create_counters
create_counters("standby-7", int(sys.argv[1]), ["x"])
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[RecordedInstance]:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(50, 7)
    made.write()
    yield made
    for path in Path("/dev/shm").glob(made.instance.segment_name("")[1:] + "*"):
        path.unlink()


def problems(instance: Instance, cold: Path | None = None) -> list[str]:
    found = examine(instance.directory, cold)
    assert all(each.remedy for each in found.findings if each.severity == "problem")
    return [f"{each.where}: {each.what}" for each in found.findings if each.severity == "problem"]


def notes(instance: Instance) -> list[str]:
    return [f"{each.where}: {each.what}" for each in examine(instance.directory).findings if each.severity == "note"]


def only(found: list[str], *words: str) -> None:
    assert len(found) == 1, found
    for word in words:
        assert word in found[0], found


@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [
        ("journal/0000000000000000.seg", 0o604, "everybody may read it: mode=604"),
        ("journal/0000000000000000.seg", 0o620, "others than its owner may write it: mode=620"),
        ("journal/0000000000000000.seg", 0o400, "its owner may not read and write it: mode=400"),
        ("journal", 0o777, "others than its owner may write it: mode=777"),
        ("instance.json", 0o666, "others than its owner may write it: mode=666"),
    ],
)
def test_rights_that_are_too_wide_or_too_narrow(recorded: RecordedInstance, path: str, mode: int, words: str) -> None:
    assert problems(recorded.instance) == []
    os.chmod(recorded.instance.directory / path, mode)
    only(problems(recorded.instance), path, words)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_a_file_of_another_user(recorded: RecordedInstance) -> None:
    (recorded.instance.gateways_directory / "venue").mkdir()
    os.chown(recorded.instance.gateways_directory / "venue", 12345, -1)
    assert problems(recorded.instance) == [], "a gateway may be another user's"
    os.chown(recorded.instance.journal_directory, 12345, -1)
    only(problems(recorded.instance), "journal", "belongs to uid 12345")


def test_links_and_strange_files(recorded: RecordedInstance, tmp_path: Path) -> None:
    directory = recorded.instance.directory
    (directory / "notes.txt").write_text("x")
    assert any("notes.txt: does not belong to an instance" in each for each in notes(recorded.instance))
    segment = next(recorded.instance.journal_directory.glob("*.seg"))
    segment.rename(tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    found = problems(recorded.instance)
    assert any(f"{segment}: a symbolic link" in each for each in found), found


def test_space_that_does_not_suffice(recorded: RecordedInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(recorded.instance.directory)
    full = os.statvfs_result([*real[:4], 1, *real[5:]])
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    only(problems(recorded.instance), "not enough free space", f"{2 * SEGMENT_SIZE:,}")


def test_what_writers_left_is_shown_and_removed(recorded: RecordedInstance) -> None:
    instance = recorded.instance
    for path in (".epoch.tmp", "journal/.0000000000200000.seg.tmp", "plugins/.ab.tmp/tally.py", ".gateway-x.tmp/cursor",
                 "gateways/venue/.cursor.tmp", "gateways/busy/.cursor.tmp", "snapshots/.1.snapshot.tmp"):  # fmt: skip
        (instance.directory / path).parent.mkdir(exist_ok=True, mode=0o700)
        (instance.directory / path).write_text("x")
    busy = CursorFile(instance, "busy")
    try:
        assert len([each for each in notes(instance) if "left behind" in each]) == 7
        done = repair(instance)
    finally:
        busy.close()
    assert len(done) == 6, done
    assert [str(path.relative_to(instance.directory)) for path in instance.directory.rglob(".*.tmp")] == [
        "gateways/busy/.cursor.tmp"
    ], "who writes there lives"
    assert problems(instance) == []


def test_a_damaged_snapshot_is_set_aside_where_another_start_is_sound(recorded: RecordedInstance) -> None:
    instance = recorded.instance
    path = take_snapshot(instance, "interpreted").path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    only(problems(instance), str(path), "the hash of its image differs")
    [done] = repair(instance)
    assert done.startswith(f"set aside {path}: ")
    assert list_snapshots(instance.snapshots_directory) == []
    assert path.with_name(path.name + ".damaged").read_bytes() == content
    assert problems(instance) == []
    assert verify_instance(instance.directory, "interpreted").verified


def test_a_damaged_snapshot_stays_where_it_is_the_only_start(tmp_path: Path) -> None:
    made = segments_with_snapshot(tmp_path)
    retain(made.instance, keep=1, delete=True)
    [path] = list_snapshots(made.instance.snapshots_directory)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert run_command(["doctor", "--repair", "--instance", str(made.instance.directory)]) == 1
    assert list_snapshots(made.instance.snapshots_directory) == [path]


def segments_with_snapshot(directory: Path) -> RecordedInstance:
    made = RecordedInstance(directory / "instance")
    while len(made.content) < 2 * SEGMENT_SIZE + 4096:
        made.append(1, bytes(60_000), source=1)
    made.write()
    take_snapshot(made.instance, "interpreted")
    return made


def remove_last(cold: Path) -> None:
    max(cold.iterdir()).unlink()


def flip(cold: Path) -> None:
    content = bytearray(max(cold.iterdir()).read_bytes())
    content[len(content) // 2] ^= 16
    max(cold.iterdir()).write_bytes(content)


def remove_first(cold: Path) -> None:
    min(cold.iterdir()).unlink()
    (cold.parent / "instance" / "cold.json").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove_last, "cold segments are missing at the end"),
        (flip, "cold segment is damaged"),
        (lambda cold: (cold.parent / "instance" / "cold.json").write_text("{}"), "cold.json is damaged"),
    ],
)
def test_an_archive_is_looked_at(tmp_path: Path, harm: Callable[[Path], object], words: str) -> None:
    made = segments_with_snapshot(tmp_path)
    cold = tmp_path / "cold"
    retain(made.instance, keep=1, cold=cold)
    assert problems(made.instance, cold) == []
    harm(cold)
    only(problems(made.instance, cold), words)


def test_a_segment_that_is_missing_behind_the_archive(tmp_path: Path) -> None:
    made = segments_with_snapshot(tmp_path)
    retain(made.instance, keep=1, cold=tmp_path / "cold")
    head = tmp_path / "instance" / "cold.json"
    head.write_text(head.read_text().replace(str(2 * SEGMENT_SIZE), str(SEGMENT_SIZE)))
    only(problems(made.instance), "segments are missing: archived up to position")


def test_a_version_that_decided_and_is_not_in_the_store(recorded: RecordedInstance) -> None:
    stored = recorded.instance.plugin_directory(recorded.plugin.content_hash)
    stored.rename(recorded.instance.directory.parent / "elsewhere")
    only(problems(recorded.instance), "decided from sequence 1 on is not in the store", recorded.plugin.content_hash)


def test_a_cursor_beyond_the_journal_without_a_log(recorded: RecordedInstance) -> None:
    with_cursor = CursorFile(recorded.instance, "venue")
    with_cursor.write(Cursor(len(recorded.content) + 64, 1, 99, "ab", 0), durable=True)
    with_cursor.close()
    only(problems(recorded.instance), "gateway venue is beyond the journal")


def test_a_leader_json_of_another_time(recorded: RecordedInstance) -> None:
    with LeaderLock(recorded.instance.directory) as lock:
        lock.record(epoch=3, started_ms=1)
    only(problems(recorded.instance), "leader.json is of epoch 3, the file epoch says 0")


def test_shared_memory_is_looked_at(recorded: RecordedInstance) -> None:
    instance = recorded.instance
    log = create_log(instance.instance_id, 4 << 20, released_by="leader", position=len(recorded.content))
    ring = create_ring("market", 1 << 12, instance.instance_id)
    own = create_counters("engine", instance.instance_id, ["x"])
    try:
        assert problems(instance) == []
        log.region.store_i64(log_layout.APPENDED, log.region.load_i64(log_layout.APPENDED) + 64)
        assert any("64 bytes that are not known to be on disk" in each for each in notes(instance))
        paths = {name: Path("/dev/shm") / instance.segment_name(name)[1:] for name in ("log", "ring-market")}
        paths["ring-market"].chmod(0o666)
        only(problems(instance), "ring-market", "more may open it than shall: mode=666")
        paths["ring-market"].chmod(0o600)
        ring.region.store_i64(segment_layout.BOOT_ID_AT, 7)
        only(problems(instance), "ring-market", "of another boot")
        ring.region.store_i64(segment_layout.INSTANCE_ID_AT, 7)
        only(problems(instance), "ring-market", "not a segment of this instance")
        paths["ring-market"].unlink()
        paths["ring-market"].symlink_to("/etc/passwd")
        only(problems(instance), "ring-market", "cannot be opened")
    finally:
        for segment in (log, ring, own.segment):
            segment.close()


def test_a_halted_log_is_a_problem_and_nothing_is_repaired(recorded: RecordedInstance) -> None:
    """Rule 11, where the disk took no mark."""
    instance = recorded.instance
    recorded.overwrite(len(recorded.content), b"\7" * 96)
    with create_log(instance.instance_id, 4 << 20, released_by="leader", position=len(recorded.content)) as log:
        log.region.store_i64(log_layout.HALTED, 1)
        only(problems(instance), "the log was halted by a disk error")
        with pytest.raises(HaltedError, match="statevec resume"):
            repair(instance)
        assert "could not be written" in (resume(instance) or "")
        assert log.region.load_i64(log_layout.HALTED) == 0
    assert repair(instance) == [f"cut a torn tail of 96 bytes behind position {len(recorded.content)}"]


def test_counters_of_a_dead_process_are_removed_and_a_ring_is_not(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = recorded.instance
    create_ring("market", 1 << 12, instance.instance_id).close()
    subprocess.run([sys.executable, "-c", LEFT, str(instance.instance_id)], check=True, timeout=120)
    assert any("standby-7" in each and "is dead" in each for each in notes(instance))
    assert run_command(["doctor", "--repair", "--instance", str(instance.directory), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["repaired"]) == 1
    assert "counters-standby-7 from shared memory" in said["repaired"][0]
    assert [path.name[20:] for path in Path("/dev/shm").glob(instance.segment_name("")[1:] + "*")] == ["ring-market"]
