"""Tables in compiled handlers: methods, `in`, `len`, and the loops over rows.

Everything ends in a kernel of `operations`; this file gives them types, and errors in the words of a plugin author.
`__where`, `__unique`, `__ascending` and `__descending` are what the methods with one `field=value` are rewritten to.

A crash leaves nothing: tables lie in the arena of the process.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import RefType, iternext_impl, lower_builtin
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, overload, overload_method

from statevec.engine.plugin import operations
from statevec.engine.plugin.native_arithmetic import NATIVE, PluginTypeError, describe, is_integer
from statevec.engine.plugin.native_kinds import I64, RecordType, RowsIteratorType, RowsType, TableType
from statevec.engine.plugin.native_records import call_operation, make_record

METHODS = ("get", "edit", "insert", "delete", "where", "unique", "ascending", "descending")
word = NATIVE["word"]


@infer_getattr
class _TableAttributes(AttributeTemplate):
    key = TableType

    def generic_resolve(self, table: TableType, name: str) -> Any:
        if name not in METHODS:
            raise PluginTypeError(f"a table has no {name!r} (methods: {', '.join(METHODS)})")


def _on_table(operation: Any, result: Callable[[TableType], Any]) -> Any:
    """An intrinsic (table, key) that calls `operation(transaction, table number, key)`; a RecordType result is made."""

    def typer(typing_context: Any, table: Any, key: Any) -> Any:
        kind = result(table)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            numeric = types.int64 if isinstance(kind, RecordType) else kind
            answer = call_operation(context, builder, operation, numeric, [args[0], I64(table.number), args[1]])
            if isinstance(kind, RecordType):
                return make_record(context, builder, kind, args[0], answer)
            return answer

        return kind(table, types.int64), codegen

    return intrinsic(typer)


read_record = _on_table(operations.read_record, lambda table: table.read)
edit_record = _on_table(operations.edit_record, lambda table: table.edit)
insert_record = _on_table(operations.insert_record, lambda table: table.edit)
delete_record = _on_table(operations.delete_record, lambda table: types.void)
find_row = _on_table(operations.find_record, lambda table: types.int64)


@intrinsic
def record_at(typing_context: Any, table: Any, row: Any) -> Any:
    """The record of a row, to read."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return make_record(context, builder, table.read, args[0], args[1])

    return table.read(table, types.int64), codegen


def _check_key(table: TableType, key: Any) -> None:
    if not is_integer(key):
        raise PluginTypeError(f"a key of {table.record.table} is an integer, not {describe(key)}")


@overload(operator.getitem)
def _getitem(table, key):  # type: ignore[no-untyped-def]  # Numba compares the signatures
    if isinstance(table, TableType):
        _check_key(table, key)
        return lambda table, key: read_record(table, word(key))
    return None


@overload(operator.contains)
def _contains(table, key):  # type: ignore[no-untyped-def]
    if isinstance(table, TableType):
        _check_key(table, key)
        return lambda table, key: find_row(table, word(key)) != 0
    return None


@overload(len)
def _len(table):  # type: ignore[no-untyped-def]
    return (lambda table: count_of(table)) if isinstance(table, TableType) else None


