"""Archives a segment again and again, each time in a child that kills itself before another system call.

A process of its own with one thread, so that it may fork. Prints one JSON object for each step: whether the child was
killed, whether all that the journal held can still be read, also after the next run, and whether the file is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from statevec.engine.instance import Instance, open_instance
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.reader import JournalReader
from statevec.journal.segments import list_segments
from statevec.roles.retention import HEAD_FILE, take_away
from tests.snapshot.killed_writer import die_before

STEPS_MOST = 1_000


def positions(instance: Instance, cold: Path) -> list[int]:
    files = list_segments(instance.journal_directory)
    segments = join_segments(list_cold_segments(cold, instance.instance_id), files)
    return [entry.position for entry in JournalReader(instance.journal_directory, segments=segments).entries()]


def main() -> None:
    instance, cold = open_instance(sys.argv[1]), Path(sys.argv[2])
    expected = positions(instance, cold)
    first = list_segments(instance.journal_directory)[0]
    saved = first.path.read_bytes()
    take_away(instance, [first], cold)  # loads all kernels before the first fork
    for step in range(STEPS_MOST):
        shutil.rmtree(cold)
        (instance.directory / HEAD_FILE).unlink(missing_ok=True)
        first.path.write_bytes(saved)
        child = os.fork()
        if child == 0:
            die_before(step)
            take_away(instance, [first], cold)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed, removed = os.WIFSIGNALED(status), not first.path.exists()
        readable = positions(instance, cold) == expected
        if not removed:
            take_away(instance, [first], cold)
            readable = readable and positions(instance, cold) == expected
        print(json.dumps({"step": step, "killed": killed, "readable": readable, "removed": removed}), flush=True)
        if not killed:
            break


if __name__ == "__main__":
    main()
