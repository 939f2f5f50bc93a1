"""Compiled functions that Python calls at the lowest price, and atomics on shared words for Python code.

Numba's dispatcher looks at the types of the arguments in each call; a `PythonCall` has one fixed signature and hands
out the C function behind it. Three types of arguments and results make that useful:

    int64      addresses, numbers
    BUFFER     argument: any object with a contiguous buffer (bytes, bytearray, memoryview, array); its memory is
               borrowed for the call, nothing is copied or allocated
    MESSAGE    result: `bytes` of what the (address, size) pair describes; None when the size is negative

These functions keep the GIL: giving it up and taking it back costs more than they run, and with other threads waiting
for it a call would take milliseconds. So none of them waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import NativeValue, box, intrinsic, models, register_model, unbox

from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import REGION, Region, region_at

I32, I64 = ir.IntType(32), ir.IntType(64)
BYTE_POINTER = ir.IntType(8).as_pointer()
PY_BUFFER_WORDS = 16
"""More than `Py_buffer` takes (80 bytes on 64-bit platforms); word 0 is the address, word 2 the length."""


class _PairType(types.Type):
    """An (address, size) pair with its own way between Python and compiled code."""


class _BufferType(_PairType):
    def __init__(self) -> None:
        super().__init__("BorrowedBuffer")


class _MessageType(_PairType):
    def __init__(self) -> None:
        super().__init__("MessageResult")


BUFFER = _BufferType()
MESSAGE = _MessageType()


@register_model(_BufferType)
@register_model(_MessageType)
class _PairModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("size", types.int64)])


@unbox(_BufferType)
def _borrow(kind: Any, value: Any, context: Any) -> NativeValue:
    builder = context.builder
    record = cgutils.alloca_once(builder, I64, size=PY_BUFFER_WORDS)
    get_kind = ir.FunctionType(I32, [BYTE_POINTER, I64.as_pointer(), I32])
    get = cgutils.get_or_insert_function(builder.module, get_kind, "PyObject_GetBuffer")
    failed = builder.icmp_signed("!=", builder.call(get, [value, record, I32(0)]), I32(0))
    native = cgutils.create_struct_proxy(kind)(context.context, builder)
    native.address = builder.load(record)
    native.size = builder.load(builder.gep(record, [I32(2)]))

    def give_back() -> None:
        release_kind = ir.FunctionType(ir.VoidType(), [I64.as_pointer()])
        release = cgutils.get_or_insert_function(builder.module, release_kind, "PyBuffer_Release")
        builder.call(release, [record])

    return NativeValue(native._getvalue(), is_error=failed, cleanup=give_back)


@box(_MessageType)
def _to_bytes(kind: Any, value: Any, context: Any) -> Any:
    builder = context.builder
    address, size = builder.extract_value(value, 0), builder.extract_value(value, 1)
    result = cgutils.alloca_once_value(builder, context.pyapi.get_null_object())
    with builder.if_else(builder.icmp_signed("<", size, I64(0))) as (absent, present):
        with absent:
            builder.store(context.pyapi.make_none(), result)
        with present:
            function_kind = ir.FunctionType(BYTE_POINTER, [BYTE_POINTER, I64])
            function = cgutils.get_or_insert_function(builder.module, function_kind, "PyBytes_FromStringAndSize")
            builder.store(builder.call(function, [builder.inttoptr(address, BYTE_POINTER), size]), result)
    return builder.load(result)


@intrinsic
def buffer_region(typing_context: Any, buffer: Any) -> Any:
    """The `Region` of a BUFFER argument; valid until the call returns."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        native = cgutils.create_struct_proxy(REGION)(context, builder)
        native.address, native.size = (builder.extract_value(args[0], part) for part in (0, 1))
        return native._getvalue()

    return REGION(BUFFER), codegen


@intrinsic
def message_result(typing_context: Any, address: Any, size: Any) -> Any:
    """A MESSAGE result of `size` bytes at `address`; None when `size` is negative."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        native = cgutils.create_struct_proxy(MESSAGE)(context, builder)
        native.address, native.size = args
        return native._getvalue()

    return MESSAGE(types.int64, types.int64), codegen


class PythonCall:
    """A function compiled for one signature when `entry` is first asked for."""

    def __init__(self, signature: tuple[Any, ...]) -> None:
        self._signature = signature
        self._dispatcher: Any = None
        self._entry: Callable[..., Any] | None = None

    def __call__(self, function: Callable[..., Any]) -> PythonCall:
        """Use as a decorator."""
        self._dispatcher = enable_cache(njit(function, _nrt=False))
        return self

    @property
    def entry(self) -> Callable[..., Any]:
        """The C function; positional arguments only, exactly as many as the signature has."""
        if self._entry is None:
            self._dispatcher.compile(self._signature)
            self._entry = self._dispatcher.overloads[self._signature].entry_point
        assert self._entry is not None
        return self._entry


@PythonCall((types.int64,))
def _load_acquire(address):  # type: ignore[no-untyped-def]  # annotations of no use to Numba
    # SYNC POINT: pairs with whichever store the caller of `load_acquire` names.
    return region_at(address, 8).load_acquire(0)


@PythonCall((types.int64, types.int64))
def _store_release(address, value):  # type: ignore[no-untyped-def]
    # SYNC POINT: pairs with whichever load the caller of `store_release` names.
    region_at(address, 8).store_release(0, value)


def load_acquire(region: Region, offset: int) -> int:
    """The int64 at `offset`, read in one piece; nothing later in this thread is read earlier."""
    if offset < 0 or offset & 7 or offset + 8 > region.size:
        raise IndexError(f"not an aligned word of the region: offset={offset} region={region.size}")
    return int(_load_acquire.entry(region.address + offset))


def store_release(region: Region, offset: int, value: int) -> None:
    """Store an int64 at `offset` in one piece, after everything that this thread stored before."""
    if offset < 0 or offset & 7 or offset + 8 > region.size:
        raise IndexError(f"not an aligned word of the region: offset={offset} region={region.size}")
    _store_release.entry(region.address + offset, value)
