"""The instance directory: genesis, what is refused, the leader's lock, epochs and the halt mark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from statevec.engine.instance import (
    HaltedError,
    Instance,
    InstanceError,
    LeaderActiveError,
    LeaderLock,
    create_instance,
    file_system_of,
    open_instance,
    prepare_directory,
)
from statevec.journal.disk import replace_file


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    directory = tmp_path / "instance"
    prepare_directory(directory)
    return create_instance(directory)


def test_genesis_fixes_an_identity_that_opens_again(instance: Instance) -> None:
    again = open_instance(instance.directory)
    assert again == instance
    assert 0 < again.instance_id < 1 << 63
    assert again.segment_name("ring-market") == f"/sv-{again.instance_id:016x}-ring-market"


def test_two_instances_have_two_ids(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        prepare_directory(tmp_path / name)
        made.append(create_instance(tmp_path / name).instance_id)
    assert made[0] != made[1]


def test_a_directory_with_foreign_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InstanceError, match=r"holiday\.jpg"):
        prepare_directory(tmp_path)


def test_a_directory_without_an_instance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"has no instance\.json"):
        open_instance(tmp_path)


def test_a_genesis_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    prepare_directory(tmp_path)
    (tmp_path / "journal").mkdir()
    (tmp_path / ".instance.json.tmp").write_bytes(b"{")
    prepare_directory(tmp_path)
    assert create_instance(tmp_path) == open_instance(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version=2 expected=1"),
        ({"instance_id": "zz"}, "damaged"),
        ({"unit": 4096}, r"4096"),
        ({"extra": 1}, "damaged"),
    ],
)
def test_an_instance_that_does_not_fit_is_refused(instance: Instance, change: dict[str, object], message: str) -> None:
    file = instance.directory / "instance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InstanceError, match=message):
        open_instance(instance.directory)


def test_a_damaged_instance_file_is_refused(instance: Instance) -> None:
    (instance.directory / "instance.json").write_bytes(b'{"format_version')
    with pytest.raises(InstanceError, match="damaged"):
        open_instance(instance.directory)


def test_the_lock_names_who_leads(instance: Instance) -> None:
    """Rule 13: the lock is the directory's own."""
    with LeaderLock(instance.directory) as lock:
        lock.record()
        with pytest.raises(LeaderActiveError, match=r"is led by process \d+ on "):
            LeaderLock(instance.directory)
    LeaderLock(instance.directory).release()


def test_the_lock_ends_with_its_process(instance: Instance) -> None:
    """Rule 13: a dead leader holds nothing, whatever its files say."""
    code = (
        "import os, signal, sys; from pathlib import Path; from statevec.engine.instance import LeaderLock;"
        "lock = LeaderLock(Path(sys.argv[1])); lock.record(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(instance.directory)], check=False)
    LeaderLock(instance.directory).release()
    assert instance.leader() is not None


def test_epochs_only_grow_and_survive(instance: Instance) -> None:
    """Rule 14: the epoch is on disk before it is used."""
    assert instance.read_epoch() == 0
    instance.begin_epoch(3)
    assert open_instance(instance.directory).read_epoch() == 3
    with pytest.raises(InstanceError, match="epoch=3 last=3"):
        instance.begin_epoch(3)


def test_a_damaged_epoch_is_refused(instance: Instance) -> None:
    (instance.directory / "epoch").write_text("seven")
    with pytest.raises(InstanceError, match="seven"):
        instance.read_epoch()


def test_a_halt_mark_stays_until_it_is_cleared(instance: Instance) -> None:
    """Rule 11: nobody takes over after a disk error until an operator says so."""
    instance.refuse_when_halted()
    replace_file(instance.halt_path, b"fdatasync failed: errno=5")
    with pytest.raises(HaltedError, match=r"errno=5.*statevec resume --instance"):
        instance.refuse_when_halted()
    instance.clear_halt()
    instance.refuse_when_halted()


def test_the_file_system_of_a_path_is_known() -> None:
    assert file_system_of(Path("/dev/shm")) == "tmpfs"
    assert file_system_of(Path("/proc/self")) == "proc"
