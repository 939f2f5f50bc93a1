"""`Entry`: an entry's bytes as an object for people and for Python code that is not in a hurry.

It owns a copy of the bytes, so that it stays right whatever happens to the log. It does not check them: who made it
from checked bytes (`check_entry`, the readers) knows that they are sound. The layout is `entry_layout`.

Nothing here keeps other state: a crash leaves nothing behind.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from statevec.ipc.faults import outcome_name
from statevec.journal import entry_layout as layout

_HEADER = struct.Struct("<iiQqqqqqqqiiiiiiiiqqq")
_OUTPUT = struct.Struct("<iiq")
_CHANGE = struct.Struct("<iiiiqq")
OPERATION_NAMES = {layout.INSERTED: "inserted", layout.UPDATED: "updated", layout.DELETED: "deleted"}


@dataclass(frozen=True, slots=True)
class Output:
    """An output, identified by (epoch, sequence, index). `message` begins with its SBE header, zero-padded to 8."""

    epoch: int
    sequence: int
    index: int
    expires_ns: int
    message: bytes

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.epoch, self.sequence, self.index


@dataclass(frozen=True, slots=True)
class Change:
    """What a transaction did to one record; `image` are the fields after it (of a deleted record: the last ones)."""

    table: int
    row: int
    operation: int
    version: int
    previous_sequence: int
    image: bytes

    @property
    def operation_name(self) -> str:
        return OPERATION_NAMES.get(self.operation, f"unknown({self.operation})")


class Entry:
    """One entry; integers as the header has them, `input` as bytes, outputs and changes taken apart when asked for."""

    __slots__ = (
        "_delta_length",
        "_input_length",
        "_outputs_length",
        "digest",
        "durable_position",
        "epoch",
        "flags",
        "hash",
        "input_true_length",
        "kind",
        "length",
        "logic_version",
        "outcome",
        "position",
        "raw",
        "sent_ns",
        "sequence",
        "source",
        "source_position",
        "source_sequence",
        "timestamp_ns",
    )

    def __init__(self, buffer: bytes | bytearray | memoryview) -> None:
        """From a buffer that begins with a sound entry (not padding); bytes behind it are ignored."""
        view = memoryview(buffer).cast("B")
        self.length, self.kind = struct.unpack_from("<ii", view, 0)
        if self.length < layout.ENTRY_HEADER_SIZE or self.length > len(view):
            raise ValueError(f"not an entry: length={self.length} kind={self.kind} bytes={len(view)}")
        self.raw = bytes(view[: self.length])
        (
            _,
            _,
            _,
            self.position,
            self.sequence,
            self.epoch,
            self.timestamp_ns,
            self.source_sequence,
            self.source_position,
            self.sent_ns,
            self.source,
            self.logic_version,
            self.outcome,
            self._input_length,
            self._outputs_length,
            self._delta_length,
            self.input_true_length,
            self.flags,
            self.durable_position,
            self.hash,
            self.digest,
        ) = _HEADER.unpack_from(self.raw)

    @property
    def end_position(self) -> int:
        """Position of the first byte after the entry."""
        return self.position + self.length

    @property
    def kind_name(self) -> str:
        return layout.ENTRY_KINDS.get(self.kind, f"unknown({self.kind})")

    @property
    def outcome_name(self) -> str:
        return outcome_name(self.outcome)

    @property
    def gap(self) -> bool:
        """Whether the producer's own sequence jumped before this input."""
        return bool(self.flags & layout.FLAG_GAP)

    @property
    def input(self) -> bytes:
        """The input as it arrived, cut to MAX_INPUT."""
        return self.raw[layout.INPUT : layout.INPUT + self._input_length]

    def outputs(self) -> list[Output]:
        """What the transaction emitted, in order."""
        found = []
        place = layout.INPUT + (self._input_length + 7) // 8 * 8
        end = place + self._outputs_length
        while place < end:
            length, index, expires_ns = _OUTPUT.unpack_from(self.raw, place)
            self._check_part(place, length, end, layout.OUTPUT_MESSAGE)
            message = self.raw[place + layout.OUTPUT_MESSAGE : place + length]
            found.append(Output(self.epoch, self.sequence, index, expires_ns, message))
            place += length
        return found

    def changes(self) -> list[Change]:
        """What the transaction did to records, in the order of the delta."""
        found = []
        end = self.length
        place = end - self._delta_length
        while place < end:
            length, table, row, operation, version, previous_sequence = _CHANGE.unpack_from(self.raw, place)
            self._check_part(place, length, end, layout.DELTA_IMAGE)
            image = self.raw[place + layout.DELTA_IMAGE : place + length]
            found.append(Change(table, row, operation, version, previous_sequence, image))
            place += length
        return found

    def _check_part(self, place: int, length: int, end: int, smallest: int) -> None:
        if length < smallest or length % 8 or place + length > end:
            raise ValueError(f"part does not fit: offset={place} length={length} end={end} sequence={self.sequence}")

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Entry) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.sequence, self.hash))

    def __repr__(self) -> str:
        return (
            f"<Entry sequence={self.sequence} {self.kind_name} {self.outcome_name} "
            f"position={self.position} length={self.length}>"
        )


assert _HEADER.size == layout.ENTRY_HEADER_SIZE
