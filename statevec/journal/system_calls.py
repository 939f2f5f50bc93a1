"""The two system calls of the journaler's native loop on files: `pwrite` and `fdatasync`.

Compiled they call libc directly, without the GIL; as plain Python they go through `os`. Both answer a negative errno
for a failure, so that a kernel needs no exception.

Nothing here keeps state: a crash leaves what the calls did.
"""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from statevec.ipc.memory import Region, region_address, region_size

I32, I64 = ir.IntType(32), ir.IntType(64)


def pwrite(file: int, source: Region, offset: int, size: int, position: int) -> int:
    """Write `size` bytes of `source` at `offset` into an open file at `position`; bytes written or -errno."""
    try:
        return os.pwrite(file, source.view[offset : offset + size], position)
    except OSError as error:
        return -(error.errno or 0)


def fdatasync(file: int) -> int:
    """Make what was written into an open file durable; 0 or -errno."""
    try:
        os.fdatasync(file)
    except OSError as error:
        return -(error.errno or 0)
    return 0


def _or_errno(builder: Any, result: Any) -> Any:
    """The 64-bit `result` of a libc function, or -errno where it is negative."""
    kind = ir.FunctionType(I32.as_pointer(), [])
    location = builder.call(cgutils.get_or_insert_function(builder.module, kind, "__errno_location"), [])
    failure = builder.neg(builder.sext(builder.load(location), I64))
    return builder.select(builder.icmp_signed("<", result, I64(0)), failure, result)


@intrinsic
def _native_pwrite(typing_context: Any, file: Any, address: Any, size: Any, position: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I64, [I32, I64, I64, I64])
        function = cgutils.get_or_insert_function(builder.module, kind, "pwrite")
        return _or_errno(builder, builder.call(function, [builder.trunc(args[0], I32), *args[1:]]))

    return types.int64(*(types.int64,) * 4), codegen


@intrinsic
def _native_fdatasync(typing_context: Any, file: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, [I32]), "fdatasync")
        return _or_errno(builder, builder.sext(builder.call(function, [builder.trunc(args[0], I32)]), I64))

    return types.int64(types.int64), codegen


@overload(pwrite)
def _pwrite(file, source, offset, size, position):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    def implementation(file, source, offset, size, position):  # type: ignore[no-untyped-def]
        if offset < 0 or size < 0 or offset + size > region_size(source):
            raise IndexError("access outside its region")
        return _native_pwrite(file, region_address(source) + offset, size, position)

    return implementation


@overload(fdatasync)
def _fdatasync(file):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    return lambda file: _native_fdatasync(file)
