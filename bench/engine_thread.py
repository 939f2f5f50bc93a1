"""What the engine's thread suffers while it works: page faults, context switches, system calls; and its other threads.

The engine's thread is the one that may run on the first core only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MINOR_FAULTS, MAJOR_FAULTS = 7, 9
"""Fields of /proc/PID/task/TID/stat behind the name."""
TRACE_LIMIT_SECONDS = 30


def threads(process: int) -> dict[int, set[int]]:
    """The cores that each thread may run on."""
    return {int(each): os.sched_getaffinity(int(each)) for each in os.listdir(f"/proc/{process}/task")}


def engine_thread(process: int, core: int) -> int:
    """Number of the thread that is pinned to `core`."""
    [found] = [thread for thread, cores in threads(process).items() if cores == {core}]
    return found


def suffered(process: int, thread: int) -> dict[str, int]:
    """Page faults and context switches of a thread since it began."""
    folder = Path(f"/proc/{process}/task/{thread}")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    switches = dict(re.findall(r"(\w*voluntary)_ctxt_switches:\s+(\d+)", (folder / "status").read_text()))
    return {
        "minor_faults": int(fields[MINOR_FAULTS]),
        "major_faults": int(fields[MAJOR_FAULTS]),
        "voluntary_switches": int(switches["voluntary"]),
        "involuntary_switches": int(switches["nonvoluntary"]),
    }


@contextmanager
def counted_system_calls(thread: int, found: dict[str, int]) -> Iterator[None]:
    """Count a thread's system calls with strace into `found["system_calls"]`; not there without strace."""
    if shutil.which("strace") is None:
        yield
        return
    command = ["strace", "-c", "-p", str(thread)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        attached = "attached" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        _, table = process.communicate(timeout=TRACE_LIMIT_SECONDS)
    if attached:
        total = re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+).*total$", table, re.MULTILINE)
        found["system_calls"] = int(total[1]) if total else 0


@contextmanager
def others_idle(process: int, engine: int) -> Iterator[None]:
    """Let all threads but the engine's run only when nobody else wants their core: the journaler all but sleeps."""
    others = [thread for thread in threads(process) if thread != engine]
    for thread in others:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        for thread in others:
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
