"""The calls with which statevec changes files: each failure is a `DiskError` that names call, file, and what to do.

Invariants
    No link is followed as the last part of a name: an instance's files are its own.
    Nothing is tried again. What a failed write or fsync leaves is unknown; who calls decides what that means.
    Everything that is written in an instance directory goes through these functions, or through the journaler's two
    native calls (`system_calls`): a test makes every one of them fail (`tests/faults`).

Nothing here keeps state: a crash leaves what the calls did.
"""

from __future__ import annotations

import errno as errno_names
import os
from errno import EACCES, EDQUOT, EIO, ELOOP, EMFILE, ENFILE, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path

NO_ROOM = "make room there"
NOT_ALLOWED = "give this process's user the right to write there"
REMEDIES = {
    ENOSPC: NO_ROOM,
    EDQUOT: NO_ROOM,
    EIO: "look at the disk (dmesg), restore from a copy if need be",
    EROFS: "the file system is read-only: find out why (dmesg), mount it again for writing",
    EACCES: NOT_ALLOWED,
    EPERM: NOT_ALLOWED,
    ELOOP: "it is a symbolic link, and none is followed here: put the file or directory itself there",
    ENOTDIR: "a directory belongs there, and no link to one",
    EMFILE: "raise the limit of open files (ulimit -n)",
    ENFILE: "raise the host's limit of open files (fs.file-max)",
}


class DiskError(OSError):
    """A call on a file failed; `errno`, `strerror` and `filename` are as the system gave them."""

    def __init__(self, call: str, errno: int, path: Path) -> None:
        super().__init__(errno, os.strerror(errno), str(path))
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.call, self.errno, Path(self.filename))

    def __str__(self) -> str:
        name = errno_names.errorcode.get(self.errno or 0, str(self.errno))
        remedy = REMEDIES.get(self.errno or 0, "")
        what = f"{self.call} failed: {name} ({self.strerror}) file={self.filename}"
        return f"{what}; {remedy}, then do it again" if remedy else what


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file, no link, for this process alone; its descriptor. FileNotFoundError and FileExistsError stay so."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise DiskError("open", error.errno or 0, path) from error


def read_file(path: Path) -> bytes:
    """All of a small file that is no link."""
    descriptor = open_file(path, os.O_RDONLY)
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise DiskError("read", error.errno or 0, path) from error
    finally:
        os.close(descriptor)


def open_directory(path: Path) -> int:
    """A descriptor of a directory that is no link: to sync it, or for flock."""
    return open_file(path, os.O_RDONLY | os.O_DIRECTORY)


def write_all(file: int, content: bytes | memoryview, offset: int, path: Path) -> None:
    """Write all of `content` at `offset` of the open file, whose name is `path`."""
    view = memoryview(content)
    while view:
        try:
            written = os.pwrite(file, view, offset)
        except OSError as error:
            raise DiskError("pwrite", error.errno or 0, path) from error
        if written == 0:
            raise DiskError("pwrite", EIO, path)  # no progress, and no reason given
        view = view[written:]
        offset += written


def sync_file(file: int, path: Path) -> None:
    """Make what was written into the open file durable."""
    try:
        os.fsync(file)
    except OSError as error:
        raise DiskError("fsync", error.errno or 0, path) from error


def allocate(file: int, size: int, path: Path) -> None:
    """Give the open file its space, zeros: a full disk is noticed here and not by who writes later."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise DiskError("fallocate", error.errno or 0, path) from error


def set_size(file: int, size: int, path: Path) -> None:
    """Give the open file a length; what is new is a hole."""
    try:
        os.ftruncate(file, size)
    except OSError as error:
        raise DiskError("ftruncate", error.errno or 0, path) from error


def share_file(file: int, group: int, mode: int, path: Path) -> None:
    """Give an open file or directory a group and exactly this mode, whatever the umask says."""
    try:
        os.fchown(file, -1, group)
        os.fchmod(file, mode)
    except OSError as error:
        raise DiskError("fchown", error.errno or 0, path) from error


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = open_directory(directory)
    try:
        sync_file(descriptor, directory)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file or directory its final name, in place of what has it."""
    try:
        os.rename(source, target)
    except OSError as error:
        raise DiskError("rename", error.errno or 0, target) from error


def remove(path: Path, missing_ok: bool = False) -> None:
    """Take a file's name away. FileNotFoundError unless `missing_ok`."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        if not missing_ok:
            raise
    except OSError as error:
        raise DiskError("unlink", error.errno or 0, path) from error


def remove_tree(directory: Path) -> None:
    """Remove a directory with all that is in it; one that is not there is none. Links in it go, not what they mean."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DiskError("scandir", error.errno or 0, directory) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(Path(entry.path))
        else:
            remove(Path(entry.path))
    try:
        os.rmdir(directory)
    except OSError as error:
        raise DiskError("rmdir", error.errno or 0, directory) from error


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory, less what the umask takes from `mode`; one that is there stays as it is."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not path.is_dir():
            raise DiskError("mkdir", ENOTDIR, path) from None
    except OSError as error:
        raise DiskError("mkdir", error.errno or 0, path) from error


def make_directories(path: Path, mode: int = 0o777) -> None:
    """Make a directory, and those above it that are missing."""
    for directory in reversed([path, *path.parents]):
        if not directory.is_dir():
            make_directory(directory, mode)


def replace_file(path: Path, content: bytes, durable: bool = True, mode: int = 0o600) -> None:
    """Give the file `path` a new content: a crash or a `DiskError` leaves the old or the new one, whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(descriptor, content, 0, temporary)
        if durable:
            sync_file(descriptor, temporary)
    finally:
        os.close(descriptor)
    rename(temporary, path)
    if durable:
        sync_directory(path.parent)
