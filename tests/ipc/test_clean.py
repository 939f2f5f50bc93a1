"""`clean` removes what dead processes left, and only that (rule 15)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from statevec.ipc import log_layout, ring_layout, segment_layout
from statevec.ipc.clean import OF_AN_INSTANCE, UNFINISHED_AGE_S, CleanAction, clean
from statevec.ipc.counters import create_counters
from statevec.ipc.log import create_log
from statevec.ipc.ring import RingProducer, create_ring
from statevec.ipc.segment import Segment

CHILD = """
from statevec.ipc.counters import create_counters
from statevec.ipc.log import create_log
from statevec.ipc.ring import create_ring
create_log({0}, 4 << 20, released_by="leader")
create_ring("a", 1 << 12, {0})
create_counters("engine", {0}, ["entries"])
"""


def outcome(actions: list[CleanAction]) -> dict[str, tuple[bool, str]]:
    return {action.name[21:]: (action.removed, action.reason) for action in actions}


def yes(instance_id: int) -> bool:
    return True


def kill_creator(segment: Segment) -> None:
    """As if the pid had been given to a later process."""
    segment.region.store_i64(segment_layout.CREATOR_STARTED_AT, 1)


def test_what_a_dead_process_left_goes(instance_id: int) -> None:
    subprocess.run([sys.executable, "-c", CHILD.format(instance_id)], check=True, timeout=60)
    dead = (True, "its creator is dead")
    assert outcome(clean(yes, instance_id=instance_id)) == {"counters-engine": dead, "log": dead, "ring-a": dead}
    assert clean(yes, instance_id=instance_id) == []


def test_what_living_processes_made_stays(instance_id: int) -> None:
    create_log(instance_id, 4 << 20, released_by="leader")
    create_ring("a", 1 << 12, instance_id)
    create_counters("engine", instance_id, ["entries"])
    alive = (False, f"process {os.getpid()} is alive")
    actions = outcome(clean(yes, instance_id=instance_id, discard=True))
    assert actions == {"counters-engine": alive, "log": alive, "ring-a": alive}


def test_rings_and_log_of_an_instance_in_use_stay(instance_id: int) -> None:
    """A new leader goes on with what the dead one made."""
    for segment in (create_log(instance_id, 4 << 20, released_by="leader"), create_ring("a", 1 << 12, instance_id)):
        kill_creator(segment)
    in_use = (False, OF_AN_INSTANCE)
    assert outcome(clean(lambda number: number != instance_id, instance_id=instance_id, discard=True)) == {
        "log": in_use,
        "ring-a": in_use,
    }


def test_rule_15_a_log_with_bytes_beyond_durable_stays_unless_told(instance_id: int) -> None:
    log = create_log(instance_id, 4 << 20, released_by="leader")
    kill_creator(log)
    log.region.store_i64(log_layout.APPENDED, 640)
    log.region.store_i64(log_layout.DURABLE, 64)
    assert outcome(clean(yes, instance_id=instance_id)) == {"log": (False, "has 576 bytes beyond durable")}
    assert outcome(clean(yes, instance_id=instance_id, discard=True)) == {"log": (True, "its creator is dead")}


def test_a_ring_with_a_producer_or_unread_messages_stays(instance_id: int) -> None:
    ring = create_ring("a", 1 << 12, instance_id)
    kill_creator(ring)
    with RingProducer.attach("a", instance_id) as producer:
        producer.offer(b"x")
        attached = {"ring-a": (False, "a producer is attached")}
        assert outcome(clean(yes, instance_id=instance_id, discard=True)) == attached
    assert outcome(clean(yes, instance_id=instance_id)) == {"ring-a": (False, "has 32 unread bytes")}
    assert outcome(clean(yes, instance_id=instance_id, discard=True)) == {"ring-a": (True, "its creator is dead")}


@pytest.mark.parametrize("content", [b"", b"short", bytes(4096)])
def test_an_unfinished_segment_goes_when_it_is_old(instance_id: int, content: bytes) -> None:
    path = Path(f"/dev/shm/sv-{instance_id:016x}-ring-a")
    path.write_bytes(content)
    assert outcome(clean(yes, instance_id=instance_id)) == {"ring-a": (False, "unfinished, perhaps being made")}
    past = path.stat().st_mtime - UNFINISHED_AGE_S - 1
    os.utime(path, (past, past))
    assert outcome(clean(yes, instance_id=instance_id)) == {"ring-a": (True, "its creator is dead")}


def test_foreign_files_stay(instance_id: int) -> None:
    folder = Path("/dev/shm")
    path = folder / f"sv-{instance_id:016x}-ring-a"
    path.write_bytes(b"somebody's own file".ljust(4096, b"!"))
    (folder / f"sv-{instance_id:016x}-ring-b").symlink_to("/etc/passwd")
    (folder / f"sv-{instance_id:016x}-other").write_bytes(b"")
    actions = outcome(clean(yes, instance_id=instance_id, discard=True))
    assert actions["ring-a"] == (False, "not a segment of statevec")
    assert actions["ring-b"][0] is False
    assert set(actions) == {"ring-a", "ring-b"}


def test_a_segment_of_another_layout_stays(instance_id: int) -> None:
    ring = create_ring("a", 1 << 12, instance_id)
    kill_creator(ring)
    ring.region.store_i32(segment_layout.LAYOUT_VERSION_AT, 9)
    actions = outcome(clean(yes, instance_id=instance_id, discard=True))
    assert actions == {"ring-a": (False, "layout version 9 is not this program's")}
    assert ring_layout.DATA == segment_layout.PAGE_SIZE
