"""Entries for tests, made with the project's own kernels from values given by name."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from statevec.ipc.memory import Region
from statevec.journal import entry_layout as layout
from statevec.journal.entry import seal_entry


def aligned(size: int) -> int:
    return (size + 7) // 8 * 8


def output_record(index: int, message: bytes, expires_ns: int = 0) -> bytes:
    length = aligned(layout.OUTPUT_MESSAGE + len(message))
    return struct.pack("<iiq", length, index, expires_ns) + message.ljust(length - layout.OUTPUT_MESSAGE, b"\0")


def delta_record(table: int, row: int, operation: int, version: int, previous_sequence: int, image: bytes) -> bytes:
    length = aligned(layout.DELTA_IMAGE + len(image))
    header = struct.pack("<iiiiqq", length, table, row, operation, version, previous_sequence)
    return header + image.ljust(length - layout.DELTA_IMAGE, b"\0")


@dataclass
class EntryMaker:
    """Makes sealed entries one after the other: positions, sequences and digests follow."""

    unit: int = 1 << 12
    position: int = 0
    sequence: int = 0
    digest: int = 0
    epoch: int = 1
    positions: list[int] = field(default_factory=list)

    def padding(self) -> bytes:
        """Padding up to the next unit; nothing when it begins here."""
        size = -self.position % self.unit
        self.position += size
        return struct.pack("<ii", size, layout.PADDING).ljust(size, b"\0") if size else b""

    def entry(self, message: bytes, outputs: bytes = b"", delta: bytes = b"", **header: int) -> bytes:
        """The next entry, with padding before it where it would cross a unit."""
        length = layout.INPUT + aligned(len(message)) + len(outputs) + len(delta)
        assert length <= self.unit
        before = b"" if self.position % self.unit + length <= self.unit else self.padding()
        self.sequence += 1
        fields = {
            "kind": layout.COMMAND,
            "timestamp_ns": 1_700_000_000_000_000_000 + self.sequence,
            "source": 1,
            "source_sequence": self.sequence,
            "source_position": 64 * self.sequence,
            "sent_ns": 1_600_000_000_000_000_000 + self.sequence,
            "logic_version": 1,
            "outcome": 0,
            "input_true_length": len(message),
            "flags": 0,
            "durable_position": 0,
            **header,
        }
        region = Region.allocate(length)
        store(region, fields)
        region.store_i32(layout.LENGTH, length)
        region.store_i64(layout.POSITION, self.position)
        region.store_i64(layout.SEQUENCE, self.sequence)
        region.store_i64(layout.EPOCH, self.epoch)
        region.store_i32(layout.INPUT_LENGTH, len(message))
        region.store_i32(layout.OUTPUTS_LENGTH, len(outputs))
        region.store_i32(layout.DELTA_LENGTH, len(delta))
        body = message.ljust(aligned(len(message)), b"\0") + outputs + delta
        region.view[layout.INPUT :] = body
        self.digest = seal_entry(region, self.digest)
        self.positions.append(self.position)
        self.position += length
        return before + bytes(region.view)

    def entries(self, count: int, seed: int, largest: int = 400) -> bytes:
        """`count` entries with random inputs of up to `largest` bytes."""
        source = random.Random(seed)
        return b"".join(self.entry(source.randbytes(source.randrange(largest))) for _ in range(count))


WIDE = {"timestamp_ns", "source_sequence", "source_position", "sent_ns", "durable_position"}


def store(region: Region, fields: dict[str, int]) -> None:
    for name, value in fields.items():
        offset = getattr(layout, name.upper())
        if name in WIDE:
            region.store_i64(offset, value)
        else:
            region.store_i32(offset, value)


def region_of(content: bytes) -> Region:
    """The bytes as a writable region."""
    region = Region.allocate(len(content))
    region.view[:] = content
    return region
