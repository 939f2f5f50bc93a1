"""`tx` in compiled handlers: tables, time, ids, timers, rejections, outputs, and the budget of loops.

`__emit` and `__tick` are what `tx.emit.message(…)` and the heads of loops are rewritten to.

An output is encoded where it will stay: in the entry, behind the outputs before it. Its frame is

    int32 length | int32 index | int64 expires_ns | message header | block | groups and data | zero padding to 8 bytes

with optional fields null, groups and data empty and all else zero, until the handler assigns them. Groups and data are
written by `output_kernels`. A crash leaves it above the appended position, where nobody reads.
"""

from __future__ import annotations

import inspect
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, signature
from numba.extending import infer_getattr, intrinsic

from statevec.engine.plugin import operations
from statevec.engine.plugin.native_arithmetic import PluginTypeError, describe, fault_when, is_integer
from statevec.engine.plugin.native_kinds import I64, EmitType, OutputLevelType, TransactionType
from statevec.engine.plugin.native_output import make_output_level
from statevec.engine.plugin.native_records import call_operation, load_word, store_word
from statevec.engine.plugin.output_kernels import open_output
from statevec.ipc.faults import BUDGET_EXHAUSTED, CAPACITY_EXHAUSTED
from statevec.journal.entry_layout import OUTPUT_EXPIRES_NS, OUTPUT_MESSAGE
from statevec.state import transaction_layout as layout

I8 = ir.IntType(8)
WORDS = {"now_ns": layout.NOW_NS, "sequence": layout.SEQUENCE}


def _method(name: str, operation: Any, result: Any, names: tuple[str, ...]) -> Any:
    """The typing template of a method whose arguments are integers, and its code."""

    class Method(AbstractTemplate):
        key = f"plugin.transaction.{name}"

        def generic(self, args: Any, kws: Any) -> Any:
            transaction = self.this
            transaction.check_writable(name)
            given = dict(zip(names, args, strict=False)) | kws
            if len(args) + len(kws) != len(names) or set(given) != set(names):
                raise PluginTypeError(f"tx.{name} takes {', '.join(names) if names else 'no arguments'}")
            for each, kind in given.items():
                if not is_integer(kind):
                    raise PluginTypeError(f"{each} of tx.{name} is an integer, not {describe(kind)}")
            parameters = [inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in names]
            made = signature(result, *[types.int64] * len(names), recvr=transaction)
            return made.replace(pysig=inspect.Signature(parameters))

    @lower_builtin(Method.key, TransactionType, *[types.int64] * len(names))
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        answer = call_operation(context, builder, operation, result, list(args))
        return context.get_dummy_value() if result == types.void else answer

    return Method


_TEMPLATES = {
    "reject": _method("reject", operations.reject, types.void, ("code",)),
    "next_id": _method("next_id", operations.take_id, types.int64, ()),
    "set_timer": _method("set_timer", operations.start_timer, types.void, ("id", "at_ns")),
    "cancel_timer": _method("cancel_timer", operations.stop_timer, types.boolean, ("id",)),
}


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
        if name not in _TEMPLATES:
            known = ", ".join([*transaction.tables, *WORDS, "emit", *_TEMPLATES])
            raise PluginTypeError(f"the transaction has no {name!r} (it has: {known})")
        return types.BoundFunction(_TEMPLATES[name], transaction)


@lower_getattr_generic(TransactionType)
def _load_attribute(context: Any, builder: Any, transaction: TransactionType, value: Any, name: str) -> Any:
    return load_word(builder, value, WORDS[name]) if name in WORDS else value


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
    if not isinstance(name, types.StringLiteral):
        return None  # Numba asks once with literals and once without
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
        address = builder.add(frame, I64(OUTPUT_MESSAGE + output.header_size))
        if not isinstance(body, OutputLevelType):
            store_word(builder, block, layout.OPEN_LEVELS, I64(0))
            return address
        arguments = [block, frame, I64(len(output.image)), address]
        call_operation(context, builder, open_output, types.void, arguments)
        return make_output_level(context, builder, body, address, block)

    return body(transaction, name, types.int64), codegen
