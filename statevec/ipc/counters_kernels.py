"""Kernels for counters and histograms: adding, recording a value, copying words while their owner goes on.

Layout: `counters_layout`. Each word has one writing thread, so that no read-modify-write instruction is needed; readers
see each word whole, and the words of one histogram perhaps from slightly different moments.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from statevec.ipc.counters_layout import BUCKET_COUNT, BUCKETS, HIGHEST, SUB_BUCKET_BITS, SUB_BUCKETS, SUM
from statevec.ipc.kernel import kernel
from statevec.ipc.memory import Region


def bit_length(value: int) -> int:
    """How many bits a number of 1 or more takes: 1 for 1, 6 for 63."""
    return value.bit_length()


@intrinsic
def _native_bit_length(typing_context: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(ir.IntType(64)(64), builder.ctlz(args[0], ir.IntType(1)(0)))

    return types.int64(types.int64), codegen


@overload(bit_length)
def _bit_length(value):  # type: ignore[no-untyped-def]
    return lambda value: _native_bit_length(value)


@kernel
def add(region: Region, offset: int, delta: int) -> None:
    """Add `delta` to the word at `offset`; only one thread writes it."""
    # SYNC POINT: pairs with the loads in `copy_words`.
    region.store_release(offset, region.load_relaxed(offset) + delta)


@kernel
def bucket_of(value: int) -> int:
    """The bucket that a value belongs to."""
    if value < 2 * SUB_BUCKETS:
        return value if value > 0 else 0
    shift = bit_length(value) - 1 - SUB_BUCKET_BITS
    bucket = (shift << SUB_BUCKET_BITS) + (value >> shift)
    return bucket if bucket < BUCKET_COUNT else BUCKET_COUNT - 1


@kernel
def record(region: Region, offset: int, value: int) -> None:
    """Count `value` in the histogram that begins at `offset`; what is negative counts as 0."""
    value = value if value > 0 else 0
    add(region, offset + BUCKETS + 8 * bucket_of(value), 1)
    add(region, offset + SUM, value)
    if value > region.load_relaxed(offset + HIGHEST):
        # SYNC POINT: pairs with the loads in `copy_words`.
        region.store_release(offset + HIGHEST, value)


@kernel
def copy_words(target: Region, source: Region, offset: int, count: int) -> None:
    """Copy `count` int64 from `offset` of `source` to the start of `target`, each in one piece."""
    for number in range(count):
        # SYNC POINT: pairs with the stores in `add` and `record`.
        target.store_i64(8 * number, source.load_acquire(offset + 8 * number))
