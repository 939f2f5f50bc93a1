"""`python -m statevec.demo.bound ARGUMENTS…`: become `python ARGUMENTS…`, but end when the parent ends.

The kernel sends this process SIGTERM when the thread that started it is gone (prctl PR_SET_PDEATHSIG, Linux), also
after the exec. So a demonstration that is killed leaves no engine behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process to its parent and become the command."""
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == parent:  # else the parent went before the kernel knew of the wish
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


if __name__ == "__main__":
    main()
