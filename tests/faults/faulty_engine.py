"""A real engine whose disk fails at one call, a producer and a gateway at work on it; then looked at and started again.

What must hold afterwards: the engine said what failed; after a failed write or fsync of the journal nobody leads before
`resume`; in `disk` mode nothing was released that was not durable; whatever was released or handed out is in the
journal, each input once and in order; and execution again gives every digest.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from statevec.audit.verify import verify_instance
from statevec.engine.instance import InstanceError
from statevec.ipc import log_layout
from statevec.ipc.log import attach_log
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SegmentError
from statevec.journal.entry_layout import COMMAND
from statevec.roles.gateway import Gateway
from statevec.roles.producer import BACK_PRESSURED, Producer
from tests.faults.injector import SAID_AS, Call, Fault, faults_at
from tests.roles.engine_harness import START_SECONDS, STATEVEC, STOP_SECONDS, EngineUnderTest, add

ROOT = Path(__file__).parents[2]
INPUTS = 6_000
"""More than two segments of 1 MiB, so that the keeper works too."""
LOAD_SECONDS = 60.0
ENDING_SECONDS = 2.0
SYNCING = ("fsync", "fdatasync", "pwrite")


@dataclass
class Seen:
    """What the world outside saw of the engine that failed."""

    led: bool = False
    released: int = 0
    outputs: list[tuple[int, int, int]] = field(default_factory=list)
    ended: int | None = None
    """Exit status, None while it runs."""
    durable: int | None = None
    """Durable position in the log when it was over; None without a log."""


class FaultyEngine(EngineUnderTest):
    """An engine of its own directory; `run` once with a fault, or without one to count the calls."""

    def __init__(self, directory: Path, durability: str) -> None:
        super().__init__(directory, durability)
        self.durability = durability
        self.control = directory / "control.json"
        self.hit = directory / "hit.json"
        self.calls = directory / "calls.json"

    def run(self, fault: Fault | None) -> Seen:
        """Start the engine, send inputs, take outputs; until all is released, or it has ended, or does not go on."""
        given = None
        if fault is not None:
            call = [fault.call.function, fault.call.name, fault.call.occurrence]
            given = [call, fault.errno, fault.torn, fault.lasting]
        files = {"calls": str(self.calls), "hit": str(self.hit)}
        self.control.write_text(json.dumps({"roots": [str(self.directory)], "fault": given, **files}))
        seen = Seen(led=self._start_faulty())
        if seen.led:
            self._work(seen)
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            if self.hit.exists():
                self.process.wait(ENDING_SECONDS)  # what halts is ending by itself, and says why
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        seen.ended = self.process.wait(STOP_SECONDS)
        try:
            with attach_log(self.instance.instance_id) as log:
                seen.durable = load_acquire(log.region, log_layout.DURABLE)
        except (InstanceError, SegmentError):
            seen.durable = None  # it did not come so far
        return seen

    def _start_faulty(self) -> bool:
        """Whether the engine came to lead."""
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "tests.faults.faulty_process", str(self.control), "run"]
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [*command, str(self.configuration), "--ready-fd", str(writing)],
                stderr=errors,
                pass_fds=[writing],
                cwd=ROOT,
            )
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], START_SECONDS)
        line = os.read(reading, 4096) if ready else b""
        os.close(reading)
        return bool(line)

    def _work(self, seen: Seen) -> None:
        assert self.process is not None
        deadline = time.monotonic() + LOAD_SECONDS
        with Producer(self.directory, "market") as producer, Gateway(self.directory, "venue", durable=False) as gateway:
            while self.process.poll() is None and time.monotonic() < deadline:
                while (
                    producer.sequence < INPUTS
                    and producer.offer(add(producer.sequence % 50, 1, announce=int(producer.sequence % 10 == 0)))
                    != BACK_PRESSURED
                ):
                    pass
                output = gateway.wait(0.001)
                if output is not None:
                    seen.outputs.append(output.identity)
                    gateway.acknowledge(output)
                seen.released = producer.released_sequence
                if seen.released == INPUTS and len(seen.outputs) == INPUTS // 10:
                    break
            seen.released = producer.released_sequence

    def said(self) -> str:
        """All that engine processes wrote to standard error."""
        return self.errors.read_text()

    def once_more(self) -> None:
        """Start without a fault, let one more input be released, stop."""
        self.start()
        with Producer(self.directory, "market") as producer:
            producer.wait_released(producer.send(add(1, 1), LOAD_SECONDS), LOAD_SECONDS)
        assert self.stop() == 0


def try_fault(directory: Path, durability: str, fault: Fault) -> list[str]:
    """What is wrong after this fault; nothing when all is well. The directory is new and only for this."""
    engine = FaultyEngine(directory, durability)
    try:
        seen = engine.run(fault)
        if not engine.hit.exists():
            return []  # how often a call comes is a matter of time: this one did not come
        path = json.loads(engine.hit.read_text())
        return [*_what_it_said(engine, fault, path, seen), *_what_is_left(engine, fault, seen)]
    except AssertionError as failure:
        return [f"{failure}"]
    finally:
        engine.clean_up()


def engine_faults(directory: Path, durability: str) -> list[Fault]:
    """The faults to try: each kind of call that an engine makes, the first, the one in the middle and the last.

    On segments each fails in every way; on other files, which the jobs do in every way, in one of them. Writes and
    allocations also fail from one moment on, as they do on a full disk.
    """
    engine = FaultyEngine(directory, durability)
    try:
        seen = engine.run(None)
        assert (seen.ended, seen.released) == (0, INPUTS), engine.said()
        counted = json.loads(engine.calls.read_text())
    finally:
        engine.clean_up()
    found = []
    for function, name, count in sorted(counted):
        for occurrence in sorted({1, (count + 1) // 2, count}):
            call = Call(function, name, occurrence)
            ways = faults_at(call)
            found += ways if "seg" in name else [ways[len(found) % len(ways)]]
            if function in ("pwrite", "posix_fallocate"):
                found.append(Fault(call, errno.ENOSPC, lasting=True))
    return found


def _what_it_said(engine: FaultyEngine, fault: Fault, path: str, seen: Seen) -> list[str]:
    said = engine.said()
    lines = [line for line in said.splitlines() if errno.errorcode[fault.errno] in line]
    if "unseen:" in said or "Traceback" in said:
        return [f"it said: {said[-2000:]}"]
    if not lines:
        return [f"nobody said what failed (status {seen.ended}): {said[-1000:]}"]
    call = SAID_AS.get(fault.call.function, fault.call.function)
    words = () if fault.lasting else (call, Path(path).name)  # of many failures one is told, and not always the first
    wrong = [word for word in words if not any(word in line for line in lines)]
    found = [f"it did not say {word!r}: {lines}" for word in wrong]
    if seen.ended not in (0, 1):
        found.append(f"it ended with status {seen.ended}")
    if seen.ended == 0 and not any('"event"' in line for line in lines):
        found.append(f"it ended well and had no event: {lines}")
    return found


def _needs_mark(fault: Fault) -> bool:
    """Whether the failure leaves in doubt what is on the disk."""
    return fault.call.function in SYNCING and fault.call.name.endswith("journal/N.seg")


def _what_is_left(engine: FaultyEngine, fault: Fault, seen: Seen) -> list[str]:
    found = []
    words = ["--instance", str(engine.directory)]
    if _needs_mark(fault):
        refused = subprocess.run(engine.command(), capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if refused.returncode != 1 or "was halted by a disk error" not in refused.stderr:
            found.append(f"the next engine was not refused: {refused.stderr[-500:]}")
    if (engine.directory / "instance.json").exists():
        resumed = subprocess.run([*STATEVEC, "resume", *words], capture_output=True, text=True, check=False)
        if resumed.returncode != 0:
            return [*found, f"resume failed: {resumed.stderr[-500:]}"]
    engine.once_more()
    commands = [entry for entry in engine.entries() if entry.kind == COMMAND]
    numbers = [entry.source_sequence for entry in commands]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"inputs are not in the log once and in order: {len(numbers)} of them")
    if len(numbers) <= seen.released:
        found.append(f"released inputs are lost: released={seen.released} in the log={len(numbers) - 1}")
    emitted = {output.identity for entry in commands for output in entry.outputs()}
    if lost := [each for each in seen.outputs if each not in emitted]:
        found.append(f"outputs that went out are not in the log: {lost[:3]}")
    if engine.durability == "disk" and seen.released and seen.durable is not None:
        last = commands[seen.released - 1]
        if last.position + last.length > seen.durable:
            found.append(f"released what was not durable: {last.position + last.length} durable={seen.durable}")
    if not verify_instance(engine.directory).verified:
        found.append("execution again gives something else")
    return found
