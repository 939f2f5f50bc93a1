"""`Journal`: the journal of an instance as columns, for studies: NumPy arrays and Arrow tables, live instance or not.

    journal = Journal("instance")
    journal.entries()                    every entry's header
    journal.columns("MarketData")        inputs of that message: sequence, timestamp_ns, …, its fields
    journal.outputs("PlaceOrder")        outputs, with their index and expiry
    journal.versions("positions")        every version that a record had: the image after each change
    journal.arrow("MarketData")          any of these as an Arrow table

`first` and `last` are sequences, both included. Names count: where several logic versions decided, each one's entries
are read with its own schema and tables, and columns of one name are one column.

Invariants
    What is read was checked (hash, sequence, digest). Where durable bytes are damaged, `JournalDamagedError` says how
    far they can be read: ask for `last` before that.
    Entries of a version that cannot be loaded are an `UnreadableVersionError`, or left out and named in `problems` when
    `skip_unreadable` says so; `entries` needs no version.

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from statevec.engine.instance import open_instance
from statevec.engine.plugin.decoding import enums_of, tables_of
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.version_lookup import UnreadableVersionError, VersionLookup
from statevec.journal import column_layout as layout
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.column_arrow import arrow, arrow_table
from statevec.journal.column_plan import ColumnPlan, Part, Walk
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
    whole_messages,
)
from statevec.journal.reader import NO_LIMIT, JournalReader, chain_cursor, make_cursor
from statevec.journal.reader_layout import SEQUENCE
from statevec.journal.segments import contiguous_segments

What = Literal["entries", "input", "output", "record"]
Columns = dict[str, Any]


class UnknownNameError(KeyError):
    """No version that decided here has a message, or a table, of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


class ColumnTypeError(TypeError):
    """Versions disagree about the type of a field, so that its values are no one column."""


@dataclass(frozen=True)
class Selection:
    """What is wanted: which part of entries, and the name of its message or table."""

    what: What
    name: str = ""

    def part(self, plugin: LoadedPlugin) -> Part | None:
        """The part of entries that `plugin` decided, None when it has no such name."""
        if self.what == "record":
            found = {spec.name: (number, spec) for number, spec in tables_of(plugin).items() if spec.in_delta}
            if self.name not in found:
                return None
            number, spec = found[self.name]
            return Part(layout.CHANGES, number, spec.record.size)
        message = plugin.schema.messages.get(self.name)
        kind = layout.INPUTS if self.what == "input" else layout.OUTPUTS
        return None if message is None else Part(kind, message.id, message.block_length)

    def columns(self, plugin: LoadedPlugin, rows: Any) -> list[Column]:
        """The columns of gathered rows."""
        if self.what == "record":
            spec = next(each for each in tables_of(plugin).values() if each.name == self.name)
            own = [*entry_columns(rows, CHANGE_FIELDS), *plain_columns(rows, CHANGE_PART_FIELDS)]
            return beside(own, record_columns(spec, rows, enums_of(plugin)))
        message = plugin.schema.messages[self.name]
        rows = whole_messages(message, rows)
        if self.what == "input":
            return beside(entry_columns(rows, INPUT_FIELDS), message_columns(message, rows))
        own = [*entry_columns(rows, OUTPUT_FIELDS), *plain_columns(rows, OUTPUT_PART_FIELDS)]
        return beside(own, message_columns(message, rows))

    def known(self, plugin: LoadedPlugin) -> list[str]:
        """The names that there are."""
        if self.what == "record":
            return [spec.name for spec in tables_of(plugin).values() if spec.in_delta]
        return list(plugin.schema.messages)


ENTRIES = Selection("entries")


