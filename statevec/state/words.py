"""Keys and index values: one signed 64-bit word each, whatever the width of their field.

The kinds that a key or an index can have are numbered here; a table's description in the arena holds these codes.
Integers narrower than 64 bits extend, `u64` is its 64 bits seen as signed and opaque, `bool` is 0 or 1.

Invariants
    `load_word` of what `store_word` stored gives the same word, if `fits` said yes.
    `spread` is part of the image's meaning (buckets and trees are arranged by it): another one is another layout
    version.

No memory of its own; a crash leaves nothing.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, multiply_fold

I64 = 1
U64 = 2
U32 = 3
I32 = 4
U16 = 5
I16 = 6
U8 = 7
I8 = 8
BOOL = 9

SPREAD_ADD = 0x2D358DCCAA6C78A5
SPREAD_FACTOR = -0x74D4B1A6A8E9B4B1
"""Two odd 64-bit numbers with as many ones as zeros, nearly."""

assert SPREAD_ADD & 1 and SPREAD_FACTOR & 1


@kernel
def spread(word: int) -> int:
    """A word whose bits all depend on all bits of `word`; signed."""
    return multiply_fold(word ^ SPREAD_ADD, SPREAD_FACTOR)


@kernel
def load_word(region: Region, offset: int, kind: int) -> int:
    """The field of kind `kind` at `offset`, as a word."""
    if kind <= U64:
        return region.load_i64(offset)
    if kind == U32:
        return region.load_u32(offset)
    if kind == I32:
        return region.load_i32(offset)
    if kind == U16:
        return region.load_u16(offset)
    if kind == I16:
        return region.load_i16(offset)
    if kind == I8:
        return region.load_i8(offset)
    return region.load_u8(offset)


@kernel
def store_word(region: Region, offset: int, kind: int, word: int) -> None:
    """Store a word that fits into the field of kind `kind` at `offset`."""
    if kind <= U64:
        region.store_i64(offset, word)
    elif kind <= I32:
        region.store_i32(offset, word)
    elif kind <= I16:
        region.store_i16(offset, word)
    else:
        region.store_i8(offset, word)


@kernel
def fits(kind: int, word: int) -> bool:
    """Whether a field of kind `kind` can hold `word`."""
    if kind <= U64:
        return True
    if kind == U32:
        return 0 <= word <= 0xFFFFFFFF
    if kind == I32:
        return -0x80000000 <= word <= 0x7FFFFFFF
    if kind == U16:
        return 0 <= word <= 0xFFFF
    if kind == I16:
        return -0x8000 <= word <= 0x7FFF
    if kind == U8:
        return 0 <= word <= 0xFF
    if kind == I8:
        return -0x80 <= word <= 0x7F
    return word == 0 or word == 1
