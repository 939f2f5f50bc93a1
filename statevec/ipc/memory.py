"""`Region`: an address and a size, the only way any kernel touches memory, in all three forms of a kernel.

Compiled, a `Region` is two integers in registers and each method one or two machine instructions. As plain Python
the same methods work on a `memoryview`, check every access, and can be overridden by a test (to step atomics).

Invariants
    Integers are signed 64-bit on both sides; narrower loads extend, narrower stores truncate.
    Atomics (`load_acquire*`, `load_relaxed*`, `store_release*`, `compare_and_set`, `fetch_add`) are aligned.
    In the plain form and the checked build an access outside the region raises `IndexError`.

Ownership
    A Python `Region` keeps the object alive whose memory it describes (`owner`). `region_at` has no owner: who
    calls it answers for the memory.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import (
    NativeValue,
    box,
    intrinsic,
    models,
    overload,
    overload_method,
    register_model,
    typeof_impl,
    unbox,
)

from statevec.ipc import atomics

MASK64 = (1 << 64) - 1


def signed64(value: int) -> int:
    """The signed 64-bit integer with the low 64 bits of `value`."""
    value &= MASK64
    return value - (1 << 64) if value >> 63 else value


class Region:
    """`size` bytes of memory at `address`; see the module's docstring.

    Build one from a writable or read-only buffer with `Region.of(buffer)`, or new zeroed memory with
    `Region.allocate(size)`. Offsets and sizes are in bytes.
    """

    __slots__ = ("_view", "address", "owner", "size")

    def __init__(self, address: int, size: int, owner: object = None) -> None:
        self.address = address
        self.size = size
        self.owner = owner
        self._view: memoryview | None = None

    @classmethod
    def of(cls, buffer: Any) -> Region:
        """The memory of `buffer` (anything with the buffer protocol, contiguous), kept alive by the region."""
        array = np.frombuffer(buffer, np.uint8)
        return cls(int(array.ctypes.data), array.nbytes, array)

    @classmethod
    def allocate(cls, size: int, alignment: int = 64) -> Region:
        """New zeroed private memory of `size` bytes, aligned to `alignment`."""
        array = np.zeros(size + alignment, np.uint8)
        skip = -int(array.ctypes.data) % alignment
        return cls.of(array[skip : skip + size])

    @property
    def view(self) -> memoryview:
        """A writable memoryview of the bytes. Writing through it to a read-only mapping ends the process."""
        if self._view is None:
            array = (ctypes.c_ubyte * self.size).from_address(self.address)
            array.owner = self.owner  # type: ignore[attr-defined]  # a slice of the view may outlive the region
            self._view = memoryview(array).cast("B")
        return self._view

    def slice(self, offset: int, size: int) -> Region:
        """The part of this region that starts at `offset`."""
        self._check(offset, size)
        return Region(self.address + offset, size, self.owner)

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise IndexError(f"access outside its region: offset={offset} size={size} region={self.size}")

    def _load(self, offset: int, size: int, signed: bool) -> int:
        self._check(offset, size)
        return int.from_bytes(self.view[offset : offset + size], "little", signed=signed)

    def _store(self, offset: int, size: int, value: int) -> None:
        self._check(offset, size)
        self.view[offset : offset + size] = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")

    def load_i8(self, offset: int) -> int:
        return self._load(offset, 1, True)

    def load_u8(self, offset: int) -> int:
        return self._load(offset, 1, False)

    def load_i16(self, offset: int) -> int:
        return self._load(offset, 2, True)

    def load_u16(self, offset: int) -> int:
        return self._load(offset, 2, False)

    def load_i32(self, offset: int) -> int:
        return self._load(offset, 4, True)

    def load_u32(self, offset: int) -> int:
        return self._load(offset, 4, False)

    def load_i64(self, offset: int) -> int:
        return self._load(offset, 8, True)

    def store_i8(self, offset: int, value: int) -> None:
        self._store(offset, 1, value)

    def store_i16(self, offset: int, value: int) -> None:
        self._store(offset, 2, value)

    def store_i32(self, offset: int, value: int) -> None:
        self._store(offset, 4, value)

    def store_i64(self, offset: int, value: int) -> None:
        self._store(offset, 8, value)

    def load_f64(self, offset: int) -> float:
        self._check(offset, 8)
        return float(struct.unpack_from("<d", self.view, offset)[0])

    def load_f32(self, offset: int) -> float:
        self._check(offset, 4)
        return float(struct.unpack_from("<f", self.view, offset)[0])

    def store_f64(self, offset: int, value: float) -> None:
        self._check(offset, 8)
        struct.pack_into("<d", self.view, offset, value)

    def store_f32(self, offset: int, value: float) -> None:
        self._check(offset, 4)
        struct.pack_into("<f", self.view, offset, value)

    def load_acquire(self, offset: int) -> int:
        return self._load(offset, 8, True)

    def load_relaxed(self, offset: int) -> int:
        return self._load(offset, 8, True)

    def store_release(self, offset: int, value: int) -> None:
        self._store(offset, 8, value)

    def load_acquire_i32(self, offset: int) -> int:
        return self._load(offset, 4, True)

    def load_relaxed_i32(self, offset: int) -> int:
        return self._load(offset, 4, True)

    def store_release_i32(self, offset: int, value: int) -> None:
        self._store(offset, 4, value)

    def compare_and_set(self, offset: int, expected: int, value: int) -> bool:
        if self._load(offset, 8, True) != expected:
            return False
        self._store(offset, 8, value)
        return True

    def fetch_add(self, offset: int, delta: int) -> int:
        before = self._load(offset, 8, True)
        self._store(offset, 8, before + delta)
        return before

    def copy_from(self, offset: int, source: Region, source_offset: int, size: int) -> None:
        """Copy `size` bytes of `source` to `offset`; the two may overlap."""
        self._check(offset, size)
        source._check(source_offset, size)
        self.view[offset : offset + size] = bytes(source.view[source_offset : source_offset + size])

    def fill_zero(self, offset: int, size: int) -> None:
        self._check(offset, size)
        self.view[offset : offset + size] = bytes(size)

    def equal(self, offset: int, other: Region, other_offset: int, size: int) -> bool:
        """Whether `size` bytes at `offset` are those of `other` at `other_offset`."""
        self._check(offset, size)
        other._check(other_offset, size)
        return self.view[offset : offset + size] == other.view[other_offset : other_offset + size]


class RegionType(types.Type):  # Numba has no types
    """Numba's type of a `Region`."""

    def __init__(self) -> None:
        super().__init__("Region")


