"""Half an hour at full load: `python -m tools.soak [--minutes N] [--durability memory|disk] [--format json]`.

    hedge engine (a core of its own) ◄─► feed, desk, gateway and venue in one native thread
    standby: follows, takes snapshots    retention: deletes segments that nobody needs, every round

Each round is as much load as engine and reader take; then the standby, which shares their core where there are two,
catches up; then comes a second at a fixed rate, whose latency is taken; then everything that could grow is looked at:
memory, file descriptors, threads and mappings of leader and standby, shared memory, segment files, snapshots. The first
rounds warm up. Exit status 1 when something grew (its median over the last third of the rounds is above that of the
first third by more than ALLOWED says), or a process complained.

Ended by SIGTERM it leaves nothing; killed, its processes, directory and shared memory.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from bench.engine import MeasuredEngine, Surroundings
from bench.live import latencies
from bench.processes import OTHER_CORE
from statevec.audit.verify import verify_instance
from statevec.engine.instance import Instance
from statevec.engine.snapshot_file import list_snapshots
from statevec.ipc.segment import SHARED_MEMORY
from statevec.journal.segments import list_segments
from statevec.roles.retention import retain
from statevec.roles.standby_counters import standbys

LOAD_SECONDS = 10.0
RATE = 100_000
RATE_SECONDS = 1.0
WARM_ROUNDS = 3
NEAR_BYTES = 64 << 20
MOST_JOURNAL_BYTES = 30 << 30
"""More than that means that retention does not follow: the run ends."""
SNAPSHOTS_KEPT = 2
WAIT_SECONDS = 300.0
SETTINGS = (
    f'[journal]\nsegment_size = "64MiB"\n[retention]\nsnapshot_every = "10s"\nkeep_snapshots = {SNAPSHOTS_KEPT}\n'
)
ALLOWED = {
    "leader_private_bytes": 1.05,
    "standby_private_bytes": 1.05,
    "leader_descriptors": 1.0,
    "standby_descriptors": 1.0,
    "leader_threads": 1.0,
    "standby_threads": 1.0,
    "leader_mappings": 1.02,
    "standby_mappings": 1.1,
    "shared_memory_segments": 1.0,
    "shared_memory_bytes": 1.0,
    "snapshots": 1.0,
    "journal_bytes": 1.5,
    "latency_p50_ns": 2.0,
}
"""What must not grow, and by what factor it may: disk and neighbours of the machine make the last two uneven."""
COMPLAINTS = ("differs", "halted", "engine_silent", "quarantined", "ring_suspect", "snapshot_failed")


class Standby:
    """A second engine process of the same configuration."""

    def __init__(self, engine: MeasuredEngine) -> None:
        self.errors = engine.folder / "standby.err"
        command = [sys.executable, "-m", "statevec.cli.main", "run", str(engine.configuration)]
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(command, stderr=errors)

    def leave_core(self) -> None:
        """Let all of its threads run on the core that is not the engine's, as long as it follows."""
        for thread in psutil.Process(self.process.pid).threads():
            os.sched_setaffinity(thread.id, {OTHER_CORE})

    def wait_until_it_follows(self, instance: Instance) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not any(each.follows for each in standbys(instance)):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the standby does not follow: {self.errors.read_text()[-2000:]}")
            time.sleep(0.05)

    def catch_up(self, instance: Instance) -> None:
        """Wait until it is near the leader."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not any(each.follows and each.behind_bytes < NEAR_BYTES for each in standbys(instance)):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the standby does not catch up: {self.errors.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(WAIT_SECONDS) != 0:
            raise RuntimeError(f"the standby failed: {self.errors.read_text()[-2000:]}")

    def end(self) -> None:
        """Let it not be there any more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def look(instance: Instance, leader: int, standby: int) -> dict[str, float]:
    """Everything that could grow, now."""
    shared = [path.stat().st_size for path in SHARED_MEMORY.glob(f"{instance.segment_name('')[1:]}*")]
    segments = list_segments(instance.journal_directory, instance.genesis.unit)
    found: dict[str, float] = {
        "shared_memory_segments": len(shared),
        "shared_memory_bytes": sum(shared),
        "snapshots": len(list_snapshots(instance.snapshots_directory)),
        "journal_bytes": sum(segment.size for segment in segments),
    }
    for name, pid in (("leader", leader), ("standby", standby)):
        process = psutil.Process(pid)
        memory = process.memory_info()
        found[f"{name}_private_bytes"] = memory.rss - memory.shared
        found[f"{name}_descriptors"] = process.num_fds()
        found[f"{name}_threads"] = process.num_threads()
        found[f"{name}_mappings"] = len(process.memory_maps(grouped=False))
    return found


