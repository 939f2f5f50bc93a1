"""Recording the write history of an instance in this process: `os` functions and the journaler's loop are watched.

The journaler's loop runs as plain Python while it is recorded: the same source, whose `pwrite` and `fdatasync` go
through `os` then. Everything else that statevec writes goes through `os` anyway (`journal/disk`).

Invariants
    Calls are made one at a time, and recorded in the order in which they were made.
    What is published is read before each call, so it is what could be known if the power went at this call.
    A call that changes the watched directory and is not understood is an `AssertionError`. What lies in `alarms/` is
    not watched: nobody needs it to go on, and a thread of its own writes it.

A thread that was declared dead (`kill`) ends at its next call: its process was killed. `recording` puts all back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import statevec.journal.journaler
from statevec.ipc import log_layout
from statevec.ipc.kernel import plain
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.journal import journaler_kernels
from statevec.journal.segments import SUFFIX
from statevec.roles import alarm_files
from tools.power import history
from tools.power.history import Event, History, Seen

WATCHED = (
    *("open", "pwrite", "fsync", "fdatasync", "posix_fallocate", "ftruncate", "rename", "unlink", "mkdir", "rmdir"),
)
REFUSED = ("replace", "link", "symlink", "truncate", "write", "pwritev", "writev")
"""What statevec does not call on an instance's files; if it begins to, the recorder has to learn it."""
REAL = {name: getattr(os, name) for name in (*WATCHED, *REFUSED)}
JOURNALER_THREAD = "journaler"


