"""A process that keeps this one's memory for a moment after its death, so that its locks are free at once.

The kernel gives up a dead process's files, and with them its lock, only after it has taken down its memory: tens of
milliseconds for an engine, in which no standby can lead. Memory that another process shares stays, and costs no time.

    main thread ── clone(CLONE_VM) ─► holder: closes its copies of all files, then waits until its parent is another
                                       process than it was, a moment longer, and ends: it takes the memory down

Invariants
    The holder never has a file of this process, so it holds no lock; it is made before there is one (rule 13).
    It runs a few lines of machine code on a stack of its own, calls nothing that can fail, and takes no signal.

A crash of this process ends the holder half a second later; without a holder the lock is free as late as it used to be.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import Region, region_at
from statevec.ipc.python_call import load_acquire

I32, I64 = ir.IntType(32), ir.IntType(64)
CLONE_VM = 0x100
CLOSE_RANGE = 436
"""Number of that system call on every Linux that has it (5.9)."""
ALL_FILES = 0xFFFFFFFF
LOOK_MICROSECONDS = 250_000
STACK_SIZE = 1 << 16
PARENT, IS_READY = 0, 8
BLOCK_SIZE = 16


def _libc(name: str, result: Any, *arguments: Any) -> Any:
    """An intrinsic that calls libc's `name` with int64s cut to what it takes; its result as int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)
        cut = [builder.trunc(each, kind) if kind is I32 else each for each, kind in zip(args, arguments, strict=True)]
        found = builder.call(function, cut)
        return builder.sext(found, I64) if result is I32 else found

    return codegen


@intrinsic
def _parent(typing_context: Any) -> Any:
    return types.int64(), _libc("getppid", I32)


@intrinsic
def _sleep(typing_context: Any, microseconds: Any) -> Any:
    return types.int64(types.int64), _libc("usleep", I32, I32)


@intrinsic
def _system_call(typing_context: Any, number: Any, first: Any, second: Any, third: Any) -> Any:
    return types.int64(*(types.int64,) * 4), _libc("syscall", I64, I64, I64, I64, I64)


def _hold(block: int) -> int:
    region = region_at(block, BLOCK_SIZE)
    _system_call(CLOSE_RANGE, 0, ALL_FILES, 0)
    # SYNC POINT: pairs with the acquire of whoever made this process.
    region.store_release(IS_READY, 1)
    while _parent() == region.load_i64(PARENT):
        _sleep(LOOK_MICROSECONDS)
    _sleep(LOOK_MICROSECONDS)
    return 0


@cache
def _holder_code() -> CFunc:
    code = CFunc(_hold, ((types.int64,), types.int32), locals={}, options={"_nrt": False})
    enable_cache(code)  # before compiling, which `numba.cfunc` would do at once
    code.compile()
    return code


@cache
def hold_memory() -> int:
    """Make the holder of this process's memory; its process number, 0 where that was not possible. Once a process.

    Call it in the main thread, before anything is locked that others wait for.
    """
    code = _holder_code()
    stack, block = Region.allocate(STACK_SIZE, 64), Region.allocate(BLOCK_SIZE)
    _kept.extend((stack, block))
    block.store_i64(PARENT, os.getpid())
    clone = ctypes.CDLL(None, use_errno=True).clone
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        process = clone(
            ctypes.c_void_p(code.address),
            ctypes.c_void_p(stack.address + STACK_SIZE),
            CLONE_VM | signal.SIGCHLD,
            ctypes.c_void_p(block.address),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if process < 0:
        return 0
    # SYNC POINT: pairs with the holder's release: it has closed its copies of our files.
    while load_acquire(block, IS_READY) == 0:
        os.sched_yield()
    return int(process)


_kept: list[Region] = []
"""Stack and block of the holder: it uses them as long as this process lives, and a moment longer."""