REGION = RegionType()


@typeof_impl.register(Region)
def _typeof_region(value: Region, context: Any) -> RegionType:
    return REGION


@register_model(RegionType)
class _RegionModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("size", types.int64)])


@unbox(RegionType)
def _unbox_region(kind: Any, value: Any, context: Any) -> NativeValue:
    native = cgutils.create_struct_proxy(kind)(context.context, context.builder)
    for name in ("address", "size"):
        attribute = context.pyapi.object_getattr_string(value, name)
        setattr(native, name, context.pyapi.long_as_longlong(attribute))
        context.pyapi.decref(attribute)
    return NativeValue(native._getvalue())


@box(RegionType)
def _box_region(kind: Any, value: Any, context: Any) -> Any:
    address = context.pyapi.long_from_longlong(context.builder.extract_value(value, 0))
    size = context.pyapi.long_from_longlong(context.builder.extract_value(value, 1))
    factory = context.pyapi.unserialize(context.pyapi.serialize_object(Region))
    made = context.pyapi.call_function_objargs(factory, [address, size])
    for each in (address, size, factory):
        context.pyapi.decref(each)
    return made


def _bind_methods() -> None:
    """Give the compiled `Region` each accessor as a method with the plain method's parameter names."""
    shapes = {
        "compare_and_set": "offset, expected, value",
        "fetch_add": "offset, delta",
        "copy_from": "offset, source, source_offset, size",
        "fill_zero": "offset, size",
        "equal": "offset, other, other_offset, size",
    }
    for name, accessor in atomics.make_accessors(REGION).items():
        arguments = shapes.get(name, "offset" if name.startswith("load") else "offset, value")
        source = f"lambda self, {arguments}: accessor(self, {arguments})"
        implementation = eval(source, {"accessor": accessor})
        scope: dict[str, Any] = {"implementation": implementation}
        exec(f"def {name}(self, {arguments}):\n    return implementation", scope)
        overload_method(RegionType, name, inline="never")(scope[name])


