"""Columns as Arrow arrays: enums as dictionaries of their names, nulls as nulls, text as strings, times as timestamps.

    integer, float, bool   their own types        set    its integer
    enum                   dictionary of texts; a number that the schema does not list is its digits
    text                   string, up to the first NUL; binary where bytes are no UTF-8
    array                  fixed-size list        `timestamp_ns`: also a column `time`, timestamp[ns]

A composite of an integer mantissa and a constant exponent, 0 to -18, is one decimal column of its name as well.

pyarrow is in the extra `audit`; without it `MissingArrowError` says how to get it. Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from statevec.journal.column_values import TIME, Column
from statevec.journal.errors import JournalError

TIMESTAMP = "timestamp_ns"
PRECISION = 38
MOST_DIGITS = 18


class MissingArrowError(JournalError):
    """pyarrow is not installed."""

    def __init__(self) -> None:
        super().__init__("pyarrow is not installed: pip install 'statevec[audit]'")


def arrow() -> ModuleType:
    """The module pyarrow. Raises `MissingArrowError`."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        raise MissingArrowError from None
    return pyarrow


def arrow_array(column: Column) -> Any:
    """One column as an Arrow array."""
    pa = arrow()
    if column.kind == "enum" and column.names is not None:
        return _enum(pa, column)
    if column.kind == "text":
        return _text(pa, column)
    if column.kind == "array":
        flat = pa.array(np.ascontiguousarray(column.values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, column.values.shape[1])
    values = column.values.astype(bool) if column.kind == "bool" else column.values
    return pa.array(values, mask=column.null)


def _enum(pa: ModuleType, column: Column) -> Any:
    names = column.names or {}
    numbers, codes = np.unique(column.values, return_inverse=True)
    texts = pa.array([names.get(int(number), str(number)) for number in numbers], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=column.null), texts)


def _text(pa: ModuleType, column: Column) -> Any:
    values = np.ascontiguousarray(column.values)
    size = values.dtype.itemsize
    fixed = pa.Array.from_buffers(pa.binary(size), len(values), [None, pa.py_buffer(values)])
    try:
        text = pa.compute.replace_substring_regex(fixed.cast(pa.binary()).cast(pa.string()), r"(?s)\x00.*", "")
    except pa.ArrowInvalid:
        text = pa.array(values.tolist(), pa.binary())
    if column.null is not None:
        text = pa.compute.if_else(pa.array(column.null), pa.scalar(None, text.type), text)
    return text


def arrow_table(columns: Sequence[Column]) -> Any:
    """Columns as an Arrow table; behind `timestamp_ns` comes `time`, behind mantissa and exponent the decimal."""
    pa = arrow()
    arrays: dict[str, Any] = {}
    by_name = {column.name: column for column in columns}
    for column in columns:
        arrays[column.name] = arrow_array(column)
        if column.name == TIMESTAMP:
            arrays[TIME] = arrays[TIMESTAMP].view(pa.timestamp("ns"))
        composite, _, member = column.name.rpartition(".")
        mantissa = by_name.get(f"{composite}.mantissa")
        if member == "exponent" and mantissa is not None and _is_scale(column):
            arrays[composite] = _decimal(pa, mantissa, -int(column.values[0]) if len(column.values) else 0)
    return pa.table(arrays)


def _is_scale(exponent: Column) -> bool:
    """Whether an exponent is constant, so that all values have as many digits behind the point."""
    return exponent.is_constant and (len(exponent.values) == 0 or -MOST_DIGITS <= int(exponent.values[0]) <= 0)


def _decimal(pa: ModuleType, mantissa: Column, scale: int) -> Any:
    """Integers as decimals of so many digits behind the point: the same integers, seen otherwise."""
    whole = arrow_array(mantissa).cast(pa.decimal128(PRECISION, 0))
    return pa.Array.from_buffers(pa.decimal128(PRECISION, scale), len(whole), whole.buffers())
