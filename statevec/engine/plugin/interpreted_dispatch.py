"""The interpreted tier's dispatch: a C callback into the rewritten handlers as plain Python.

The same contract, order of checks and outcomes as `native_dispatch`, over the same memory; for `explain`, for
debugging, and as the other opinion that tests compare with.

Invariant: no exception leaves the callback. A `Fault` gives its outcome, any other exception PLUGIN_FAULT;
`last_error` keeps it for people.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from statevec.codecs.accessors import view_class
from statevec.codecs.handler_view import message_maker
from statevec.codecs.header import HeaderCodec
from statevec.codecs.layout import minimum_block_length
from statevec.codecs.reader_fields import needs_version
from statevec.engine.plugin.interpreted_records import prepare_operations
from statevec.engine.plugin.interpreted_transaction import Binding, Outputs, body_type, words_at
from statevec.ipc.faults import (
    COMMITTED,
    INVARIANT_VIOLATED,
    MALFORMED_MESSAGE,
    NO_HANDLER,
    PLUGIN_FAULT,
    UNKNOWN_TEMPLATE,
    WRONG_SCHEMA,
    Fault,
)
from statevec.ipc.memory import DISPATCH
from statevec.journal.entry_layout import TIMER
from statevec.state import transaction_layout as layout
from statevec.state.arena_layout import ROW_HEADER_SIZE, ROW_STATUS, USED

if TYPE_CHECKING:
    from statevec.engine.plugin.loader import LoadedPlugin

BUDGET = layout.BUDGET // 8
OUTCOME = layout.OUTCOME // 8
REJECT_CODE = layout.REJECT_CODE // 8
TOUCHED_WORDS = layout.TOUCHED_ENTRY_SIZE // 8


class InterpretedDispatch:
    """A plugin's dispatch function; keep the object as long as the address is used."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        prepare_operations()
        self._loaded = loaded
        self._outputs = Outputs(loaded)
        self._binding: Binding | None = None
        schema = loaded.schema
        self._header = HeaderCodec(schema.header, schema.id, schema.version)
        self._header_type = ctypes.c_ubyte * schema.header.size
        self._messages = {each.id: each for each in schema.messages.values()}
        self._handlers: dict[int, tuple[Callable[..., Any], Any, Any]] = {}
        for name, handler in loaded.declarations.handlers.items():
            message = schema.messages[name]
            if needs_version(message):
                self._handlers[message.id] = (handler, message_maker(message, self._header), None)
            else:
                self._handlers[message.id] = (handler, view_class(name, message.fields, False), body_type(message))
        self._minimums: dict[tuple[int, int], int] = {}
        self._of_record: dict[int, list[tuple[int, Callable[..., Any]]]] = {}
        self._of_table: dict[int, list[tuple[int, Callable[..., Any]]]] = {}
        for number, invariant in enumerate(loaded.declarations.invariants):
            group = self._of_table if invariant.whole_table else self._of_record
            group.setdefault(loaded.table_number(invariant.record), []).append((number, invariant.function))
        self.last_error: BaseException | None = None
        self._callback = DISPATCH(self._dispatch)
        address = ctypes.cast(self._callback, ctypes.c_void_p).value
        assert address is not None
        self.address: int = address

    def _dispatch(self, transaction: int, message: int, length: int) -> int:
        binding = self._binding
        if binding is None or not binding.fits(transaction):
            binding = self._binding = self._bind(transaction)
        block = binding.block
        tx = binding.transaction
        tx.now_ns = block[layout.NOW_NS // 8]
        tx.sequence = block[layout.SEQUENCE // 8]
        tx.turns_left = block[BUDGET]
        try:
            if block[layout.ENTRY_KIND // 8] == TIMER:
                outcome = self._run_timer(tx, block[layout.TIMER_ID // 8])
            else:
                outcome = self._run_message(tx, message, length)
            if outcome == COMMITTED:
                outcome = block[REJECT_CODE]
            if outcome == COMMITTED and self._loaded.declarations.invariants:
                outcome = self._check_invariants(binding)
        except Fault as fault:
            self.last_error = fault
            outcome = fault.outcome
        except BaseException as error:
            self.last_error = error
            outcome = PLUGIN_FAULT
        block[BUDGET] = tx.turns_left
        block[OUTCOME] = outcome
        return layout.DISPATCH_OK

    def _bind(self, transaction: int) -> Binding:
        """The plugin's objects over a transaction block; a subclass may have others."""
        return Binding(self._loaded, transaction, self._outputs)

    def _run_timer(self, tx: Any, timer_id: int) -> int:
        handler = self._loaded.declarations.timer_handler
        if handler is None:
            return NO_HANDLER
        handler(tx, timer_id)
        return COMMITTED

    def _run_message(self, tx: Any, address: int, length: int) -> int:
        header_size = self._header.size
        if length < header_size:
            return MALFORMED_MESSAGE
        block_length, template, schema, version = self._header.read(self._header_type.from_address(address), 0)
        if schema != self._header.schema_id:
            return WRONG_SCHEMA
        message = self._messages.get(template)
        if message is None:
            return UNKNOWN_TEMPLATE
        minimum = self._minimums.get((template, version))
        if minimum is None:
            minimum = self._minimums[template, version] = minimum_block_length(message.fields, version)
        if not minimum <= block_length <= length - header_size:
            return MALFORMED_MESSAGE
        found = self._handlers.get(template)
        if found is None:
            return NO_HANDLER
        handler, view, body = found
        if body is None:
            whole = memoryview((ctypes.c_ubyte * length).from_address(address)).cast("B")
            handler(tx, view(whole, length))
        else:
            handler(tx, view(body.from_address(address + header_size), 0))
        return COMMITTED

    def _check_invariants(self, binding: Binding) -> int:
        block = binding.block
        count = block[layout.TOUCHED_COUNT // 8]
        touched = words_at(block[layout.TOUCHED_ADDRESS // 8], max(count, 1) * layout.TOUCHED_ENTRY_SIZE)
        tx, handler_tx = binding.reading, binding.transaction
        tx.now_ns, tx.sequence, tx.turns_left = handler_tx.now_ns, handler_tx.sequence, handler_tx.turns_left
        try:
            return self._first_violated(binding, touched, count)
        finally:
            handler_tx.turns_left = tx.turns_left

    def _first_violated(self, binding: Binding, touched: memoryview, count: int) -> int:
        tx = binding.reading
        tables: set[int] = set()
        for place in range(count):
            row = touched[place * TOUCHED_WORDS + layout.TOUCHED_ROW // 8]
            table = touched[place * TOUCHED_WORDS + layout.TOUCHED_TABLE // 8]
            tables.add(table)
            invariants = self._of_record.get(table)
            if invariants and int.from_bytes(binding.arena[row + ROW_STATUS : row + ROW_STATUS + 4], "little") == USED:
                record = binding.tables[table]._read(binding.arena, row + ROW_HEADER_SIZE)
                for number, function in invariants:
                    if not _holds(function(tx, record)):
                        return INVARIANT_VIOLATED - number
        for table in sorted(tables & self._of_table.keys()):
            for number, function in self._of_table[table]:
                if not _holds(function(tx, binding.tables[table])):
                    return INVARIANT_VIOLATED - number
        return COMMITTED


def _holds(answer: Any) -> bool:
    if answer is True or answer is False:
        return bool(answer)
    raise TypeError("an invariant returns a bool on every path")
