"""The disk that loses power: what must and what may survive in its images."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tools.power import history
from tools.power.disk import PAGE, SECTOR, Disk
from tools.power.history import ROOT, Event, Seen

SEEN = Seen()
IMAGES = 120


def event(call: str, number: int, **what: object) -> Event:
    return Event(call, number, SEEN, **what)  # type: ignore[arg-type]


def images(disk: Disk, folder: Path) -> list[dict[str, bytes]]:
    """Many images at one point: the files by name."""
    draws = random.Random(4)
    found = []
    for number in range(IMAGES):
        disk.write_image(folder / str(number), draws)
        found.append({path.name: path.read_bytes() for path in (folder / str(number)).rglob("*") if path.is_file()})
    return found


def disk_after(*events: Event) -> Disk:
    disk = Disk()
    for each in events:
        disk.apply(each)
    return disk


def test_what_was_synced_is_in_every_image(tmp_path: Path) -> None:
    disk = disk_after(
        event(history.CREATE, 1, name="a"),
        event(history.WRITE, 1, content=b"x" * 5000),
        event(history.SYNC, 1),
        event(history.SYNC, ROOT),
    )
    assert disk.unsynced() == 0
    assert images(disk, tmp_path) == [{"a": b"x" * 5000}] * IMAGES


def test_a_name_that_was_not_synced_may_be_lost_though_its_file_was(tmp_path: Path) -> None:
    disk = disk_after(event(history.CREATE, 1, name="a"), event(history.WRITE, 1, content=b"x"), event(history.SYNC, 1))
    assert {tuple(each) for each in images(disk, tmp_path)} == {(), ("a",)}


def test_a_rename_happens_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    disk = disk_after(
        event(history.CREATE, 1, name="old"),
        event(history.CREATE, 2, name="new"),
        event(history.SYNC, ROOT),
        event(history.RENAME, 1, name="old", new_name="new"),
    )
    assert {tuple(sorted(each)) for each in images(disk, tmp_path)} == {("new", "old"), ("new",)}


def test_pages_survive_each_for_itself_and_may_be_torn_at_sectors(tmp_path: Path) -> None:
    disk = disk_after(
        event(history.CREATE, 1, name="a"),
        event(history.WRITE, 1, content=b"0" * 3 * PAGE),
        event(history.SYNC, 1),
        event(history.SYNC, ROOT),
        event(history.WRITE, 1, content=b"1" * 2 * PAGE),
        event(history.WRITE, 1, offset=PAGE, content=b"2" * 2 * PAGE),
    )
    found = [each["a"] for each in images(disk, tmp_path)]
    states = {
        tuple(set(content[start : start + SECTOR]) == {ord(digit)} for digit in "012")
        for content in found
        for start in range(PAGE, 2 * PAGE, SECTOR)
    }
    assert states == {(True, False, False), (False, True, False), (False, False, True)}  # a sector is never torn
    pages = {"".join(sorted(set(content[:PAGE].decode()))) for content in found}
    assert pages == {"0", "1", "01"}
    later_without_earlier = [content for content in found if content[:1] == b"0" and content[2 * PAGE :][:1] == b"2"]
    assert later_without_earlier, "writes are written back in any order"


@pytest.mark.parametrize("call", [history.RESIZE, history.ALLOCATE])
def test_a_length_that_was_not_synced_is_the_old_or_the_new_one(tmp_path: Path, call: str) -> None:
    disk = disk_after(
        event(history.CREATE, 1, name="a"),
        event(history.WRITE, 1, content=b"x"),
        event(history.SYNC, 1),
        event(history.SYNC, ROOT),
        event(call, 1, offset=PAGE),
    )
    assert {each["a"] for each in images(disk, tmp_path)} == {b"x", b"x".ljust(PAGE, b"\0")}
