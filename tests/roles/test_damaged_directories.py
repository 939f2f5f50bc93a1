"""A real instance's directory, harmed in one way at a time: the next engine leads with all of it, or refuses clearly.

The shared memory is gone each time, as after a power loss: all that there is lies in the directory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from statevec.engine.snapshot_file import list_snapshots
from statevec.journal.segments import SegmentFile, list_segments
from statevec.roles.cursor import Cursor, CursorRecord
from statevec.roles.gateway import Gateway
from statevec.roles.producer import Producer
from statevec.roles.snapshot import snapshots_durable
from statevec.roles.snapshot_taker import take_snapshot
from tests.roles.engine_harness import EngineUnderTest, add

WAIT_SECONDS = 120
INPUTS, SNAPSHOT_AT = 12_000, 6_500
"""Of about 210 bytes each: the third segment is reached, and the snapshot lies in the first half of the second."""
OTHER_INSTANCE = "00000000000abcde"


@dataclass
class Made:
    """What the directory was made with."""

    engine: EngineUnderTest
    template: Path
    instance_id: str
    entries: int
    end: int
    """Position behind the journal's last entry."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Three segments and an empty fourth, a snapshot in the second, a gateway's cursor; `disk` mode, then stopped."""
    directory = tmp_path_factory.mktemp("damaged")
    engine = EngineUnderTest(directory, "disk")
    try:
        engine.start()
        with Producer(engine.directory, "market") as producer, Gateway(engine.directory, "venue") as gateway:
            for number in range(INPUTS):
                last = producer.send(add(number % 50, 1, announce=int(number % 1_000 == 999)), WAIT_SECONDS)
                if number == SNAPSHOT_AT:
                    producer.wait_released(last, WAIT_SECONDS)
                    take_snapshot(engine.instance)
            producer.wait_released(last, WAIT_SECONDS)
            for _ in range(INPUTS // 1_000):
                output = gateway.wait(WAIT_SECONDS)
                assert output is not None
                gateway.acknowledge(output)
        deadline = time.monotonic() + WAIT_SECONDS
        while len(list_segments(engine.instance.journal_directory)) < 4:  # the last one is prepared, and empty
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert engine.stop() == 0
        entries = engine.entries()
        segments = list_segments(engine.instance.journal_directory)
        assert segments[2].first < entries[-1].position < segments[3].first
        assert segments[1].first < snapshots_durable(engine.instance) < segments[1].first + 600_000
        instance_id = engine.instance.genesis.instance_id
        remove_shared_memory(instance_id)
        template = directory / "template"
        engine.directory.rename(template)
        yield Made(engine, template, instance_id, len(entries), entries[-1].position + entries[-1].length)
    finally:
        if (directory / "template").exists():
            (directory / "template").rename(engine.directory)
        engine.clean_up()


def remove_shared_memory(instance_id: str) -> None:
    for path in Path("/dev/shm").glob(f"sv-{instance_id}-*"):
        path.unlink()


@pytest.fixture
def instance(made: Made) -> Iterator[Path]:
    """A fresh copy of the directory, without shared memory."""
    shutil.copytree(made.template, made.engine.directory)
    yield made.engine.directory
    process = made.engine.process
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()
    for number in (made.instance_id, OTHER_INSTANCE):
        remove_shared_memory(number)
    shutil.rmtree(made.engine.directory)


def segment(instance: Path, number: int) -> SegmentFile:
    return list_segments(instance / "journal")[number]


def write_at(instance: Path, position: int, content: bytes) -> None:
    for each in list_segments(instance / "journal"):
        if each.first <= position < each.end:
            with open(each.path, "r+b") as file:
                file.seek(position - each.first)
                file.write(content)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def exchange(instance: Path) -> None:
    first, second = segment(instance, 0).path, segment(instance, 1).path
    first.rename(first.with_suffix(".away"))
    second.rename(first)
    first.with_suffix(".away").rename(second)


def remove_middle(instance: Path) -> None:
    segment(instance, 1).path.unlink()


def remove_first_and_snapshots(instance: Path) -> None:
    segment(instance, 0).path.unlink()
    shutil.rmtree(instance / "snapshots")


def cut_middle(instance: Path) -> None:
    with open(segment(instance, 1).path, "r+b") as file:
        file.truncate(1000)


def link_journal(instance: Path) -> None:
    (instance / "journal").rename(instance / "elsewhere")
    (instance / "journal").symlink_to(instance / "elsewhere")


def move_cursor_beyond(instance: Path) -> None:
    """As when an older copy of the journal was restored beside it."""
    cursor = Cursor(segment(instance, -1).end - 4096, 1, 99_999, "ab", 1)
    (instance / "gateways" / "venue" / "cursor").write_bytes(msgspec.json.encode(CursorRecord.of(cursor)))


def forget_versions(instance: Path) -> None:
    shutil.rmtree(instance / "plugins")
    (instance / "plugins").mkdir()


def clear_last_segments(instance: Path) -> None:
    """The journal ends before its snapshot: an older copy."""
    for each in list_segments(instance / "journal")[1:]:
        each.path.unlink()


REFUSED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a segment is missing": (remove_middle, ["a segment is missing: expected position=1048576", "restore"]),
    "the first segments are missing": (remove_first_and_snapshots, ["the segments before are missing", "position=0"]),
    "a segment was cut": (cut_middle, ["segment was cut: size=1000", "restore"]),
    "a segment is misnamed": (
        lambda at: segment(at, 1).path.rename(at / "journal" / "abc.seg"),
        ["segment file is misnamed", "abc.seg"],
    ),
    "segments were exchanged": (exchange, ["the segment's first entry belongs to position "]),
    "bytes below what was durable": (
        lambda at: write_at(at, segment(at, 1).first + 700_000, b"\xff" * 64),
        ["journal is damaged where it was durable: position=17", "sequence=", "restore the segment from a copy"],
    ),
    "an older copy of the journal": (clear_last_segments, ["journal is damaged where it was durable", "durable="]),
    "a cursor beyond the journal": (move_cursor_beyond, ["journal is damaged where it was durable", "durable="]),
    "another instance's journal": (
        lambda at: change_json(at / "instance.json", instance_id=OTHER_INSTANCE),
        ["journal is of another instance: id=", f"expected={OTHER_INSTANCE}"],
    ),
    "a newer format": (
        lambda at: change_json(at / "instance.json", format_version=2),
        ["another format than this statevec reads: format_version=2 expected=1"],
    ),
    "a damaged identity": (lambda at: (at / "instance.json").write_bytes(b"\xff{}"), ["instance.json is damaged"]),
    "no identity": (lambda at: (at / "instance.json").unlink(), ["is not an instance and not empty"]),
    "a damaged epoch": (lambda at: (at / "epoch").write_text("seven"), ["epoch is damaged: expected a number"]),
    "a halt mark": (
        lambda at: (at / "halt").write_text("fdatasync failed: EIO"),
        ["was halted by a disk error: fdatasync failed: EIO", "statevec resume"],
    ),
    "versions are missing": (forget_versions, ["logic version is not in the store: content_hash="]),
    "a linked directory": (link_journal, ["journal is a symbolic link, and none is followed"]),
}


def tear_tail_and_snapshot(made: Made, instance: Path) -> None:
    """A tail that reaches over a segment's end, and a snapshot that is none."""
    write_at(instance, made.end, b"\7" * 64)
    write_at(instance, segment(instance, -1).first, b"\7" * 64)
    list_snapshots(instance / "snapshots")[0].write_bytes(b"nothing")


