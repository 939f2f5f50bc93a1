"""`python -m bench.top_process INSTANCE SECONDS`: `statevec top` on a terminal of its own, and its processor time.

Prints a line once the first picture is there, and then JSON: `percent` of a core, over the seconds that follow. The
terminal has 120 × 40.
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
from pathlib import Path

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
    print("picture", flush=True)
    before = processor_ns(process)
    begin = time.monotonic()
    shown += _drain(terminal, seconds)
    used, took = (processor_ns(process) - before) / 1e9, time.monotonic() - begin
    os.write(terminal, b"q")
    _drain(terminal, 1.0)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    print(json.dumps({"percent": 100 * used / took, "seconds": took, "terminal_bytes": shown}))
    return 0


def processor_ns(process: int) -> int:
    """Processor time of all its threads so far, ns: the clock ticks of `stat` are too long for a short look."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{process}/task").glob("*/schedstat"))


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
