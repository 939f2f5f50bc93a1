"""The compiled tier's dispatch: one C function for a plugin, in which every handler and invariant runs guarded.

    int64 dispatch(transaction, message, length)

checks the message, calls its handler, then the invariants, stores the outcome in the transaction block and answers
DISPATCH_OK. Nothing escapes from it: a handler's fault is a status code, which is its outcome (`ipc/faults.py`).

Invariants
    The order of what can happen is that of the interpreted tier: header, handler, rejection, invariants of the touched
    records (in the order of first touch, then of declaration), invariants of touched tables; the first one counts.
    A cached dispatch was made of exactly these bytes of the plugin: its content hash is in the key of the cache.

The machine code is loaded into each process; a crash leaves at most a temporary file of the cache.
"""

from __future__ import annotations

import types as python_types
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from statevec.codecs.header_check import make_header_check
from statevec.codecs.native import StructType
from statevec.codecs.native_message import LevelType, whole_message
from statevec.codecs.reader_fields import needs_version
from statevec.codecs.walk import Walk
from statevec.engine.plugin.arithmetic import FUNCTIONS
from statevec.engine.plugin.compile_gates import check_numbers, check_symbols, compiling
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.native_arithmetic import COMPILED
from statevec.engine.plugin.native_kinds import I64, Output, TableType, TransactionType
from statevec.engine.plugin.native_records import make_record, store, store_word
from statevec.engine.plugin.native_tables import ascending, descending, unique, where
from statevec.engine.plugin.native_transaction import emit, tick
from statevec.engine.plugin.output_parts import output_level
from statevec.engine.plugin.rewrite import PREFIX
from statevec.engine.plugin.text_gate import changing_helpers, check_text
from statevec.ipc.faults import COMMITTED, FAULT_STATUS, INVARIANT_VIOLATED, MALFORMED_MESSAGE, NO_HANDLER, PLUGIN_FAULT
from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import region_at
from statevec.journal.entry_layout import TIMER
from statevec.state.arena_layout import ROW_STATUS, USED
from statevec.state.transaction_layout import (
    ARENA_ADDRESS,
    ARENA_SIZE,
    DISPATCH_OK,
    ENTRY_KIND,
    FAULT_INFORMATION,
    OUTCOME,
    REJECT_CODE,
    TIMER_ID,
    TOUCHED_ADDRESS,
    TOUCHED_CAPACITY,
    TOUCHED_COUNT,
    TOUCHED_ENTRY_SIZE,
    TOUCHED_ROW,
    TOUCHED_TABLE,
    TRANSACTION_SIZE,
)

if TYPE_CHECKING:
    from statevec.engine.plugin.loader import LoadedPlugin

