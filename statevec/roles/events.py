"""What a process of statevec says while it runs: one JSON object a line, on standard error.

Each has `event` (what happened), `at` (UTC) and `pid`; the rest depends on the event. Programs read them, and people
can. Nothing here is buffered: a line stands there before the process goes on.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec


def report(event: str, **values: Any) -> None:
    """Write one event."""
    line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "pid": os.getpid(), **values}
    sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
    sys.stderr.flush()
