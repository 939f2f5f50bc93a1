"""Tables in compiled handlers: methods, `in`, `len`, and the loops over rows.

Everything ends in a kernel of `operations`; this file gives them types, and errors in the words of a plugin author. No
function is compiled for a method: its few instructions go into the handler.
`__where`, `__unique`, `__ascending` and `__descending` are what the methods with one `field=value` are rewritten to.

A crash leaves nothing: tables lie in the arena of the process.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import RefType, iternext_impl, lower_builtin
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature
from numba.extending import infer_getattr, intrinsic

from statevec.engine.plugin import operations
from statevec.engine.plugin.native_arithmetic import PluginTypeError, describe, is_integer
from statevec.engine.plugin.native_kinds import I64, RowsIteratorType, RowsType, TableType
from statevec.engine.plugin.native_records import call_operation, check_listed, make_record

Generator = Callable[[Any, Any, TableType, list[Any]], Any]


def _check_key(table: TableType, key: Any) -> None:
    if not is_integer(key):
        raise PluginTypeError(f"a key of {table.record.table} is an integer, not {describe(key)}")


def _row_of(operation: Any, context: Any, builder: Any, table: TableType, args: Any) -> Any:
    return call_operation(context, builder, operation, types.int64, [args[0], I64(table.number), args[1]])


def _get(context: Any, builder: Any, table: TableType, args: Any) -> Any:
    return optional_record(
        context, builder, table, args[0], _row_of(operations.find_record, context, builder, table, args)
    )


def optional_record(context: Any, builder: Any, table: TableType, transaction: Any, row: Any) -> Any:
    """Generate: the record of a row to read, None for row 0."""
    made = context.make_helper(builder, types.Optional(table.read))
    made.valid = builder.icmp_signed("!=", row, I64(0))
    made.data = make_record(context, builder, table.read, transaction, row)
    return made._getvalue()


def _to_read(operation: Any) -> Generator:
    return lambda context, builder, table, args: make_record(
        context, builder, table.read, args[0], _row_of(operation, context, builder, table, args)
    )


def _to_edit(operation: Any) -> Generator:
    return lambda context, builder, table, args: make_record(
        context, builder, table.edit, args[0], _row_of(operation, context, builder, table, args)
    )


def _insert(context: Any, builder: Any, table: TableType, args: Any) -> Any:
    check_listed(context, builder, table.edit.field(table.record.key), args[1])
    return _to_edit(operations.insert_record)(context, builder, table, args)


def _delete(context: Any, builder: Any, table: TableType, args: Any) -> Any:
    arguments = [args[0], I64(table.number), args[1]]
    call_operation(context, builder, operations.delete_record, types.void, arguments)
    return context.get_dummy_value()


def _contains(context: Any, builder: Any, table: TableType, args: Any) -> Any:
    return builder.icmp_signed("!=", _row_of(operations.find_record, context, builder, table, args), I64(0))


READING: dict[str, tuple[Callable[[TableType], Any], Generator]] = {
    "get": (lambda table: types.Optional(table.read), _get),
}
WRITING: dict[str, tuple[Callable[[TableType], Any], Generator]] = {
    "edit": (lambda table: table.edit, _to_edit(operations.edit_record)),
    "insert": (lambda table: table.edit, _insert),
    "delete": (lambda table: types.void, _delete),
}
METHODS = (*READING, *WRITING, "where", "unique", "ascending", "descending")


def _method(name: str, result: Callable[[TableType], Any], generate: Generator) -> Any:
    """The typing template of a method with one key, and its code."""

    class Method(AbstractTemplate):
        key = f"plugin.table.{name}"

        def generic(self, args: Any, kws: Any) -> Any:
            table = self.this
            values = [*args, *kws.values()]
            if name in WRITING:
                table.check_writable(name)
            if len(values) != 1 or any(each != "key" for each in kws):
                raise PluginTypeError(f".{name} takes one key")
            _check_key(table, values[0])
            parameters = [inspect.Parameter("key", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
            made = signature(result(table), types.int64, recvr=table)
            return made.replace(pysig=inspect.Signature(parameters))

    @lower_builtin(Method.key, TableType, types.int64)
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return generate(context, builder, signature.args[0], args)

    return Method


_TEMPLATES = {name: _method(name, *each) for name, each in (READING | WRITING).items()}


@infer_getattr
class _TableAttributes(AttributeTemplate):
    key = TableType

    def generic_resolve(self, table: TableType, name: str) -> Any:
        if name not in _TEMPLATES:
            raise PluginTypeError(f"a table has no {name!r} (methods: {', '.join(METHODS)})")
        return types.BoundFunction(_TEMPLATES[name], table)


def _operator(function: Any, result: Callable[[TableType], Any], generate: Generator) -> None:
    """Give an operator of (table, key) its type and its code."""

    class Operator(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if not isinstance(args[0], TableType):
                return None
            _check_key(args[0], args[1])
            return signature(result(args[0]), args[0], types.int64)

    infer_global(function)(Operator)

    @lower_builtin(function, TableType, types.int64)
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return generate(context, builder, signature.args[0], args)


_operator(operator.getitem, lambda table: table.read, _to_read(operations.read_record))
_operator(operator.contains, lambda table: types.boolean, _contains)


@infer_global(len)
class _Length(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.int64, args[0]) if isinstance(args[0], TableType) else None


@lower_builtin(len, TableType)
def _count(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    number = I64(signature.args[0].number)
    return call_operation(context, builder, operations.count_records, types.int64, [args[0], number])


def _check_table(table: Any, method: str, value: Any) -> None:
    if not isinstance(table, TableType):
        raise PluginTypeError(f".{method} is a method of tables, not of {describe(table)}")
    if not is_integer(value):
        raise PluginTypeError(f".{method} takes an integer, not {describe(value)}")


@intrinsic(prefer_literal=True)
def unique(typing_context: Any, table: Any, name: Any, value: Any) -> Any:
    """`table.unique(name=value)`: the record, or None."""
    if not isinstance(name, types.StringLiteral):
        return None  # Numba asks once with literals and once without
    _check_table(table, "unique", value)
    index = table.index("unique", name.literal_value, ("unique",))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arguments = [args[0], I64(table.number), I64(index), args[2]]
        row = call_operation(context, builder, operations.unique_record, types.int64, arguments)
        return optional_record(context, builder, table, args[0], row)

    return types.Optional(table.read)(table, name, types.int64), codegen


def _rows(method: str, order: int, kinds: tuple[str, ...]) -> Any:
    def typer(typing_context: Any, table: Any, name: Any, value: Any) -> Any:
        if not isinstance(name, types.StringLiteral):
            return None
        _check_table(table, method, value)
        index = table.index(method, name.literal_value, kinds)
        rows = RowsType(table.read, index, order)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            made = cgutils.create_struct_proxy(rows)(context, builder)
            made.transaction = args[0]
            made.token = _token(context, builder, table.number, args[0])
            arguments = [args[0], I64(table.number), I64(index), I64(order), args[2]]
            made.first = call_operation(context, builder, operations.rows_first, types.int64, arguments)
            return made._getvalue()

        return rows(table, name, types.int64), codegen

    return intrinsic(prefer_literal=True)(typer)


where = _rows("where", operations.GROUP, ("group",))
ascending = _rows("ascending", operations.ASCENDING, ("ordered",))
descending = _rows("descending", operations.DESCENDING, ("ordered",))


def _token(context: Any, builder: Any, table: int, transaction: Any) -> Any:
    """Generate: what the loop's first turn compares with. Rows may be kept: it is taken when they are found."""
    return call_operation(context, builder, operations.rows_begin, types.int64, [transaction, I64(table)])


def _begin(context: Any, builder: Any, kind: RowsIteratorType, transaction: Any, token: Any, first: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
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
    token = _token(context, builder, kind.record_type.number, args[0])
    return _begin(context, builder, kind, args[0], token, first)


@lower_builtin("getiter", RowsType)
def _iterate_rows(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return _begin(context, builder, signature.return_type, *(builder.extract_value(args[0], n) for n in range(3)))


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
