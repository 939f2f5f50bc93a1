"""Places where a process can be told to die: for tests only, compiled to nothing in the build that ships.

A test sets `STATEVEC_KILL_POINTS` to the path of a control file when it starts a process, and says in that file which
process shall die where (`kill_control`). The process then sends itself SIGKILL, from compiled code too, between exactly
those two instructions. Without the variable `kill_point` has an empty body, and machine code shows no trace of it
(`tests/ipc/test_kill_points.py`); the cache keeps the two builds apart (`kernel.source_key`).

Layout of the control file, one page that all processes of a test map:
    0    point at which to die, 0 none           8    process that shall die, 0 whichever comes there first
    16   how many passings are left until then
    64   point at which a process died            72   that process     80   when, monotonic ns

Invariants
    One process dies for each arming: the countdown is taken atomically, and only its end kills.
    What died is written before the signal.

The test writes the first line and clears the second; whoever dies writes the second.
A crash leaves the file as it was: arming again starts anew.
"""

from __future__ import annotations

import mmap
import os
import signal
from pathlib import Path
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from statevec.ipc.kernel import KILL_POINTS, kernel
from statevec.ipc.memory import Region, monotonic_ns, region_at

(
    BEFORE_CLAIM,
    AFTER_COPY,
    AFTER_HANDLER,
    BEFORE_PUBLISH,
    AFTER_PUBLISH,
    BEFORE_HEAD,
    AFTER_WRITE,
    BEFORE_FDATASYNC,
    AFTER_FDATASYNC,
    BEFORE_SEGMENT_NAME,
    AFTER_SEGMENT_NAME,
    BEFORE_SNAPSHOT_NAME,
    AFTER_LOCK,
    AFTER_LOG_ADOPTED,
    AFTER_EPOCH,
    AFTER_LEADERSHIP,
    BEFORE_MIGRATION,
    BEFORE_CUTOVER_ENTRY,
    BEFORE_SWITCH,
) = range(1, 20)

NAMES = {value: name.lower() for name, value in list(globals().items()) if name.isupper() and type(value) is int}
"""Point to its name."""

ARMED_POINT = 0
ARMED_PROCESS = 8
COUNTDOWN = 16
DIED_POINT = 64
DIED_PROCESS = 72
DIED_NS = 80
CONTROL_SIZE = mmap.PAGESIZE
PAGE_SYMBOL = "statevec_kill_points"
"""What compiled code calls the mapped file: an address in the code could not be cached."""

I32, I64 = ir.IntType(32), ir.IntType(64)


def map_control(path: str | Path) -> Region:
    """The control file in this process's memory."""
    with open(path, "r+b") as file:
        return Region.of(mmap.mmap(file.fileno(), CONTROL_SIZE))


_PAGE = map_control(os.environ["STATEVEC_KILL_POINTS"]) if KILL_POINTS else None
if _PAGE is not None:
    llvmlite.binding.add_symbol(PAGE_SYMBOL, _PAGE.address)


def _page() -> int:
    """Address of the control page."""
    assert _PAGE is not None
    return _PAGE.address


def _process() -> int:
    """Number of this process."""
    return os.getpid()


def _die() -> None:
    """SIGKILL to this process; does not return."""
    os.kill(os.getpid(), signal.SIGKILL)


@intrinsic
def _native_page(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(context.get_c_value(builder, I64, PAGE_SYMBOL), I64)

    return types.int64(), codegen


@intrinsic
def _native_process(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "getpid")
        return builder.sext(builder.call(function, []), I64)

    return types.int64(), codegen


@intrinsic
def _native_die(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        process = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "getpid")
        end = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, [I32, I32]), "kill")
        builder.call(end, [builder.call(process, []), I32(int(signal.SIGKILL))])
        return context.get_dummy_value()

    return types.void(), codegen


overload(_page)(lambda: lambda: _native_page())
overload(_process)(lambda: lambda: _native_process())
overload(_die)(lambda: lambda: _native_die())


@kernel
def _pass(point: int) -> None:
    """Die here if the control file says so."""
    page = region_at(_page(), CONTROL_SIZE)
    # SYNC POINT: pairs with the release in `KillControl.arm`: process and countdown are there before the point.
    if page.load_acquire(ARMED_POINT) != point:
        return
    process = _process()
    armed = page.load_i64(ARMED_PROCESS)
    if armed != 0 and armed != process:
        return
    # SYNC POINT: pairs with every other passing: exactly one sees the countdown's end.
    if page.fetch_add(COUNTDOWN, -1) == 1:
        page.store_i64(DIED_PROCESS, process)
        page.store_i64(DIED_NS, monotonic_ns())
        page.store_release(DIED_POINT, point)  # SYNC POINT: pairs with the acquire in `KillControl.died`
        _die()


def kill_point(point: int) -> None:
    """In the test build, die here if the control file says so; otherwise nothing. For kernels and for Python."""
    if KILL_POINTS:
        _pass.py_func(point)


@overload(kill_point)
def _kill_point(point):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    if KILL_POINTS:
        return lambda point: _pass(point)
    return lambda point: None
