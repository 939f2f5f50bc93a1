"""Compiled functions that CPython calls as built-in methods: the cheapest call that there is from Python.

A `PythonMethod` wraps a function on three int64, the arguments of CPython's METH_FASTCALL convention:

    storage     the bound object: a `Storage`, the private memory that the method works on
    arguments   address of an array of references to the positional arguments
    count       how many there are

and answers the address of a new reference, or 0 after setting an exception. `PythonCall` is simpler and good enough
where 60 ns more do not matter: use this one for what is called for every message.

Invariants
    The functions run with the GIL and never wait. They allocate nothing but the object they answer.
    A bound method keeps its `Storage` alive, and that keeps alive what `keeps` names: memory that the method touches
    outlives every reference to it.

Source of the conventions: CPython's C API (`PyMethodDef`, `PyObject_GetBuffer`, `PyBytes_FromStringAndSize`).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import Region

I32, I64 = ir.IntType(32), ir.IntType(64)
BYTE_POINTER = ir.IntType(8).as_pointer()
METH_FASTCALL = 0x80
PY_BUFFER_SIZE = 80
"""`Py_buffer` on 64-bit platforms: address at 0, length at 16."""
PY_BUFFER_LENGTH = 16
FAILED = 0
"""What a method answers after an exception was set."""


class Storage(bytearray):
    """Private memory of a method's owner, zeroed; aligned for words. `keeps` lives as long as it does."""

    def __init__(self, size: int, keeps: tuple[object, ...]) -> None:
        super().__init__(size)
        self.keeps = keeps

    def region(self) -> Region:
        """The memory; while that region lives its size cannot change. (Not kept here: the circle would never go.)"""
        return Region.of(self)


class _MethodDefinition(ctypes.Structure):
    """`PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


class PythonMethod:
    """Decorator: a function `(storage, arguments, count) -> object`, compiled when first bound."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._compiled: CFunc | None = None
        self._definition = _MethodDefinition()
        self._lock = threading.Lock()

    def _compile(self) -> None:
        compiled = CFunc(self._function, ((types.int64,) * 3, types.int64), {}, {"_nrt": False})
        enable_cache(compiled)
        compiled.compile()
        name = self._function.__name__.lstrip("_").encode()
        self._definition = _MethodDefinition(name, compiled.address, METH_FASTCALL, None)
        self._compiled = compiled

    def bind(self, storage: Storage) -> Callable[..., Any]:
        """The built-in method over that memory; positional arguments only."""
        with self._lock:  # two threads may open their first ends at once
            if self._compiled is None:
                self._compile()
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        method: Callable[..., Any] = new(ctypes.addressof(self._definition), storage, None)
        return method


def _c_function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _calls(name: str, result: Any, arguments: tuple[Any, ...]) -> Any:
    """An intrinsic that calls the C function `name` of integers and addresses."""
    kinds = {types.int64: I64, types.int32: I32, types.void: ir.VoidType()}

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = _c_function(builder, name, kinds[result], [kinds[each] for each in arguments])
        answer = builder.call(function, args)
        return context.get_dummy_value() if result is types.void else answer

    names = ", ".join(f"a{number}" for number in range(len(arguments)))
    scope: dict[str, Any] = {"answer": (result(*arguments), generate)}
    exec(f"def typer(typing_context{', ' + names if names else ''}):\n    return answer", scope)
    return intrinsic(scope["typer"])


storage_address = _calls("PyByteArray_AsString", types.int64, (types.int64,))
"""Address of a `Storage`'s memory, from the first argument of the method."""
object_to_int = _calls("PyLong_AsLongLong", types.int64, (types.int64,))
"""An argument as int64; -1 when it is none, and then `exception_is_set`."""
int_to_object = _calls("PyLong_FromLongLong", types.int64, (types.int64,))
bytes_to_object = _calls("PyBytes_FromStringAndSize", types.int64, (types.int64, types.int64))
exception_is_set = _calls("PyErr_Occurred", types.int64, ())
"""0 when no exception is set."""
get_buffer = _calls("PyObject_GetBuffer", types.int32, (types.int64, types.int64, types.int32))
"""Borrow an object's memory: (object, address of PY_BUFFER_SIZE bytes, 0) -> 0, or -1 with an exception set."""
release_buffer = _calls("PyBuffer_Release", types.void, (types.int64,))
"""Give back what `get_buffer` borrowed."""


@intrinsic
def none_object(typing_context: Any) -> Any:
    """A new reference to None."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = "_Py_NoneStruct"
        module = builder.module
        none = module.globals.get(name) or ir.GlobalVariable(module, ir.IntType(8), name)
        builder.call(_c_function(builder, "Py_IncRef", ir.VoidType(), [BYTE_POINTER]), [none])
        return builder.ptrtoint(none, I64)

    return types.int64(), codegen


@intrinsic
def set_exception(typing_context: Any, kind: Any, text: Any, first: Any, second: Any) -> Any:
    """Set an exception of that class (address) with that text (address; two `%lld` in it). Answers FAILED."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        variadic = ir.FunctionType(I64, [I64, I64], var_arg=True)
        builder.call(cgutils.get_or_insert_function(builder.module, variadic, "PyErr_Format"), args)
        return I64(FAILED)

    return types.int64(types.int64, types.int64, types.int64, types.int64), codegen