def soak(minutes: float, durability: str) -> dict[str, Any]:
    """Run; what was found."""
    rounds: list[dict[str, float]] = []
    deleted = 0
    with MeasuredEngine(durability, settings=SETTINGS) as engine:
        assert engine.process is not None
        instance, standby = engine.instance, Standby(engine)
        try:
            standby.wait_until_it_follows(instance)
            standby.leave_core()
            with Surroundings(engine, int(RATE * RATE_SECONDS) + 1) as surroundings:
                end = time.monotonic() + 60 * minutes
                while time.monotonic() < end or len(rounds) < WARM_ROUNDS + 3:
                    driven = surroundings.drive(LOAD_SECONDS)
                    surroundings.settle()
                    standby.catch_up(instance)
                    latency = latencies(surroundings, RATE, RATE_SECONDS)
                    deleted += retain(instance, keep=SNAPSHOTS_KEPT, delete=True).bytes
                    found = look(instance, engine.process.pid, standby.process.pid)
                    found["entries_per_second"] = driven["entries"] / driven["seconds"]
                    found["latency_p50_ns"], found["latency_p99_ns"] = latency["p50"], latency["p99"]
                    rounds.append(found)
                    _tell(len(rounds), found)
                    if found["journal_bytes"] > MOST_JOURNAL_BYTES:
                        raise RuntimeError(f"the journal has {found['journal_bytes']:,.0f} bytes")
            standby.stop()
            engine.stop()
            verification = verify_instance(instance.directory, from_snapshot="oldest")
        finally:
            standby.end()
        texts = [engine.errors.read_text(), standby.errors.read_text()]
    return _judge(rounds, minutes, durability, deleted, verification.verified, texts)


def _judge(
    rounds: list[dict[str, float]], minutes: float, durability: str, deleted: int, verified: bool, texts: list[str]
) -> dict[str, Any]:
    warm = rounds[WARM_ROUNDS:]
    third = max(1, len(warm) // 3)
    first = {name: statistics.median(each[name] for each in warm[:third]) for name in warm[0]}
    last = {name: statistics.median(each[name] for each in warm[-third:]) for name in warm[0]}
    said = [json.loads(line)["event"] for text in texts for line in text.splitlines() if line.startswith("{")]
    return {
        "minutes": minutes,
        "durability": durability,
        "rounds": len(rounds),
        "entries": round(sum(each["entries_per_second"] for each in rounds) * LOAD_SECONDS),
        "deleted_bytes": deleted,
        "verified": verified,
        "complaints": [event for event in said if event in COMPLAINTS],
        "grew": [name for name, most in ALLOWED.items() if last[name] > first[name] * most],
        "first_third": {name: round(value) for name, value in sorted(first.items())},
        "last_third": {name: round(value) for name, value in sorted(last.items())},
    }


def _tell(number: int, found: dict[str, float]) -> None:
    print(
        f"round {number}: {found['entries_per_second'] / 1e6:.2f} M entries/s, p50 {found['latency_p50_ns']:,.0f} ns, "
        f"leader {found['leader_private_bytes'] / 1e6:.1f} MB, journal {found['journal_bytes'] / 1e9:.2f} GB",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="tools.soak", description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--durability", choices=["memory", "disk"], default="memory")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument("--output", type=Path, help="also write the result to this file, as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    found = soak(options.minutes, options.durability)
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(
        json.dumps(found)
        if options.format == "json"
        else "\n".join(f"{name:<16} {value}" for name, value in found.items())
    )
    return 1 if found["grew"] or found["complaints"] or not found["verified"] else 0


if __name__ == "__main__":
    sys.exit(main())
