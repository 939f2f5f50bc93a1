"""What a projection's tables are: for each logic version, which parts of entries become rows of which table, and how.

    entries        every entry: what arrived, when, from whom, who decided, outcome and its reason
    in_MESSAGE     inputs of that message, rejected ones too     out_MESSAGE    outputs, with index and expiry
    rec_TABLE      versions of that table's records: the image after each change, of a deletion the one before it
    timers, sources, admin      the engine's own inputs: timers that fired, rings attached, operators' commands

MESSAGE is in snake case. Every table has `sequence` and `time` (UTC), so that everything joins.

    integers → BIGINT, unsigned 64-bit → UBIGINT, floats → DOUBLE, bool → BOOLEAN, enums and text → VARCHAR, sets →
    their bits as integer, arrays → lists, null → NULL, what a version does not have → NULL; groups and data are left
    out

Invariant: names count. A table or column of one name goes on through all versions; where a later version gives a column
another of these types, its values go into a new column, NAME_TYPE (`type_suffix`).

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from statevec.codecs.layout import MessageLayout
from statevec.engine.plugin.declare import snake_case
from statevec.engine.plugin.decoding import enums_of, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.faults import outcome_name, reason_of
from statevec.journal import column_layout as layout
from statevec.journal.column_plan import Part, fits_plan
from statevec.journal.column_values import (
    CHANGE_FIELDS,
    CHANGE_PART_FIELDS,
    INPUT_FIELDS,
    OUTPUT_FIELDS,
    OUTPUT_PART_FIELDS,
    Column,
    beside,
    entry_columns,
    message_columns,
    plain_columns,
    record_columns,
    strided,
    whole_messages,
)
from statevec.journal.decode import own_schema
from statevec.state.records import TableSpec

ENTRY_FIELDS = (
    "sequence",
    "timestamp_ns",
    "kind",
    "outcome",
    "epoch",
    "logic_version",
    "source",
    "source_sequence",
    "sent_ns",
    "position",
    "input_length",
    "outputs_length",
    "delta_length",
)
OWN_TABLES = {"TimerFired": "timers", "RingAttach": "sources", "Admin": "admin"}
OWN_FIELDS = ("sequence", "timestamp_ns", "outcome")
TYPES = {
    "integer": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "enum": "VARCHAR",
    "text": "VARCHAR",
    "set": "BIGINT",
}
SUFFIXES = {"BIGINT": "int", "UBIGINT": "uint", "DOUBLE": "float", "BOOLEAN": "bool", "VARCHAR": "text"}


@dataclass(frozen=True)
class Projected:
    """One table: the part of entries whose rows it gets, and what makes columns of those rows."""

    table: str
    part: Part
    columns: Callable[[Any], list[Column]]


def sql_type(column: Column) -> str:
    """The DuckDB type of a column."""
    kind = column.values.dtype
    if column.kind == "array":
        return "DOUBLE[]" if kind.kind == "f" else "UBIGINT[]" if kind == np.uint64 else "BIGINT[]"
    return "UBIGINT" if column.kind in ("integer", "set") and kind == np.uint64 else TYPES[column.kind]


def type_suffix(kind: str) -> str:
    """What is put behind the name of a column whose type another version has taken."""
    return SUFFIXES.get(kind.removesuffix("[]"), "text") + ("s" if kind.endswith("[]") else "")


def column_name(name: str) -> str:
    """A field's name in SQL: members of composites as `price_mantissa`."""
    return name.replace(".", "_")


def tables_for(plugin: LoadedPlugin | None) -> list[Projected]:
    """The tables that entries of a version go into; without a version, those that need none."""
    found = [Projected("entries", Part(layout.ENTRIES), lambda rows: entries_table(plugin, rows))]
    for name, table in OWN_TABLES.items():
        message = own_schema().messages[name]
        part = Part(layout.OWN_INPUTS, message.id, message.block_length)
        found.append(Projected(table, part, _reader(message, OWN_FIELDS)))
    if plugin is None:
        return found
    for message in plugin.schema.messages.values():
        body = message.block_length
        if message.id in plugin.outputs:
            part = Part(layout.OUTPUTS, message.id, body)
            found.append(Projected(f"out_{snake_case(message.name)}", part, _reader(message, OUTPUT_FIELDS, True)))
        else:
            part = Part(layout.INPUTS, message.id, body)
            found.append(Projected(f"in_{snake_case(message.name)}", part, _reader(message, INPUT_FIELDS)))
    enums = enums_of(plugin)
    for number, spec in tables_of(plugin).items():
        if spec.in_delta:
            part = Part(layout.CHANGES, number, spec.record.size)
            found.append(Projected(f"rec_{spec.name}", part, partial(_records, spec, enums)))
    return [each for each in found if fits_plan(each.part)]


def _reader(message: MessageLayout, header: tuple[str, ...], is_output: bool = False) -> Callable[[Any], list[Column]]:
    """What makes columns of a message's rows."""

    def read(rows: Any) -> list[Column]:
        whole = whole_messages(message, rows)
        own = [*entry_columns(whole, header), *(plain_columns(whole, OUTPUT_PART_FIELDS) if is_output else [])]
        return beside(own, message_columns(message, whole))

    return read


def _records(spec: TableSpec, enums: Any, rows: Any) -> list[Column]:
    own = [*entry_columns(rows, CHANGE_FIELDS), *plain_columns(rows, CHANGE_PART_FIELDS)]
    return beside(own, record_columns(spec, rows, enums))


def entries_table(plugin: LoadedPlugin | None, rows: Any) -> list[Column]:
    """Headers of entries, with the name of the input's message, and outcomes in words."""
    templates = strided(rows, layout.ROW_TEMPLATE, np.dtype("<i8"))
    messages = {each.id + layout.OWN_TEMPLATES: each.name for each in own_schema().messages.values()}
    if plugin is not None:
        messages |= {each.id: each.name for each in plugin.schema.messages.values()}
    outcomes = entry_columns(rows, ("outcome",))[0].values
    rejections, invariants = (plugin.rejections, plugin.invariants) if plugin is not None else ({}, [])
    different = [int(each) for each in np.unique(outcomes)]
    names = {outcome: outcome_name(outcome) for outcome in different}
    reasons = {outcome: reason_of(outcome, rejections, invariants) for outcome in different}
    return [
        *entry_columns(rows, ENTRY_FIELDS),
        Column("message", "enum", templates, templates < 0, messages),
        Column("outcome_name", "enum", outcomes, names=names),
        Column("reason", "enum", outcomes, outcomes == 0, reasons),
    ]
