"""Segments are made whole or not at all, and attached only when everything is as expected."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from statevec.ipc import segment_layout
from statevec.ipc.process_identity import ProcessIdentity
from statevec.ipc.segment import Segment, SegmentError, check_name, free_bytes, remove_dead, segment_name

SIZE = 3 * 4096


def make(instance_id: int, what: str = "ring-a", **options: object) -> Segment:
    name = segment_name(instance_id, what)
    segment = Segment.create(name, segment_layout.RING, SIZE, 4096, instance_id, **options)  # type: ignore[arg-type]
    segment.publish()
    return segment


def path_of(segment: Segment) -> Path:
    return Path("/dev/shm") / segment.name[1:]


def test_what_one_maps_the_other_sees(instance_id: int) -> None:
    with make(instance_id) as made, Segment.attach(made.name, segment_layout.RING, instance_id) as attached:
        assert (attached.capacity, attached.size, attached.own_id) == (4096, SIZE, made.own_id)
        made.region.store_i64(SIZE - 8, 77)
        assert attached.region.load_i64(SIZE - 8) == 77
        assert bytes(attached.region.view[segment_layout.HEADER_SIZE : SIZE - 8]).strip(b"\0") == b""
        attached.verify()
        assert attached.statistics()["kind"] == "ring"


def test_a_segment_is_private_to_its_user_and_reserved(instance_id: int) -> None:
    with make(instance_id) as made:
        status = os.fstat(made.descriptor)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_blocks * 512 >= SIZE


def test_a_group_may_be_let_in(instance_id: int) -> None:
    with make(instance_id, group=os.getgid()) as made:
        status = os.fstat(made.descriptor)
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, os.getgid())


def test_a_group_may_not_write_what_only_the_engine_writes(instance_id: int) -> None:
    name, group = segment_name(instance_id, "log"), os.getgid()
    with Segment.create(name, segment_layout.LOG, SIZE, 4096, instance_id, group=group) as made:
        status = os.fstat(made.descriptor)
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, group)


def test_a_name_is_taken_once(instance_id: int) -> None:
    with make(instance_id), pytest.raises(SegmentError, match="exists already"):
        make(instance_id)


@pytest.mark.parametrize("name", ["", "sv-1-log", "/sv-12-log", "/sv-0123456789abcdef-../x", "/etc/passwd"])
def test_only_our_names_are_names(name: str) -> None:
    with pytest.raises(SegmentError, match="not a segment's name"):
        check_name(name)


def test_too_little_memory_is_refused_with_the_figures(instance_id: int) -> None:
    with pytest.raises(SegmentError, match=r"not enough shared memory.*needed=\d+ free=\d+"):
        Segment.create(
            segment_name(instance_id, "log"), segment_layout.LOG, free_bytes() + (1 << 30), 4096, instance_id
        )
    assert not list(Path("/dev/shm").glob(f"sv-{instance_id:016x}-*"))


def test_nobody_attaches_before_it_is_published(instance_id: int) -> None:
    name = segment_name(instance_id, "ring-a")
    with Segment.create(name, segment_layout.RING, SIZE, 4096, instance_id) as made:
        with pytest.raises(SegmentError, match="not finished"):
            Segment.attach(name, segment_layout.RING, instance_id)
        made.publish()
        Segment.attach(name, segment_layout.RING, instance_id).close()


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (segment_layout.MAGIC_AT, 1, "magic differs.*found=0x1 expected=0x"),
        (segment_layout.LAYOUT_VERSION_AT, 9 | 2 << 32, "layout version differs.*found=9 expected=1"),
        (segment_layout.LAYOUT_VERSION_AT, 1 | 1 << 32, "kind differs.*found=log expected=ring"),
        (segment_layout.INSTANCE_ID_AT, 5, "instance id differs.*found=0000000000000005"),
        (segment_layout.BOOT_ID_AT, 5, "boot id differs"),
        (segment_layout.SIZE_AT, SIZE + 1, "size is wrong.*file=12288 stated=12289"),
        (segment_layout.SIZE_AT, -1, "size is wrong"),
        (segment_layout.CAPACITY_AT, SIZE, "size is wrong"),
        (segment_layout.CAPACITY_AT, 0, "size is wrong"),
    ],
)
def test_attaching_says_what_differs(instance_id: int, offset: int, value: int, what: str) -> None:
    with make(instance_id) as made:
        made.region.store_i64(offset, value)
        with pytest.raises(SegmentError, match=what):
            Segment.attach(made.name, segment_layout.RING, instance_id)
        if offset != segment_layout.MAGIC_AT:
            with pytest.raises(SegmentError, match="first page changed"):
                made.verify()


def test_another_owner_is_refused(instance_id: int) -> None:
    with make(instance_id) as made, pytest.raises(SegmentError, match=r"another owner.*expected=\d+"):
        Segment.attach(made.name, segment_layout.RING, instance_id, owner=os.getuid() + 1)


def test_what_is_not_there_is_said(instance_id: int) -> None:
    with pytest.raises(SegmentError, match="no such segment"):
        Segment.attach(segment_name(instance_id, "log"), segment_layout.LOG, instance_id)


def test_a_file_that_was_cut_is_noticed(instance_id: int) -> None:
    with make(instance_id) as made:
        os.ftruncate(made.descriptor, SIZE - 4096)
        with pytest.raises(SegmentError, match=f"was cut.*file={SIZE - 4096} stated={SIZE}"):
            made.verify()
        with pytest.raises(SegmentError, match="size is wrong"):
            Segment.attach(made.name, segment_layout.RING, instance_id)


def test_a_read_only_mapping_is_read_only(instance_id: int) -> None:
    with make(instance_id) as made:
        attached = Segment.attach(made.name, segment_layout.RING, instance_id, writable=False)
        start = attached.region.address
        [line] = [each for each in Path("/proc/self/maps").read_text().splitlines() if each.startswith(f"{start:x}-")]
        assert line.split()[1] == "r--s"
        attached.close()


def test_unlink_takes_only_its_own_name_away(instance_id: int) -> None:
    with make(instance_id) as first:
        path_of(first).unlink()
        with make(instance_id) as second:
            first.unlink()
            assert path_of(second).exists()
            second.unlink()
            assert not path_of(second).exists()
            second.unlink()


def test_memory_outlives_the_segment_while_a_region_of_it_is_used(instance_id: int) -> None:
    made = make(instance_id)
    part = made.region.slice(4096, 8)
    view = made.region.slice(4096, 8).view[:8]
    made.close()
    made.close()
    part.store_i64(0, 5)
    assert view[0] == 5


def test_only_a_dead_creators_segment_is_removed(instance_id: int) -> None:
    with make(instance_id) as made:
        assert not remove_dead(made.name)
        made.region.store_i64(segment_layout.CREATOR_STARTED_AT, 1)
        assert remove_dead(made.name)
        assert remove_dead(made.name)


def test_a_process_is_told_from_one_with_its_number() -> None:
    me = ProcessIdentity.current()
    assert not me.is_dead()
    assert ProcessIdentity(me.pid, me.started_ms + 60_000, me.boot_id, me.pid_namespace).is_dead()
    assert ProcessIdentity(2**22 + 1, me.started_ms, me.boot_id, me.pid_namespace).is_dead()
    assert ProcessIdentity(me.pid, me.started_ms, bytes(16), me.pid_namespace).is_dead()
    assert not ProcessIdentity(2**22 + 1, me.started_ms, me.boot_id, 1).is_dead()