class Journal:
    """The journal of the instance in `directory`; see the module's docstring. `cold` has its archived segments."""

    def __init__(self, directory: Path | str, *, cold: Path | str | None = None) -> None:
        self.instance = open_instance(Path(directory))
        self.problems: list[str] = []
        """What `skip_unreadable` left out, in words."""
        self._cold = Path(cold) if cold is not None else None
        self._versions = VersionLookup(self.instance)

    def entries(self, *, first: int | None = None, last: int | None = None) -> Columns:
        """The headers of all entries: sequence, kind, outcome, times, source, lengths and so on."""
        return self._columns(ENTRIES, first, last, False)

    def columns(
        self, message: str, *, first: int | None = None, last: int | None = None, skip_unreadable: bool = False
    ) -> Columns:
        """The inputs of that message, rejected ones too (`outcome` says which); a null is as the schema encodes it."""
        return self._columns(Selection("input", message), first, last, skip_unreadable)

    def outputs(
        self, message: str, *, first: int | None = None, last: int | None = None, skip_unreadable: bool = False
    ) -> Columns:
        """The outputs of that message."""
        return self._columns(Selection("output", message), first, last, skip_unreadable)

    def versions(
        self, table: str, *, first: int | None = None, last: int | None = None, skip_unreadable: bool = False
    ) -> Columns:
        """What records of that table were after each change (of a deletion: before it), and which change it was."""
        return self._columns(Selection("record", table), first, last, skip_unreadable)

    def arrow(
        self,
        name: str,
        *,
        what: What | None = None,
        first: int | None = None,
        last: int | None = None,
        skip_unreadable: bool = False,
    ) -> Any:
        """An Arrow table of "entries", a message or a table; `what` says which when a name is both input and output."""
        chosen = self._selection(name, what)
        chunks = [arrow_table(columns) for columns in self._chunks(chosen, first, last, skip_unreadable)]
        return arrow().concat_tables(chunks, promote_options="permissive").unify_dictionaries()

    def _columns(self, wanted: Selection, first: int | None, last: int | None, skip: bool) -> Columns:
        return join_chunks(list(self._chunks(wanted, first, last, skip)))

    def reader(self) -> JournalReader:
        """A reader of the archived segments and those that are here."""
        unit = self.instance.genesis.unit
        segments, _ = contiguous_segments(self.instance.journal_directory, unit)
        archived = list_cold_segments(self._cold, self.instance.instance_id) if self._cold is not None else []
        return JournalReader(self.instance.journal_directory, unit, join_segments(archived, segments))

    def _selection(self, name: str, what: What | None) -> Selection:
        if name == "entries" and what in (None, "entries"):
            return ENTRIES
        if what is not None:
            return Selection(what, name)
        plugin = self._last_plugin(self.reader())
        if plugin is None or name in plugin.schema.messages:
            is_output = plugin is not None and plugin.schema.messages[name].id in plugin.outputs
            return Selection("output" if is_output else "input", name)
        return Selection("record", name)

    def _last_plugin(self, reader: JournalReader) -> LoadedPlugin | None:
        last = reader.last_sequence()
        return self._versions.plugin(reader.read(reader.find(last)).logic_version) if last else None

    def _chunks(
        self, wanted: Selection, first: int | None, last: int | None, skip_unreadable: bool
    ) -> Iterator[list[Column]]:
        """Columns of some rows each; at least one, perhaps of no rows."""
        reader = self.reader()
        plans = _Plans(self._versions, wanted, NO_LIMIT if last is None else last, skip_unreadable)
        start = reader.first_position if first is None else reader.find(first)
        cursor = make_cursor(start, reader.unit)
        if start == 0:
            chain_cursor(cursor, 0, 0)
        walk = Walk(reader, cursor, plans, self._versions.note)
        count = 0
        for plan in walk.filled():
            if plan.parts:
                count += 1
                yield plans.columns(plan, plan.rows(0))
        if last is None or cursor.load_i64(SEQUENCE) < last:
            walk.judge()
        self.problems += plans.problems
        plans.check_name()
        if not count:
            yield plans.none()


