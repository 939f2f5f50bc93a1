"""`python -m bench.top_process INSTANCE SECONDS`: `statevec top` on a terminal of its own, and its processor time.

Prints JSON: `percent` of a core, over that many seconds after the first picture was there. The terminal has 120 × 40.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import psutil

WARM_SECONDS = 2.0
FIRST_PICTURE_BYTES = 4_000
"""A screen with its colours takes more."""
ROWS, COLUMNS = 40, 120


def main() -> int:
    directory, seconds = sys.argv[1], float(sys.argv[2])
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "statevec.cli.main", "top", "--instance", directory])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.kill(process, signal.SIGWINCH)
    shown = 0
    while shown < FIRST_PICTURE_BYTES:
        shown += _drain(terminal, WARM_SECONDS)
    before = psutil.Process(process).cpu_times()
    begin = time.monotonic()
    shown += _drain(terminal, seconds)
    after, took = psutil.Process(process).cpu_times(), time.monotonic() - begin
    os.write(terminal, b"q")
    _drain(terminal, 1.0)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    used = after.user + after.system - before.user - before.system
    print(json.dumps({"percent": 100 * used / took, "seconds": took, "terminal_bytes": shown}))
    return 0


def _drain(terminal: int, seconds: float) -> int:
    """Read what is shown for that long; how many bytes."""
    end = time.monotonic() + seconds
    shown = 0
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([terminal], [], [], left)
        try:
            shown += len(os.read(terminal, 1 << 16)) if ready else 0
        except OSError:  # it has ended
            return shown
    return shown


if __name__ == "__main__":
    sys.exit(main())
