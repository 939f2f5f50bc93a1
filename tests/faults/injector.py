"""Making one chosen call on a file fail, in this process: Python's through `os`, the journaler's two native ones too.

    counting run      every call below the watched directories is counted, by function and file
    armed run         the n-th call of one function on one file fails with an errno, once or from then on

Invariants
    A call is known by its function, its file's name without the numbers in it, and how many of the kind came before.
    What is opened for writing past `os.open` is `unseen`: a test fails then, since its writes would not be counted.

Compiled kernels call `pwrite` and `fdatasync` by symbol: `replace_native` gives these symbols another address, before
any kernel is loaded. So the shipped machine code is what is tested.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding

FUNCTIONS = (
    *("open", "pwrite", "write", "fsync", "fdatasync", "posix_fallocate", "ftruncate", "fchown", "fchmod"),
    *("rename", "replace", "unlink", "mkdir", "rmdir", "link", "symlink", "truncate"),
)
SAID_AS = {"posix_fallocate": "fallocate", "fchmod": "fchown"}
"""What an error calls the function, where that is not its name."""
ERRNOS: dict[str, tuple[int, ...]] = {
    "open": (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE),
    "fsync": (errno.EIO, errno.ENOSPC),
    "fdatasync": (errno.EIO, errno.ENOSPC),
    "posix_fallocate": (errno.ENOSPC, errno.EIO),
    "unlink": (errno.EROFS, errno.EACCES, errno.EIO),
    "mkdir": (errno.ENOSPC, errno.EROFS, errno.EACCES),
    "rename": (errno.ENOSPC, errno.EROFS, errno.EIO),
}
OTHERWISE = (errno.ENOSPC, errno.EIO)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
REAL = {name: getattr(os, name) for name in FUNCTIONS}


@dataclass(frozen=True)
class Call:
    """One call: the `occurrence`-th (from 1) of `function` on files of that name."""

    function: str
    name: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.function}({self.name}) #{self.occurrence}"


@dataclass(frozen=True)
class Fault:
    """At a call: a `torn` write writes half of its bytes first; a `lasting` fault hits all later calls too."""

    call: Call
    errno: int
    torn: bool = False
    lasting: bool = False

    def __str__(self) -> str:
        how = " torn" if self.torn else " from then on" if self.lasting else ""
        return f"{self.call} {errno.errorcode[self.errno]}{how}"


WATCHING: list[Injector] = []
"""The injector at work in this process, if there is one."""


@cache
def _hook_once() -> None:
    """A hook of the interpreter stays for good and is asked for every event: one is enough for all injectors."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if WATCHING and event == "open":
            WATCHING[0].look(*arguments)

    sys.addaudithook(audit)


def faults_at(call: Call) -> list[Fault]:
    """The single faults that are tried at a call."""
    found = [Fault(call, number) for number in ERRNOS.get(call.function, OTHERWISE)]
    if call.function in ("pwrite", "write"):
        found.append(Fault(call, errno.EIO, torn=True))
    return found


class Injector:
    """Watches everything below `roots`: for good after `install`, or inside of `watching`."""

    def __init__(self, roots: list[Path]) -> None:
        self.roots = [root.resolve() for root in roots]
        self.counts: Counter[tuple[str, str]] = Counter()
        self.unseen: list[str] = []
        self.fault: Fault | None = None
        self.hit = ""
        """The file at which the fault happened, empty before."""
        self.on_hit: Callable[[], None] = lambda: None
        self._mutex = threading.Lock()

    def calls(self) -> list[Call]:
        """Every call that was counted."""
        return [Call(*key, number) for key, count in sorted(self.counts.items()) for number in range(1, count + 1)]

    @contextmanager
    def watching(self, fault: Fault | None = None) -> Iterator[None]:
        """Count in here, or let the fault happen in here."""
        self.counts.clear()
        self.fault, self.hit = fault, ""
        self.install()
        try:
            yield
        finally:
            WATCHING.clear()
            for name, real in REAL.items():
                setattr(os, name, real)

    def install(self) -> None:
        """Put watched functions in the place of those of `os`."""
        for name in FUNCTIONS:
            setattr(os, name, self._watched(name))
        WATCHING[:] = [self]
        _hook_once()

    def _watched(self, function: str) -> Callable[..., Any]:
        real = REAL[function]

        def call(*arguments: Any, **named: Any) -> Any:
            subject = arguments[1] if function in ("rename", "replace") else arguments[0]
            path = self._path(subject, named.get("dir_fd"))
            number = self.meet(function, path)
            if number == 0:
                return real(*arguments, **named)
            if self.fault is not None and self.fault.torn and function == "pwrite":
                REAL["pwrite"](arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])
            raise OSError(number, os.strerror(number), *([str(path)] if not isinstance(subject, int) else []))

        return call

    @staticmethod
    def _path(subject: Any, directory: int | None) -> Path:
        if isinstance(subject, int):
            return Path(os.readlink(f"/proc/self/fd/{subject}"))
        path = Path(os.fspath(subject))
        if directory is not None:
            path = Path(os.readlink(f"/proc/self/fd/{directory}")) / path
        return path.parent.resolve() / path.name

    def _name(self, path: Path) -> str | None:
        """The file's name below its root without numbers in it; None when it is not watched."""
        for root in self.roots:
            if path == root or root in path.parents:
                return re.sub(r"[0-9a-f]{16,}|\d{20}", "N", str(Path(root.name) / path.relative_to(root)))
        return None

    def meet(self, function: str, path: Path) -> int:
        """Count a call; the errno with which it shall fail, 0 when it shall not."""
        name = self._name(path)
        if name is None:
            return 0
        with self._mutex:
            self.counts[function, name] += 1
            fault = self.fault
            if fault is None:
                return 0
            first = (function, name, self.counts[function, name]) == (
                *(fault.call.function, fault.call.name, fault.call.occurrence),
            )
            if not first and not (fault.lasting and self.hit):
                return 0
        if first and not self.hit:
            self.hit = str(path)
            self.on_hit()
        return fault.errno

    def look(self, path: Any, mode: str | None, flags: int) -> None:
        """Take in that a file is opened, by whatever means."""
        if mode is None or not flags & WRITING or not isinstance(path, int | str | bytes | os.PathLike):
            return  # through `os.open`, or for reading
        if self._name(self._path(path, None)) is not None:
            self.unseen.append(f"{path} was opened for writing past os.open: mode={mode}")

    def replace_native(self) -> None:
        """Let compiled code call here instead of libc; only what is loaded afterwards does."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.pwrite.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
        libc.pwrite.restype = ctypes.c_ssize_t

        def failing(function: str, file: int) -> bool:
            number = self.meet(function, Path(os.readlink(f"/proc/self/fd/{file}")))
            ctypes.set_errno(number)
            return number != 0

        @ctypes.CFUNCTYPE(ctypes.c_ssize_t, *libc.pwrite.argtypes, use_errno=True)
        def pwrite(file: int, address: int, size: int, position: int) -> int:
            if failing("pwrite", file):
                if self.fault is not None and self.fault.torn:
                    libc.pwrite(file, address, size // 2, position)
                return -1
            return int(libc.pwrite(file, address, size, position))

        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, use_errno=True)
        def fdatasync(file: int) -> int:
            return -1 if failing("fdatasync", file) else int(libc.fdatasync(file))

        self._native = (pwrite, fdatasync)  # compiled code has their addresses: they must live
        for name, function in (("pwrite", pwrite), ("fdatasync", fdatasync)):
            llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
