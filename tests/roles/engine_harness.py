"""A real engine process under test: its configuration, its start and its end, and what it leaves in shared memory."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from statevec.codecs.schema import Schema
from statevec.engine.instance import Instance, open_instance
from statevec.ipc import log_layout
from statevec.ipc.log import attach_log
from statevec.ipc.python_call import load_acquire
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader

PLUGIN = Path(__file__).parent / "tally"
SCHEMA = Schema.load(PLUGIN / "tally.xml")
START_SECONDS = 600.0
STOP_SECONDS = 60.0
STATEVEC = [sys.executable, "-m", "statevec.cli.main"]


def add(account: int, amount: int, announce: int = 0, ttl_ns: int = 0) -> bytes:
    """An `Add` message of the tally plugin."""
    return SCHEMA.encode("Add", {"account": account, "amount": amount, "announce": announce, "ttl_ns": ttl_ns})


class StandbyUnderTest:
    """An engine process that was started while another one led."""

    def __init__(self, command: list[str], errors: Path) -> None:
        self.errors = errors
        with open(errors, "wb") as file:
            self.process = subprocess.Popen(command, stderr=file)

    def events(self) -> list[dict[str, Any]]:
        """What it reported so far."""
        lines = self.errors.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(self, event: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The first event of that name; fails when the process ends before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for found in self.events():
                if found["event"] == event:
                    return found
            assert not ended, f"standby ended before {event!r}: {self.errors.read_text()}"
            time.sleep(0.01)
        raise AssertionError(f"standby never said {event!r}: {self.errors.read_text()}")


class EngineUnderTest:
    """One instance in a directory of the test, at most one engine process that leads it, and any number of standbys."""

    def __init__(self, directory: Path, durability: str = "memory", engine: str = "", more: str = "") -> None:
        self.directory = directory / "instance"
        self.configuration = directory / "engine.toml"
        self.errors = directory / "engine.err"
        self.process: subprocess.Popen[bytes] | None = None
        self.standbys: list[StandbyUnderTest] = []
        self.configuration.write_text(
            f'[instance]\ndirectory = "instance"\ndurability = "{durability}"\n'
            f'[plugin]\npath = "{PLUGIN}"\n'
            f'[log]\ncapacity = "4MiB"\n[journal]\nsegment_size = "1MiB"\n'
            f'[engine]\nidle = "sleep"\n{engine}\n'
            f'[[ring]]\nname = "market"\ncapacity = "64KiB"\n[[ring]]\nname = "desk"\ncapacity = "64KiB"\n{more}\n'
        )

    @property
    def instance(self) -> Instance:
        return open_instance(self.directory)

    def command(self, *arguments: str) -> list[str]:
        return [*STATEVEC, "run", str(self.configuration), *arguments]

    def start(self, *arguments: str) -> dict[str, Any]:
        """Start the engine and wait until it leads; what it says then."""
        reading, writing = os.pipe()
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                self.command("--ready-fd", str(writing), *arguments), stderr=errors, pass_fds=[writing]
            )
        os.close(writing)
        try:
            ready, _, _ = select.select([reading], [], [], START_SECONDS)
            line = os.read(reading, 4096) if ready else b""
        finally:
            os.close(reading)
        if not line:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"engine did not start: {self.errors.read_text()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def stand_by(self, *arguments: str) -> StandbyUnderTest:
        """Start another engine process and wait until it follows the leader."""
        errors = self.errors.with_name(f"standby{len(self.standbys)}.err")
        standby = StandbyUnderTest(self.command(*arguments), errors)
        self.standbys.append(standby)
        standby.wait_for("following")
        return standby

    def succeed(self, standby: StandbyUnderTest) -> dict[str, Any]:
        """The leader is gone: wait until that standby leads, which is the engine from now on."""
        leading = standby.wait_for("leading")
        self.process = standby.process
        return leading

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as if it had died."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def events(self) -> list[dict[str, Any]]:
        """What all engine processes of this instance reported."""
        lines = self.errors.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def entries(self) -> list[Entry]:
        """Everything in the journal of an engine that is stopped."""
        return list(JournalReader(self.instance.journal_directory).entries())

    def entries_so_far(self) -> list[Entry]:
        """Everything that a running engine has appended when this is called, once the journal has it."""
        with attach_log(self.instance.instance_id) as log:
            appended = load_acquire(log.region, log_layout.APPENDED)
            deadline = time.monotonic() + STOP_SECONDS
            while load_acquire(log.region, log_layout.WRITTEN) < appended:
                assert time.monotonic() < deadline, "the journaler does not write"
                time.sleep(0.001)
        return list(JournalReader(self.instance.journal_directory).entries(limit=appended))

    def clean_up(self) -> None:
        """Leave no process and no shared memory, whatever happened."""
        for process in [self.process, *(each.process for each in self.standbys)]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        if (self.directory / "instance.json").exists():
            for path in Path("/dev/shm").glob(f"sv-{self.instance.instance_id:016x}-*"):
                path.unlink()
