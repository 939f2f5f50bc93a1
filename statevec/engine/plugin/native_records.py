"""Records in compiled handlers: reading a field, and `__store`, to which every assignment of a field is rewritten.

Invariants
    A plain field is one load or store. An indexed field goes through the state package, so that its index follows.
    What a field can never hold is refused when the handler is compiled, a value out of its range is the fault
    VALUE_OUT_OF_RANGE; None into a field that is not optional is one too.

A crash leaves nothing: records lie in the arena of the process.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global
from numba.extending import infer_getattr, intrinsic, lower_cast

from statevec.codecs.layout import FieldLayout
from statevec.codecs.native import StructType, check_assignable, live_type, load_field, store_field
from statevec.codecs.native_field import is_text, text_parts
from statevec.engine.plugin.native_arithmetic import PluginTypeError, describe, fault_when
from statevec.engine.plugin.native_kinds import I64, OutputLevelType, RecordType
from statevec.engine.plugin.operations import assign_indexed, count_records, find_record, read_record
from statevec.engine.plugin.output_kernels import put_data
from statevec.engine.plugin.output_parts import OutputPart
from statevec.ipc.faults import VALUE_OUT_OF_RANGE
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.transaction_layout import ARENA_ADDRESS

INLINED = (find_record, read_record, count_records)


def load_word(builder: Any, address: Any, offset: int) -> Any:
    """Generate: the int64 at `address` + `offset`."""
    return builder.load(builder.inttoptr(builder.add(address, I64(offset)), I64.as_pointer()))


def store_word(builder: Any, address: Any, offset: int, value: Any) -> None:
    """Generate: store an int64 at `address` + `offset`."""
    builder.store(value, builder.inttoptr(builder.add(address, I64(offset)), I64.as_pointer()))


def make_record(context: Any, builder: Any, kind: RecordType, transaction: Any, row: Any) -> Any:
    """Generate: the record of a row."""
    made = cgutils.create_struct_proxy(kind)(context, builder)
    arena = load_word(builder, transaction, ARENA_ADDRESS)
    made.address = builder.add(builder.add(arena, row), I64(ROW_HEADER_SIZE))
    made.transaction = transaction
    return made._getvalue()


@lower_cast(RecordType, RecordType)
def _read_only(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return value


@infer_getattr
class _RecordAttributes(AttributeTemplate):
    key = RecordType

    def generic_resolve(self, record: RecordType, name: str) -> Any:
        return live_type(record.field(name))


@lower_getattr_generic(RecordType)
def _load_attribute(context: Any, builder: Any, record: RecordType, value: Any, name: str) -> Any:
    return load_field(context, builder, builder.extract_value(value, 0), record.field(name))


@infer_global(operator.eq)
@infer_global(operator.ne)
class _NoComparison(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if any(isinstance(each, RecordType) for each in args):
            raise PluginTypeError("records are not compared: compare their keys")


@infer_global(operator.truth)
class _NoTruth(AbstractTemplate):
    """Only a bool or a number is a condition: of all else one would have to know what of 0, nothing, empty is meant."""

    def generic(self, args: Any, kws: Any) -> Any:
        kind = args[0]
        hint = ""
        if isinstance(kind, types.Optional):
            hint = "compare it with None, or with a value"
        elif isinstance(kind, types.IntEnumMember):
            hint = "compare it with a member"
        elif is_text(kind):
            hint = 'compare it with b""'
        elif isinstance(kind, StructType) or hasattr(kind, "words"):
            hint = "compare a field of it, or what len() gives"
        if hint:
            raise PluginTypeError(f"{describe(kind)} is neither true nor false: {hint}")


@intrinsic(prefer_literal=True)
def store(typing_context: Any, target: Any, name: Any, value: Any) -> Any:
    """`target.name = value`, checked; `name` is a literal."""
    if not isinstance(name, types.StringLiteral):
        return None  # Numba asks once with literals and once without
    owner = target.type if isinstance(target, types.Optional) else target
    kind = types.unliteral(value)
    if isinstance(owner, OutputLevelType):
        return _store_output(owner, owner.assignable(name.literal_value), name, kind)
    if isinstance(owner, RecordType):
        field = owner.assignable(name.literal_value)
    elif isinstance(owner, StructType):
        field = owner.check_writable(name.literal_value)
    else:
        raise PluginTypeError(f"{describe(owner)} has no fields to assign")
    check_assignable(field, kind)

    def codegen(context: Any, builder: Any, signature: Any, args: Any, loc: Any) -> Any:
        if isinstance(owner, StructType):
            store_field(context, builder, args[0], field, args[2], kind)
        elif field.name in owner.index_numbers:
            _store_indexed(context, builder, owner, field, args[0], args[2], kind, loc)
        else:
            store_field(context, builder, builder.extract_value(args[0], 0), field, args[2], kind)
        return context.get_dummy_value()

    return types.void(owner, name, kind), codegen


def _store_output(owner: OutputLevelType, target: FieldLayout | OutputPart, name: Any, kind: Any) -> Any:
    """What `store` is for a field or the data of an output with groups or data."""
    if isinstance(target, FieldLayout):
        check_assignable(target, kind)
    elif not is_text(kind):
        raise PluginTypeError(f"{name.literal_value!r} of {owner.level.path} takes text, not {describe(kind)}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any, loc: Any) -> Any:
        address, transaction = (builder.extract_value(args[0], number) for number in range(2))
        if isinstance(target, FieldLayout):
            store_field(context, builder, address, target, args[2], kind)
        else:
            source, length = text_parts(context, builder, args[2], kind)
            arguments = [transaction, address, part_address(builder, target), source, length]
            call_operation(context, builder, put_data, types.void, arguments)
        return context.get_dummy_value()

    return types.void(owner, name, kind), codegen


def part_address(builder: Any, part: OutputPart) -> Any:
    """Generate: the address of a part's descriptor, a constant."""
    constant = cgutils.global_constant(builder, "output_part", cgutils.make_bytearray(bytearray(part.descriptor)))
    return builder.ptrtoint(constant, I64)


