"""Tables and records of a state, named, as `statevec state` shows them.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from statevec.audit.state_at_records import RecordNameError, RecordNames, record_count
from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.roles.following import Following
from statevec.state.reading import RecordView, read_row
from statevec.state.tables import find


@dataclass(frozen=True)
class TableCount:
    """How many records a table has."""

    table: str
    records: int
    capacity: int


@dataclass(frozen=True)
class TablesView:
    """The tables after entry `sequence`; `version` (name@version) decides the next one."""

    sequence: int
    version: str
    tables: list[TableCount]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class NamedRecord:
    """A record: its version, the entry that changed it last, and its fields."""

    key: Any
    version: int
    last_changed: int
    fields: dict[str, Any]


@dataclass(frozen=True)
class RecordsView:
    """Records of one table after entry `sequence`, in the order of their keys."""

    sequence: int
    version: str
    table: str
    records: list[NamedRecord]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def view_tables(following: Following, engine: bool = False) -> TablesView:
    """All tables of the plugin, the engine's too if asked."""
    execution = following.execution
    first = 0 if engine else FIRST_PLUGIN_TABLE
    tables = [
        TableCount(table.spec.name, record_count(execution.arena, table), table.spec.capacity)
        for table in list(execution.layout.tables.values())[first:]
    ]
    return TablesView(execution.sequence, _version(following), tables)


def view_records(following: Following, table: str) -> RecordsView:
    """All records of a table. Raises `RecordNameError`."""
    names, execution = RecordNames(following.versions.plugin), following.execution
    number = names.table(table)
    rows = [_named(names, number, each) for _, each in names.rows(execution.layout, execution.arena, number)]
    return RecordsView(execution.sequence, _version(following), table, rows)


def view_record(following: Following, table: str, key: str) -> RecordsView:
    """The record of a key as people write it. Raises `RecordNameError`, also when there is none."""
    names, execution = RecordNames(following.versions.plugin), following.execution
    number = names.table(table)
    word = names.key_word(number, key)
    layout = names.layout_of(execution.layout, number)
    row = find(execution.tx, number, word)
    record = read_row(execution.arena, layout, (row - layout.rows) // layout.row_size) if row else None
    if record is None:
        raise RecordNameError(f"state {table}[{key}]: no such record after entry {execution.sequence}")
    return RecordsView(execution.sequence, _version(following), table, [_named(names, number, record)])


def _named(names: RecordNames, table: int, record: RecordView) -> NamedRecord:
    fields = names.named(table, record.fields)
    return NamedRecord(fields[names.key_field(table)], record.version, record.last_changed, fields)


def _version(following: Following) -> str:
    plugin = following.versions.plugin
    return f"{plugin.name}@{plugin.version}"
