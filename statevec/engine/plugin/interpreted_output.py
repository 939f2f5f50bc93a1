"""Outputs with groups and variable data in the interpreted tier: Python objects over the same bytes in the entry.

    view = output_class(level)            # once for each message
    basket = view(memory, transaction)    # memory: the ctypes array of its block, where it lies

Invariants
    Groups and data are written by the kernels that compiled handlers call; fields are those of `accessors`.
    What compiled code refuses when it is compiled raises here when it is run.

A crash leaves the output above the appended position, where nobody reads.
"""

from __future__ import annotations

import ctypes
from typing import Any

from statevec.codecs.accessors import BlockView, view_class
from statevec.engine.plugin.output_kernels import append_entry, put_data
from statevec.engine.plugin.output_parts import OutputLevel, OutputPart


class OutputView(BlockView):
    """An output or an entry: `_buffer` is its block in the entry, `_transaction` the address of the block."""

    __slots__ = ("_transaction",)

    def __init__(self, address: int, size: int, transaction: int) -> None:
        super().__init__((ctypes.c_ubyte * size).from_address(address), 0)
        self._transaction = transaction

    def __eq__(self, other: object) -> bool:
        raise TypeError("outputs are not compared")

    def __bool__(self) -> bool:
        raise TypeError("an output has no truth value")

    __hash__ = None  # type: ignore[assignment]


class OutputGroup:
    """A group of an output, to append entries to."""

    __slots__ = ("_entry", "_owner", "_part")

    def __init__(self, owner: OutputView, part: OutputPart, entry: type[OutputView]) -> None:
        self._owner = owner
        self._part = part
        self._entry = entry

    def append(self) -> OutputView:
        """A new entry behind the others."""
        owner, entry = self._owner, self._part.entry
        assert entry is not None
        address = append_entry(owner._transaction, ctypes.addressof(owner._buffer), self._part.memory.address)
        return self._entry(address, entry.layout.block_length, owner._transaction)

    def __bool__(self) -> bool:
        raise TypeError("a group of an output has no truth value")


def output_class(level: OutputLevel) -> type[OutputView]:
    """The class of a message, or of the entries of a group."""
    base: Any = view_class(level.path, level.fields, True, OutputView)
    members: dict[str, Any] = {"__slots__": ()}
    for name, part in level.parts.items():
        members[name] = _group_property(name, part) if part.entry is not None else _data_property(name, part)
    made: type[OutputView] = type(level.path, (base,), members)
    return made


def _group_property(name: str, part: OutputPart) -> property:
    assert part.entry is not None
    entry = output_class(part.entry)

    def get(view: OutputView) -> OutputGroup:
        return OutputGroup(view, part, entry)

    def refuse(view: OutputView, value: Any) -> None:
        raise TypeError(f"{name!r} of {view._name} is a group: use .append()")

    return property(get, refuse)


def _data_property(name: str, part: OutputPart) -> property:
    def refuse(view: OutputView) -> None:
        raise TypeError(f"{name!r} of {view._name} is variable data: an output's is assigned, not read")

    def assign(view: OutputView, value: Any) -> None:
        if not isinstance(value, bytes):
            raise TypeError(f"{name!r} of {view._name} takes text, not {type(value).__name__}")
        source = ctypes.cast(ctypes.c_char_p(value), ctypes.c_void_p).value
        address = ctypes.addressof(view._buffer)
        put_data(view._transaction, address, part.memory.address, source, len(value))

    return property(refuse, assign)
