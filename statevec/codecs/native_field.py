"""Machine code that loads and stores one field of a block: what `native` and the plugin contract's views generate.

Invariants
    A loaded integer is a signed 64-bit value (u64: its bits); a float a double; a null of an optional field is None.
    A store checks the value against the field's limits before it writes a byte, and leaves the function with
    the fault VALUE_OUT_OF_RANGE if it does not fit; stored NaNs are the canonical one.
    Loads and stores assume no alignment. The caller answers for the address.

Byte order: big-endian fields are swapped on the way, floats included.
"""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from statevec.codecs.layout import FieldLayout
from statevec.codecs.native_types import CHARS, CharsType, ChoicesType, DataType, FieldTypeError, field_type
from statevec.ipc.atomics import BYTE_POINTER, DOUBLE, FLOAT, I1, I8, I32, I64
from statevec.ipc.faults import FAULT_STATUS, FAULTS, VALUE_OUT_OF_RANGE
from statevec.ipc.memory import signed64

CANONICAL_NAN = 0x7FF8000000000000


def fault(context: Any, builder: Any, condition: Any, outcome: int = VALUE_OUT_OF_RANGE) -> None:
    """Leave the function with the fault of `outcome` if `condition` holds."""
    with cgutils.if_unlikely(builder, condition):
        context.call_conv.set_static_user_exc(builder, FAULTS[outcome], ())
        context.call_conv._return_errcode_raw(builder, I32(FAULT_STATUS - outcome))


def _swapped(builder: Any, field: FieldLayout, word: Any) -> Any:
    if field.byte_order == "little" or field.primitive.size == 1:
        return word
    function = builder.module.declare_intrinsic("llvm.bswap", [word.type])
    return builder.call(function, [word])


def _load_element(builder: Any, field: FieldLayout, address: Any) -> Any:
    """The element at `address` as int64 or double."""
    primitive = field.primitive
    kind = ir.IntType(8 * primitive.size)
    word = _swapped(builder, field, builder.load(builder.inttoptr(address, kind.as_pointer()), align=1))
    if primitive.kind == "float":
        if primitive.size == 8:
            return builder.bitcast(word, DOUBLE)
        return builder.fpext(builder.bitcast(word, FLOAT), DOUBLE)
    if primitive.size == 8:
        return word
    return builder.sext(word, I64) if primitive.signed else builder.zext(word, I64)


def _store_element(builder: Any, field: FieldLayout, address: Any, value: Any) -> None:
    """Store an int64 or double, already checked, at `address`."""
    primitive = field.primitive
    kind = ir.IntType(8 * primitive.size)
    if primitive.kind == "float":
        nan = builder.fcmp_unordered("uno", value, value)
        canonical = builder.bitcast(I64(CANONICAL_NAN), DOUBLE)
        value = builder.select(nan, canonical, value)
        if primitive.size == 4:
            value = builder.fptrunc(value, FLOAT)
        word = builder.bitcast(value, kind)
    else:
        word = value if primitive.size == 8 else builder.trunc(value, kind)
    builder.store(_swapped(builder, field, word), builder.inttoptr(address, kind.as_pointer()), align=1)


def _null_word(field: FieldLayout) -> int | float:
    """The null of an optional field in the form in which `_load_element` gives it."""
    null = field.null if field.null is not None else field.primitive.null
    return float(null) if field.primitive.kind == "float" else signed64(int(null))


def _is_null(builder: Any, field: FieldLayout, value: Any) -> Any:
    null = _null_word(field)
    if isinstance(null, float):
        if null != null:
            return builder.fcmp_unordered("uno", value, value)
        return builder.fcmp_ordered("==", value, DOUBLE(null))
    return builder.icmp_signed("==", value, I64(null))


def load_field(context: Any, builder: Any, address: Any, field: FieldLayout) -> Any:
    """The value of `field` in the block at `address` (an int64), of type `field_type(field)`."""
    kind = field.kind
    if kind == "composite":
        return builder.add(address, I64(field.offset))  # one without bytes too: its constants need no memory
    if field.presence == "constant":
        return _constant(context, builder, field)
    place = builder.add(address, I64(field.offset))
    if kind == "chars":
        return make_chars(context, builder, place, I64(field.length))
    if kind == "array":
        size = field.primitive.size
        elements = [_load_element(builder, field, builder.add(place, I64(n * size))) for n in range(field.length)]
        return context.make_tuple(builder, field_type(field), elements)
    value = _load_element(builder, field, place)
    if kind == "bool":
        return builder.icmp_unsigned("!=", value, I64(0))
    target = field_type(field)
    if not isinstance(target, types.Optional):
        return value
    optional = context.make_helper(builder, target)
    optional.valid = builder.not_(_is_null(builder, field, value))
    optional.data = value
    return optional._getvalue()


