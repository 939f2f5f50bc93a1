"""Outputs with groups and variable data in compiled handlers: fields of their blocks, and `.append()`.

    basket = tx.emit.basket()
    leg = basket.legs.append()
    leg.price = 5                     # __store, like all assignments (`native_records`)
    leg.note = message.note

An output or an entry is the address of its block and the transaction; its groups are that too. What may be written when
is for the kernels to judge (`output_kernels`). `interpreted_output` has Python objects of the same behaviour.

Values live in registers: a crash leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, signature
from numba.extending import infer_getattr

from statevec.codecs.native import load_field
from statevec.engine.plugin.native_arithmetic import PluginTypeError
from statevec.engine.plugin.native_kinds import OutputGroupType, OutputLevelType
from statevec.engine.plugin.native_records import call_operation, part_address
from statevec.engine.plugin.output_kernels import append_entry


def make_output_level(context: Any, builder: Any, kind: OutputLevelType, address: Any, transaction: Any) -> Any:
    """Generate: an output or an entry of the address of its block."""
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.address, made.transaction = address, transaction
    return made._getvalue()


@infer_getattr
class _LevelAttributes(AttributeTemplate):
    key = OutputLevelType

    def generic_resolve(self, level: OutputLevelType, name: str) -> Any:
        return level.attribute_type(name)


@lower_getattr_generic(OutputLevelType)
def _load_attribute(context: Any, builder: Any, kind: OutputLevelType, value: Any, name: str) -> Any:
    if name in kind.level.parts:
        return value  # a group is found by its level
    return load_field(context, builder, builder.extract_value(value, 0), kind.field(name))


class _Append(AbstractTemplate):
    key = "plugin.output.append"

    def generic(self, args: Any, kws: Any) -> Any:
        group = self.this
        if args or kws:
            raise PluginTypeError(
                f".append() of {group.words} takes no arguments: assign the entry's fields afterwards"
            )
        return signature(group.entry, recvr=group)


@infer_getattr
class _GroupAttributes(AttributeTemplate):
    key = OutputGroupType

    def generic_resolve(self, group: OutputGroupType, name: str) -> Any:
        if name != "append":
            raise PluginTypeError(f"{group.words} has no {name!r}: it has .append()")
        return types.BoundFunction(_Append, group)


@lower_builtin(_Append.key, OutputGroupType)
def _append(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    group = signature.args[0]
    block, transaction = (builder.extract_value(args[0], number) for number in range(2))
    arguments = [transaction, block, part_address(builder, group.part)]
    entry = call_operation(context, builder, append_entry, types.int64, arguments)
    return make_output_level(context, builder, group.entry, entry, transaction)