def _store_indexed(
    context: Any, builder: Any, owner: RecordType, field: FieldLayout, record: Any, value: Any, kind: Any, place: Any
) -> None:
    if isinstance(kind, types.Optional):
        optional = context.make_helper(builder, kind, value)
        fault_when(context, builder, builder.not_(optional.valid), VALUE_OUT_OF_RANGE, place)
        value, kind = optional.data, kind.type
    word = context.cast(builder, value, kind, types.int64)
    check_listed(context, builder, field, word, place)
    transaction = builder.extract_value(record, 1)
    arena = load_word(builder, transaction, ARENA_ADDRESS)
    row = builder.sub(builder.sub(builder.extract_value(record, 0), arena), I64(ROW_HEADER_SIZE))
    arguments = [transaction, I64(owner.number), row, I64(owner.index_numbers[field.name]), word]
    call_operation(context, builder, assign_indexed, types.void, arguments)


def check_listed(context: Any, builder: Any, field: FieldLayout, word: Any, place: Any = None) -> None:
    """Generate: fault VALUE_OUT_OF_RANGE if the field is an enum that does not list the number."""
    if field.enum is None:
        return
    known = cgutils.false_bit
    for _, number in field.enum.values:
        known = builder.or_(known, builder.icmp_signed("==", word, I64(number)))
    fault_when(context, builder, builder.not_(known), VALUE_OUT_OF_RANGE, place)


def call_operation(context: Any, builder: Any, operation: Any, result: Any, arguments: list[Any]) -> Any:
    """Generate: a call of a kernel on int64s; its fault leaves the function.

    Only the small kernels may be inlined: copies of the others in every handler would cost seconds of compilation.
    """
    compiled = operation.get_compile_result(result(*[types.int64] * len(arguments)))
    signature = compiled.signature
    context.active_code_library.add_linking_library(compiled.library)
    function = context.declare_function(builder.module, compiled.fndesc)
    attributes = () if operation in INLINED else ("noinline",)
    status, answer = context.call_conv.call_function(
        builder, function, signature.return_type, signature.args, arguments, attributes
    )
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return answer
