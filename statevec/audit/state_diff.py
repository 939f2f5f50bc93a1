"""`diff_states`: which records changed between the states after two entries, field by field.

Records are matched by table and key. Where the tables are laid out alike on both sides, rows whose bytes are the same
are passed over natively; across a migration all records are compared, by the names of the newer schema: which fields
are new or gone is said of the table, and they count as no change of a record.

    inserted   only there afterwards      deleted    only there before
    updated    its version grew           replaced   deleted meanwhile, and another one inserted under the same key

(A replaced record whose versions went beyond the old one's counts as updated.) A record that was changed and changed
back is updated, without fields.

Nothing is written; the state before is a copy in memory. A crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from statevec.audit.state_at import StateAtError, StateWalker
from statevec.audit.state_at_records import RecordNames
from statevec.engine.engine_state import ENGINE_TABLES
from statevec.ipc.memory import Region
from statevec.roles.following import Following
from statevec.state import arena_layout
from statevec.state.arena import ArenaLayout, TableLayout
from statevec.state.arena_layout import ROW_TOUCHED
from statevec.state.reading import RecordView, read_row, read_rows


@dataclass(frozen=True)
class RecordDiff:
    """One record: `fields` are [before, after] by name; all of an inserted or deleted one."""

    key: Any
    operation: str
    version_before: int | None
    version_after: int | None
    last_changed: int
    """The entry that changed it last; of a deleted one, the last before it was deleted."""
    fields: dict[str, list[Any]]


@dataclass(frozen=True)
class TableDiff:
    """One table's records that differ, by key. `new_fields` and `gone_fields` are those of a migration."""

    table: str
    inserted: int
    deleted: int
    updated: int
    records: list[RecordDiff]
    new_fields: list[str] = field(default_factory=list)
    gone_fields: list[str] = field(default_factory=list)
    is_new: bool = False
    is_gone: bool = False


@dataclass(frozen=True)
class StateDiff:
    """What changed from the state after `first` to the state after `last`; tables without any difference are left out.

    `version_before` and `version_after` are the versions that decided next.
    """

    first: int
    last: int
    version_before: str
    version_after: str
    tables: list[TableDiff]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _State:
    """A state that stays: a copy of the arena, and the names of its tables."""

    def __init__(self, following: Following) -> None:
        plugin = following.versions.plugin
        self.names = RecordNames(plugin)
        self.layout: ArenaLayout = following.execution.layout
        self.arena = Region.of(bytearray(following.execution.arena.view))
        self.version = f"{plugin.name}@{plugin.version}"


def diff_states(
    walker: StateWalker, first: int, last: int, table: str | None = None, engine: bool = False
) -> StateDiff:
    """Compare the states after entries `first` and `last`: one table, or all; the engine's own only if asked.

    Raises what `StateWalker.to` raises, `StateAtError` when `last` comes first, `RecordNameError` for a table that is
    on neither side.
    """
    if first > last:
        raise StateAtError(f"a difference goes forward: first={first} last={last}; name the earlier entry first")
    before = _State(walker.to(first))
    after = _State(walker.to(last))
    if table is not None and table not in before.names.numbers:
        after.names.table(table)
    wanted = [table] if table is not None else [*after.names.numbers, *before.names.numbers]
    own = {spec.name for spec in ENGINE_TABLES}
    names = [name for name in dict.fromkeys(wanted) if engine or table is not None or name not in own]
    found = [each for name in names if (each := _diff_table(name, before, after)) is not None]
    return StateDiff(first, last, before.version, after.version, found)


