"""Locking a process's memory, so that the engine's thread never waits for a page to come back.

Nothing is kept here; the locks end with the process.
"""

from __future__ import annotations

import ctypes
import errno
import os

MCL_CURRENT = 1


def lock_memory() -> str | None:
    """Lock every page that is mapped now; None when that worked, else why not.

    Only pages that exist: with MCL_FUTURE, a low limit would make later allocations of the process fail.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(MCL_CURRENT) == 0:
        return None
    number = ctypes.get_errno()
    hint = " (raise the limit with `ulimit -l` or LimitMEMLOCK=)" if number in (errno.ENOMEM, errno.EPERM) else ""
    return f"{os.strerror(number)}{hint}"
