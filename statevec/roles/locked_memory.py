"""Locking a process's memory, so that the engine's thread never waits for a page to come back.

Pages that are there stay, and so does what faults in later into the mappings of now; what the engine's thread works on
is made to be there. Not everything is: a process that dies gives its lock up only after the kernel has taken down all
its pages, and a standby waits for that lock.

Nothing is kept here; the locks end with the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable

from statevec.ipc.memory import Region

MCL_CURRENT = 1
MCL_ONFAULT = 4
MADV_DONTNEED = 4
LARGE_CODE = 1 << 20
"""From so many bytes on, code of a library is given back: of the compiler, mostly, which has done its work."""


def lock_memory(used: Iterable[Region]) -> str | None:
    """Lock the pages of this process, and have those of `used` there; None when that worked, else why not.

    Only mappings that exist: with MCL_FUTURE, a low limit would make later allocations of the process fail.
    """
    library = ctypes.CDLL(None, use_errno=True)
    for start, size in _large_code():
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED)
    locked = library.mlockall(MCL_CURRENT | MCL_ONFAULT) == 0
    for region in used:
        locked = locked and library.mlock(ctypes.c_void_p(region.address), ctypes.c_size_t(region.size)) == 0
    if locked:
        return None
    number = ctypes.get_errno()
    hint = " (raise the limit with `ulimit -l` or LimitMEMLOCK=)" if number in (errno.ENOMEM, errno.EPERM) else ""
    return f"{os.strerror(number)}{hint}"


def _large_code() -> list[tuple[int, int]]:
    """Address and size of what is mapped from files to be executed: what is needed again comes from the file."""
    found = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            span, access, _, _, _, *path = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split("-"))
            if access == "r-xp" and path and path[0].startswith("/") and end - start >= LARGE_CODE:
                found.append((start, end - start))
    return found