I32 = ir.IntType(32)
SURFACE = {"store": store, "unique": unique, "where": where, "ascending": ascending, "descending": descending}
NAMES: dict[str, Any] = {
    **{PREFIX + name: function for name, function in COMPILED.items()},
    **{PREFIX + name: function for name, function in SURFACE.items()},
    PREFIX + "emit": emit,
    PREFIX + "tick": tick,
}
OPTIONS: dict[str, Any] = {"_nrt": False, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of handlers and helpers: only dispatch calls them, so they need no entry from Python or C."""
assert FUNCTIONS.keys() <= COMPILED.keys()


class NativePlugin:
    """A plugin's functions ready to be compiled: Numba types, and dispatchers of handlers and helpers."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        self.loaded = loaded
        self.path = str(loaded.path)
        key = loaded.content_hash
        outputs = {
            name: Output(
                layout,
                loaded.schema.image(layout.name),
                loaded.schema.header.size,
                output_level(loaded.schema, layout.name),
            )
            for name, layout in loaded.outputs_by_attribute.items()
        }
        self.transactions: dict[bool, TransactionType] = {}
        for writable in (True, False):
            tables = {
                record.table: TableType(key, record, loaded.table_number(record.name), writable)
                for record in loaded.declarations.records.values()
            }
            self.transactions[writable] = TransactionType(key, tables, outputs, writable)
        self._namespace: dict[str, Any] = dict(vars(loaded.module)) | NAMES
        self._dispatchers: dict[str, Any] = {}
        for name in loaded.source.functions:
            function = getattr(loaded.module, name)
            rebuilt = python_types.FunctionType(function.__code__, self._namespace, name)
            rebuilt.__module__ = loaded.module.__name__
            self._dispatchers[name] = njit(rebuilt, **OPTIONS)
        self._namespace.update(self._dispatchers)
        for name, value in self._namespace.items():
            if isinstance(value, int) and type(value).__name__ == "Rejection":
                self._namespace[name] = int(value)

    def message_type(self, message: str) -> StructType | LevelType:
        """The read-only view of an input message."""
        layout = self.loaded.schema.messages[message]
        if needs_version(layout):
            return LevelType(layout.name, self.loaded.content_hash, layout, Walk(layout, njit(**OPTIONS)))
        return StructType(layout.name, self.loaded.content_hash, layout.fields, False)

    def compile(self, function: Any, arguments: tuple[Any, ...], wants_bool: bool = False) -> Any:
        """Compile one handler or invariant through all gates; Numba's compile result."""
        dispatcher = self._dispatchers[function.__name__]
        with compiling(self.path):
            dispatcher.compile(arguments)
        result = dispatcher.overloads[arguments]
        line = function.__code__.co_firstlineno
        if wants_bool and result.signature.return_type != types.boolean:
            raise PluginError(f"{function.__name__} is an invariant: it returns a bool on every path", self.path, line)
        check_symbols(result.library, self.path)
        changing = changing_helpers(self._dispatchers.values())
        for each in self._dispatchers.values():
            for compiled in each.overloads.values():
                check_numbers(compiled, self.path)
                check_text(compiled, self.path, changing)
        return result


def guarded_call(context: Any, builder: Any, compiled: Any, arguments: list[Any], transaction: Any) -> tuple[Any, Any]:
    """Generate: the call; its outcome (int64) and its result, which means something when the outcome is COMMITTED."""
    context.active_code_library.add_linking_library(compiled.library)
    status, result = context.call_internal_no_propagate(builder, compiled.fndesc, compiled.signature, arguments)
    outcome = cgutils.alloca_once_value(builder, I64(COMMITTED))
    with cgutils.if_unlikely(builder, status.is_error):
        is_fault = builder.icmp_signed(">=", status.code, I32(FAULT_STATUS))
        fault = builder.sext(builder.sub(I32(FAULT_STATUS), status.code), I64)
        builder.store(builder.select(is_fault, fault, I64(PLUGIN_FAULT)), outcome)
        with builder.if_then(status.is_user_exc):
            store_word(builder, transaction, FAULT_INFORMATION, builder.ptrtoint(status.excinfoptr, I64))
    return builder.load(outcome), result


def _handler_switch(native: NativePlugin) -> Any:
    """An intrinsic (transaction, template id, message, length) -> outcome of the handler."""
    loaded = native.loaded

    def typer(typing_context: Any, transaction: Any, template: Any, message: Any, length: Any) -> Any:
        kind = native.transactions[True]
        kinds = {name: native.message_type(name) for name in loaded.declarations.handlers}
        compiled = {
            loaded.schema.messages[name].id: (kinds[name], native.compile(handler, (kind, kinds[name])))
            for name, handler in loaded.declarations.handlers.items()
        }

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            outcome = cgutils.alloca_once_value(builder, I64(NO_HANDLER))
            end = builder.append_basic_block("handled")
            switch = builder.switch(args[1], end)
            for template_id, (message_type, each) in compiled.items():
                block = builder.append_basic_block(f"template.{template_id}")
                switch.add_case(I64(template_id), block)
                builder.position_at_end(block)
                header = loaded.schema.header
                if isinstance(message_type, LevelType):
                    value, sound = whole_message(context, builder, message_type, header, args[2], args[3])
                    builder.store(I64(MALFORMED_MESSAGE), outcome)
                    going_on = builder.append_basic_block(f"sound.{template_id}")
                    builder.cbranch(sound, going_on, end)
                    builder.position_at_end(going_on)
                else:
                    value = builder.add(args[2], I64(header.size))
                answer, _ = guarded_call(context, builder, each, [args[0], value], args[0])
                builder.store(answer, outcome)
                builder.branch(end)
            builder.position_at_end(end)
            return builder.load(outcome)

        return types.int64(types.int64, types.int64, types.int64, types.int64), codegen

    return intrinsic(typer)


def _timer_call(native: NativePlugin) -> Any:
    """An intrinsic (transaction, timer id) -> outcome of the handler of timers."""
    handler = native.loaded.declarations.timer_handler

    def typer(typing_context: Any, transaction: Any, timer_id: Any) -> Any:
        compiled = None if handler is None else native.compile(handler, (native.transactions[True], types.int64))

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if compiled is None:
                return I64(NO_HANDLER)
            return guarded_call(context, builder, compiled, list(args), args[0])[0]

        return types.int64(types.int64, types.int64), codegen

    return intrinsic(typer)


def _record_checks(native: NativePlugin) -> Any:
    """An intrinsic (transaction, table, row) -> COMMITTED, or outcome of the first invariant the record violates."""
    return _invariant_switch(native, whole_table=False)


def _table_checks(native: NativePlugin) -> Any:
    """An intrinsic (transaction, table, 0) -> COMMITTED, or outcome of the first invariant the table violates."""
    return _invariant_switch(native, whole_table=True)


def _invariant_switch(native: NativePlugin, whole_table: bool) -> Any:
    loaded = native.loaded

    def typer(typing_context: Any, transaction: Any, table: Any, row: Any) -> Any:
        kind = native.transactions[False]
        cases: dict[int, list[tuple[int, Any, Any]]] = {}
        for number, invariant in enumerate(loaded.declarations.invariants):
            if invariant.whole_table == whole_table:
                of_table = kind.tables[loaded.declarations.records[invariant.record].table]
                subject = of_table if whole_table else of_table.read
                compiled = native.compile(invariant.function, (kind, subject), wants_bool=True)
                cases.setdefault(of_table.number, []).append((number, compiled, subject))

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            outcome = cgutils.alloca_once_value(builder, I64(COMMITTED))
            end = builder.append_basic_block("checked")
            switch = builder.switch(args[1], end)
            for table_number, invariants in cases.items():
                block = builder.append_basic_block(f"table.{table_number}")
                switch.add_case(I64(table_number), block)
                builder.position_at_end(block)
                for number, compiled, subject in invariants:
                    value = args[0] if whole_table else make_record(context, builder, subject, args[0], args[2])
                    answer, holds = guarded_call(context, builder, compiled, [args[0], value], args[0])
                    violated = builder.select(holds, I64(COMMITTED), I64(INVARIANT_VIOLATED - number))
                    faulted = builder.icmp_signed("!=", answer, I64(COMMITTED))
                    builder.store(builder.select(faulted, answer, violated), outcome)
                    going_on = builder.append_basic_block(f"holds.{number}")
                    good = builder.icmp_signed("==", builder.load(outcome), I64(COMMITTED))
                    builder.cbranch(good, going_on, end)
                    builder.position_at_end(going_on)
                builder.branch(end)
            builder.position_at_end(end)
            return builder.load(outcome)

        return types.int64(types.int64, types.int64, types.int64), codegen

    return intrinsic(typer)


def _unbound(*arguments: Any) -> int:
    raise NotImplementedError("bound by compile_dispatch")


check_header = handle_message = handle_timer = check_record = check_table = check_invariants = _unbound
last_table = 0
has_invariants = False


def _invariants_template(transaction: int) -> int:
    tx = region_at(transaction, TRANSACTION_SIZE)
    arena = region_at(tx.load_i64(ARENA_ADDRESS), tx.load_i64(ARENA_SIZE))
    touched = region_at(tx.load_i64(TOUCHED_ADDRESS), tx.load_i64(TOUCHED_CAPACITY) * TOUCHED_ENTRY_SIZE)
    count = tx.load_i64(TOUCHED_COUNT)
    tables = 0
    for number in range(count):
        row = touched.load_i64(number * TOUCHED_ENTRY_SIZE + TOUCHED_ROW)
        table = touched.load_i64(number * TOUCHED_ENTRY_SIZE + TOUCHED_TABLE)
        tables |= 1 << table
        if arena.load_i32(row + ROW_STATUS) == USED:
            outcome = check_record(transaction, table, row)
            if outcome != COMMITTED:
                return outcome
    for table in range(last_table + 1):
        if (tables >> table) & 1:
            outcome = check_table(transaction, table, 0)
            if outcome != COMMITTED:
                return outcome
    return COMMITTED


def _dispatch_template(transaction: int, message: int, length: int) -> int:
    tx = region_at(transaction, TRANSACTION_SIZE)
    if tx.load_i64(ENTRY_KIND) == TIMER:
        outcome = handle_timer(transaction, tx.load_i64(TIMER_ID))
    else:
        outcome = check_header(region_at(message, length), length)
        if outcome >= 0:
            outcome = handle_message(transaction, outcome, message, length)
    if outcome == COMMITTED:
        outcome = tx.load_i64(REJECT_CODE)
    if has_invariants and outcome == COMMITTED:
        outcome = check_invariants(transaction)
    tx.store_i64(OUTCOME, outcome)
    return DISPATCH_OK


def compile_dispatch(loaded: LoadedPlugin) -> Any:
    """The plugin's C function, from the cache or compiled through all gates: a Numba CFunc with an `address`."""
    native = NativePlugin(loaded)
    bindings = {
        "check_header": make_header_check(loaded.schema),
        "handle_message": _handler_switch(native),
        "handle_timer": _timer_call(native),
        "check_record": _record_checks(native),
        "check_table": _table_checks(native),
        "last_table": max((loaded.table_number(name) for name in loaded.declarations.records), default=0),
        "has_invariants": bool(loaded.declarations.invariants),
    }
    bindings["check_invariants"] = njit(_rebound(_invariants_template, bindings), **OPTIONS)
    function = _rebound(_dispatch_template, bindings)
    compiled = CFunc(function, ((types.int64,) * 3, types.int64), {}, {"_nrt": False})
    enable_cache(compiled, extra=loaded.content_hash, module=__name__)
    compiled.compile()
    return compiled


def _rebound(template: Any, bindings: dict[str, Any]) -> Any:
    """The template with other globals: in a closure, the cache could not tell two processes' objects apart."""
    return python_types.FunctionType(template.__code__, {**globals(), **bindings}, template.__name__)
