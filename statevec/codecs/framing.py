"""How messages stand one after the other in a file or a stream: a length before each.

    SOFH                     FIX Simple Open Framing Header: uint32 length, itself included, and uint16 encoding type,
                             both big-endian
    LENGTH_16, LENGTH_32     a little-endian length of the message alone; `…_BIG` have a big-endian one
    Framing(…)               whatever else a venue sends

`find_frames` is the one pass over a file that finds where its messages are.

Invariants
    Nothing beyond the buffer is read. A frame whose length cannot be true (it ends behind the buffer, or inside its own
    header) ends the pass; the pass moves on with every frame, so it ends.

Nothing here keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass

from statevec.codecs.errors import FrameLengthError
from statevec.codecs.header_check import load_unsigned
from statevec.codecs.layout import ByteOrder
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region

SBE_LITTLE_ENDIAN = 0xEB50
SBE_BIG_ENDIAN = 0x5BE0
"""Encoding types of SOFH, for SBE 1.0."""
MOST_HEADER = 255
FRAME_SIZE = 16
"""Bytes of one entry of an index: int64 offset of the message, int64 length."""


@dataclass(frozen=True)
class Framing:
    """`header` bytes before each message, in them at `offset` a length of `width` bytes, which counts `counted` bytes
    of the header too. `encoding` is written behind the length, as SOFH wants it; 0: zeros.
    """

    header: int
    width: int
    byte_order: ByteOrder = "little"
    offset: int = 0
    counted: int = 0
    encoding: int = 0

    def __post_init__(self) -> None:
        fits = 0 <= self.offset <= self.header - self.width and 0 <= self.counted <= self.header <= MOST_HEADER
        if self.width not in (2, 4, 8) or not fits or self.byte_order not in ("little", "big"):
            raise ValueError(f"no such framing: {self}")

    def wrap(self, message: bytes | bytearray | memoryview) -> bytes:
        """The message in its frame; FrameLengthError for one that is too long for the length."""
        length = len(message) + self.counted
        if length >> (8 * self.width):
            raise FrameLengthError(f"message does not fit into a frame: length={len(message)} bytes={self.width}")
        header = bytearray(self.header)
        end = self.offset + self.width
        header[self.offset : end] = length.to_bytes(self.width, self.byte_order)
        if self.encoding:
            header[end : end + 2] = self.encoding.to_bytes(2, self.byte_order)
        return bytes(header) + message


SOFH: Framing = Framing(6, 4, "big", 0, 6, SBE_LITTLE_ENDIAN)
LENGTH_16, LENGTH_32 = Framing(2, 2), Framing(4, 4)
LENGTH_16_BIG, LENGTH_32_BIG = Framing(2, 2, "big"), Framing(4, 4, "big")
FRAMINGS = {
    "sofh": SOFH,
    "length16": LENGTH_16,
    "length32": LENGTH_32,
    "length16-big": LENGTH_16_BIG,
    "length32-big": LENGTH_32_BIG,
}
"""By the names that `statevec sbe` takes."""


@kernel
def find_frames(
    content: Region, begin: int, shape: int, width: int, big_endian: bool, size: int, index: Region, room: int
) -> int:
    """Frames of `content[begin:size]` up to `room`, their places in `index`; how many, or -1 - offset of a broken one.

    `shape` packs three numbers of a byte each, the lowest first: bytes of the frame's header, offset of the length in
    it, bytes of the header that the length counts.
    """
    header = shape & 0xFF
    place = shape >> 8 & 0xFF
    counted = shape >> 16 & 0xFF
    found = 0
    at = begin
    while at < size and (found < room or room < 0):
        if size - at < header:
            return -1 - at
        length = load_unsigned(content, at + place, width, big_endian)
        first = at + header
        if length < counted or length - counted > size - first:
            return -1 - at
        length -= counted
        if room >= 0:
            index.store_i64(found * FRAME_SIZE, first)
            index.store_i64(found * FRAME_SIZE + 8, length)
        found += 1
        at = first + length
    return found
