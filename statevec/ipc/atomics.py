"""Every atomic, fence and raw access to memory, as Numba intrinsics on (address, size, offset).

Only `memory.Region` calls these; everything else goes through a `Region`, so that a bounds check and a plain
Python form exist for each access. With `STATEVEC_CHECKED=1` each access outside its region raises `IndexError`.

Memory model
    `load_acquire` / `store_release` are LLVM's acquire and release; `compare_and_set` and `fetch_add` are
    sequentially consistent. Addresses of atomics are aligned to the access: LLVM would call a library otherwise.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from statevec.ipc.kernel import CHECKED

I1, I8, I32, I64, I128 = (ir.IntType(bits) for bits in (1, 8, 32, 64, 128))
DOUBLE = ir.DoubleType()
FLOAT = ir.FloatType()
BYTE_POINTER = I8.as_pointer()


def pointer(context: Any, builder: Any, region: Any, offset: Any, size: Any, of: Any) -> Any:
    """LLVM pointer to `size` bytes at `offset` of a (address, size) pair; checked in the checked build."""
    address, limit = builder.extract_value(region, 0), builder.extract_value(region, 1)
    if CHECKED:
        end = builder.add(offset, size)
        bad = builder.or_(builder.icmp_signed("<", offset, I64(0)), builder.icmp_signed(">", end, limit))
        bad = builder.or_(bad, builder.icmp_signed("<", size, I64(0)))
        with cgutils.if_unlikely(builder, bad):
            context.call_conv.return_user_exc(builder, IndexError, ("access outside its region",))
    return builder.inttoptr(builder.add(address, offset), of.as_pointer())


def _intrinsic(result: Any, arguments: tuple[Any, ...], generate: Callable[..., Any]) -> Any:
    """An intrinsic of fixed types; `generate(context, builder, args)` returns its value, or None for void."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = generate(context, builder, args)
        return context.get_dummy_value() if value is None else value

    names = [f"a{number}" for number in range(len(arguments))]
    source = f"def typer(typing_context, {', '.join(names)}):\n    return result(*arguments), codegen\n"
    scope: dict[str, Any] = {"result": result, "arguments": arguments, "codegen": codegen}
    exec(source, scope)
    return intrinsic(scope["typer"])


Generate = Callable[..., Any]


