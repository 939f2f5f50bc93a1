"""A fault in words: which, and where in the plugin, from what each tier leaves behind.

Compiled code leaves the address of Numba's exception information: a pointer to pickled (class, arguments, place), their
length in bytes. It is a constant of the machine code, so it stays readable as long as the plugin is loaded.
Nothing here keeps state.
"""

from __future__ import annotations

import ctypes
import pickle
from pathlib import Path

DATA = 0
LENGTH = 8


def describe_fault(address: int) -> str:
    """The fault whose information is at `address`, such as `DivisionByZero at hedge.py:41`."""
    data = ctypes.c_void_p.from_address(address + DATA).value
    length = ctypes.c_int32.from_address(address + LENGTH).value
    if not data or not 0 < length < 1 << 16:
        return ""
    kind, arguments, place = pickle.loads(ctypes.string_at(data, length))
    text = str(kind.__name__)
    if arguments:
        text += f": {', '.join(str(each) for each in arguments)}"
    if place is not None and place[1] and place[2] is not None:
        text += f" at {Path(place[1]).name}:{place[2]}"
    return text


def describe_error(error: BaseException | None, path: str) -> str:
    """An exception of the interpreted tier with the innermost line of the plugin that it came through."""
    if error is None:
        return ""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{text} at {Path(path).name}:{line}" if line else text