_bind_methods()


@intrinsic
def _make_region(typing_context: Any, address: Any, size: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        native = cgutils.create_struct_proxy(REGION)(context, builder)
        native.address, native.size = args
        return native._getvalue()

    return REGION(types.int64, types.int64), codegen


def _part(index: int) -> Callable[..., Any]:
    def typer(typing_context: Any, region: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.extract_value(args[0], index)

        return types.int64(REGION), codegen

    return typer


_address_of = intrinsic(_part(0))
_size_of = intrinsic(_part(1))


@overload_method(RegionType, "slice")
def _slice(self: Any, offset: Any, size: Any) -> Callable[..., Any]:
    def implementation(self: Any, offset: Any, size: Any) -> Any:  # Numba compares parameters, annotations too
        if atomics.CHECKED and (offset < 0 or size < 0 or offset + size > _size_of(self)):
            raise IndexError("slice outside its region")
        return _make_region(_address_of(self) + offset, size)

    return implementation


def region_at(address: int, size: int) -> Region:
    """The region of `size` bytes at `address`; the caller answers for the memory."""
    return Region(address, size)


def region_address(region: Region) -> int:
    return region.address


def region_size(region: Region) -> int:
    return region.size


def pause() -> None:
    """Tell the processor that this is a spin loop."""


def cycles() -> int:
    """The processor's cycle counter; as plain Python, nanoseconds."""
    return time.perf_counter_ns()


def fence_acquire() -> None:
    """No later access moves before this point."""


def fence_release() -> None:
    """No earlier access moves behind this point."""


def fence_full() -> None:
    """No access moves across this point."""


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC in nanoseconds."""
    return time.monotonic_ns()


def realtime_ns() -> int:
    """CLOCK_REALTIME in nanoseconds."""
    return time.time_ns()


def multiply_fold(a: int, b: int) -> int:
    """High and low half of the unsigned 128-bit product of two 64-bit values, combined by exclusive or; signed."""
    product = (a & MASK64) * (b & MASK64)
    return signed64(product ^ (product >> 64))


DISPATCH = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def call_dispatch(function: int, transaction: int, message: int, length: int) -> int:
    """Call the C function `int64 (int64, int64, int64)` at address `function`."""
    return int(DISPATCH(function)(transaction, message, length))


def _bind_functions() -> None:
    for function, native in (
        (region_at, _make_region),
        (region_address, _address_of),
        (region_size, _size_of),
        (pause, atomics.native_pause),
        (cycles, atomics.native_cycles),
        (fence_acquire, atomics.native_fence_acquire),
        (fence_release, atomics.native_fence_release),
        (fence_full, atomics.native_fence_full),
        (monotonic_ns, atomics.native_monotonic_ns),
        (realtime_ns, atomics.native_realtime_ns),
        (multiply_fold, atomics.native_multiply_fold),
        (call_dispatch, atomics.native_call_dispatch),
    ):
        names = ", ".join(function.__code__.co_varnames[: function.__code__.co_argcount])
        implementation = eval(f"lambda {names}: native({names})", {"native": native})
        scope: dict[str, Any] = {"implementation": implementation}
        exec(f"def {function.__name__}({names}):\n    return implementation", scope)
        overload(function)(scope[function.__name__])


_bind_functions()
