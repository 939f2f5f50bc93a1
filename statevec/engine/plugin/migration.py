"""From the state of one logic version to that of another: `plan_migration`, and the function that does it.

Tables are matched by their names, fields by theirs; what exists on one side only is added empty, or dropped. The
engine's own tables are copied as they are. How fields are carried over stands in `migration_fields`; where one is to
become something else, the new version has a function for it:

    @hedge.migrate("Order", since="1.0.0")
    def migrate_order(old, new):            # old: to read, in the old layout; new: fields already carried over
        new.price_ticks = old.price * 10

It is used when `since` <= the old version < the new version; of several, the one with the latest `since`. A cutover
back to an older version carries over what fits and has no function.

Invariants
    A plan depends on the two versions' bytes alone, so every process makes the same one; `identity` names it.
    Both tiers leave the same bytes.

Nothing here keeps state; a crash leaves nothing.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass

from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import Dispatch, LoadedPlugin, Tier
from statevec.engine.plugin.migration_program import assemble
from statevec.engine.plugin.migration_tables import (
    RecordFunction,
    RefusedError,
    Side,
    TableStep,
    assigned_fields,
    plan_table,
)
from statevec.state.arena import ArenaLayout


class MigrationError(PluginError):
    """The state of one version cannot become that of the other; path and line are those of the new version."""


@dataclass(frozen=True)
class Pair:
    """A migrate function with both records that it gets and the numbers of their tables."""

    function: RecordFunction
    old: RecordDeclaration
    old_number: int
    new: RecordDeclaration
    new_number: int


@dataclass(frozen=True)
class MigrationPlan:
    """How to get from `old` to `new`.

    `needed` is False when the arena can stay what it is; then `identity` is empty and `function` not to be asked for.
    `changes` are lines for people.
    """

    old: LoadedPlugin
    new: LoadedPlugin
    needed: bool
    identity: str
    changes: tuple[str, ...]
    program: bytes
    pairs: tuple[Pair, ...]

    def function(self, tier: Tier = "compiled") -> Dispatch:
        """The C function `int64 migrate(old transaction, new transaction, 0)`: DISPATCH_OK or a negative outcome.

        The blocks name two arenas, the new one freshly formatted, and undo memory; the old one is only read.
        """
        if tier == "interpreted":
            from statevec.engine.plugin.migration_interpreted import InterpretedMigration

            return InterpretedMigration(self)
        from statevec.engine.plugin.migration_native import compile_migration  # the interpreted tier has no compiler

        compiled: Dispatch = compile_migration(self)
        return compiled


def plan_migration(old: LoadedPlugin, new: LoadedPlugin) -> MigrationPlan:
    """How the state of `old` becomes that of `new`; MigrationError when it cannot."""
    if old.name != new.name:
        raise MigrationError(f"cannot migrate from another plugin: from {old.name} to {new.name}", new.path)
    steps = [plan_table(Side(number, spec), Side(number, spec), None) for number, spec in enumerate(ENGINE_TABLES)]
    for step in steps:
        step.changes.clear()
    before, after = _records_by_table(old), _records_by_table(new)
    pairs: list[Pair] = []
    changes = [f"{table}: added, empty" for table in after if table not in before]
    changes += [f"{table}: removed, its records are dropped" for table in before if table not in after]
    for table, record in after.items():
        if table in before:
            step = _plan_records(old, new, before[table], record)
            steps.append(step)
            changes += step.changes
            if step.function is not None:
                pairs.append(Pair(step.function, before[table], step.old.number, record, step.new.number))
    layouts = [ArenaLayout([*ENGINE_TABLES, *each.table_specs]).hash for each in (old, new)]
    needed = layouts[0] != layouts[1] or not all(step.as_it_was for step in steps)
    program = assemble(steps)
    return MigrationPlan(
        old,
        new,
        needed,
        _identity(old, new, program) if needed else "",
        tuple(changes) or ((f"records of {new.name} laid out differently",) if needed else ()),
        program,
        tuple(pairs),
    )


def _records_by_table(plugin: LoadedPlugin) -> dict[str, RecordDeclaration]:
    return {record.table: record for record in plugin.declarations.records.values()}


def _plan_records(
    old: LoadedPlugin, new: LoadedPlugin, before: RecordDeclaration, after: RecordDeclaration
) -> TableStep:
    old_side, new_side = (
        Side(
            plugin.table_number(record.name),
            record.table_spec(),
            {each.name: each.enum for each in record.fields if each.enum is not None},
        )
        for plugin, record in ((old, before), (new, after))
    )
    try:
        return plan_table(old_side, new_side, _function_for(old, new, after.name))
    except RefusedError as error:
        line = _line_of(new, after.name, error.field)
        raise MigrationError(f"cannot migrate from {old.version}: {error}", new.path, line) from error


def _function_for(old: LoadedPlugin, new: LoadedPlugin, record: str) -> RecordFunction | None:
    """The migrate function of a record that goes from the old version to the new one; None for none."""
    if _number(old.version) >= _number(new.version):
        return None
    fitting = [
        each
        for each in new.declarations.migrations
        if each.record == record and _number(each.since) <= _number(old.version)
    ]
    if not fitting:
        return None
    function = max(fitting, key=lambda each: _number(each.since)).function
    name = function.__name__
    return RecordFunction(name, assigned_fields(new.source.functions[name]), function)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))


def _line_of(plugin: LoadedPlugin, record: str, field: str) -> int:
    """Line of a field's declaration, or of its record's."""
    declared = plugin.source.classes[record]
    for each in declared.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id == field:
            return each.lineno
    return declared.lineno


def _identity(old: LoadedPlugin, new: LoadedPlugin, program: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in (old.content_hash.encode(), new.content_hash.encode(), program):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
