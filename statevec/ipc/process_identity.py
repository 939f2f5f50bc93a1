"""Which process, on which boot: what a segment remembers of its creator, so that a number used again is not mistaken.

Invariant: a process is believed dead only when this boot and this pid namespace show that it is; what cannot be
judged from here counts as alive.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

import psutil

START_TOLERANCE_MS = 2000
"""psutil derives a start from whole seconds of the boot time, which a clock adjustment may move by one."""


@cache
def boot_id() -> bytes:
    """16 bytes that the kernel draws at each boot."""
    return UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes


def pid_namespace() -> int:
    """Inode of this process's pid namespace: pids mean nothing outside it."""
    return os.stat("/proc/self/ns/pid").st_ino


def started_ms(pid: int) -> int | None:
    """When process `pid` started, in milliseconds after boot; None when it is not there or is a zombie."""
    try:
        boot = psutil.boot_time()
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round((process.create_time() - boot) * 1000)
    except psutil.NoSuchProcess:
        return None


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for ever: pid and start mean something within one boot and one pid namespace."""

    pid: int
    started_ms: int
    boot_id: bytes
    pid_namespace: int

    @classmethod
    def current(cls) -> ProcessIdentity:
        return _identity_of_this(os.getpid())

    def is_dead(self) -> bool:
        """Whether that process certainly does not run any more."""
        if self.boot_id != boot_id():
            return True
        if self.pid_namespace != pid_namespace():
            return False
        started = started_ms(self.pid) if self.pid > 0 else None
        return started is None or abs(started - self.started_ms) > START_TOLERANCE_MS


@cache
def _identity_of_this(pid: int) -> ProcessIdentity:
    started = started_ms(pid)
    assert started is not None, "this process is running"
    return ProcessIdentity(pid, started, boot_id(), pid_namespace())
