"""An instance of the probe plugin: things of two grades, and entries of every outcome."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from statevec.journal import admin_layout
from statevec.journal import entry_layout as layout
from statevec.journal.admin_layout import RING_ATTACH_FORMAT, RING_ATTACH_TEMPLATE, RING_QUARANTINE_FORMAT
from tests.audit.recorded_instance import RecordedInstance

PROBE = Path(__file__).parent / "probe"
GRADES = ("LOW", "HIGH")


class RecordedProbe(RecordedInstance):
    """`say` appends a message of the probe, the others an entry of the engine's own; all give the entry's sequence."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, PROBE)
        self.attach(1, "market")

    def say(self, message: str, **values: Any) -> int:
        self.append(layout.COMMAND, self.plugin.schema.encode(message, values), source=1)
        return self.execution.sequence

    def attach(self, source: int, name: str) -> int:
        header = admin_layout.sbe_header(RING_ATTACH_TEMPLATE, RING_ATTACH_FORMAT.size)
        self.append(
            layout.RING_ATTACH, struct.pack("<Q", header) + RING_ATTACH_FORMAT.pack(9, source, name.encode()), 1
        )
        return self.execution.sequence

    def quarantine(self, source: int, position: int, reason: int) -> int:
        header = struct.pack("<q", admin_layout.QUARANTINE_SBE_HEADER)
        block = RING_QUARANTINE_FORMAT.pack(9, source, position, reason)
        self.append(layout.RING_QUARANTINE, header + block, source)
        return self.execution.sequence

    def things(self, count: int) -> None:
        """Add things 1 … `count`, of both grades, of weight 100 + number."""
        for number in range(1, count + 1):
            self.say("Add", number=number, grade=GRADES[number % 2], weight=100 + number)
