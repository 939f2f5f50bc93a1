"""`MessageFile`: a mapped file of framed messages as a sequence of views.

    with MessageFile(schema, "day.sbe", SOFH) as messages:
        len(messages), messages[5].price                  # a view in place: nothing is copied
        for message in messages: …
        columns = messages.columns("Quote", ["price", "side", "venue.code"])     # NumPy arrays

Invariants
    One pass over the file, when it is opened, finds all messages; then each is found by its number at once.
    A message is decoded within its frame: it must end where the frame does (`Schema.decode` with a length).
    A file that is cut while it is mapped reads as zeros, which end in an `SbeError`: nobody's process dies.

Memory layout of the index: 16 bytes a message, int64 offset and int64 length (`framing.FRAME_SIZE`).

The file is only read. Who appends to it meanwhile is not seen.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from statevec.codecs import columns as extraction
from statevec.codecs.errors import TruncatedError
from statevec.codecs.framing import FRAME_SIZE, SOFH, Framing, find_frames
from statevec.codecs.message_view import MessageView
from statevec.codecs.schema import Schema
from statevec.ipc.memory import Region
from statevec.ipc.sigbus import guard, unguard


class MessageFile(Sequence[MessageView]):
    """See the module's docstring. `partial` allows that the last frame is cut off; it is left out then."""

    def __init__(self, schema: Schema, path: str | Path, framing: Framing = SOFH, partial: bool = False) -> None:
        self.schema = schema
        self.path = Path(path)
        self.framing = framing
        with open(self.path, "rb") as file:
            size = file.seek(0, 2)
            self._buffer: mmap.mmap | bytes = (
                mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else bytes(FRAME_SIZE)
            )
        self._region = Region.of(self._buffer)
        self._header_columns: extraction.Headers | None = None
        self._flag: Region | None = guard(self._region) if size else None
        try:
            self._index = self._find(size, partial)
        except BaseException:
            self.close()
            raise

    def _find(self, size: int, partial: bool) -> Any:
        """The index: an array of (offset, length)."""
        framing = self.framing
        shape = framing.header | framing.offset << 8 | framing.counted << 16
        big_endian = framing.byte_order == "big"
        none = Region.allocate(FRAME_SIZE)
        count = int(find_frames(self._region, 0, shape, framing.width, big_endian, size, none, -1))
        if count < 0:
            broken = -1 - count
            if not partial:
                raise TruncatedError(f"file ends inside a frame, or has none there: {self.path}", offset=broken)
            size = broken
            count = int(find_frames(self._region, 0, shape, framing.width, big_endian, size, none, -1))
        index = np.zeros((max(count, 1), 2), np.int64)
        find_frames(self._region, 0, shape, framing.width, big_endian, size, Region.of(index), count)
        return index[:count]

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, number: int) -> MessageView: ...
    @overload
    def __getitem__(self, number: slice) -> list[MessageView]: ...
    def __getitem__(self, number: int | slice) -> MessageView | list[MessageView]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        offset, length = self._index[number].tolist()
        return self.schema.decode(self._buffer, offset, length)

    def __iter__(self) -> Iterator[MessageView]:
        decode, buffer = self.schema.decode, self._buffer
        for offset, length in self._index.tolist():
            yield decode(buffer, offset, length)

    def raw(self, number: int) -> bytes:
        """The bytes of a message, whatever they are."""
        offset, length = self._index[number].tolist()
        return bytes(self._buffer[offset : offset + length])

    def numbers(self, message_name: str) -> Any:
        """Numbers of the messages of that name: an array of int64, to be used as indexes."""
        return self._headers().numbers(message_name)

    def columns(self, message_name: str, fields: Sequence[str] | None = None) -> dict[str, Any]:
        """Fields of the block, by name, as arrays over the messages of that name: see `columns.py`.

        `fields` may name members of composites (`price.mantissa`); by default all there are.
        """
        return self._headers().columns(message_name, fields)

    def _headers(self) -> extraction.Headers:
        if self._header_columns is None:
            content = np.frombuffer(self._buffer, np.uint8)
            self._header_columns = extraction.Headers(self.schema, content, self._index)
        return self._header_columns

    def close(self) -> None:
        """Let go of the file. Views that are still about keep the mapping alive, but it is not guarded any more."""
        if self._flag is not None:
            unguard(self._flag)
            self._flag = None
        self._region = Region.allocate(FRAME_SIZE)
        self._header_columns = None
        self._buffer = bytes(FRAME_SIZE)
        self._index = np.zeros((0, 2), np.int64)

    def __enter__(self) -> MessageFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MessageFile({str(self.path)!r}, messages={len(self)})"