def make_chars(context: Any, builder: Any, address: Any, capacity: Any) -> Any:
    """A value of type `CHARS`."""
    made = cgutils.create_struct_proxy(CHARS)(context, builder)
    made.address, made.capacity = address, capacity
    return made._getvalue()


def _constant(context: Any, builder: Any, field: FieldLayout) -> Any:
    value = field.constant
    if isinstance(value, str):
        content = bytearray(value.encode(field.encoding))
        variable = cgutils.global_constant(builder, "constant_chars", cgutils.make_bytearray(content))
        return make_chars(context, builder, builder.ptrtoint(variable, I64), I64(len(content)))
    if field.primitive.kind == "float":
        return DOUBLE(value)
    assert value is not None
    return I64(signed64(int(value)))


def store_field(context: Any, builder: Any, address: Any, field: FieldLayout, value: Any, value_type: Any) -> None:
    """Store `value` of Numba type `value_type` into `field` of the block at `address`, checked.

    Raises `FieldTypeError`, when the code is compiled, for a type that the field can never hold.
    """
    value_type = types.unliteral(value_type)
    place = builder.add(address, I64(field.offset))
    if isinstance(value_type, types.NoneType):
        check_assignable(field, value_type)
        _store_null(builder, field, place)
    elif isinstance(value_type, types.Optional):
        optional = context.make_helper(builder, value_type, value)
        if field.presence == "optional":
            with builder.if_else(optional.valid) as (then, otherwise):
                with then:
                    store_field(context, builder, address, field, optional.data, value_type.type)
                with otherwise:
                    _store_null(builder, field, place)
        else:
            fault(context, builder, builder.not_(optional.valid))
            store_field(context, builder, address, field, optional.data, value_type.type)
    else:
        check_assignable(field, value_type)
        _store_value(context, builder, place, field, value, value_type)


def check_assignable(field: FieldLayout, value_type: Any) -> None:
    """Raise `FieldTypeError` if no value of `value_type` fits into `field`."""
    value_type = types.unliteral(value_type)
    kind = field.kind
    number = isinstance(value_type, types.Integer | types.Boolean | types.IntEnumMember | ChoicesType)
    if isinstance(value_type, types.Optional):
        return check_assignable(field, value_type.type)
    if isinstance(value_type, types.NoneType):
        fits = field.presence == "optional" and kind in ("integer", "float", "enum")
    elif kind == "chars":
        fits = is_text(value_type)
    elif kind == "array":
        fits = isinstance(value_type, types.BaseTuple) and len(value_type) == field.length
        if fits:
            element = FieldLayout(field.name, 0, field.primitive)
            for each in value_type:
                check_assignable(element, each)
    elif kind == "float":
        fits = number or isinstance(value_type, types.Float)
    elif kind == "enum":
        same = not isinstance(value_type, types.IntEnumMember) or (
            field.enum is not None and value_type.instance_class is field.enum.enum_class
        )
        fits = number and same
    else:
        fits = number
    if not fits:
        what = {"set": "set", "enum": "enum"}.get(
            kind, "text" if kind == "chars" else f"{kind} ({field.primitive.name})"
        )
        raise FieldTypeError(
            f"a value of type {value_type} cannot be assigned to field '{field.name}', which is {what}"
        )
    return None


def _store_null(builder: Any, field: FieldLayout, place: Any) -> None:
    null = _null_word(field)
    _store_element(builder, field, place, DOUBLE(null) if isinstance(null, float) else I64(null))


def _store_value(context: Any, builder: Any, place: Any, field: FieldLayout, value: Any, value_type: Any) -> None:
    kind = field.kind
    if kind == "chars":
        _store_chars(context, builder, place, field, value, value_type)
    elif kind == "array":
        elements = cgutils.unpack_tuple(builder, value, field.length)
        # all are checked before the first is stored: a fault leaves the field as it was
        checked = [
            _checked(context, builder, field, element, each) for element, each in zip(elements, value_type, strict=True)
        ]
        for number, each in enumerate(checked):
            _store_element(builder, field, builder.add(place, I64(number * field.primitive.size)), each)
    else:
        _store_element(builder, field, place, _checked(context, builder, field, value, value_type))


