"""Checked arithmetic as machine code: what `+ - * …` of a handler mean in the compiled tier.

The twins of the functions of `arithmetic`, with the same names and the same results and faults, as Numba intrinsics:
each is a few instructions in the handler itself, and its fault knows the handler's line. Comparisons and `range` are
overloads of the plain functions.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from statevec.codecs.native_field import is_text
from statevec.codecs.native_types import StructType
from statevec.engine.plugin import arithmetic
from statevec.ipc.faults import ARITHMETIC_OVERFLOW, DIVISION_BY_ZERO, FAULT_STATUS, FAULTS, fault_if

I64 = ir.IntType(64)
BIT = ir.IntType(1)
F64 = ir.DoubleType()
MINIMUM = I64(arithmetic.MINIMUM)


class PluginTypeError(TypingError):
    """A handler that cannot be compiled, in our words; `explain` finds it in what Numba makes of it."""

    MARK = "plugin: "

    def __init__(self, text: str) -> None:
        super().__init__(self.MARK + text)


def fault_when(context: Any, builder: Any, condition: Any, outcome: int, place: Any = None) -> None:
    """Generate: leave the function with the fault of `outcome` if `condition`; `place` is a location of Numba."""
    with cgutils.if_unlikely(builder, condition):
        convention = context.call_conv
        convention.set_static_user_exc(builder, FAULTS[outcome], (), place, builder.function.name if place else None)
        convention._return_errcode_raw(builder, ir.IntType(32)(FAULT_STATUS - outcome))


def _unwrapped(kind: Any) -> Any:
    while isinstance(kind, types.Optional):
        kind = kind.type
    return types.unliteral(kind)


def is_integer(kind: Any) -> bool:
    """Whether values of this Numba type count as integers: enum members, booleans and optional ones too."""
    return isinstance(_unwrapped(kind), types.Integer | types.Boolean | types.IntEnumMember)


def is_float(kind: Any) -> bool:
    return isinstance(_unwrapped(kind), types.Float)


def _check(symbol: str, kinds: tuple[Any, ...], floats: bool) -> bool:
    """Whether the operation is one of floats; PluginTypeError when it takes none of these types."""
    for kind in kinds:
        if not is_integer(kind) and not (floats and is_float(kind)):
            wanted = "numbers" if floats else "integers"
            raise PluginTypeError(f"{symbol} takes {wanted}, not {describe(kind)}")
    return any(is_float(kind) for kind in kinds)


def describe(kind: Any) -> str:
    """A type of Numba in the words of a plugin author."""
    plain = _unwrapped(kind)
    if isinstance(plain, types.Boolean):
        name = "bool"
    elif isinstance(plain, types.Integer):
        name = "an integer"
    elif isinstance(plain, types.Float):
        name = "a float"
    elif isinstance(plain, types.IntEnumMember):
        name = str(plain.instance_class.__name__)
    elif isinstance(plain, types.NoneType):
        name = "None"
    elif isinstance(plain, types.UnicodeType | types.StringLiteral) or is_text(plain):
        name = "text"
    elif isinstance(plain, StructType):
        name = plain.struct_name
    else:
        name = getattr(plain, "words", str(plain))
    return f"{name} or None" if isinstance(kind, types.Optional) else name


Integers = Callable[[Any, Any, Any, Any], Any]
Floats = Callable[[Any, Any, Any, Any], Any]


def _operation(symbol: str, count: int, integers: Integers, floats: Floats | None = None, result: Any = None) -> Any:
    """An intrinsic of `count` operands: `integers` and `floats` generate (context, builder, args, place) -> value."""

    def typer(kinds: tuple[Any, ...]) -> Any:
        of_floats = _check(symbol, kinds, floats is not None)
        kind = types.float64 if of_floats else types.int64
        generate = floats if of_floats and floats is not None else integers

        def codegen(context: Any, builder: Any, signature: Any, args: Any, loc: Any) -> Any:
            return generate(context, builder, args, loc)

        return (result or kind)(*[kind] * count), codegen

    if count == 1:
        return intrinsic(lambda typing_context, a: typer((a,)))
    return intrinsic(lambda typing_context, a, b: typer((a, b)))


def _with_overflow(name: str) -> Integers:
    def generate(context: Any, builder: Any, args: Any, place: Any) -> Any:
        kind = ir.FunctionType(ir.LiteralStructType([I64, BIT]), [I64, I64])
        pair = builder.call(builder.module.declare_intrinsic(f"llvm.{name}.with.overflow", [I64], kind), args)
        fault_when(context, builder, builder.extract_value(pair, 1), ARITHMETIC_OVERFLOW, place)
        return builder.extract_value(pair, 0)

    return generate


_add = _with_overflow("sadd")
_subtract = _with_overflow("ssub")
_multiply = _with_overflow("smul")


def _instruction(name: str) -> Floats:
    return lambda context, builder, args, place: getattr(builder, name)(*args)


def _negate(context: Any, builder: Any, args: Any, place: Any) -> Any:
    return _subtract(context, builder, [I64(0), args[0]], place)


def _absolute(context: Any, builder: Any, args: Any, place: Any) -> Any:
    negative = builder.icmp_signed("<", args[0], I64(0))
    fault_when(context, builder, builder.icmp_signed("==", args[0], MINIMUM), ARITHMETIC_OVERFLOW, place)
    return builder.select(negative, builder.sub(I64(0), args[0]), args[0])


def _absolute_float(context: Any, builder: Any, args: Any, place: Any) -> Any:
    bits = builder.and_(builder.bitcast(args[0], I64), I64(arithmetic.MAXIMUM))
    return builder.bitcast(bits, F64)


def _divide(remainder: bool) -> Integers:
    def generate(context: Any, builder: Any, args: Any, place: Any) -> Any:
        dividend, divisor = args
        fault_when(context, builder, builder.icmp_signed("==", divisor, I64(0)), DIVISION_BY_ZERO, place)
        edge = builder.and_(builder.icmp_signed("==", dividend, MINIMUM), builder.icmp_signed("==", divisor, I64(-1)))
        if not remainder:
            fault_when(context, builder, edge, ARITHMETIC_OVERFLOW, place)
        # the processor traps on this one division, whose remainder is 0 as it is for a divisor of 1
        divisor_safe = builder.select(edge, I64(1), divisor)
        rest = builder.srem(dividend, divisor_safe)
        differs = builder.icmp_signed("<", builder.xor(rest, divisor_safe), I64(0))
        adjust = builder.and_(builder.icmp_signed("!=", rest, I64(0)), differs)
        if remainder:
            return builder.select(adjust, builder.add(rest, divisor_safe), rest)
        quotient = builder.sdiv(dividend, divisor_safe)
        return builder.sub(quotient, builder.zext(adjust, I64))

    return generate


def _true_divide(context: Any, builder: Any, args: Any, place: Any) -> Any:
    values = [builder.sitofp(each, F64) if each.type == I64 else each for each in args]
    fault_when(context, builder, builder.fcmp_ordered("==", values[1], F64(0.0)), DIVISION_BY_ZERO, place)
    return builder.fdiv(*values)


def _count_checked(context: Any, builder: Any, count: Any, place: Any) -> Any:
    """The shift count, 63 at most, after a fault for a negative one."""
    fault_when(context, builder, builder.icmp_signed("<", count, I64(0)), ARITHMETIC_OVERFLOW, place)
    return builder.select(builder.icmp_signed(">", count, I64(63)), I64(63), count)


def _shift_right(context: Any, builder: Any, args: Any, place: Any) -> Any:
    return builder.ashr(args[0], _count_checked(context, builder, args[1], place))


def _shift_left(context: Any, builder: Any, args: Any, place: Any) -> Any:
    value, count = args
    limited = _count_checked(context, builder, count, place)
    far = builder.and_(builder.icmp_signed(">", count, I64(63)), builder.icmp_signed("!=", value, I64(0)))
    result = builder.shl(value, limited)
    lost = builder.icmp_signed("!=", builder.ashr(result, limited), value)
    fault_when(context, builder, builder.or_(far, lost), ARITHMETIC_OVERFLOW, place)
    return result


def _power(context: Any, builder: Any, args: Any, place: Any) -> Any:
    """By squaring; a square that overflows while bits of the exponent are left means that the result does."""
    fault_when(context, builder, builder.icmp_signed("<", args[1], I64(0)), ARITHMETIC_OVERFLOW, place)
    base = cgutils.alloca_once_value(builder, args[0])
    exponent = cgutils.alloca_once_value(builder, args[1])
    result = cgutils.alloca_once_value(builder, I64(1))
    head, odd, square, end = (builder.append_basic_block(f"power.{name}") for name in ("head", "odd", "square", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    bits = builder.load(exponent)
    with builder.if_then(builder.trunc(bits, BIT)):
        product = _multiply(context, builder, [builder.load(result), builder.load(base)], place)
        builder.store(product, result)
    builder.branch(odd)
    builder.position_at_end(odd)
    left = builder.lshr(bits, I64(1))
    builder.store(left, exponent)
    builder.cbranch(builder.icmp_signed("!=", left, I64(0)), square, end)
    builder.position_at_end(square)
    value = builder.load(base)
    builder.store(_multiply(context, builder, [value, value], place), base)
    builder.branch(head)
    builder.position_at_end(end)
    return builder.load(result)


def _chosen(comparison: str) -> Integers:
    def generate(context: Any, builder: Any, args: Any, place: Any) -> Any:
        first, second = args
        if first.type == F64:
            return builder.select(builder.fcmp_ordered(comparison, second, first), second, first)
        return builder.select(builder.icmp_signed(comparison, second, first), second, first)

    return generate


def _unchanged(context: Any, builder: Any, args: Any, place: Any) -> Any:
    return args[0]


def _truncate(context: Any, builder: Any, args: Any, place: Any) -> Any:
    value = args[0]
    inside = builder.and_(
        builder.fcmp_ordered(">=", value, F64(-(2.0**63))), builder.fcmp_ordered("<", value, F64(2.0**63))
    )
    fault_when(context, builder, builder.not_(inside), ARITHMETIC_OVERFLOW, place)
    return builder.fptosi(value, I64)


def _to_nearest(context: Any, builder: Any, args: Any, place: Any) -> Any:
    """Adding and subtracting 2**52 rounds to an integer, of two to the even one; beyond it all floats are integers."""
    value = args[0]
    magnitude = _absolute_float(context, builder, args, place)
    negative = builder.fcmp_ordered("<", value, F64(0.0))
    shift = builder.select(negative, F64(-(2.0**52)), F64(2.0**52))
    rounded = builder.fsub(builder.fadd(value, shift), shift)
    small = builder.fcmp_ordered("<", magnitude, F64(2.0**52))
    return _truncate(context, builder, [builder.select(small, rounded, value)], place)


def _to_float(context: Any, builder: Any, args: Any, place: Any) -> Any:
    return builder.sitofp(args[0], F64)


def _fneg(context: Any, builder: Any, args: Any, place: Any) -> Any:
    return builder.fneg(args[0])


NATIVE: dict[str, Any] = {
    "add": _operation("+", 2, _add, _instruction("fadd")),
    "subtract": _operation("-", 2, _subtract, _instruction("fsub")),
    "multiply": _operation("*", 2, _multiply, _instruction("fmul")),
    "floor_divide": _operation("//", 2, _divide(remainder=False)),
    "modulo": _operation("%", 2, _divide(remainder=True)),
    "true_divide": _operation("/", 2, _true_divide, _true_divide, types.float64),
    "power": _operation("**", 2, _power),
    "shift_left": _operation("<<", 2, _shift_left),
    "shift_right": _operation(">>", 2, _shift_right),
    "invert": _operation("~", 1, lambda context, builder, args, place: builder.not_(args[0])),
    "negate": _operation("unary -", 1, _negate, _fneg),
    "absolute": _operation("abs()", 1, _absolute, _absolute_float),
    "minimum": _operation("min()", 2, _chosen("<"), _chosen("<")),
    "maximum": _operation("max()", 2, _chosen(">"), _chosen(">")),
    "to_integer": _operation("int()", 1, _unchanged, _truncate, types.int64),
    "to_float": _operation("float()", 1, _to_float, _unchanged, types.float64),
    "to_nearest": _operation("round()", 1, _unchanged, _to_nearest, types.int64),
}


@overload(arithmetic.checked_range)
def _checked_range(start, stop, step):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    _check("range()", (start, stop, step), floats=False)
    extent = NATIVE["subtract"]
    integer = NATIVE["to_integer"]

    def implementation(start, stop, step):  # type: ignore[no-untyped-def]
        first, end, stride = integer(start), integer(stop), integer(step)
        fault_if(stride == 0, DIVISION_BY_ZERO)
        extent(end, first)
        return range(first, end, stride)

    return implementation


@overload(arithmetic.first_count)
def _first_count(a):  # type: ignore[no-untyped-def]
    _check("enumerate()", (a,), floats=False)
    integer = NATIVE["to_integer"]
    farthest = arithmetic.FARTHEST_COUNT

    def implementation(a):  # type: ignore[no-untyped-def]
        value = integer(a)
        fault_if(value < -farthest or value > farthest, ARITHMETIC_OVERFLOW)
        return value

    return implementation


def _bind_comparison(function: Callable[..., bool], symbol: str) -> None:
    """A comparison of an integer with a float goes through floats, as it does in `arithmetic`.

    What may be None equals None and no number; in the other comparisons None is an error.
    """
    scope: dict[str, Any] = {"to_float": NATIVE["to_float"]}
    nothing = {"==": "(a is None) and (b is None)", "!=": "(a is None) != (b is None)"}.get(symbol, "False")
    exec(
        f"def direct(a, b): return a {symbol} b\n"
        f"def left(a, b): return to_float(a) {symbol} b\n"
        f"def right(a, b): return a {symbol} to_float(b)\n"
        f"def left_or_none(a, b): return to_float(a) {symbol} b if a is not None and b is not None else {nothing}\n"
        f"def right_or_none(a, b): return a {symbol} to_float(b) if a is not None and b is not None else {nothing}\n"
        f"def direct_or_none(a, b): return a {symbol} b if a is not None and b is not None else {nothing}\n",
        scope,
    )

    @overload(function)
    def choose(a, b):  # type: ignore[no-untyped-def]
        for each in (a, b):
            if isinstance(each, types.BaseTuple) and any(is_float(kind) or _may_be_none(kind) for kind in each):
                raise PluginTypeError("a tuple that holds a float or what may be None is compared value by value")
        name = "direct"
        if is_float(a) != is_float(b) and is_integer(a) != is_integer(b):
            name = "left" if is_integer(a) else "right"
        numbers = all(is_integer(each) or is_float(each) for each in (a, b))
        optional = symbol in ("==", "!=") and numbers and (_may_be_none(a) or _may_be_none(b))
        return scope[f"{name}_or_none" if optional else name]


for _name, _symbol in (
    ("equal", "=="),
    ("not_equal", "!="),
    ("less", "<"),
    ("less_equal", "<="),
    ("greater", ">"),
    ("greater_equal", ">="),
):
    _bind_comparison(arithmetic.FUNCTIONS[_name], _symbol)


def _may_be_none(kind: Any) -> bool:
    return isinstance(kind, types.Optional | types.NoneType)


@overload(arithmetic.within)
def _within(a, values):  # type: ignore[no-untyped-def]
    if not isinstance(values, types.BaseTuple):
        raise PluginTypeError(f"`in` takes a table or a tuple, not {describe(values)}")
    tests = " or ".join(f"equal(a, values[{place}])" for place in range(len(values))) or "False"
    scope: dict[str, Any] = {"equal": arithmetic.FUNCTIONS["equal"]}
    exec(f"def implementation(a, values): return {tests}", scope)
    return scope["implementation"]


COMPILED: dict[str, Any] = {**arithmetic.FUNCTIONS, **NATIVE}
"""What the loader binds the rewritten operators to in the compiled tier."""
