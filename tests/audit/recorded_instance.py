"""An instance whose journal was made by executing entries in this process: no engine process, no shared memory."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from statevec.engine.execute import book_entry, run_entry
from statevec.engine.execution import LOOP_BUDGET, Execution
from statevec.engine.instance import create_instance, prepare_directory
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.store import PluginStore
from statevec.ipc import log_layout
from statevec.ipc.memory import Region
from statevec.journal import admin_layout
from statevec.journal import entry_layout as layout
from statevec.journal.entry import seal_entry
from statevec.journal.segments import create_segment, list_segments

PLUGIN = Path(__file__).parent / "ledger"
START_NS = 1_700_000_000_000_000_000
SEGMENT_SIZE = 2 * log_layout.UNIT


class RecordedInstance:
    """Make entries with `transfer`, `timer`, `command`, `lead`; then `write` the journal."""

    def __init__(self, directory: Path, plugin: Path = PLUGIN) -> None:
        prepare_directory(directory)
        self.instance = create_instance(directory)
        self.plugin = load_plugin(plugin)
        PluginStore(self.instance.directory).keep(self.plugin)
        self.execution = Execution(self.plugin.table_specs, self.plugin.dispatch("interpreted"))
        self.content = bytearray()
        self._scratch = Region.allocate(log_layout.MAX_ENTRY)
        self.positions: list[int] = []
        self._durable = 0
        self.lead()

    def lead(self, content_hash: str | None = None) -> None:
        message = admin_layout.leadership(
            epoch=1,
            instance_id=self.instance.instance_id,
            wall_clock_ns=START_NS,
            limits=(log_layout.UNIT, log_layout.MAX_ENTRY, log_layout.MAX_INPUT, LOOP_BUDGET),
            logic_version=1,
            durability=1,
            engine_version="0.1.0",
            plugin_name=self.plugin.name,
            plugin_version=self.plugin.version,
            content_hash=content_hash or self.plugin.content_hash,
        )
        self.append(layout.LEADERSHIP, message)

    def transfer(self, account: int, direction: str, amount: int) -> None:
        values = {"account": account, "direction": self.plugin.schema.enum("Direction")[direction], "amount": amount}
        self.append(layout.COMMAND, self.plugin.schema.encode("Transfer", values), source=1)

    def timer(self, timer_id: int) -> None:
        message = struct.pack("<qqq", admin_layout.TIMER_SBE_HEADER, timer_id, START_NS)
        self.append(layout.TIMER, message)

    def append(self, kind: int, message: bytes, source: int = 0, header: dict[int, int] | None = None) -> None:
        """Execute one input and keep its entry; `header` has other int32 fields of it, by their offset."""
        sequence = self.execution.sequence + 1
        entry = self._scratch
        entry.fill_zero(0, layout.INPUT + len(message) + 8)
        entry.store_i32(layout.KIND, kind)
        entry.store_i64(layout.SEQUENCE, sequence)
        entry.store_i64(layout.EPOCH, 1)
        entry.store_i64(layout.TIMESTAMP_NS, START_NS + sequence)
        entry.store_i32(layout.SOURCE, source)
        entry.store_i64(layout.SOURCE_SEQUENCE, sequence if source else 0)
        entry.store_i32(layout.INPUT_LENGTH, len(message))
        entry.store_i32(layout.INPUT_TRUE_LENGTH, len(message))
        entry.store_i64(layout.DURABLE_POSITION, self._durable)
        for offset, value in (header or {}).items():
            entry.store_i32(offset, value)
        entry.view[layout.INPUT : layout.INPUT + len(message)] = message
        unit_left = -len(self.content) % log_layout.UNIT or log_layout.UNIT
        if unit_left < len(message) + 1_024:  # more than what any entry here adds
            self.content += struct.pack("<ii", unit_left, layout.PADDING).ljust(unit_left, b"\0")
        entry.store_i64(layout.POSITION, len(self.content))
        self._durable = self.positions[-1] if self.positions else 0
        self.positions.append(len(self.content))
        book_entry(self.execution.tx, self.execution.block, entry)
        length = run_entry(self.execution.tx, self.execution.block, entry, log_layout.MAX_ENTRY)
        self.content += bytes(entry.view[:length])

    def random_transfers(self, count: int, seed: int) -> None:
        source = random.Random(seed)
        for _ in range(count):
            self.transfer(source.randrange(40), source.choice(["IN", "OUT"]), source.randrange(1, 100))
            if source.random() < 0.1:
                self.timer(source.randrange(40))

    def write(self) -> None:
        """Write all entries into segment files, which need not be there."""
        directory = self.instance.journal_directory
        while (end := max((each.end for each in list_segments(directory)), default=0)) <= len(self.content):
            create_segment(directory, end, SEGMENT_SIZE, zeros=False)
        self.overwrite(0, bytes(self.content))

    def overwrite(self, position: int, content: bytes) -> None:
        """Put bytes at a position of the journal."""
        for segment in list_segments(self.instance.journal_directory):
            start, end = max(position, segment.first), min(position + len(content), segment.end)
            if start < end:
                with open(segment.path, "r+b") as file:
                    file.seek(start - segment.first)
                    file.write(content[start - position : end - position])

    def forge(self, sequence: int, offset: int, value: bytes) -> None:
        """Change an entry and seal it and all behind it again, as if it had been decided like that."""
        digest = 0
        for number, position in enumerate(self.positions, 1):
            length = int.from_bytes(self.content[position : position + 4], "little")
            entry = Region.allocate(length)
            entry.view[:] = self.content[position : position + length]
            if number == sequence:
                entry.view[offset : offset + len(value)] = value
            digest = seal_entry(entry, digest)
            self.content[position : position + length] = entry.view
        self.write()