def _diff_table(name: str, before: _State, after: _State) -> TableDiff | None:
    old, new = before.layout.tables.get(name), after.layout.tables.get(name)
    old_fields = [] if old is None else [each.name for each in old.spec.record.fields]
    new_fields = [] if new is None else [each.name for each in new.spec.record.fields]
    left, right = _records(old, new, before, after)
    compared = [each for each in new_fields if each in old_fields]
    records = list(_diff_records(left, right, compared))
    both = old is not None and new is not None
    made = TableDiff(
        table=name,
        inserted=sum(each.operation in ("inserted", "replaced") for each in records),
        deleted=sum(each.operation in ("deleted", "replaced") for each in records),
        updated=sum(each.operation == "updated" for each in records),
        records=records,
        new_fields=[each for each in new_fields if each not in old_fields] if both else [],
        gone_fields=[each for each in old_fields if each not in new_fields] if both else [],
        is_new=old is None,
        is_gone=new is None,
    )
    says_something = records or made.new_fields or made.gone_fields or made.is_new or made.is_gone
    return made if says_something else None


Records = dict[Any, tuple[RecordView, dict[str, Any], Any]]
"""By key: the record, its fields as they are shown, and the key as it is shown."""


def _records(
    old: TableLayout | None, new: TableLayout | None, before: _State, after: _State
) -> tuple[Records, Records]:
    """Records by key that may differ, of both sides."""
    if old is not None and new is not None and old.description == new.description and _same_fields(old, new):
        rows = [int(each) for each in _differing_rows(old, before.arena, after.arena)]
        pairs = [(read_row(before.arena, old, row), read_row(after.arena, new, row)) for row in rows]
        left = [one for one, _ in pairs if one is not None]
        right = [other for _, other in pairs if other is not None]
    else:
        left = [] if old is None else list(read_rows(before.arena, old))
        right = [] if new is None else list(read_rows(after.arena, new))
    return _by_key(old, left, before), _by_key(new, right, after)


def _same_fields(old: TableLayout, new: TableLayout) -> bool:
    return old.spec.record.hash == new.spec.record.hash


def _differing_rows(table: TableLayout, before: Region, after: Region) -> Any:
    """Numbers of rows whose version, state or fields differ."""
    ends = [arena.load_i64(table.at + arena_layout.TABLE_NEVER_USED) for arena in (before, after)]
    count = (max(ends) - table.rows) // table.row_size
    size = arena_layout.ROW_HEADER_SIZE + table.spec.record.size

    def rows(arena: Region) -> Any:
        whole = np.frombuffer(arena.view, np.uint8, count * table.row_size, table.rows)
        return whole.reshape(count, table.row_size)[:, :size]

    differs = rows(before) != rows(after)
    differs[:, ROW_TOUCHED : ROW_TOUCHED + 4] = False
    return np.flatnonzero(differs.any(axis=1))


def _by_key(table: TableLayout | None, records: list[RecordView], state: _State) -> Records:
    if table is None:
        return {}
    number = state.names.numbers[table.spec.name]
    key = state.names.key_field(number)
    found: Records = {}
    for each in records:
        shown = state.names.named(number, each.fields)
        found[each.fields[key]] = (each, shown, shown[key])
    return found


def _diff_records(left: Records, right: Records, compared: list[str]) -> Iterator[RecordDiff]:
    for key in sorted({*left, *right}):
        old, new = left.get(key), right.get(key)
        fields: dict[str, list[Any]]
        if old is None and new is not None:
            record, shown, name = new
            fields = {field: [None, value] for field, value in shown.items()}
            yield RecordDiff(name, "inserted", None, record.version, record.last_changed, fields)
        elif new is None and old is not None:
            record, shown, name = old
            fields = {field: [value, None] for field, value in shown.items()}
            yield RecordDiff(name, "deleted", record.version, None, record.last_changed, fields)
        elif old is not None and new is not None:
            (was, was_shown, _), (now, now_shown, name) = old, new
            fields = {each: [was_shown[each], now_shown[each]] for each in compared}
            fields = {each: values for each, values in fields.items() if values[0] != values[1]}
            if not fields and (was.version, was.last_changed) == (now.version, now.last_changed):
                continue
            replaced = now.version <= was.version and now.last_changed != was.last_changed
            operation = "replaced" if replaced else "updated"
            yield RecordDiff(name, operation, was.version, now.version, now.last_changed, fields)
