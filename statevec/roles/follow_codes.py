"""What the kernels that run a log's entries one after another answer to whoever feeds them, beside `ipc`'s codes."""

from __future__ import annotations

GOES_ON = 0
NOTICE = -32
"""The entry says who leads or decides from here on; it lies in the scratch entry."""
PAUSED = -34
"""Nothing special: the caller should have a say."""
DAMAGED = -35
"""What was copied from the log is no entry that follows."""

ENTRIES_PER_CALL = 4096
