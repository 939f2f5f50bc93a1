"""What a plugin says about the bytes of entries that it decided: messages, tables, rejections, enums.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from enum import IntEnum

from statevec.engine.engine_state import ENGINE_TABLES
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.decode import EntryDecoder
from statevec.state.records import TableSpec


def tables_of(plugin: LoadedPlugin) -> dict[int, TableSpec]:
    """All tables of an arena of this plugin by their numbers, the engine's first."""
    return dict(enumerate([*ENGINE_TABLES, *plugin.table_specs]))


def enums_of(plugin: LoadedPlugin) -> dict[tuple[str, str], type[IntEnum]]:
    """The enums of records' fields, by (table's name, field's name)."""
    return {
        (record.table, field.name): field.enum.enum_class
        for record in plugin.declarations.records.values()
        for field in record.fields
        if field.enum is not None
    }


def decoder_for(plugin: LoadedPlugin) -> EntryDecoder:
    """A decoder of entries that this plugin decided."""
    return EntryDecoder(plugin.schema, tables_of(plugin), plugin.rejections, enums_of(plugin), plugin.invariants)
