"""Compiled functions that Python calls at the lowest price, and atomics on shared words for Python code.

Numba's dispatcher looks at the types of the arguments in each call; a `PythonCall` has one fixed signature, of int64
(addresses, numbers), and hands out the C function behind it. What is called for every message is a `PythonMethod`.

These functions keep the GIL: giving it up and taking it back costs more than they run, and with other threads waiting
for it a call would take milliseconds. So none of them waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types

from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import Region, region_at


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
