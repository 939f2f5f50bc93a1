"""Whether a message ends where its frame does.

A message written with the schema's own version or an older one fills its frame exactly. A newer one may have more
behind: fields at the ends of blocks are skipped by block lengths, data behind the last data by the frame. A group put
before data, or data put into a group, shifts what follows, and no 8-byte header says so; then the message ends in one
of the reader's errors, or here, because what is left over is no sequence of data.

Invariant: nothing outside the frame is read. What passes may still be misread where the shifted bytes happen to look
right; `MessageView.is_newer` is the flag for who must be sure.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from statevec.codecs.errors import FrameLengthError, UnskippableError
from statevec.codecs.header import BYTE_ORDER_CODE
from statevec.codecs.layout import DataLayout

if TYPE_CHECKING:
    from statevec.codecs.message_view import MessageView


def _is_chain(buffer: Any, at: int, end: int, data: DataLayout) -> bool:
    """Whether the bytes from `at` to `end` are variable data one after the other, of this kind of length."""
    length = data.length_field
    unpack = struct.Struct(BYTE_ORDER_CODE[length.byte_order] + length.code).unpack_from
    while at + length.end <= end:
        at += length.end + unpack(buffer, at)[0]
    return at == end


def check_frame(view: MessageView, length: int, offset: int) -> None:
    """FrameLengthError or UnskippableError unless the message ends at `offset` + `length`."""
    decoded = view.decoded_length
    if decoded == length:
        return
    layout = view.layout
    if not view.is_newer:
        raise FrameLengthError(
            f"message is shorter than its frame: decoded={decoded} frame={length}", layout.name, offset=offset
        )
    kinds = {each.length_field: each for each in layout.data}
    if kinds and not any(_is_chain(view._buffer, offset + decoded, offset + length, each) for each in kinds.values()):
        raise UnskippableError(
            f"version {view.version} has additions that version {view._header.version} cannot skip: "
            f"decoded={decoded} frame={length}",
            layout.name,
            offset=offset,
        )
