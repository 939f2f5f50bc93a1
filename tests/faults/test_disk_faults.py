"""Calls on files fail, one at a time, and nothing is lost: a part of what `python -m tools.disk_faults` does."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from statevec.audit.repair import repair
from statevec.engine.instance import HaltedError, open_instance
from statevec.journal.disk import DiskError, open_directory, read_file, remove_tree, replace_file
from statevec.roles.halted import resume
from statevec.roles.snapshot_taker import take_snapshot
from tests.faults.faulty_engine import try_fault
from tests.faults.in_process import run_scenario
from tests.faults.injector import Call, Fault, Injector
from tests.faults.scenarios import SCENARIOS, Scenario, nothing, record, torn

SEGMENT = "instance/journal/N.seg"
PREPARED = "instance/journal/.N.seg.tmp"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_each_kind_of_call_fails_and_the_job_can_be_done_again(scenario: Scenario, tmp_path: Path) -> None:
    """Rules 9, 11, 12 and 19: the error names call, file, errno and remedy; what was there is there."""
    outcome = run_scenario(scenario, tmp_path / "run", quick=True)
    assert outcome.problems == []
    assert outcome.faults >= 5


@pytest.mark.parametrize(
    ("durability", "fault"),
    [
        ("disk", Fault(Call("fdatasync", SEGMENT, 3), errno.EIO)),
        ("disk", Fault(Call("pwrite", SEGMENT, 3), errno.EIO, torn=True)),
        ("disk", Fault(Call("posix_fallocate", PREPARED, 3), errno.ENOSPC, lasting=True)),
        ("memory", Fault(Call("fdatasync", SEGMENT, 1), errno.EIO)),
    ],
    ids=["fdatasync", "torn write", "full disk", "fdatasync of a full segment"],
)
def test_an_engine_whose_disk_fails_releases_nothing_more_and_loses_nothing(
    durability: str, fault: Fault, tmp_path: Path
) -> None:
    """Rules 7, 10 and 11, with compiled kernels as they ship: their calls go through the test's functions."""
    hit = tmp_path / "hit.json"
    assert try_fault(tmp_path, durability, fault) == []
    assert hit.exists(), "the call never came"


def test_a_failed_fsync_of_a_repair_leaves_the_mark(tmp_path: Path) -> None:
    """Rule 11: the next fsync would succeed and mean nothing, so a person has to look first."""
    torn(tmp_path)
    instance = open_instance(tmp_path / "instance")
    fault = Fault(Call("fsync", f"{tmp_path.name}/{SEGMENT}", 1), errno.EIO)
    with Injector([tmp_path]).watching(fault), pytest.raises(DiskError, match="fsync failed: EIO"):
        repair(instance)
    with pytest.raises(HaltedError, match="fsync failed: EIO"):
        repair(instance)
    resume(instance)
    assert repair(instance) == [], "the first attempt wrote the zeros"


def test_a_failed_fsync_below_a_snapshot_leaves_the_mark_and_no_snapshot(tmp_path: Path) -> None:
    """Rules 11 and 12: the next fsync of the journal would succeed, whoever calls it."""
    record(tmp_path)
    instance = open_instance(tmp_path / "instance")
    fault = Fault(Call("fsync", f"{tmp_path.name}/{SEGMENT}", 1), errno.EIO)
    with Injector([tmp_path]).watching(fault), pytest.raises(DiskError, match="fsync failed: EIO"):
        take_snapshot(instance, "interpreted")
    assert list(instance.snapshots_directory.iterdir()) == []
    with pytest.raises(HaltedError, match="fsync failed: EIO"):
        instance.refuse_when_halted()


def test_a_job_that_passes_over_a_failure_is_noticed(tmp_path: Path) -> None:
    """What these tests would say of code that is wrong."""

    def careless(directory: Path) -> None:
        try:
            replace_file(directory / "a", b"new")
        except OSError:
            replace_file(directory / "a", b"new")

    outcome = run_scenario(Scenario("careless", nothing, careless, nothing, nothing), tmp_path / "run")
    assert len(outcome.problems) == outcome.faults > 10
    assert all("nobody noticed" in each for each in outcome.problems)


def test_a_file_that_is_opened_for_writing_otherwise_is_noticed(tmp_path: Path) -> None:
    injector = Injector([tmp_path])
    with injector.watching():
        (tmp_path / "a").write_bytes(b"x")
    assert len(injector.unseen) == 1


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"precious")
    (tmp_path / "cursor").symlink_to(tmp_path / "secret")
    (tmp_path / ".cursor.tmp").symlink_to(tmp_path / "secret")
    (tmp_path / "journal").symlink_to(tmp_path)
    for attempt in (
        lambda: read_file(tmp_path / "cursor"),
        lambda: replace_file(tmp_path / "cursor", b"new"),
        lambda: open_directory(tmp_path / "journal"),
    ):
        with pytest.raises(DiskError, match=r"symbolic link|no link to one") as caught:
            attempt()
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert (tmp_path / "secret").read_bytes() == b"precious"


def test_a_tree_is_removed_and_what_its_links_mean_is_not(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()
