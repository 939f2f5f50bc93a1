"""What a loop does when it found nothing to do: spin, yield the core, or sleep. A number chooses, so that one compiled
loop serves every configuration.

    SPIN     a pause instruction; the thread owns its core
    YIELD    spins for the first turns, then gives the core away if somebody wants it
    SLEEP    spins, yields, then sleeps 50 µs at a time; shares a core, costs a wakeup of latency

A crash leaves nothing.
"""

from __future__ import annotations

import os
import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from statevec.ipc.kernel import kernel
from statevec.ipc.memory import pause

SPIN = 0
YIELD = 1
SLEEP = 2
STRATEGIES = {"spin": SPIN, "yield": YIELD, "sleep": SLEEP}

TURNS_SPINNING = 100
TURNS_YIELDING = 200
SLEEP_NS = 50_000

I32, I64 = ir.IntType(32), ir.IntType(64)


def yield_core() -> None:
    """Let another thread have this core, if one wants it."""
    os.sched_yield()


def sleep_ns(duration: int) -> None:
    """Sleep at least `duration` nanoseconds (less than a second), less when a signal comes."""
    time.sleep(duration / 1e9)


@intrinsic
def _native_yield(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _native_sleep(typing_context: Any, duration: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        span = cgutils.alloca_once(builder, I64, size=2)
        builder.store(I64(0), span)
        builder.store(args[0], builder.gep(span, [I32(1)]))
        kind = ir.FunctionType(I32, [I64.as_pointer(), I64.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, "nanosleep")
        builder.call(function, [span, ir.Constant(I64.as_pointer(), None)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@overload(yield_core)
def _yield_core():  # type: ignore[no-untyped-def]
    return lambda: _native_yield()


@overload(sleep_ns)
def _sleep_ns(duration):  # type: ignore[no-untyped-def]
    return lambda duration: _native_sleep(duration)


@kernel
def idle(strategy: int, turns: int) -> None:
    """Wait a little; `turns` is how many turns in a row found nothing to do, this one included."""
    if strategy == SPIN or turns <= TURNS_SPINNING:
        pause()
    elif strategy == YIELD or turns <= TURNS_YIELDING:
        yield_core()
    else:
        sleep_ns(SLEEP_NS)