def _plain_load(width: int, signed: bool) -> Generate:
    kind = ir.IntType(width)

    def generate(context: Any, builder: Any, args: Any) -> Any:
        value = builder.load(pointer(context, builder, args[0], args[1], I64(width // 8), kind), align=1)
        if width == 64:
            return value
        return builder.sext(value, I64) if signed else builder.zext(value, I64)

    return generate


def _plain_store(width: int) -> Generate:
    kind = ir.IntType(width)

    def generate(context: Any, builder: Any, args: Any) -> None:
        place = pointer(context, builder, args[0], args[1], I64(width // 8), kind)
        builder.store(args[2] if width == 64 else builder.trunc(args[2], kind), place, align=1)

    return generate


def _atomic_load(width: int, ordering: str) -> Generate:
    kind = ir.IntType(width)

    def generate(context: Any, builder: Any, args: Any) -> Any:
        place = pointer(context, builder, args[0], args[1], I64(width // 8), kind)
        value = builder.load_atomic(place, ordering, width // 8)
        return value if width == 64 else builder.sext(value, I64)

    return generate


def _atomic_store(width: int) -> Generate:
    kind = ir.IntType(width)

    def generate(context: Any, builder: Any, args: Any) -> None:
        place = pointer(context, builder, args[0], args[1], I64(width // 8), kind)
        value = args[2] if width == 64 else builder.trunc(args[2], kind)
        builder.store_atomic(value, place, "release", width // 8)

    return generate


def _compare_and_set(context: Any, builder: Any, args: Any) -> Any:
    place = pointer(context, builder, args[0], args[1], I64(8), I64)
    return builder.extract_value(builder.cmpxchg(place, args[2], args[3], "seq_cst", "seq_cst"), 1)


def _fetch_add(context: Any, builder: Any, args: Any) -> Any:
    place = pointer(context, builder, args[0], args[1], I64(8), I64)
    return builder.atomic_rmw("add", place, args[2], "seq_cst")


def _copy_from(context: Any, builder: Any, args: Any) -> None:
    target = pointer(context, builder, args[0], args[1], args[4], I8)
    source = pointer(context, builder, args[2], args[3], args[4], I8)
    function = builder.module.declare_intrinsic("llvm.memmove", [BYTE_POINTER, BYTE_POINTER, I64])
    builder.call(function, [target, source, args[4], I1(0)])


def _fill_zero(context: Any, builder: Any, args: Any) -> None:
    target = pointer(context, builder, args[0], args[1], args[2], I8)
    function = builder.module.declare_intrinsic("llvm.memset", [BYTE_POINTER, I64])
    builder.call(function, [target, I8(0), args[2], I1(0)])


def _equal(context: Any, builder: Any, args: Any) -> Any:
    left = pointer(context, builder, args[0], args[1], args[4], I8)
    right = pointer(context, builder, args[2], args[3], args[4], I8)
    kind = ir.FunctionType(I32, [BYTE_POINTER, BYTE_POINTER, I64])
    function = cgutils.get_or_insert_function(builder.module, kind, "memcmp")
    return builder.icmp_signed("==", builder.call(function, [left, right, args[4]]), I32(0))


def _load_float(kind: Any, size: int) -> Generate:
    def generate(context: Any, builder: Any, args: Any) -> Any:
        value = builder.load(pointer(context, builder, args[0], args[1], I64(size), kind), align=1)
        return value if size == 8 else builder.fpext(value, DOUBLE)

    return generate


def _store_float(kind: Any, size: int) -> Generate:
    def generate(context: Any, builder: Any, args: Any) -> None:
        value = args[2] if size == 8 else builder.fptrunc(args[2], FLOAT)
        builder.store(value, pointer(context, builder, args[0], args[1], I64(size), kind), align=1)

    return generate


def make_accessors(region: Any) -> dict[str, Any]:
    """The intrinsics behind `Region`'s methods, by method name, for the Numba type `region`."""
    i64, f64, void = types.int64, types.float64, types.void
    made: dict[str, Any] = {}
    for width in (8, 16, 32, 64):
        made[f"load_i{width}"] = _intrinsic(i64, (region, i64), _plain_load(width, True))
        made[f"store_i{width}"] = _intrinsic(void, (region, i64, i64), _plain_store(width))
    for width in (8, 16, 32):  # stores truncate, so that one for each width is enough
        made[f"load_u{width}"] = _intrinsic(i64, (region, i64), _plain_load(width, False))
    for suffix, width in (("", 64), ("_i32", 32)):
        made[f"load_acquire{suffix}"] = _intrinsic(i64, (region, i64), _atomic_load(width, "acquire"))
        made[f"load_relaxed{suffix}"] = _intrinsic(i64, (region, i64), _atomic_load(width, "monotonic"))
        made[f"store_release{suffix}"] = _intrinsic(void, (region, i64, i64), _atomic_store(width))
    for name, kind, size in (("f64", DOUBLE, 8), ("f32", FLOAT, 4)):
        made[f"load_{name}"] = _intrinsic(f64, (region, i64), _load_float(kind, size))
        made[f"store_{name}"] = _intrinsic(void, (region, i64, f64), _store_float(kind, size))
    made["compare_and_set"] = _intrinsic(types.boolean, (region, i64, i64, i64), _compare_and_set)
    made["fetch_add"] = _intrinsic(i64, (region, i64, i64), _fetch_add)
    made["copy_from"] = _intrinsic(void, (region, i64, region, i64, i64), _copy_from)
    made["fill_zero"] = _intrinsic(void, (region, i64, i64), _fill_zero)
    made["equal"] = _intrinsic(types.boolean, (region, i64, region, i64, i64), _equal)
    return made


def _call_intrinsic(name: str, result: Any) -> Generate:
    def generate(context: Any, builder: Any, args: Any) -> Any:
        function = builder.module.declare_intrinsic(name, (), ir.FunctionType(result, []))
        value = builder.call(function, [])
        return None if isinstance(result, ir.VoidType) else value

    return generate


def _fence(ordering: str) -> Generate:
    def generate(context: Any, builder: Any, args: Any) -> None:
        builder.fence(ordering)

    return generate


def _multiply_fold(context: Any, builder: Any, args: Any) -> Any:
    product = builder.mul(builder.zext(args[0], I128), builder.zext(args[1], I128))
    return builder.xor(builder.trunc(product, I64), builder.trunc(builder.lshr(product, I128(64)), I64))


def _call_dispatch(context: Any, builder: Any, args: Any) -> Any:
    kind = ir.FunctionType(I64, [I64, I64, I64])
    return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])


def _clock(clock_id: int) -> Callable[..., Any]:
    """Nanoseconds of a POSIX clock through the vDSO: no system call where the kernel has one."""

    def generate(context: Any, builder: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, I64, size=2)
        kind = ir.FunctionType(I32, [I32, I64.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(function, [I32(clock_id), slot])
        seconds = builder.load(slot)
        return builder.add(builder.mul(seconds, I64(1_000_000_000)), builder.load(builder.gep(slot, [I32(1)])))

    return generate


def _pause_name() -> str:
    import platform

    return "llvm.x86.sse2.pause" if platform.machine() in ("x86_64", "AMD64") else ""


def _pause(context: Any, builder: Any, args: Any) -> None:
    name = _pause_name()
    if name:
        builder.call(builder.module.declare_intrinsic(name, (), ir.FunctionType(ir.VoidType(), [])), [])
    else:  # aarch64: YIELD is hint 1
        kind = ir.FunctionType(ir.VoidType(), [I32])
        builder.call(builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind), [I32(1)])


native_pause = _intrinsic(types.void, (), _pause)
native_cycles = _intrinsic(types.int64, (), _call_intrinsic("llvm.readcyclecounter", I64))
native_fence_acquire = _intrinsic(types.void, (), _fence("acquire"))
native_fence_release = _intrinsic(types.void, (), _fence("release"))
native_fence_full = _intrinsic(types.void, (), _fence("seq_cst"))
native_multiply_fold = _intrinsic(types.int64, (types.int64, types.int64), _multiply_fold)
native_call_dispatch = _intrinsic(types.int64, (types.int64,) * 4, _call_dispatch)
native_monotonic_ns = _intrinsic(types.int64, (), _clock(1))
native_realtime_ns = _intrinsic(types.int64, (), _clock(0))
