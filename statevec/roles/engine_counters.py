"""The engine process's counters: what the loop and the journaler count, copied where everybody can read it.

Invariant: the engine's thread pays nothing for it; it counts in its own memory, the main thread copies now and then.

The main thread writes the segment `counters-engine`, everybody reads it. A crash leaves the last copy.
"""

from __future__ import annotations

from pathlib import Path

from statevec.engine import execution_layout, loop_layout
from statevec.engine.execution import Execution
from statevec.engine.instance import Instance
from statevec.ipc.counters import create_counters
from statevec.journal.journaler import Journaler
from statevec.journal.journaler_layout import COUNTERS as JOURNALER_COUNTERS
from statevec.roles.engine_rings import EngineRing

ROLE = "engine"
LOOP_COUNTERS = {
    "sequence": execution_layout.SEQUENCE,
    "committed": execution_layout.COMMITTED_COUNT,
    "rejected": execution_layout.REJECTED_COUNT,
    "faulted": execution_layout.FAULTED_COUNT,
    "turns": loop_layout.TURNS,
    "idle_turns": loop_layout.IDLE_TURNS,
    "full_turns": loop_layout.FULL_TURNS,
    "duplicates": loop_layout.DUPLICATES,
    "timers_fired": loop_layout.TIMERS_FIRED,
    "padding_bytes": loop_layout.PADDING_BYTES,
    "moved_entries": loop_layout.MOVED_ENTRIES,
    "quarantines": loop_layout.QUARANTINES,
}
THREAD_COUNTERS = ("minor_faults", "major_faults", "voluntary_switches", "involuntary_switches")
"""Of the engine's thread: a page fault or a switch in steady state is time that was not meant to be spent."""
RING_COUNTERS = {
    "messages": loop_layout.RING_MESSAGES,
    "duplicates": loop_layout.RING_DUPLICATES,
    "status": loop_layout.RING_STATUS,
}

MINOR_FAULTS_FIELD = 7
MAJOR_FAULTS_FIELD = 9
"""Fields of /proc/PID/task/TID/stat behind the command's name, which ends with the last parenthesis."""


class EngineCounters:
    """Makes the segment; `update` copies."""

    def __init__(self, instance: Instance, rings: list[EngineRing], group: str | None) -> None:
        self._rings = rings
        names = [
            *LOOP_COUNTERS,
            *(f"journaler.{name}" for name in JOURNALER_COUNTERS),
            *(f"thread.{name}" for name in THREAD_COUNTERS),
            *(f"ring.{ring.name}.{name}" for ring in rings for name in RING_COUNTERS),
        ]
        self._counters = create_counters(ROLE, instance.instance_id, names, group=group, replace=True)

    def update(self, execution: Execution, journaler: Journaler, thread: int | None = None) -> None:
        """Copy everything; `thread` is the engine thread's number while it runs."""
        counters = self._counters
        for name, offset in LOOP_COUNTERS.items():
            counters.set(name, execution.block.load_relaxed(offset))
        statistics = journaler.statistics()
        for name in JOURNALER_COUNTERS:
            counters.set(f"journaler.{name}", statistics[name])
        for ring in self._rings:
            for name, offset in RING_COUNTERS.items():
                counters.set(f"ring.{ring.name}.{name}", ring.block.load_relaxed(offset))
        if thread is not None:
            for name, value in thread_counters(thread).items():
                counters.set(f"thread.{name}", value)

    def close(self) -> None:
        """Give the segment up; its last values stay readable."""
        self._counters.close()


def thread_counters(thread: int) -> dict[str, int]:
    """Page faults and switches of one of this process's threads so far; empty when it has ended."""
    directory = Path("/proc/self/task") / str(thread)
    try:
        fields = (directory / "stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":\t", 1) for line in (directory / "status").read_text().splitlines() if ":\t" in line)
    except FileNotFoundError:
        return {}
    return {
        "minor_faults": int(fields[MINOR_FAULTS_FIELD]),
        "major_faults": int(fields[MAJOR_FAULTS_FIELD]),
        "voluntary_switches": int(status["voluntary_ctxt_switches"]),
        "involuntary_switches": int(status["nonvoluntary_ctxt_switches"]),
    }