def _checked(context: Any, builder: Any, field: FieldLayout, value: Any, value_type: Any) -> Any:
    """The value as int64 or double, behind the checks of `field`."""
    value_type = types.unliteral(value_type)
    if field.primitive.kind == "float" and field.enum is None:
        number = _as_double(context, builder, value, value_type)
        _check_double(context, builder, field, number)
        return number
    word = value if isinstance(value_type, ChoicesType) else context.cast(builder, value, value_type, types.int64)
    if field.enum is not None:
        known = I1(0)
        for valid in sorted({number for _, number in field.enum.values}):
            known = builder.or_(known, builder.icmp_signed("==", word, I64(signed64(valid))))
        fault(context, builder, builder.not_(known))
        return word
    low, high = field.limits
    unsigned64 = field.primitive.size == 8 and not field.primitive.signed
    compare = builder.icmp_unsigned if unsigned64 else builder.icmp_signed
    bad = I1(0)
    if low > (0 if unsigned64 else -(1 << 63)):
        bad = builder.or_(bad, compare("<", word, I64(signed64(low))))
    if high < (1 << 64 if unsigned64 else 1 << 63) - 1:
        bad = builder.or_(bad, compare(">", word, I64(signed64(high))))
    if field.presence == "optional" and field.kind == "integer":
        bad = builder.or_(bad, _is_null(builder, field, word))
    fault(context, builder, bad)
    return word


def _as_double(context: Any, builder: Any, value: Any, value_type: Any) -> Any:
    if isinstance(value_type, types.Float):
        return context.cast(builder, value, value_type, types.float64)
    word = value if isinstance(value_type, ChoicesType) else context.cast(builder, value, value_type, types.int64)
    return builder.sitofp(word, DOUBLE)


def _check_double(context: Any, builder: Any, field: FieldLayout, number: Any) -> None:
    bad = I1(0)
    if field.primitive.size == 4:  # finite, but infinite as a float: the same rule as Python's struct
        largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
        edge = largest * (1 + 2**-25)  # what rounds to infinity begins at half a unit above the largest
        magnitude = builder.call(builder.module.declare_intrinsic("llvm.fabs", [DOUBLE]), [number])
        finite = builder.fcmp_ordered("<", magnitude, DOUBLE(float("inf")))
        bad = builder.and_(finite, builder.fcmp_ordered(">=", magnitude, DOUBLE(edge)))
    if field.minimum is not None:
        bad = builder.or_(bad, builder.fcmp_ordered("<", number, DOUBLE(float(field.minimum))))
    if field.maximum is not None:
        bad = builder.or_(bad, builder.fcmp_ordered(">", number, DOUBLE(float(field.maximum))))
    fault(context, builder, bad)


def _store_chars(context: Any, builder: Any, place: Any, field: FieldLayout, value: Any, value_type: Any) -> None:
    """Copy text, NUL-padded. Source and target are whole fields, so they are the same or do not overlap."""
    source, length = text_parts(context, builder, value, value_type)
    fault(context, builder, builder.icmp_signed(">", length, I64(field.length)))
    move = builder.module.declare_intrinsic("llvm.memmove", [BYTE_POINTER, BYTE_POINTER, I64])
    target = builder.inttoptr(place, BYTE_POINTER)
    builder.call(move, [target, builder.inttoptr(source, BYTE_POINTER), length, I1(0)])
    fill = builder.module.declare_intrinsic("llvm.memset", [BYTE_POINTER, I64])
    rest = builder.inttoptr(builder.add(place, length), BYTE_POINTER)
    builder.call(fill, [rest, I8(0), builder.sub(I64(field.length), length), I1(0)])


def bytes_as_chars(context: Any, builder: Any, value: Any, value_type: Any) -> Any:
    """A `bytes` of Numba as `CHARS`; its capacity is its length, NULs included."""
    array = context.make_array(value_type)(context, builder, value)
    return make_chars(context, builder, builder.ptrtoint(array.data, I64), array.nitems)


def is_text(kind: Any) -> bool:
    """Whether values of a type are text or bytes: `CHARS`, `DATA`, or Numba's `bytes`."""
    return isinstance(kind, types.Bytes | CharsType | DataType)


def text_parts(context: Any, builder: Any, value: Any, kind: Any) -> tuple[Any, Any]:
    """(address, length) of a value of such a type."""
    if isinstance(kind, types.Bytes):
        value = bytes_as_chars(context, builder, value, kind)
    address, length = builder.extract_value(value, 0), builder.extract_value(value, 1)
    return address, chars_length(builder, value) if isinstance(kind, CharsType) else length


def chars_length(builder: Any, chars: Any) -> Any:
    """Bytes before the first NUL, at most the capacity."""
    address, capacity = builder.extract_value(chars, 0), builder.extract_value(chars, 1)
    counter = cgutils.alloca_once(builder, I64)
    builder.store(I64(0), counter)
    function = builder.function
    head, body, done = (function.append_basic_block(f"chars_{name}") for name in ("head", "body", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    count = builder.load(counter)
    builder.cbranch(builder.icmp_signed("<", count, capacity), body, done)
    builder.position_at_end(body)
    byte = builder.load(builder.inttoptr(builder.add(address, count), BYTE_POINTER))
    builder.store(builder.add(count, I64(1)), counter)
    builder.cbranch(builder.icmp_unsigned("==", byte, I8(0)), done, head)
    builder.position_at_end(done)
    return count  # of the last round: where the NUL is, or the capacity
