"""The process that keeps a dead engine's memory, so that the engine's lock is free at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

LOCKS = """
import fcntl, os, sys
from statevec.roles.memory_holder import hold_memory
print(hold_memory(), flush=True)
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
WAIT_SECONDS = 30.0


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process, Path]]:
    """A process that has the lock of a directory, its holder, and the directory."""
    command = [sys.executable, "-c", LOCKS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        holder = psutil.Process(int(process.stdout.readline()))
        assert process.stdout.readline() == "locked\n"
        yield process, holder, tmp_path
        process.kill()
    if holder.is_running():
        holder.resume()
        holder.wait(WAIT_SECONDS)


def lock(directory: Path) -> None:
    """Wait for the lock of a directory, and give it up."""
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)


def test_the_lock_of_a_dead_process_is_free_while_its_memory_is_there(
    locked: tuple[subprocess.Popen[str], psutil.Process, Path],
) -> None:
    """Rule 13: what holds memory holds no lock."""
    process, holder, directory = locked
    holder.suspend()  # it can neither end nor take anything down
    process.kill()
    lock(directory)
    assert holder.status() == psutil.STATUS_STOPPED
    assert holder.memory_info().rss > 1 << 20


def test_the_holder_has_no_file_and_takes_no_signal_but_those_that_nobody_refuses(
    locked: tuple[subprocess.Popen[str], psutil.Process, Path],
) -> None:
    _, holder, _ = locked
    assert holder.num_fds() == 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        holder.send_signal(number)
    assert holder.is_running()


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_the_holder_ends_after_the_process(
    locked: tuple[subprocess.Popen[str], psutil.Process, Path], end: str
) -> None:
    process, holder, _ = locked
    if end == "killed":
        process.kill()
    else:
        process.communicate("")
    process.wait(WAIT_SECONDS)
    holder.wait(WAIT_SECONDS)
    assert not holder.is_running()


def test_a_process_whose_holder_was_killed_goes_on_and_gives_its_lock_up_when_it_dies(
    locked: tuple[subprocess.Popen[str], psutil.Process, Path],
) -> None:
    process, holder, directory = locked
    holder.kill()
    deadline = time.monotonic() + WAIT_SECONDS
    while holder.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert process.poll() is None
    process.kill()
    lock(directory)
