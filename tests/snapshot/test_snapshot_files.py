"""Snapshot files: what is found damaged, what is refused, what a kill leaves, how many stay."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from statevec.engine.instance import create_instance, prepare_directory
from statevec.engine.snapshot_file import (
    SnapshotError,
    list_snapshots,
    read_header,
    read_snapshot,
    used_ranges,
    verify_file,
    write_file,
)
from statevec.ipc.memory import Region
from statevec.roles.following import Following
from statevec.roles.snapshot import (
    Captured,
    capture,
    newest_snapshot,
    oldest_snapshot,
    usable_snapshots,
    write_snapshot,
)
from tests.audit.recorded_instance import RecordedInstance
from tests.snapshot.histories import followed, run_to


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    made = RecordedInstance(tmp_path / "instance")
    made.random_transfers(30, seed=4)
    made.write()
    return made


def snapshot_at(recorded: RecordedInstance, *sequences: int) -> list[Path]:
    following = followed(recorded, sequences[0])
    paths = []
    for sequence in sequences:
        run_to(recorded, following, sequence)
        paths.append(write_snapshot(recorded.instance, capture(following), lambda: True))
    return paths


def refusals(printed: str) -> list[dict[str, str]]:
    events = [json.loads(line) for line in printed.splitlines()]
    return [event for event in events if event["event"] == "snapshot_refused"]


def test_a_flipped_bit_anywhere_is_found(recorded: RecordedInstance) -> None:
    [path] = snapshot_at(recorded, 20)
    whole = path.read_bytes()
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    source = random.Random(seed)
    image_offset = int.from_bytes(whole[32:40], "little")
    parts = [(0, 128), (4080, 4096 + 1200), (image_offset - 64, image_offset + 4096), (0, len(whole))]
    for start, end in [part for part in parts for _ in range(60)]:
        place, bit = source.randrange(start, end), source.randrange(8)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(bytes([whole[place] ^ 1 << bit]))
        for check in (verify_file, read_snapshot):
            with pytest.raises(SnapshotError):
                check(path)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(whole[place : place + 1])
    assert verify_file(path).sequence == 20


@pytest.mark.parametrize("change", [lambda whole: whole[:-1], lambda whole: whole + b"\0", lambda _: b"", bytes])
def test_a_file_of_another_length_is_refused(recorded: RecordedInstance, change: Callable[[bytes], bytes]) -> None:
    [path] = snapshot_at(recorded, 20)
    whole = path.read_bytes()
    path.write_bytes(change(whole) if change is not bytes else bytes(len(whole)))
    for check in (read_header, verify_file, read_snapshot):
        with pytest.raises(SnapshotError):
            check(path)


def test_damaged_ones_are_reported_and_the_next_older_is_used(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = snapshot_at(recorded, 10, 20, 25)
    with open(paths[2], "r+b") as file:
        file.seek(9_000)
        file.write(b"\xff")
    paths[1].write_bytes(paths[1].read_bytes()[:5_000])
    found = newest_snapshot(recorded.instance)
    assert found is not None
    assert found.header.sequence == 10
    told = refusals(capsys.readouterr().err)
    assert [each["path"] for each in told] == [str(paths[2]), str(paths[1])]
    paths[0].write_bytes(b"nonsense")
    assert newest_snapshot(recorded.instance) is None


def test_oldest_and_newest_are_what_they_say(recorded: RecordedInstance) -> None:
    snapshot_at(recorded, 10, 20, 25)
    assert [each.header.sequence for each in usable_snapshots(recorded.instance)] == [25, 20, 10]
    oldest, newest = oldest_snapshot(recorded.instance), newest_snapshot(recorded.instance)
    assert oldest is not None
    assert newest is not None
    assert (oldest.header.sequence, newest.header.sequence) == (10, 25)


def rewritten(path: Path, **changes: object) -> None:
    """Change what the header says, with right hashes."""
    header, image = read_snapshot(path)
    write_file(path, msgspec.structs.replace(header, **changes), image)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instance_id": "1234"}, "of another instance"),
        ({"digest": "00000000deadbeef"}, "of another history: sequence=20"),
        ({"position": 1 << 40}, "beyond the log"),
        ({"sequence": 1_000}, "beyond the log"),
        ({"layout_hash": "ab" * 16}, "laid out otherwise"),
    ],
)
def test_one_that_does_not_belong_to_the_log_is_refused(
    recorded: RecordedInstance, capsys: pytest.CaptureFixture[str], changes: dict[str, object], reason: str
) -> None:
    """Rule 12: recovery refuses a snapshot beyond the log or whose digest differs from the entry at S."""
    [path] = snapshot_at(recorded, 20)
    rewritten(path, **changes)
    assert newest_snapshot(recorded.instance) is None
    [told] = refusals(capsys.readouterr().err)
    assert reason in told["reason"]


def test_one_beyond_a_given_end_is_refused(recorded: RecordedInstance) -> None:
    """Rule 12: the log may end below what the files have room for."""
    snapshot_at(recorded, 10, 20)
    found = newest_snapshot(recorded.instance, end=recorded.positions[19])
    assert found is not None
    assert found.header.sequence == 10


def test_a_version_that_is_not_in_the_store_is_refused(recorded: RecordedInstance) -> None:
    snapshot_at(recorded, 20)
    store = recorded.instance.plugin_directory(recorded.plugin.content_hash)
    (store / "ledger.py").write_text("broken")
    assert newest_snapshot(recorded.instance) is None


def test_the_final_name_comes_only_when_the_position_is_durable(recorded: RecordedInstance) -> None:
    """Rule 12."""
    directory = recorded.instance.snapshots_directory
    captured = capture(followed(recorded, 20))
    asked = []

    def durable() -> bool:
        asked.append(list_snapshots(directory))
        assert [path.name for path in directory.iterdir()] == [f".{20:020d}.snapshot.tmp"]
        return len(asked) == 3

    path = write_snapshot(recorded.instance, captured, durable)
    assert asked == [[], [], []]
    assert list_snapshots(directory) == [path]

    def gone() -> bool:
        raise ConnectionError("the leader died")

    with pytest.raises(ConnectionError):
        write_snapshot(recorded.instance, capture(followed(recorded, 25)), gone)
    assert list(directory.iterdir()) == [path]


def test_nothing_is_taken_before_the_first_entry(recorded: RecordedInstance) -> None:
    following = Following.from_genesis(recorded.instance, recorded.plugin, "interpreted")
    with pytest.raises(SnapshotError, match="no entry was executed"):
        capture(following)


def test_the_newest_stay_and_those_of_dead_writers_go(recorded: RecordedInstance) -> None:
    directory = recorded.instance.snapshots_directory
    snapshot_at(recorded, 10)
    (directory / ".00000000000000000009.snapshot.tmp").write_bytes(b"half")
    following = followed(recorded, 11)
    for sequence in range(11, 16):
        run_to(recorded, following, sequence)
        write_snapshot(recorded.instance, capture(following), lambda: True, keep=2)
    assert sorted(path.name for path in directory.iterdir()) == [f"{each:020d}.snapshot" for each in (14, 15)]
    snapshot_at(recorded, 20)
    assert len(list_snapshots(directory)) == 3


def test_what_is_captured_does_not_follow_the_follower(recorded: RecordedInstance) -> None:
    following = followed(recorded, 20)
    captured = capture(following)
    before = bytes(captured.image.view)
    run_to(recorded, following, 30)
    assert bytes(captured.image.view) == before
    assert captured.sequence == 20
    assert captured.position == recorded.positions[20]


@pytest.mark.parametrize("size", [4096, 64 << 10, (64 << 10) + 4096, 1 << 20])
def test_what_is_zero_is_a_hole_and_everything_else_is_written(size: int) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    source = random.Random(seed)
    image = Region.allocate(size)
    assert list(used_ranges(image)) == []
    for _ in range(6):
        image.store_i64(source.randrange(size // 8) * 8, source.randrange(1, 1 << 60))
    copy = Region.allocate(size)
    for start, end in used_ranges(image):
        copy.copy_from(start, image, start, end - start)
    assert copy.equal(0, image, 0, size)
    ranges = list(used_ranges(image))
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(ranges)), "neighbours are one"


def test_a_large_empty_image_takes_no_space(recorded: RecordedInstance) -> None:
    [path] = snapshot_at(recorded, 3)
    status = path.stat()
    assert status.st_size > 2 << 20
    assert status.st_blocks * 512 < status.st_size // 4
    assert status.st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(recorded: RecordedInstance, tmp_path: Path) -> None:
    [path] = snapshot_at(recorded, 20)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert newest_snapshot(recorded.instance) is None


@pytest.mark.parametrize("call", ["ftruncate", "pwrite", "fsync", "rename"])
def test_a_failing_disk_leaves_the_older_ones_and_nothing_else(
    recorded: RecordedInstance, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [older] = snapshot_at(recorded, 10)
    captured = capture(followed(recorded, 20))

    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(OSError, match="failed: ENOSPC"):
            write_snapshot(recorded.instance, captured, lambda: True)
    assert list(recorded.instance.snapshots_directory.iterdir()) == [older]
    assert write_snapshot(recorded.instance, captured, lambda: True).exists()


def test_a_kill_at_any_step_leaves_no_final_name_or_a_whole_snapshot(tmp_path: Path) -> None:
    """Rule 12, and what `write_snapshot` says a crash leaves."""
    prepare_directory(tmp_path / "instance")
    instance = create_instance(tmp_path / "instance")
    script = Path(__file__).with_name("killed_writer.py")
    done = subprocess.run(
        [sys.executable, str(script), str(instance.directory)], capture_output=True, text=True, timeout=120, check=True
    )
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 8
    assert steps[-1]["killed"] is False
    assert {step["final"] for step in steps} == {True, False}
    assert all(step["whole"] for step in steps if step["final"])
    assert [step["final"] for step in steps] == sorted(step["final"] for step in steps), "once named, it stays"


def test_captured_pieces_are_all_that_is_written(recorded: RecordedInstance) -> None:
    captured = capture(followed(recorded, 20))
    assert isinstance(captured, Captured)
    path = write_snapshot(recorded.instance, captured, lambda: True)
    header, image = read_snapshot(path)
    assert header == msgspec.structs.replace(captured.header, instance_id=recorded.instance.genesis.instance_id)
    assert image.equal(0, captured.image, 0, image.size)
    assert os.path.getsize(path) % 4096 == 0
