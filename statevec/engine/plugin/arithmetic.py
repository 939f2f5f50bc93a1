"""Checked arithmetic as plain Python: what `+ - * …` of a handler mean in the interpreted tier.

The loader rewrites every operator of a handler that could differ between Python and machine code into a call; these
are the functions it calls in the interpreted tier, `native_arithmetic` has those of the compiled tier.

Invariants
    An integer result lies in signed 64 bits, else the fault is ARITHMETIC_OVERFLOW. So does the result of a negative
    exponent or shift, which is no integer.
    A zero divisor is DIVISION_BY_ZERO, for floats too.
    `bool` and enum values count as their integers. An integer that meets a float becomes a float first, in comparisons
    too. `//`, `%`, `**`, shifts and `~` take integers only.
    Anything else (None, text, a record) raises TypeError, which ends the transaction as PLUGIN_FAULT.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statevec.ipc.faults import ArithmeticOverflow, DivisionByZero

MINIMUM = -(1 << 63)
MAXIMUM = (1 << 63) - 1
FARTHEST_COUNT = 1 << 62


def add(a: Any, b: Any) -> Any:
    result = a + b
    if MINIMUM <= result <= MAXIMUM or result.__class__ is float:
        return result
    raise ArithmeticOverflow


def subtract(a: Any, b: Any) -> Any:
    result = a - b
    if MINIMUM <= result <= MAXIMUM or result.__class__ is float:
        return result
    raise ArithmeticOverflow


def multiply(a: Any, b: Any) -> Any:
    result = a * b
    if MINIMUM <= result <= MAXIMUM or result.__class__ is float:
        return result
    raise ArithmeticOverflow


def _integer(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"an integer is needed, got {type(value).__name__}")


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return value
    return _integer(value)


def floor_divide(a: Any, b: Any) -> int:
    """Quotient rounded towards minus infinity."""
    dividend, divisor = _integer(a), _integer(b)
    if divisor == 0:
        raise DivisionByZero
    result = dividend // divisor
    if result > MAXIMUM:
        raise ArithmeticOverflow
    return result


def modulo(a: Any, b: Any) -> int:
    """Remainder of `floor_divide`; it has the divisor's sign."""
    dividend, divisor = _integer(a), _integer(b)
    if divisor == 0:
        raise DivisionByZero
    return dividend % divisor


def true_divide(a: Any, b: Any) -> float:
    """Quotient of the two values as floats."""
    dividend, divisor = float(_number(a)), float(_number(b))
    if divisor == 0.0:
        raise DivisionByZero
    return dividend / divisor


def power(a: Any, b: Any) -> int:
    base, exponent = _integer(a), _integer(b)
    if exponent < 0 or (exponent > 63 and not -1 <= base <= 1):
        raise ArithmeticOverflow
    if exponent > 63:
        exponent = 2 + exponent % 2  # the powers of -1, 0 and 1 repeat
    result = int(base**exponent)
    if MINIMUM <= result <= MAXIMUM:
        return result
    raise ArithmeticOverflow


def shift_left(a: Any, b: Any) -> int:
    value, count = _integer(a), _integer(b)
    if count < 0 or (count > 63 and value != 0):
        raise ArithmeticOverflow
    result = value << min(count, 63)
    if MINIMUM <= result <= MAXIMUM:
        return result
    raise ArithmeticOverflow


def shift_right(a: Any, b: Any) -> int:
    value, count = _integer(a), _integer(b)
    if count < 0:
        raise ArithmeticOverflow
    return value >> min(count, 63)


def invert(a: Any) -> int:
    return ~_integer(a)


def negate(a: Any) -> Any:
    result = -_number(a)
    if result == MAXIMUM + 1 and result.__class__ is int:
        raise ArithmeticOverflow
    return result


def absolute(a: Any) -> Any:
    result = abs(_number(a))
    if result == MAXIMUM + 1 and result.__class__ is int:
        raise ArithmeticOverflow
    return result


def minimum(a: Any, b: Any) -> Any:
    """The smaller value, the first of equal ones; of an integer and a float, a float."""
    first, second = _pair(a, b)
    return second if second < first else first


def maximum(a: Any, b: Any) -> Any:
    """The larger value, the first of equal ones; of an integer and a float, a float."""
    first, second = _pair(a, b)
    return second if second > first else first


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    first, second = _number(a), _number(b)
    if first.__class__ is not second.__class__:
        return float(first), float(second)
    return first, second


def to_integer(a: Any) -> int:
    """`int(a)`: a float loses its fraction."""
    value = _number(a)
    if value.__class__ is float and not -(2.0**63) <= value < 2.0**63:  # NaN too
        raise ArithmeticOverflow
    return int(value)


def to_float(a: Any) -> float:
    return float(_number(a))


def to_nearest(a: Any) -> int:
    """`round(a)`: the nearest integer, of two the even one."""
    value = _number(a)
    if value.__class__ is float and not -(2.0**63) <= value < 2.0**63:
        raise ArithmeticOverflow
    return round(value)


def checked_range(start: Any, stop: Any, step: Any) -> range:
    """`range(…)` whose extent, stop - start, lies in signed 64 bits; a step of zero is DIVISION_BY_ZERO."""
    first, end, stride = _integer(start), _integer(stop), _integer(step)
    if stride == 0:
        raise DivisionByZero
    if not MINIMUM <= end - first <= MAXIMUM:
        raise ArithmeticOverflow
    return range(first, end, stride)


def first_count(a: Any) -> int:
    """Where `enumerate` begins: so far from 64 bits' ends that no loop counts beyond them."""
    value = _integer(a)
    if not -FARTHEST_COUNT <= value <= FARTHEST_COUNT:
        raise ArithmeticOverflow
    return value


def _compared(name: str, operator: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        if a.__class__ is float and isinstance(b, int):
            return operator(a, float(b))
        if b.__class__ is float and isinstance(a, int):
            return operator(float(a), b)
        return operator(a, b)

    compare.__name__ = compare.__qualname__ = name
    return compare


equal = _compared("equal", lambda a, b: bool(a == b))
not_equal = _compared("not_equal", lambda a, b: bool(a != b))
less = _compared("less", lambda a, b: bool(a < b))
less_equal = _compared("less_equal", lambda a, b: bool(a <= b))
greater = _compared("greater", lambda a, b: bool(a > b))
greater_equal = _compared("greater_equal", lambda a, b: bool(a >= b))


def within(a: Any, values: tuple[Any, ...]) -> bool:
    """`a in values`, each compared as `equal` does."""
    return any(equal(a, each) for each in values)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        *(add, subtract, multiply, floor_divide, modulo, true_divide, power, shift_left, shift_right),
        *(invert, negate, absolute, minimum, maximum, to_integer, to_float, to_nearest, checked_range),
        *(equal, not_equal, less, less_equal, greater, greater_equal, within, first_count),
    )
}
"""By name, as the rewritten source of a plugin calls them (with two underscores before the name)."""
