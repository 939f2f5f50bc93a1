"""Which process holds the flock of a file, as the kernel lists it: asking takes no lock and disturbs nobody.

`/proc/locks` names a file by device and inode. On file systems that show each subvolume as a device of its own (btrfs)
the two do not meet, and the holder of such a lock is unknown here; shared memory is never one of them.

Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

LOCKS = Path("/proc/locks")
MOST_BYTES = 1 << 20
FIELDS = 6


class FlockHolders:
    """The list at one moment."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}
        try:
            with open(LOCKS, "rb") as file:
                text = file.read(MOST_BYTES).decode("ascii", "replace")
        except OSError:
            return
        for line in text.splitlines():
            fields = line.split()
            if len(fields) >= FIELDS and fields[1] == "FLOCK" and fields[4].isdecimal():
                self._holders[fields[5]] = int(fields[4])

    def of(self, status: os.stat_result) -> int:
        """Pid of who holds the lock of the file that was looked at; 0 when nobody is known to."""
        device = status.st_dev
        return self._holders.get(f"{os.major(device):02x}:{os.minor(device):02x}:{status.st_ino}", 0)