def lose_small_files(made: Made, instance: Path) -> None:
    (instance / "leader.json").unlink()
    (instance / "epoch").unlink()


def leave_what_writers_left(made: Made, instance: Path) -> None:
    (instance / "leader.json").write_bytes(b"\0" * 20)
    for name in (".epoch.tmp", "journal/.0000000000300000.seg.tmp"):
        (instance / name).write_text("x")


LEADS: dict[str, tuple[Callable[[Made, Path], object], str]] = {
    "a torn tail": (lambda made, at: write_at(at, made.end, b"\7" * 5000), "recovered"),
    "a torn tail over a segment's end, a damaged snapshot": (tear_tail_and_snapshot, "snapshot_refused"),
    "no leader.json, no epoch": (lose_small_files, "recovered"),
    "a torn leader.json, files of dead writers": (leave_what_writers_left, "recovered"),
}
OWN_ENTRIES = 5
"""Of the leader that begins: its leadership, and four rings in new memory."""


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_once_with_what_is_wrong(made: Made, instance: Path, name: str) -> None:
    """Rules 9, 11, 12, 13 and 19: nothing is changed, and the one line says what and where."""
    harm, words = REFUSED[name]
    harm(instance)
    before = content_of(instance)
    done = subprocess.run(made.engine.command(), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in errors[0], errors[0]
    assert before.items() <= content_of(instance).items()


def content_of(instance: Path) -> dict[str, bytes]:
    """What must stay as it is; `leader.json` says who tried."""
    return {
        str(path): path.read_bytes()
        for path in sorted(instance.rglob("*"))
        if path.is_file() and path.name not in ("leader.json", ".leader.json.tmp") and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("name", LEADS)
def test_it_leads_and_has_every_entry(made: Made, instance: Path, name: str) -> None:
    """Rules 9, 10, 12 and 14: what is durable is there, what was torn is gone, and the epoch is a new one."""
    harm, event = LEADS[name]
    harm(made, instance)
    made.engine.errors.write_text("")
    said = made.engine.start()
    assert said["epoch"] == 2
    assert said["sequence"] == made.entries + OWN_ENTRIES
    with Producer(instance, "market") as producer:
        assert producer.sequence == INPUTS
        producer.wait_released(producer.send(add(1, 1), WAIT_SECONDS), WAIT_SECONDS)
    assert made.engine.stop() == 0
    assert event in [each["event"] for each in made.engine.events()]
    entries = made.engine.entries()
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[made.entries].position == made.end, "what was torn is cut"
