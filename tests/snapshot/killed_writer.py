"""Writes the same snapshot again and again, each time in a child that kills itself before another system call.

A process of its own with one thread, so that it may fork. Prints one JSON object for each step: whether the child was
killed, whether the final name is there, and whether what has that name is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from statevec.engine.instance import open_instance
from statevec.engine.snapshot_file import SnapshotHeader, list_snapshots, verify_file
from statevec.engine.versions import Decider
from statevec.ipc.memory import Region
from statevec.roles.snapshot import Captured, write_snapshot

CALLS = ("open", "ftruncate", "pwrite", "fsync", "rename", "close", "mkdir", "unlink")


def make_captured() -> Captured:
    header = SnapshotHeader(
        instance_id="",
        sequence=7,
        position=4096,
        digest="00000000000000ab",
        deciders=[Decider(1, "ledger", "1.0.0", "ab" * 16)],
        sources={},
        pending="",
        execution=dict.fromkeys(("budget", "logic_version", "committed", "rejected", "faulted", "probation_failed"), 0),
        layout_hash="ab" * 16,
        engine_version="0",
        created="",
    )
    image = Region.allocate(1 << 20)
    for offset in (0, 300_000, 900_000):
        image.store_i64(offset, 77)
    return Captured(header, image)


def die_before(step: int) -> None:
    """Let the process kill itself before its system call number `step`."""
    left = step

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counted

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))


def main() -> None:
    instance = open_instance(sys.argv[1])
    captured = make_captured()
    write_snapshot(instance, captured, lambda: True)  # loads all kernels before the first fork
    for step in range(1_000):
        shutil.rmtree(instance.snapshots_directory)
        child = os.fork()
        if child == 0:
            die_before(step)
            write_snapshot(instance, captured, lambda: True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        named = list_snapshots(instance.snapshots_directory)
        whole = all(verify_file(path).sequence == 7 for path in named)
        killed = os.WIFSIGNALED(status)
        print(json.dumps({"step": step, "killed": killed, "final": bool(named), "whole": whole}), flush=True)
        write_snapshot(instance, captured, lambda: True)
        assert [path.name for path in instance.snapshots_directory.iterdir()] == [f"{7:020d}.snapshot"]
        if not killed:
            break


if __name__ == "__main__":
    assert Path(sys.argv[1]).is_dir()
    main()
