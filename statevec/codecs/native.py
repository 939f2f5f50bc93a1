"""Blocks in compiled code: attributes of a `StructType`, and the constructor that makes one of an address.

    body = struct_at(struct_type)          # once, in Python
    message = body(address)                # in a kernel or C callback
    message.price, message.side == Side.BUY, message.symbol == b"EURUSD", message.limit is None
    request.price = 5                      # checked; fault VALUE_OUT_OF_RANGE
    assign_field(request, "price", value)  # the same; refuses a float for an integer when it is compiled

`request.price = 1.5` in compiled code is cut to 1 before any code of ours sees it (Numba casts to the type that
reading gives), so who compiles foreign code rewrites assignments into `assign_field`.

Invariants
    A struct value is an address for whose memory the caller answers; a nested composite is an address inside it.
    Both tiers agree: `accessors.view_class` gives Python objects of the same behaviour.

Everything lives in registers: a crash leaves nothing behind.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import types
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_cast, overload

from statevec.codecs.layout import TAKEN_BY_CHOICES, attribute_name
from statevec.codecs.native_field import (
    bytes_as_chars,
    chars_length,
    check_assignable,
    fault,
    is_text,
    load_field,
    store_field,
    text_parts,
)
from statevec.codecs.native_types import (
    CHARS,
    AddressModel,
    CharsType,
    ChoicesType,
    DataType,
    FieldTypeError,
    StructType,
    field_type,
    live_type,
)
from statevec.ipc.atomics import BYTE_POINTER, I1, I64

__all__ = [
    "CHARS",
    "AddressModel",
    "CharsType",
    "ChoicesType",
    "FieldTypeError",
    "StructType",
    "assign_field",
    "bytes_as_chars",
    "chars_length",
    "check_assignable",
    "fault",
    "field_type",
    "live_type",
    "load_field",
    "store_field",
    "struct_address",
    "struct_at",
]


@infer_getattr
class _StructAttributes(AttributeTemplate):
    key = StructType

    def generic_resolve(self, struct: StructType, name: str) -> Any:
        return struct.attribute_type(name)


@lower_getattr_generic(StructType)
def _load_attribute(context: Any, builder: Any, struct: StructType, address: Any, name: str) -> Any:
    return load_field(context, builder, address, struct.field(name))


@lower_setattr_generic(StructType)
def _store_attribute(context: Any, builder: Any, signature: Any, args: Any, name: str) -> None:
    struct = signature.args[0]
    store_field(context, builder, args[0], struct.check_writable(name), args[1], signature.args[1])


def _choice_bits(choices: ChoicesType) -> dict[str, int]:
    return {attribute_name(name, TAKEN_BY_CHOICES): bit for name, bit in choices.layout.choices}


@infer_getattr
class _ChoicesAttributes(AttributeTemplate):
    key = ChoicesType

    def generic_resolve(self, choices: ChoicesType, name: str) -> Any:
        names = _choice_bits(choices)
        if name not in names:
            raise FieldTypeError(f"set {choices.layout.name} has no choice '{name}' (choices: {', '.join(names)})")
        return types.boolean


@lower_getattr_generic(ChoicesType)
def _load_choice(context: Any, builder: Any, choices: ChoicesType, value: Any, name: str) -> Any:
    bit = _choice_bits(choices)[name]
    return builder.trunc(builder.lshr(value, I64(bit)), I1)


@lower_cast(ChoicesType, types.Integer)
def _choices_to_integer(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return context.cast(builder, value, types.int64, target)


@lower_cast(types.Integer, ChoicesType)
def _integer_to_choices(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return context.cast(builder, value, source, types.int64)


@lower_cast(CharsType, CharsType)
def _chars_to_live(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return value


@lower_cast(types.Bytes, CharsType)
def _bytes_to_chars(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    return bytes_as_chars(context, builder, value, source)


@cache
def struct_at(struct_type: StructType) -> Callable[[int], Any]:
    """An intrinsic `address -> struct` for use in kernels and C callbacks."""

    def typer(typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return args[0]

        return struct_type(types.int64), codegen

    return intrinsic(typer)


@intrinsic
def struct_address(typing_context: Any, struct: Any) -> Any:
    """The address (int64) of a struct."""
    if not isinstance(struct, StructType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0]

    return types.int64(struct), codegen


def assign_field(struct: Any, name: str, value: Any) -> None:
    """Assign `value` to the field `name` (a literal) of `struct`, with a check of its type; see the module."""
    setattr(struct, name, value)


@intrinsic(prefer_literal=True)
def _assign_field(typing_context: Any, struct: Any, name: Any, value: Any) -> Any:
    field = struct.check_writable(name.literal_value)
    check_assignable(field, value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store_field(context, builder, args[0], field, args[2], signature.args[2])
        return context.get_dummy_value()

    return types.void(struct, name, value), codegen


@overload(assign_field, prefer_literal=True, inline="never")
def _assign_field_overload(struct, name, value):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    if not isinstance(struct, StructType) or not isinstance(name, types.StringLiteral):
        return None
    check_assignable(struct.check_writable(name.literal_value), value)
    return lambda struct, name, value: _assign_field(struct, name, value)


@intrinsic
def _text_length(typing_context: Any, text: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return text_parts(context, builder, args[0], signature.args[0])[1]

    return types.int64(text), codegen


@intrinsic
def _chars_equal(typing_context: Any, left: Any, right: Any) -> Any:
    """Whether two texts are equal; either is `CHARS`, `DATA` or `bytes`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = [text_parts(context, builder, value, kind) for value, kind in zip(args, signature.args, strict=True)]
        return _equal_bytes(builder, *parts[0], *parts[1])

    return types.boolean(left, right), codegen


def _equal_bytes(builder: Any, left: Any, left_length: Any, right: Any, right_length: Any) -> Any:
    """A loop of our own: `memcmp` would be an external symbol in a handler that may have none."""
    entry = builder.block
    head, body, done = (builder.function.append_basic_block(f"equal_{name}") for name in ("head", "body", "done"))
    builder.cbranch(builder.icmp_signed("==", left_length, right_length), head, done)
    builder.position_at_end(head)
    index = builder.phi(I64, "index")
    index.add_incoming(I64(0), entry)
    builder.cbranch(builder.icmp_signed("<", index, left_length), body, done)
    builder.position_at_end(body)
    bytes_at = [builder.load(builder.inttoptr(builder.add(base, index), BYTE_POINTER)) for base in (left, right)]
    index.add_incoming(builder.add(index, I64(1)), body)
    builder.cbranch(builder.icmp_unsigned("==", *bytes_at), head, done)
    builder.position_at_end(done)
    result = builder.phi(I1, "equal")
    for block, value in ((entry, 0), (head, 1), (body, 0)):
        result.add_incoming(I1(value), block)
    return result


def _is_text(*kinds: Any) -> bool:
    return all(is_text(each) for each in kinds) and any(isinstance(each, CharsType | DataType) for each in kinds)


@overload(len)
def _chars_len(chars):  # type: ignore[no-untyped-def]
    if isinstance(chars, CharsType | DataType):
        return lambda chars: _text_length(chars)
    return None


@overload(operator.eq)
def _chars_eq(left, right):  # type: ignore[no-untyped-def]
    if _is_text(left, right):
        return lambda left, right: _chars_equal(left, right)
    return None


@overload(operator.ne)
def _chars_ne(left, right):  # type: ignore[no-untyped-def]
    if _is_text(left, right):
        return lambda left, right: not _chars_equal(left, right)
    return None