class Recorder:
    """Watches everything below `root`, an empty directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._log: Region | None = None
        self._acknowledged = (0, 0)
        self._events: list[Event] = []
        self._numbers = {self._identity(os.stat(root)): history.ROOT}
        self._made = history.ROOT
        self._named: dict[int, str] = {}
        self._dead: set[threading.Thread] = set()
        self._lock = threading.RLock()

    @staticmethod
    def _identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino

    def seen(self) -> Seen:
        """What is published now. (The lock is held: nothing is written meanwhile.)"""
        if self._log is None:
            return Seen(acknowledged=self._acknowledged)
        released = log_layout.CONTROL + self._log.load_i64(log_layout.RELEASED_AT)
        # SYNC POINT: pairs with the stores of leader and journaler.
        positions = [load_acquire(self._log, offset) for offset in (released, log_layout.DURABLE, log_layout.EPOCH)]
        return Seen(*positions, acknowledged=self._acknowledged)

    def history(self) -> History:
        """Everything so far."""
        with self._lock:
            return History(list(self._events), self.seen())

    def follow(self, log: Region) -> None:
        """Read what is published from this log from now on."""
        with self._lock:
            self._log = log

    def acknowledge(self, position: int, outputs: int) -> None:
        """A gateway's acknowledgement has returned: it must survive from now on."""
        with self._lock:
            self._acknowledged = (position, outputs)

    def kill(self, threads: set[threading.Thread]) -> None:
        """Let these threads write nothing any more: their next call ends them."""
        with self._lock:
            self._dead |= threads

    def revive(self, thread: threading.Thread) -> None:
        """Let a thread call again that stood for a dead process."""
        with self._lock:
            self._dead.discard(thread)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record in here."""
        journaler: Any = statevec.journal.journaler
        kernels = {name: getattr(journaler, name) for name in ("journal_loop", "sync_current")}
        told, memo = threading.excepthook, dict[Any, Any]()
        threading.excepthook = lambda failure: None if failure.thread in self._dead else told(failure)
        for name in kernels:
            setattr(journaler, name, plain(getattr(journaler_kernels, name), memo))
        for name in WATCHED:
            setattr(os, name, getattr(self, f"_{name}"))
        for name in REFUSED:
            setattr(os, name, self._refusing(name))
        try:
            yield
        finally:
            threading.excepthook = told
            for name, real in REAL.items():
                setattr(os, name, real)
            for name, kernel in kernels.items():
                setattr(journaler, name, kernel)

    def _refusing(self, name: str) -> Callable[..., Any]:
        def call(subject: Any, *arguments: Any, **named: Any) -> Any:
            where = Path(os.readlink(f"/proc/self/fd/{subject}")) if isinstance(subject, int) else Path(subject)
            if self._is_watched(where):
                raise AssertionError(f"call that is not recorded: {name}({where})")
            return REAL[name](subject, *arguments, **named)

        return call

    def _is_watched(self, path: Path) -> bool:
        return self.root in (path, *path.parents) and alarm_files.DIRECTORY not in path.parts

    def _place(self, path: Any, directory: int | None = None) -> tuple[int, str] | None:
        """Number of the directory that a name is in, and the name; None when it is not below the root."""
        full = Path(os.fspath(path))
        if directory is not None:
            full = Path(os.readlink(f"/proc/self/fd/{directory}")) / full
        parent = full.parent.resolve()
        if not self._is_watched(parent / full.name):
            return None
        return self._numbers[self._identity(os.stat(parent))], full.name

    def _number(self, descriptor: int) -> int | None:
        return self._numbers.get(self._identity(os.fstat(descriptor)))

    def _note(self, call: str, number: int, seen: Seen, **what: Any) -> None:
        self._events.append(Event(call, number, seen, **what))

    def _new(self, status: os.stat_result) -> int:
        """A number for what was just made; an inode that is used again is another file."""
        self._made += 1
        self._numbers[self._identity(status)] = self._made
        return self._made

    def before_call(self) -> None:
        """Comes before each call: for who wants to do something then."""

    @contextmanager
    def _turn(self) -> Iterator[Seen]:
        self.before_call()
        with self._lock:
            if threading.current_thread() in self._dead:
                raise SystemExit
            yield self.seen()

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & (os.O_CREAT | os.O_TRUNC):
            return REAL["open"](path, flags, mode, dir_fd=dir_fd)
        place = self._place(path, dir_fd)
        if place is None:
            return REAL["open"](path, flags, mode, dir_fd=dir_fd)
        with self._turn() as seen:
            new = not os.path.lexists(path)
            descriptor = REAL["open"](path, flags, mode, dir_fd=dir_fd)
            if new:
                number = self._new(os.fstat(descriptor))
                self._note(history.CREATE, number, seen, directory=place[0], name=place[1])
            elif flags & os.O_TRUNC:
                number = self._numbers[self._identity(os.fstat(descriptor))]
                self._note(history.RESIZE, number, seen, offset=0)
            self._named[number] = place[1]
            return descriptor

    def _pwrite(self, descriptor: int, content: Any, offset: int) -> int:
        number = self._number(descriptor)
        if number is None:
            return REAL["pwrite"](descriptor, content, offset)
        with self._turn() as seen:
            written = REAL["pwrite"](descriptor, content, offset)
            name = self._named[number]
            kept = bytes(content[:written])
            journaled = threading.current_thread().name == JOURNALER_THREAD and name.endswith(SUFFIX)
            self._note(history.WRITE, number, seen, name=name, offset=offset, content=kept, journaled=journaled)
            return written

    def _resizing(self, call: str, real: str, descriptor: int, arguments: tuple[int, ...], size: int) -> None:
        number = self._number(descriptor)
        if number is None:
            REAL[real](descriptor, *arguments)
            return
        with self._turn() as seen:
            REAL[real](descriptor, *arguments)
            self._note(call, number, seen, offset=size)

    def _posix_fallocate(self, descriptor: int, offset: int, size: int) -> None:
        self._resizing(history.ALLOCATE, "posix_fallocate", descriptor, (offset, size), offset + size)

    def _ftruncate(self, descriptor: int, size: int) -> None:
        self._resizing(history.RESIZE, "ftruncate", descriptor, (size,), size)

    def _syncing(self, real: str, descriptor: int) -> None:
        number = self._number(descriptor)
        if number is None:
            REAL[real](descriptor)
            return
        with self._turn() as seen:
            REAL[real](descriptor)
            self._note(history.SYNC, number, seen)

    def _fsync(self, descriptor: int) -> None:
        self._syncing("fsync", descriptor)

    def _fdatasync(self, descriptor: int) -> None:
        self._syncing("fdatasync", descriptor)

    def _rename(self, source: Any, target: Any, **named: Any) -> None:
        place, new = self._place(source), self._place(target)
        if place is None or new is None:
            assert place is new, f"rename across the watched directory: {source} {target}"
            REAL["rename"](source, target, **named)
            return
        assert place[0] == new[0], f"rename from one directory to another is not recorded: {source} {target}"
        with self._turn() as seen:
            number = self._numbers[self._identity(os.lstat(source))]
            REAL["rename"](source, target, **named)
            self._named[number] = new[1]
            self._note(history.RENAME, number, seen, directory=place[0], name=place[1], new_name=new[1])

    def _naming(self, call: str, real: str, path: Any, arguments: tuple[Any, ...], dir_fd: int | None) -> None:
        place = self._place(path, dir_fd)
        if place is None:
            REAL[real](path, *arguments, dir_fd=dir_fd)
            return
        with self._turn() as seen:
            status = os.stat(path, dir_fd=dir_fd, follow_symlinks=False) if real != "mkdir" else None
            REAL[real](path, *arguments, dir_fd=dir_fd)
            if status is None:
                number = self._new(os.stat(path, dir_fd=dir_fd, follow_symlinks=False))
            else:
                number = self._numbers[self._identity(status)]
            self._note(call, number, seen, directory=place[0], name=place[1])

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._naming(history.UNLINK, "unlink", path, (), dir_fd)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._naming(history.MAKE_DIRECTORY, "mkdir", path, (mode,), dir_fd)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._naming(history.REMOVE_DIRECTORY, "rmdir", path, (), dir_fd)
