"""A file that shrinks under a mapping must not kill the process: guarded ranges turn into private zeros (rule 5).

Touching a page behind the end of a mapped file raises SIGBUS. A Python handler would return to the same instruction
and fault for ever; so the handler is a compiled C function. When the address that faulted lies in a guarded range, it
maps anonymous zero pages over the whole range, sets the range's flag, and the instruction runs again. Any other SIGBUS
gets the default action: the process dies as it would have.

    table   0   int64  number of slots in use
            64  64 B a slot: int64 start | int64 end | int64 flag (1: the range was replaced)

Invariants
    The handler allocates nothing, takes no lock, calls mmap and signal only. The table is never freed or moved.
    A slot counts once it is whole; an unguarded one has start = end.

Ordinary threads write slots, one at a time; the handler reads them and writes flags, in whatever thread faulted.
Nothing survives the process.
"""

from __future__ import annotations

import ctypes
import mmap
import signal
import threading
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import Region, region_at
from statevec.ipc.python_call import store_release

SLOT_COUNT_AT = 0
SLOTS = 64
SLOT_SIZE = 64
SLOT_START = 0
SLOT_END = 8
SLOT_FLAG = 16
MAX_SLOTS = 128
TABLE_SIZE = SLOTS + MAX_SLOTS * SLOT_SIZE

SIGBUS = int(signal.Signals.SIGBUS)
SIGINFO_ADDRESS = 16
SIGINFO_SIZE = 128
SIGACTION_SIZE = 152
SIGACTION_FLAGS_AT = 136
"""glibc's `struct sigaction` on 64-bit platforms: handler 8 B, mask 128 B, flags 4 B, restorer 8 B."""
SA_SIGINFO = 4
SET_TABLE = 0
"""Instead of a signal's number: the second argument is the table's address."""

PROTECTION = mmap.PROT_READ | mmap.PROT_WRITE
MAP_FIXED = 0x10
MAP_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED

I32, I64 = ir.IntType(32), ir.IntType(64)


def _table_word(builder: Any) -> Any:
    """A static variable beside the handler's code: a signal handler gets no argument of ours, and code that had the
    table's address in it could not be cached."""
    module = builder.module
    name = "statevec_sigbus_table"
    if name in module.globals:
        return module.globals[name]
    word = ir.GlobalVariable(module, I64, name)
    word.linkage = "internal"
    word.initializer = I64(0)
    return word


@intrinsic
def _set_table(typing_context: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # SYNC POINT: pairs with the load in `_get_table`.
        builder.store_atomic(args[0], _table_word(builder), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def _get_table(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # SYNC POINT: pairs with the store in `_set_table`.
        return builder.load_atomic(_table_word(builder), "acquire", 8)

    return types.int64(), codegen


@intrinsic
def _map_zeros(typing_context: Any, start: Any, size: Any) -> Any:
    """mmap of zero pages over a range; its address, or -1."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I64, [I64, I64, I32, I32, I32, I64])
        function = cgutils.get_or_insert_function(builder.module, kind, "mmap")
        return builder.call(function, [*args, I32(PROTECTION), I32(MAP_FLAGS), I32(-1), I64(0)])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _default_action(typing_context: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I64, [I32, I64]), "signal")
        builder.call(function, [I32(SIGBUS), I64(0)])
        return context.get_dummy_value()

    return types.void(), codegen


def _handle(signal_number: int, information: int, context: int) -> None:
    if signal_number == SET_TABLE:
        _set_table(information)
        return
    address = region_at(information, SIGINFO_SIZE).load_i64(SIGINFO_ADDRESS)
    table = region_at(_get_table(), TABLE_SIZE)
    # SYNC POINT: pairs with the store of the count and of a slot's end in `guard`.
    for number in range(table.load_acquire(SLOT_COUNT_AT)):
        slot = SLOTS + SLOT_SIZE * number
        end = table.load_acquire(slot + SLOT_END)
        start = table.load_i64(slot + SLOT_START)
        if start <= address < end and _map_zeros(start, end - start) == start:
            # SYNC POINT: pairs with whoever asks the flag of `guard`.
            table.store_release(slot + SLOT_FLAG, 1)
            return
    _default_action()


class _Guards:
    """The process's one handler and its table; made when first needed, never taken away."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table = Region.allocate(TABLE_SIZE)
        self._handler = _compile_handler()
        self._handler.ctypes(SET_TABLE, self.table.address, 0)
        action = Region.allocate(SIGACTION_SIZE)
        address = self._handler.address
        assert address is not None, "the handler is compiled"
        action.store_i64(0, address)
        action.store_i32(SIGACTION_FLAGS_AT, SA_SIGINFO)
        library = ctypes.CDLL(None, use_errno=True)
        if library.sigaction(SIGBUS, ctypes.c_void_p(action.address), None) != 0:
            raise OSError(ctypes.get_errno(), "sigaction for SIGBUS")

    def add(self, region: Region) -> Region:
        with self.lock:
            count = self.table.load_i64(SLOT_COUNT_AT)
            slots = [SLOTS + SLOT_SIZE * number for number in range(MAX_SLOTS)]
            free = [slot for slot in slots if self.table.load_i64(slot + SLOT_END) == 0]
            if not free:
                raise ValueError(f"too many guarded ranges: max={MAX_SLOTS}")
            slot = free[0]
            page = mmap.PAGESIZE
            self.table.store_i64(slot + SLOT_FLAG, 0)
            self.table.store_i64(slot + SLOT_START, region.address)
            # SYNC POINT: pairs with the handler's loads.
            store_release(self.table, slot + SLOT_END, region.address + (region.size + page - 1) // page * page)
            store_release(self.table, SLOT_COUNT_AT, max(count, (slot - SLOTS) // SLOT_SIZE + 1))
            return self.table.slice(slot + SLOT_FLAG, 8)

    def remove(self, flag: Region) -> None:
        slot = flag.address - self.table.address - SLOT_FLAG
        with self.lock:
            # SYNC POINT: pairs with the handler's loads.
            store_release(self.table, slot + SLOT_END, 0)
            store_release(self.table, slot + SLOT_START, 0)


def _compile_handler() -> CFunc:
    signature = ((types.int32, types.int64, types.int64), types.void)
    handler = CFunc(_handle, signature, locals={}, options={"_nrt": False})
    enable_cache(handler)  # before compiling, which `numba.cfunc` would do at once
    handler.compile()
    return handler


@cache
def _guards() -> _Guards:
    return _Guards()


def guard(region: Region) -> Region:
    """Survive that the file mapped at `region` (which begins on a page) shrinks; its flag, one int64, 1 when it did.

    Call `unguard` with that flag before the mapping goes away.
    """
    if region.address % mmap.PAGESIZE or region.size <= 0:
        raise ValueError(f"not a mapping: address={region.address:#x} size={region.size}")
    return _guards().add(region)


def unguard(flag: Region) -> None:
    """Guard that range no longer."""
    _guards().remove(flag)