@intrinsic
def count_of(typing_context: Any, table: Any) -> Any:
    """Records in the table."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_operation(context, builder, operations.count_records, types.int64, [args[0], I64(table.number)])

    return types.int64(table), codegen


@overload_method(TableType, "get")
def _get(table, key):  # type: ignore[no-untyped-def]
    _check_key(table, key)

    def implementation(table, key):  # type: ignore[no-untyped-def]
        row = find_row(table, word(key))
        if row == 0:
            return None
        return record_at(table, row)

    return implementation


@overload_method(TableType, "edit")
def _edit(table, key):  # type: ignore[no-untyped-def]
    table.check_writable("edit")
    _check_key(table, key)
    return lambda table, key: edit_record(table, word(key))


@overload_method(TableType, "insert")
def _insert(table, key):  # type: ignore[no-untyped-def]
    table.check_writable("insert")
    _check_key(table, key)
    return lambda table, key: insert_record(table, word(key))


@overload_method(TableType, "delete")
def _delete(table, key):  # type: ignore[no-untyped-def]
    table.check_writable("delete")
    _check_key(table, key)
    return lambda table, key: delete_record(table, word(key))


def _check_table(table: Any, method: str, value: Any) -> None:
    if not isinstance(table, TableType):
        raise PluginTypeError(f".{method} is a method of tables, not of {describe(table)}")
    if not is_integer(value):
        raise PluginTypeError(f".{method} takes an integer, not {describe(value)}")


@intrinsic(prefer_literal=True)
def _unique_row(typing_context: Any, table: Any, name: Any, value: Any) -> Any:
    index = table.index("unique", name.literal_value, ("unique",))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arguments = [args[0], I64(table.number), I64(index), args[2]]
        return call_operation(context, builder, operations.unique_record, types.int64, arguments)

    return types.int64(table, name, types.int64), codegen


def unique(table: Any, name: str, value: int) -> Any:
    """`table.unique(name=value)`: the record, or None."""
    return table.unique(**{name: value})


@overload(unique, prefer_literal=True)
def _unique(table, name, value):  # type: ignore[no-untyped-def]
    if not isinstance(name, types.StringLiteral):
        return None
    _check_table(table, "unique", value)
    table.index("unique", name.literal_value, ("unique",))

    def implementation(table, name, value):  # type: ignore[no-untyped-def]
        row = _unique_row(table, name, word(value))
        if row == 0:
            return None
        return record_at(table, row)

    return implementation


def _rows(method: str, order: int, kinds: tuple[str, ...]) -> Any:
    def typer(typing_context: Any, table: Any, name: Any, value: Any) -> Any:
        _check_table(table, method, value)
        index = table.index(method, name.literal_value, kinds)
        rows = RowsType(table.read, index, order)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            made = cgutils.create_struct_proxy(rows)(context, builder)
            made.transaction = args[0]
            arguments = [args[0], I64(table.number), I64(index), I64(order), args[2]]
            made.first = call_operation(context, builder, operations.rows_first, types.int64, arguments)
            return made._getvalue()

        return rows(table, name, types.int64), codegen

    return intrinsic(prefer_literal=True)(typer)


where = _rows("where", operations.GROUP, ("group",))
ascending = _rows("ascending", operations.ASCENDING, ("ordered",))
descending = _rows("descending", operations.DESCENDING, ("ordered",))


def _begin(context: Any, builder: Any, kind: RowsIteratorType, transaction: Any, first: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
    table = I64(kind.record_type.number)
    token = call_operation(context, builder, operations.rows_begin, types.int64, [transaction, table])
    made.transaction = transaction
    made.token = cgutils.alloca_once_value(builder, token)
    made.current = cgutils.alloca_once_value(builder, I64(0))
    made.following = cgutils.alloca_once_value(builder, first)
    return made._getvalue()


@lower_builtin("getiter", TableType)
def _iterate_table(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind = signature.return_type
    arguments = [args[0], I64(kind.record_type.number), I64(0), I64(operations.ROW_ORDER), I64(0)]
    first = call_operation(context, builder, operations.rows_first, types.int64, arguments)
    return _begin(context, builder, kind, args[0], first)


@lower_builtin("getiter", RowsType)
def _iterate_rows(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    transaction, first = (builder.extract_value(args[0], number) for number in (0, 1))
    return _begin(context, builder, signature.return_type, transaction, first)


@lower_builtin("iternext", RowsIteratorType)
@iternext_impl(RefType.UNTRACKED)
def _next_row(context: Any, builder: Any, signature: Any, args: Any, result: Any) -> None:
    kind = signature.args[0]
    table = I64(kind.record_type.number)
    state = cgutils.create_struct_proxy(kind)(context, builder, value=args[0])
    arguments = [state.transaction, table, builder.load(state.token), builder.load(state.current)]
    builder.store(call_operation(context, builder, operations.rows_check, types.int64, arguments), state.token)
    row = builder.load(state.following)
    valid = builder.icmp_signed("!=", row, I64(0))
    result.set_valid(valid)
    with builder.if_then(valid):
        builder.store(row, state.current)
        arguments = [state.transaction, table, I64(kind.index), I64(kind.order), row]
        builder.store(call_operation(context, builder, operations.rows_next, types.int64, arguments), state.following)
        result.yield_(make_record(context, builder, kind.record_type, state.transaction, row))
