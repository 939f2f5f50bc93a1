"""A migration in the compiled tier: the common steps as one C function, the program a constant in it.

A migrate function gets a record of the old version to read and one of the new version in which every field may be
assigned, the key too: indexes are built when all fields are final, so an assignment is a plain, checked store.

Invariants
    A migrate function passes the same gates as a handler. Numba's types hold the content hash of their version.
    The machine code is cached under the migration's identity, which holds program and both versions.

The machine code is loaded into each process; a crash leaves at most a temporary file of the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic, models, register_model

from statevec.codecs.layout import FieldLayout
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.migration_run import bind, convert_template, migrate_template
from statevec.engine.plugin.native_dispatch import OPTIONS, NativePlugin, guarded_call
from statevec.engine.plugin.native_kinds import I64, RecordType
from statevec.engine.plugin.native_records import make_record
from statevec.ipc.faults import PLUGIN_FAULT
from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import REGION

if TYPE_CHECKING:
    from statevec.engine.plugin.migration import MigrationPlan


class MigratedType(RecordType):
    """A record of the new version while it is filled: no field is indexed yet, the key is one like the others."""

    def __init__(self, key: str, record: RecordDeclaration, number: int) -> None:
        super().__init__(key, record, number, writable=True)
        self.index_numbers = {}
        self.name = f"Migrated({record.name}, {number}, {key})"

    def assignable(self, name: str) -> FieldLayout:
        return self.field(name)


@register_model(MigratedType)
class _MigratedModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("transaction", types.int64)])


def _program_region(program: bytes) -> Any:
    """An intrinsic that gives the program as a region: a constant of the module."""

    def typer(typing_context: Any, unused: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            words = [int.from_bytes(program[at : at + 8], "little") for at in range(0, len(program), 8)]
            constant = ir.Constant(ir.ArrayType(I64, len(words)), words)
            variable = cgutils.global_constant(builder, "migration_program", constant)
            region = cgutils.create_struct_proxy(REGION)(context, builder)
            region.address = builder.ptrtoint(variable, I64)
            region.size = I64(len(program))
            return region._getvalue()

        return REGION(types.int64), codegen

    return intrinsic(typer)


def _convert(plan: MigrationPlan, native: NativePlugin) -> Any:
    """An intrinsic (old, new, function, old row, new row) -> outcome of a migrate function."""

    def typer(typing_context: Any, old: Any, new: Any, number: Any, old_row: Any, new_row: Any) -> Any:
        compiled = []
        for pair in plan.pairs:
            kinds = (
                RecordType(plan.old.content_hash, pair.old, pair.old_number, writable=False),
                MigratedType(plan.new.content_hash, pair.new, pair.new_number),
            )
            compiled.append((kinds, native.compile(pair.function.function, kinds)))

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            outcome = cgutils.alloca_once_value(builder, I64(PLUGIN_FAULT))
            transactions = [builder.extract_value(args[place], 0) for place in (0, 1)]
            end = builder.append_basic_block("converted")
            switch = builder.switch(args[2], end)
            for number, (kinds, each) in enumerate(compiled):
                block = builder.append_basic_block(f"function.{number}")
                switch.add_case(I64(number), block)
                builder.position_at_end(block)
                records = [
                    make_record(context, builder, kinds[place], transactions[place], args[3 + place])
                    for place in (0, 1)
                ]
                answer, _ = guarded_call(context, builder, each, records, transactions[1])
                builder.store(answer, outcome)
                builder.branch(end)
            builder.position_at_end(end)
            return builder.load(outcome)

        return types.int64(REGION, REGION, types.int64, types.int64, types.int64), codegen

    return intrinsic(typer)


def compile_migration(plan: MigrationPlan) -> Any:
    """A plan's C function, from the cache or compiled through all gates: a Numba CFunc with an `address`."""
    native = NativePlugin(plan.new)
    bindings = {"program_region": _program_region(plan.program), "convert": _convert(plan, native)}
    bindings["convert_rows"] = njit(bind(convert_template, bindings), **OPTIONS)
    function = bind(migrate_template, bindings)
    compiled = CFunc(function, ((types.int64,) * 3, types.int64), {}, {"_nrt": False})
    enable_cache(compiled, extra=plan.identity, module=__name__)
    compiled.compile()
    return compiled
