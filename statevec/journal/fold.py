"""The project's one hash: rapidhash V3 in its Micro form, and `mix`, which joins two 64-bit values.

`hash_bytes` is `rapidhashMicro_withSeed` of https://github.com/Nicoshev/rapidhash (Nicolas De Carli, MIT licence, after
wyhash by Wang Yi), written anew from its definition for kernels: the form meant for inputs up to 512 bytes, five lanes
of 16 bytes. It finds damage; it is no defence against somebody who chooses the bytes.

Invariants
    The value is that of the published algorithm for every length and seed, as a signed 64-bit integer. It is part of
    the journal's format: it never changes.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from numba.extending import overload

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region, multiply_fold, signed64

SECRET_0 = signed64(0x2D358DCCAA6C78A5)
SECRET_1 = signed64(0x8BB84B93962EACC9)
SECRET_2 = signed64(0x4B33A62ED433D4A3)
SECRET_3 = signed64(0x4D5A2DA51DE1AA47)
SECRET_4 = signed64(0xA0761D6478BD642F)
SECRET_7 = signed64(0xAAAAAAAAAAAAAAAA)

BULK_SIZE = 80
"""Bytes that one turn of the loop takes: five lanes of two 8-byte words."""


def multiply_low(a: int, b: int) -> int:
    """Low half of the 128-bit product, signed: what a compiled multiplication leaves."""
    return signed64(a * b)


@overload(multiply_low)
def _multiply_low(a, b):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    return lambda a, b: a * b


@kernel
def mix(a: int, b: int) -> int:
    """One value of two; every bit of both matters, and so does their order."""
    return multiply_fold(a ^ SECRET_0, b ^ SECRET_1)


@kernel
def _finish(a: int, b: int, seed: int, length: int) -> int:
    a ^= SECRET_1
    b ^= seed
    low = multiply_low(a, b)
    high = multiply_fold(a, b) ^ low
    return multiply_fold(low ^ SECRET_7, high ^ SECRET_1 ^ length)


@kernel
def _hash_short(region: Region, offset: int, length: int, seed: int) -> int:
    """At most 16 bytes: the first and the last word, which may overlap."""
    a = 0
    b = 0
    if length >= 8:
        a = region.load_i64(offset)
        b = region.load_i64(offset + length - 8)
        seed ^= length
    elif length >= 4:
        # A later revision of the C header swaps these two words; SMHasher3's verification value is of this order.
        a = region.load_u32(offset)
        b = region.load_u32(offset + length - 4)
        seed ^= length
    elif length > 0:
        a = region.load_u8(offset) << 45 | region.load_u8(offset + length - 1)
        b = region.load_u8(offset + (length >> 1))
    return _finish(a, b, seed, length)


@kernel
def hash_bytes(region: Region, offset: int, length: int, seed: int) -> int:
    """rapidhashMicro of `length` bytes at `offset`, signed."""
    seed ^= multiply_fold(seed ^ SECRET_2, SECRET_1)
    if length <= 16:
        return _hash_short(region, offset, length, seed)
    place = offset
    left = length
    if left > BULK_SIZE:
        lane_1 = seed
        lane_2 = seed
        lane_3 = seed
        lane_4 = seed
        while left > BULK_SIZE:
            seed = multiply_fold(region.load_i64(place) ^ SECRET_0, region.load_i64(place + 8) ^ seed)
            lane_1 = multiply_fold(region.load_i64(place + 16) ^ SECRET_1, region.load_i64(place + 24) ^ lane_1)
            lane_2 = multiply_fold(region.load_i64(place + 32) ^ SECRET_2, region.load_i64(place + 40) ^ lane_2)
            lane_3 = multiply_fold(region.load_i64(place + 48) ^ SECRET_3, region.load_i64(place + 56) ^ lane_3)
            lane_4 = multiply_fold(region.load_i64(place + 64) ^ SECRET_4, region.load_i64(place + 72) ^ lane_4)
            place += BULK_SIZE
            left -= BULK_SIZE
        seed ^= lane_1 ^ lane_2 ^ lane_3 ^ lane_4
    if left > 16:
        seed = multiply_fold(region.load_i64(place) ^ SECRET_2, region.load_i64(place + 8) ^ seed)
        if left > 32:
            seed = multiply_fold(region.load_i64(place + 16) ^ SECRET_2, region.load_i64(place + 24) ^ seed)
            if left > 48:
                seed = multiply_fold(region.load_i64(place + 32) ^ SECRET_1, region.load_i64(place + 40) ^ seed)
                if left > 64:
                    seed = multiply_fold(region.load_i64(place + 48) ^ SECRET_1, region.load_i64(place + 56) ^ seed)
    a = region.load_i64(place + left - 16) ^ left
    b = region.load_i64(place + left - 8)
    return _finish(a, b, seed, left)
