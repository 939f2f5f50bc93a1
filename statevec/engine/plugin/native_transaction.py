"""`tx` in compiled handlers: tables, time, ids, timers, rejections, outputs, and the budget of loops.

`__emit` and `__tick` are what `tx.emit.message(…)` and the heads of loops are rewritten to.

An output is encoded where it will stay: in the entry, behind the outputs before it. Its frame is

    int32 length | int32 index | int64 expires_ns | message header | block | zero padding to 8 bytes

with optional fields null and all else zero, until the handler assigns them. A crash leaves it above the appended
position, where nobody reads.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, overload_method

from statevec.engine.plugin import operations
from statevec.engine.plugin.native_arithmetic import NATIVE, PluginTypeError, describe, fault_when, is_integer
from statevec.engine.plugin.native_kinds import I64, EmitType, TransactionType
from statevec.engine.plugin.native_records import call_operation, load_word, store_word
from statevec.ipc.faults import BUDGET_EXHAUSTED, CAPACITY_EXHAUSTED
from statevec.journal.entry_layout import OUTPUT_EXPIRES_NS, OUTPUT_MESSAGE
from statevec.state import transaction_layout as layout

I8 = ir.IntType(8)
WORDS = {"now_ns": layout.NOW_NS, "sequence": layout.SEQUENCE}
METHODS = ("reject", "next_id", "set_timer", "cancel_timer")
word = NATIVE["word"]


@infer_getattr
class _TransactionAttributes(AttributeTemplate):
    key = TransactionType

    def generic_resolve(self, transaction: TransactionType, name: str) -> Any:
        if name in transaction.tables:
            return transaction.tables[name]
        if name in WORDS:
            return types.int64
        if name == "emit":
            return EmitType(transaction.content_key)
        if name not in METHODS:
            known = ", ".join([*transaction.tables, *WORDS, "emit", *METHODS])
            raise PluginTypeError(f"the transaction has no {name!r} (it has: {known})")
        return None


@lower_getattr_generic(TransactionType)
def _load_attribute(context: Any, builder: Any, transaction: TransactionType, value: Any, name: str) -> Any:
    return load_word(builder, value, WORDS[name]) if name in WORDS else value


def _on_transaction(operation: Any, result: Any, count: int) -> Any:
    """An intrinsic (transaction, …) that calls `operation` with `count` further integers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_operation(context, builder, operation, result, list(args))

    def typer(transaction: Any) -> Any:
        return result(transaction, *[types.int64] * count), codegen

    if count == 0:
        return intrinsic(lambda typing_context, transaction: typer(transaction))
    if count == 1:
        return intrinsic(lambda typing_context, transaction, a: typer(transaction))
    return intrinsic(lambda typing_context, transaction, a, b: typer(transaction))


_reject = _on_transaction(operations.reject, types.void, 1)
_take_id = _on_transaction(operations.take_id, types.int64, 0)
_start_timer = _on_transaction(operations.start_timer, types.void, 2)
_stop_timer = _on_transaction(operations.stop_timer, types.boolean, 1)


@overload_method(TransactionType, "reject")
def _reject_method(tx, code):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    tx.check_writable("reject")
    return lambda tx, code: _reject(tx, word(code))


@overload_method(TransactionType, "next_id")
def _next_id_method(tx):  # type: ignore[no-untyped-def]
    tx.check_writable("next_id")
    return lambda tx: _take_id(tx)


@overload_method(TransactionType, "set_timer")
def _set_timer_method(tx, id, at_ns):  # type: ignore[no-untyped-def]
    tx.check_writable("set_timer")
    return lambda tx, id, at_ns: _start_timer(tx, word(id), word(at_ns))


@overload_method(TransactionType, "cancel_timer")
def _cancel_timer_method(tx, id):  # type: ignore[no-untyped-def]
    tx.check_writable("cancel_timer")
    return lambda tx, id: _stop_timer(tx, word(id))


@intrinsic
def tick(typing_context: Any, transaction: Any) -> Any:
    """One loop turn less; fault BUDGET_EXHAUSTED when none is left."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any, loc: Any) -> Any:
        left = builder.sub(load_word(builder, args[0], layout.BUDGET), I64(1))
        store_word(builder, args[0], layout.BUDGET, left)
        fault_when(context, builder, builder.icmp_signed("<", left, I64(0)), BUDGET_EXHAUSTED, loc)
        return context.get_dummy_value()

    return types.void(transaction), codegen


def output_length(image: bytes) -> int:
    """Bytes of an output's frame in the entry."""
    return (OUTPUT_MESSAGE + len(image) + 7) & ~7


@intrinsic(prefer_literal=True)
def emit(typing_context: Any, transaction: Any, name: Any, expires_ns: Any) -> Any:
    """A new output, ready for its fields: fault CAPACITY_EXHAUSTED when the entry has no room for it."""
    if not isinstance(transaction, TransactionType):
        raise PluginTypeError(f"outputs are emitted by the transaction, not by {describe(transaction)}")
    transaction.check_writable("emit")
    if not is_integer(expires_ns):
        raise PluginTypeError(f"expires_ns is an integer, not {describe(expires_ns)}")
    output = transaction.outputs[name.literal_value]
    body = transaction.output_type(name.literal_value)
    length = output_length(output.image)
    content = bytearray(output.image) + bytearray(length - OUTPUT_MESSAGE - len(output.image))

    def codegen(context: Any, builder: Any, signature: Any, args: Any, loc: Any) -> Any:
        block = args[0]
        used = load_word(builder, block, layout.OUTPUT_USED)
        end = builder.add(used, I64(length))
        full = builder.icmp_signed(">", end, load_word(builder, block, layout.OUTPUT_SIZE))
        with cgutils.if_unlikely(builder, full):
            store_word(builder, block, layout.SPACE_EXHAUSTED, I64(1))
        fault_when(context, builder, full, CAPACITY_EXHAUSTED, loc)
        count = load_word(builder, block, layout.OUTPUT_COUNT)
        frame = builder.add(load_word(builder, block, layout.OUTPUT_ADDRESS), used)
        store_word(builder, frame, 0, builder.or_(I64(length), builder.shl(count, I64(32))))
        store_word(builder, frame, OUTPUT_EXPIRES_NS, args[2])
        constant = cgutils.global_constant(builder, "output_image", cgutils.make_bytearray(content))
        target = builder.inttoptr(builder.add(frame, I64(OUTPUT_MESSAGE)), I8.as_pointer())
        cgutils.raw_memcpy(builder, target, builder.bitcast(constant, I8.as_pointer()), I64(len(content)), 1)
        store_word(builder, block, layout.OUTPUT_USED, end)
        store_word(builder, block, layout.OUTPUT_COUNT, builder.add(count, I64(1)))
        return builder.add(frame, I64(OUTPUT_MESSAGE + output.header_size))

    return body(transaction, name, types.int64), codegen
