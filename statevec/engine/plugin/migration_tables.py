"""How one table becomes the table of the same name in another version: a step of the program, and words for people.

A function of the plugin may go over the records after their fields were carried over. A field that it assigns
(`new.FIELD = …`) and that could not be carried, or not for every value, is left to it and begins as zero.

Nothing here keeps state.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from statevec.codecs.layout import EnumLayout
from statevec.engine.plugin.migration_fields import Carried, Move, NotCarriedError, carry
from statevec.state import migration_layout as layout
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.records import IndexSpec, RecordLayout, TableSpec

ONE_ROW = ("key", "unique")
"""Kinds of index that hold one row for each value; the others hold rows of a value in the order they came."""


@dataclass(frozen=True)
class Side:
    """A table in one version: its number, what it is, and the enums of its fields."""

    number: int
    spec: TableSpec
    enums: dict[str, EnumLayout] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordFunction:
    """A migrate function: what it is called, the fields it assigns, and the function itself."""

    name: str
    assigned: frozenset[str]
    function: Callable[..., Any]


@dataclass
class TableStep:
    """What is to be done for one table. `as_it_was`: its bytes may stay what they are, if they stay where they are."""

    old: Side
    new: Side
    function: RecordFunction | None
    moves: list[Move] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    as_it_was: bool = True


class RefusedError(Exception):
    """A table cannot become what it should: `text` says why, `field` is the new record's field, empty for none."""

    def __init__(self, text: str, field_name: str = "") -> None:
        super().__init__(text)
        self.field = field_name


def assigned_fields(function: ast.FunctionDef) -> frozenset[str]:
    """Fields of its second argument that a function assigns, not counting `+=` and the like, which read them first."""
    new = function.args.args[1].arg
    return frozenset(
        target.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == new
    )


def plan_table(old: Side, new: Side, function: RecordFunction | None) -> TableStep:
    """The step from one table to the other; RefusedError when there is none."""
    step = TableStep(old, new, function)
    _plan_key(step)
    _plan_fields(step)
    step.indexes = [_old_index(step, index) for index in new.spec.indexes]
    _describe_table(step)
    if function is not None:
        step.changes.append(f"{new.spec.name}: each record passes through {function.name}")
        step.as_it_was = False
    return step


def _plan_key(step: TableStep) -> None:
    before, after = (side.spec.indexes[0].field for side in (step.old, step.new))
    if before == after:
        return
    if step.function is None or after not in step.function.assigned:
        raise RefusedError(
            f"the key of {step.new.spec.name} changes from {before} to {after}: "
            f"a migrate function must assign new.{after}, for each record another value",
            after,
        )
    step.changes.append(f"{step.new.spec.name}: key {before} -> {after}, re-indexed")


def _plan_fields(step: TableStep) -> None:
    old, new = step.old.spec.record, step.new.spec.record
    name = step.new.spec.name
    assigned = step.function.assigned if step.function else frozenset()
    for each in new.fields:
        text = f", set by {step.function.name}" if step.function and each.name in assigned else ""
        if each.name not in old.by_name:
            step.changes.append(f"{name}.{each.name}: added ({each.kind}{text or ', zero'})")
            continue
        carried = _carry(step, each.name)
        before = old.by_name[each.name]
        if carried is not None:
            step.moves += carried.moves
            step.as_it_was &= all(move.operation == layout.COPY for move in carried.moves)
            text = f", {carried.checked}" if carried.checked else ""
        if before.kind != each.kind or text:
            kinds = before.kind if before.kind == each.kind else f"{before.kind} -> {each.kind}"
            step.changes.append(f"{name}.{each.name}: {kinds}{text}")
    step.changes += [f"{name}.{each.name}: removed" for each in old.fields if each.name not in new.by_name]
    step.moves = _merged(step.moves, old, new)


def _carry(step: TableStep, name: str) -> Carried | None:
    """How a field is carried over; None when that is left to the function."""
    old, new = step.old, step.new
    left = step.function is not None and name in step.function.assigned
    try:
        carried = carry(
            old.spec.record.field(name), new.spec.record.field(name), old.enums.get(name), new.enums.get(name)
        )
    except NotCarriedError as error:
        if left:
            return None
        text = f"{new.spec.name}.{name}: {error}: a migrate function must assign new.{name}"
        raise RefusedError(text, name) from error
    return None if left and carried.checked else carried


def _merged(moves: list[Move], old: RecordLayout, new: RecordLayout) -> list[Move]:
    """Neighbours that are copied become one move; the whole record does, where nothing changed."""
    same = [(each.name, each.kind, each.offset) for each in old.fields] == [
        (each.name, each.kind, each.offset) for each in new.fields
    ]
    if same and len(moves) == len(new.fields) and all(move.operation == layout.COPY for move in moves):
        return [Move(layout.COPY, ROW_HEADER_SIZE, ROW_HEADER_SIZE, new.size)]
    made: list[Move] = []
    for move in moves:
        last = made[-1] if made else None
        if (
            last is not None
            and last.operation == move.operation == layout.COPY
            and (last.old_place + last.third, last.new_place + last.third) == (move.old_place, move.new_place)
        ):
            made[-1] = Move(layout.COPY, last.old_place, last.new_place, last.third + move.third)
        else:
            made.append(move)
    return made


def _old_index(step: TableStep, index: IndexSpec) -> int:
    """The old index whose rows and order the new one takes over: on the same field, or on one that is gone.

    The kernels compare the values, so a wrong guess about a renamed field costs the order of arrival at most.
    """
    old, new = step.old.spec, step.new.spec
    for number, each in enumerate(old.indexes):
        if each.field == index.field and (each.kind in ONE_ROW) == (index.kind in ONE_ROW):
            return number
    if step.function is None or index.kind in ONE_ROW or index.field in old.record.by_name:
        return layout.NONE
    renamed = [each.field for each in new.indexes if each.kind not in ONE_ROW]
    renamed = [name for name in renamed if name not in old.record.by_name]
    gone = [
        number
        for number, each in enumerate(old.indexes)
        if each.kind not in ONE_ROW and each.field not in new.record.by_name
    ]
    place = renamed.index(index.field)
    return gone[place] if place < len(gone) else layout.NONE


def _describe_table(step: TableStep) -> None:
    old, new = step.old.spec, step.new.spec
    if old.capacity != new.capacity:
        checked = "" if new.capacity > old.capacity else ", the records must fit"
        step.changes.append(f"{new.name}: capacity {old.capacity} -> {new.capacity}{checked}")
    before, after = ({(each.kind, each.field) for each in spec.indexes[1:]} for spec in (old, new))
    for kind, name in sorted(after - before):
        step.changes.append(f"{new.name}: {kind} index on {name} added")
    for kind, name in sorted(before - after):
        step.changes.append(f"{new.name}: {kind} index on {name} removed")
