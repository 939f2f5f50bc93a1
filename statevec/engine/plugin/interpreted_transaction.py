"""`tx` in the interpreted tier: tables, time, ids, timers, rejections and outputs over the transaction block.

A `Binding` is all that belongs to one plugin, one transaction block and one arena: the transaction as handlers get it
and as invariants get it. The block's words are read and written where they lie.

The memory belongs to who executes entries; a crash leaves nothing of it.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from statevec.codecs.accessors import view_class
from statevec.codecs.layout import MessageLayout
from statevec.engine.plugin import operations
from statevec.engine.plugin.interpreted_output import OutputView, output_class
from statevec.engine.plugin.interpreted_records import Table, WritableTable, word
from statevec.engine.plugin.output_kernels import open_output
from statevec.engine.plugin.output_parts import output_level
from statevec.ipc.faults import CapacityExhausted, ReadOnly, ValueOutOfRange
from statevec.journal.entry_layout import OUTPUT_MESSAGE
from statevec.state import transaction_layout as layout

if TYPE_CHECKING:
    from statevec.engine.plugin.loader import LoadedPlugin

FRAME = struct.Struct("<iiq")
REJECT_CODE = layout.REJECT_CODE // 8
OUTPUT_ADDRESS = layout.OUTPUT_ADDRESS // 8
OUTPUT_SIZE = layout.OUTPUT_SIZE // 8
OUTPUT_USED = layout.OUTPUT_USED // 8
OUTPUT_COUNT = layout.OUTPUT_COUNT // 8
SPACE_EXHAUSTED = layout.SPACE_EXHAUSTED // 8
OPEN_LEVELS = layout.OPEN_LEVELS // 8


def words_at(address: int, size: int) -> memoryview:
    """`size` bytes at `address` as int64s; the caller answers for the memory."""
    return memoryview((ctypes.c_int64 * (size // 8)).from_address(address)).cast("B").cast("q")


def body_type(message: MessageLayout) -> Any:
    """The ctypes array of a message's block, to be put at an address."""
    return ctypes.c_ubyte * max(message.block_length, 1)


class Outputs:
    """How to begin each output message: frame and image as bytes, view of its block."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        self.header_size = loaded.schema.header.size
        self.by_name: dict[str, tuple[int, bytes, Any, Any]] = {}
        self.with_parts: dict[str, tuple[int, int, type[OutputView]]] = {}
        for name, message in loaded.outputs_by_attribute.items():
            image = loaded.schema.image(message.name)
            length = (OUTPUT_MESSAGE + len(image) + 7) & ~7
            tail = image + bytes(length - OUTPUT_MESSAGE - len(image))
            view = view_class(message.name, message.fields, True)
            self.by_name[name] = (length, tail, view, body_type(message))
            if not message.is_flat:
                level = output_level(loaded.schema, message.name)
                self.with_parts[name] = (len(image), message.block_length, output_class(level))


class Transaction:
    """What a handler calls `tx`. `turns_left` is the budget of loops while a function runs."""

    def __init__(self, block: memoryview, address: int, outputs: Outputs) -> None:
        self._block = block
        self._address = address
        self._outputs = outputs
        self.now_ns = 0
        self.sequence = 0
        self.turns_left = 0

    def reject(self, code: Any) -> None:
        number = word(code)
        if not 1 <= number <= operations.MAX_REJECTION:
            raise ValueOutOfRange(f"a rejection code is 1 to {operations.MAX_REJECTION}: {number}")
        if self._block[REJECT_CODE] == 0:
            self._block[REJECT_CODE] = number

    def next_id(self) -> int:
        return int(operations.take_id(self._address))

    def set_timer(self, id: Any, at_ns: Any) -> None:
        operations.start_timer(self._address, word(id), word(at_ns))

    def cancel_timer(self, id: Any) -> bool:
        return bool(operations.stop_timer(self._address, word(id)))

    def new_output(self, name: str, expires_ns: Any) -> Any:
        """A new output, encoded in place behind the outputs before it."""
        length, tail, view, body = self._outputs.by_name[name]
        block = self._block
        used, count = block[OUTPUT_USED], block[OUTPUT_COUNT]
        expiry = word(expires_ns)
        if used + length > block[OUTPUT_SIZE]:
            block[SPACE_EXHAUSTED] = 1
            raise CapacityExhausted
        frame = block[OUTPUT_ADDRESS] + used
        ctypes.memmove(frame, FRAME.pack(length, count, expiry) + tail, length)
        block[OUTPUT_USED] = used + length
        block[OUTPUT_COUNT] = count + 1
        address = frame + OUTPUT_MESSAGE + self._outputs.header_size
        parts = self._outputs.with_parts.get(name)
        if parts is None:
            block[OPEN_LEVELS] = 0
            return view(body.from_address(address), 0)
        message_size, block_size, make = parts
        open_output(self._address, frame, message_size, address)
        return make(address, block_size, self._address)


class ReadingTransaction(Transaction):
    """What an invariant calls `tx`: it can only read."""

    def reject(self, code: Any) -> None:
        raise ReadOnly("an invariant only reads")

    def next_id(self) -> int:
        raise ReadOnly("an invariant only reads")

    def set_timer(self, id: Any, at_ns: Any) -> None:
        raise ReadOnly("an invariant only reads")

    def cancel_timer(self, id: Any) -> bool:
        raise ReadOnly("an invariant only reads")

    def new_output(self, name: str, expires_ns: Any) -> Any:
        raise ReadOnly("an invariant only reads")


class Binding:
    """A plugin's objects over one transaction block and the arena that it names."""

    def __init__(self, loaded: LoadedPlugin, address: int, outputs: Outputs) -> None:
        self.address = address
        self.block = words_at(address, layout.TRANSACTION_SIZE)
        self.arena_address = self.block[layout.ARENA_ADDRESS // 8]
        self.arena_size = self.block[layout.ARENA_SIZE // 8]
        self.arena = (ctypes.c_ubyte * self.arena_size).from_address(self.arena_address)
        self.transaction = Transaction(self.block, address, outputs)
        self.reading = ReadingTransaction(self.block, address, outputs)
        self.tables: dict[int, Table] = {}
        for record in loaded.declarations.records.values():
            number = loaded.table_number(record.name)
            self.tables[number] = Table(record, number, address, self.arena)
            setattr(self.transaction, record.table, WritableTable(record, number, address, self.arena))
            setattr(self.reading, record.table, self.tables[number])

    def fits(self, address: int) -> bool:
        """Whether the binding is for the block at `address` as it is now."""
        return address == self.address and self.arena_address == self.block[layout.ARENA_ADDRESS // 8]
