"""What statevec writes to disk, one job each: made to fail at every call, then looked at, then done again.

`make` prepares a directory, `act` is the job, `check` is what must hold after a failure, `finish` after the job was
done again without one. Everything is executed in this process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from statevec.audit.repair import repair
from statevec.audit.verify import verify_instance
from statevec.engine.instance import (
    InstanceError,
    LeaderLock,
    create_instance,
    open_instance,
    prepare_directory,
)
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.snapshot_file import list_snapshots
from statevec.engine.store import PluginStore
from statevec.journal.disk import replace_file
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import find_end
from statevec.journal.segments import list_segments
from statevec.roles.cursor import Cursor, CursorFile, read_cursor, retire
from statevec.roles.halted import resume
from statevec.roles.retention import retain
from statevec.roles.shadow_report import ShadowReport, read_report, write_report
from statevec.roles.snapshot import begin_following, capture, newest_snapshot, write_snapshot
from statevec.roles.snapshot_taker import take_snapshot
from tests.audit.recorded_instance import SEGMENT_SIZE, RecordedInstance

Step = Callable[[Path], None]


@dataclass(frozen=True)
class Scenario:
    """A job on the instance in `directory / "instance"`; `directory` is all that is watched."""

    name: str
    make: Step
    act: Step
    check: Step
    finish: Step
    tolerated: tuple[tuple[str, str], ...] = field(default=())
    """(function, part of a file's name): where a failure costs nothing, and the job goes on."""


def nothing(directory: Path) -> None:
    """A step that has nothing to do."""


def record(directory: Path) -> None:
    """Some entries in one segment."""
    made = RecordedInstance(directory / "instance")
    made.random_transfers(30, 7)
    made.write()


def record_segments(directory: Path) -> None:
    """Three segments, and a snapshot in the third."""
    made = RecordedInstance(directory / "instance")
    while len(made.content) < 2 * SEGMENT_SIZE + 4096:
        made.append(1, bytes(60_000), source=1)
    made.transfer(3, "IN", 5)
    made.write()
    take_snapshot(made.instance, "interpreted")


def verified(directory: Path, cold: bool = False) -> None:
    """Every entry is there and comes out the same, from the first one on."""
    archive = directory / "cold"
    found = verify_instance(directory / "instance", "interpreted", cold=archive if cold and archive.is_dir() else None)
    assert found.verified
    assert found.started_at == 0


def genesis(directory: Path) -> None:
    prepare_directory(directory / "made" / "instance")
    if not (directory / "made" / "instance" / "instance.json").exists():
        create_instance(directory / "made" / "instance")


def check_genesis(directory: Path) -> None:
    with suppress(InstanceError):
        finish_genesis(directory)


def finish_genesis(directory: Path) -> None:
    open_instance(directory / "made" / "instance")


def begin_epoch(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    instance.begin_epoch(instance.read_epoch() + 1)


def check_epoch(directory: Path) -> None:
    assert open_instance(directory / "instance").read_epoch() in (3, 4)


def lead(directory: Path) -> None:
    with LeaderLock(directory / "instance") as lock:
        lock.record(epoch=4)


def check_leader(directory: Path) -> None:
    leader = open_instance(directory / "instance").leader()
    assert leader is not None
    assert leader.epoch in (3, 4)


def recorded_leader(directory: Path) -> None:
    record(directory)
    with LeaderLock(directory / "instance") as lock:
        lock.record(epoch=3)
    open_instance(directory / "instance").begin_epoch(3)


OTHER_PLUGIN = Path(__file__).parents[1] / "roles" / "tally"


def keep_version(directory: Path) -> None:
    PluginStore(directory / "instance").keep(load_plugin(OTHER_PLUGIN))


def check_store(directory: Path) -> None:
    store = PluginStore(directory / "instance")
    assert store.versions()
    for version in store.versions():
        store.load(version.content_hash)


def take_another(directory: Path) -> None:
    """A snapshot of the state at the end; one that is there is replaced, older ones go."""
    instance = open_instance(directory / "instance")
    take = begin_following(instance, "interpreted", None)
    take.run_to(_reader(directory), find_end(instance.journal_directory).position)
    write_snapshot(instance, capture(take), lambda: True, keep=1)


def _reader(directory: Path) -> JournalReader:
    return JournalReader(directory / "instance" / "journal")


def older_snapshot(directory: Path) -> None:
    """An instance with a snapshot of its first entries."""
    record(directory)
    instance = open_instance(directory / "instance")
    follower = begin_following(instance, "interpreted", None)
    follower.run_to(_reader(directory), _reader(directory).find(10))
    write_snapshot(instance, capture(follower), lambda: True)


def check_snapshots(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    assert newest_snapshot(instance) is not None
    assert len(list_snapshots(instance.snapshots_directory)) <= 2
    verified(directory)


def finish_snapshots(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    found = newest_snapshot(instance)
    assert found is not None
    assert found.header.sequence == find_end(instance.journal_directory).sequence
    assert [path.name for path in instance.snapshots_directory.iterdir()] == [found.path.name]


def archive(directory: Path) -> None:
    retain(open_instance(directory / "instance"), keep=1, cold=directory / "cold")


def delete(directory: Path) -> None:
    retain(open_instance(directory / "instance"), keep=1, delete=True)


def check_deleted(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    assert newest_snapshot(instance) is not None
    assert verify_instance(instance.directory, "interpreted", "newest").verified


def finish_retained(directory: Path) -> None:
    assert len(list_segments(directory / "instance" / "journal")) == 1


def acknowledge(directory: Path) -> None:
    """A new gateway, or the one there is, acknowledges once with the disk and once without."""
    file = CursorFile(open_instance(directory / "instance"), "venue")
    try:
        if file.cursor.position < 64:
            file.write(Cursor(64, 1, 1, "ab", 1), durable=True)
        if file.cursor.position < 128:
            file.write(Cursor(128, 1, 2, "cd", 1), durable=False)
    finally:
        file.close()


def check_cursor(directory: Path) -> None:
    assert read_cursor(directory / "instance" / "gateways" / "venue").position in (0, 64, 128)


def acknowledged(directory: Path) -> None:
    record(directory)
    acknowledge(directory)


def retire_venue(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    if (instance.gateways_directory / "venue").is_dir():
        retire(instance, "venue")


def check_retired(directory: Path) -> None:
    venue = directory / "instance" / "gateways" / "venue"
    assert not venue.exists() or read_cursor(venue).position == 128


def finish_retired(directory: Path) -> None:
    assert not (directory / "instance" / "gateways" / "venue").exists()


def report(compared: int) -> ShadowReport:
    names = ("candidate", "decider")
    texts = {f"{name}_{what}": "x" for name in names for what in ("hash", "name", "version")}
    return ShadowReport(
        **texts, instance="", mode="lockstep", from_sequence=1, to_sequence=compared, compared=compared, same=compared,
        expected=0, unexpected=0, caught_up=True, finished=True, migration="", rollback_possible=True, updated_ns=1,
        seconds=1.0, behind_bytes=0, times={},
    )  # fmt: skip


def write_shadow_report(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    write_report(instance, report(1))
    write_report(instance, report(2))


def check_report(directory: Path) -> None:
    found = read_report(open_instance(directory / "instance"), "x")
    assert found is None or found.compared in (1, 2)


def torn(directory: Path) -> None:
    """A journal with a torn tail."""
    made = RecordedInstance(directory / "instance")
    made.random_transfers(30, 7)
    made.write()
    made.overwrite(len(made.content), b"\7" * 96)


def cut(directory: Path) -> None:
    instance = open_instance(directory / "instance")
    resume(instance)
    repair(instance)


def finish_cut(directory: Path) -> None:
    end = find_end(directory / "instance" / "journal")
    assert end.used == end.position
    verified(directory)


def halt(directory: Path) -> None:
    record(directory)
    replace_file(directory / "instance" / "halt", b"fdatasync failed")


def clear(directory: Path) -> None:
    resume(open_instance(directory / "instance"))


def finish_cleared(directory: Path) -> None:
    open_instance(directory / "instance").refuse_when_halted()


NOT_READ = (("open", "journal/N.seg"), ("open", "/.stored"), ("open", "snapshots/N.snapshot"))
"""A snapshot that cannot be read, or compared with its entry, is reported and not used: then nothing goes."""
SCENARIOS = [
    Scenario("genesis", nothing, genesis, check_genesis, finish_genesis),
    Scenario("epoch", recorded_leader, begin_epoch, check_epoch, nothing),
    Scenario("leader", recorded_leader, lead, check_leader, check_leader),
    Scenario("store", record, keep_version, check_store, check_store),
    Scenario("first snapshot", record, take_another, verified, finish_snapshots),
    Scenario("snapshot", older_snapshot, take_another, check_snapshots, finish_snapshots),
    Scenario("archive", record_segments, archive, lambda at: verified(at, True), finish_retained, NOT_READ),
    Scenario("delete", record_segments, delete, check_deleted, finish_retained, NOT_READ),
    Scenario("cursor", record, acknowledge, check_cursor, check_cursor),
    Scenario("retire", acknowledged, retire_venue, check_retired, finish_retired),
    Scenario("shadow report", record, write_shadow_report, check_report, check_report),
    Scenario("torn tail", torn, cut, verified, finish_cut),
    Scenario("resume", halt, clear, verified, finish_cleared),
]


def copy_of(template: Path, target: Path) -> Path:
    """A fresh copy of what a scenario made, in place of the one before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(template, target)
    return target