class _Plans:
    """The plan for each logic version, and what its rows mean."""

    def __init__(self, versions: VersionLookup, wanted: Selection, last: int, skip_unreadable: bool) -> None:
        self._versions = versions
        self._wanted = wanted
        self._last = last
        self._skip = skip_unreadable
        self._plans: dict[int, ColumnPlan] = {}
        self.problems: list[str] = []

    def __call__(self, logic_version: int) -> ColumnPlan:
        if logic_version not in self._plans:
            self._plans[logic_version] = self._make(logic_version)
        return self._plans[logic_version]

    def _make(self, logic_version: int) -> ColumnPlan:
        if self._wanted.what == "entries":
            return ColumnPlan(logic_version, None, [Part(layout.ENTRIES)], last=self._last)
        try:
            plugin = self._versions.plugin(logic_version)
        except UnreadableVersionError as error:
            if not self._skip:
                raise
            self.problems.append(str(error))
            return ColumnPlan(logic_version, None, [], last=self._last)
        part = self._wanted.part(plugin)
        return ColumnPlan(logic_version, plugin.schema, [] if part is None else [part], last=self._last)

    def columns(self, plan: ColumnPlan, rows: Any) -> list[Column]:
        """The columns of a plan's rows."""
        if self._wanted.what == "entries":
            return entry_columns(rows)
        return self._wanted.columns(self._versions.plugin(plan.logic_version), rows)

    def check_name(self) -> None:
        """Raise `UnknownNameError` when versions decided and none of them has the name."""
        if self._wanted.what == "entries" or not self._plans or any(plan.parts for plan in self._plans.values()):
            return
        known: dict[str, None] = {}
        for logic_version in self._plans:
            try:
                known |= dict.fromkeys(self._wanted.known(self._versions.plugin(logic_version)))
            except UnreadableVersionError:
                continue  # it is among the problems
        if known:
            what = "table" if self._wanted.what == "record" else "message"
            raise UnknownNameError(f"there is no {what} {self._wanted.name!r}; there are: {', '.join(sorted(known))}")

    def none(self) -> list[Column]:
        """The columns when there is no row: those of the last version, or nothing where no version is known."""
        plan = next((plan for plan in reversed(self._plans.values()) if plan.parts), None)
        return [] if plan is None else self.columns(plan, plan.rows(0)[:0])


def join_chunks(chunks: Sequence[Sequence[Column]]) -> Columns:
    """Columns of one name one behind the other; where a chunk lacks one, its rows are masked."""
    names = dict.fromkeys(column.name for chunk in reversed(chunks) for column in chunk)
    by_name = [{column.name: column for column in chunk} for chunk in chunks]
    counts = [len(chunk[0].values) if chunk else 0 for chunk in chunks]
    return {name: _joined(name, [each.get(name) for each in by_name], counts) for name in names}


def _joined(name: str, parts: Sequence[Column | None], counts: Sequence[int]) -> Any:
    there = [part for part in parts if part is not None]
    if len({_family(part) for part in there}) > 1:
        kinds = ", ".join(sorted({f"{part.kind} {part.values.dtype}" for part in there}))
        raise ColumnTypeError(
            f"versions disagree about a field's type: field={name!r} types={kinds}; give first and last"
        )
    made = np.result_type(*(part.values.dtype for part in there))
    if made.kind == "f" and there[0].values.dtype.kind != "f":
        raise ColumnTypeError(
            f"no integer holds all values: field={name!r}: u64 and a signed type; give first and last"
        )
    values = [
        part.values if part is not None else np.zeros((count, *there[0].values.shape[1:]), made)
        for part, count in zip(parts, counts, strict=True)
    ]
    joined = np.concatenate(values).astype(made, copy=False)
    if len(there) == len(parts):
        return joined
    mask = [np.full(count, part is None) for part, count in zip(parts, counts, strict=True)]
    return np.ma.MaskedArray(joined, np.concatenate(mask))


def _family(column: Column) -> tuple[str, tuple[int, ...]]:
    """What must be equal in two columns for their values to be one column."""
    kind = column.values.dtype.kind
    return "i" if kind in "iu" else kind, column.values.shape[1:]
