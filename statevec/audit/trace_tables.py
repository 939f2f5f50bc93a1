"""Tables and transaction that tell a `Trace` what is asked of them; otherwise those of the interpreted tier.

Invariant: what a handler gets is what it would get without a trace, faults included; whatever is noted was copied.

Made for one run over one arena; nothing outlives it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from statevec.audit.trace import KEYS_KEPT, Lookup, Read, Trace
from statevec.codecs.accessors import BlockView
from statevec.engine.plugin import operations
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.interpreted_records import RecordView, Rows, Table, WritableTable, word
from statevec.engine.plugin.interpreted_transaction import Binding, Outputs, ReadingTransaction, Transaction
from statevec.journal.plain_text import bytes_text
from statevec.state.arena_layout import ROW_HEADER_SIZE, ROW_LAST_CHANGED, ROW_STATUS, ROW_TOUCHED, ROW_VERSION

if TYPE_CHECKING:
    from statevec.engine.plugin.loader import LoadedPlugin

ORDERS = {
    operations.ROW_ORDER: "all",
    operations.GROUP: "where",
    operations.ASCENDING: "ascending",
    operations.DESCENDING: "descending",
}

ROW_HEADER = struct.Struct("<qqii")
assert (ROW_VERSION, ROW_LAST_CHANGED, ROW_STATUS, ROW_TOUCHED, ROW_HEADER.size) == (0, 8, 16, 20, ROW_HEADER_SIZE)


class Traced(Protocol):
    """Whose `trace` is told what happens now: one run's after the other's."""

    trace: Trace


class TracedTable(Table):
    """A table that notes what is read, read-only as invariants get it."""

    __slots__ = ("_key", "_memory", "_size", "_traced")

    def __init__(
        self, record: RecordDeclaration, number: int, transaction: int, arena: Any, memory: memoryview, traced: Traced
    ) -> None:
        super().__init__(record, number, transaction, arena)
        self._key = record.key
        self._memory = memory
        self._size = record.table_spec().record.size
        self._traced = traced

    @property
    def _trace(self) -> Trace:
        return self._traced.trace

    def note(self, record: Any) -> Any:
        """Note that `record`, a view of a row of this table, was read; returns it."""
        trace, fields = self._trace, record._offset
        version, last_changed, _, touched = ROW_HEADER.unpack_from(self._memory, fields - ROW_HEADER_SIZE)
        trace.note_read(
            Read(
                table=self._number,
                key=int(getattr(record, self._key)),
                image=bytes(self._memory[fields : fields + self._size]),
                version=version,
                last_changed=last_changed,
                line=trace.line,
                by=trace.by,
                changed=touched != 0,
            )
        )
        return record

    def _ask(self, how: str, value: Any, found: bool, field: str = "") -> None:
        trace = self._trace
        keys = [int(value)] if found else []
        trace.note_lookup(
            Lookup(self._number, how, field or self._key, int(value), trace.line, trace.by, keys, len(keys))
        )

    def __getitem__(self, key: Any) -> Any:
        return self.note(super().__getitem__(self._known(key)))

    def _known(self, key: Any) -> Any:
        """The key, after its absence was noted."""
        if not super().__contains__(key):
            self._ask("key", word(key), False)
        return key

    def __contains__(self, key: Any) -> bool:
        found = super().__contains__(key)
        self._ask("in", word(key), found)
        return found

    def __len__(self) -> int:
        count, trace = super().__len__(), self._trace
        trace.note_lookup(Lookup(self._number, "len", "", None, trace.line, trace.by, [], count))
        return count

    def __iter__(self) -> Iterator[Any]:
        return iter(TracedRows(self, 0, operations.ROW_ORDER, 0, ""))

    def get(self, key: Any) -> Any:
        found = super().get(key)
        if found is None:
            self._ask("get", word(key), False)
            return None
        return self.note(found)

    def find_unique(self, field: str, value: Any) -> Any:
        found, trace = super().find_unique(field, value), self._trace
        keys = [] if found is None else [int(getattr(found, self._key))]
        trace.note_lookup(Lookup(self._number, "unique", field, word(value), trace.line, trace.by, keys, len(keys)))
        return None if found is None else self.note(found)

    def rows(self, field: str, kind: str, order: int, value: Any) -> Rows:
        return TracedRows(self, self._number_of(field, (kind,)), order, word(value), field)

    def edit(self, key: Any) -> Any:
        if super().__contains__(key):
            self.note(super().__getitem__(key))  # as it was before this edit
        else:
            self._ask("key", word(key), False)
        return super().edit(key)

    def delete(self, key: Any) -> None:
        super().delete(self._known(key))
        self._trace.note_store(f"{self._record.table}[{_shown_key(key)}]", "deleted")

    def insert(self, key: Any) -> Any:
        made = super().insert(key)
        self._trace.note_store(f"{self._record.table}[{_shown_key(key)}]", "inserted")
        return made


class TracedWritableTable(TracedTable, WritableTable):
    """A traced table as handlers get it."""

    __slots__ = ()


class TracedRows(Rows):
    """Rows of an index that note which of them were handed out."""

    __slots__ = ("_lookup",)

    def __init__(self, table: TracedTable, index: int, order: int, value: int, field: str) -> None:
        super().__init__(table, index, order, value)
        trace = table._trace
        self._lookup = trace.begin_lookup(
            Lookup(table._number, ORDERS[order], field, value if field else None, trace.line, trace.by)
        )

    def __iter__(self) -> Iterator[Any]:
        table, lookup = self._table, self._lookup
        assert isinstance(table, TracedTable)
        for record in super().__iter__():
            table.note(record)
            if len(lookup.found) < KEYS_KEPT:
                lookup.found.append(int(getattr(record, table._key)))
            lookup.count += 1
            yield record


class TracedTransaction(Transaction):
    """`tx` of a traced handler: notes where it rejects, and what it does to timers."""

    def __init__(self, block: memoryview, address: int, outputs: Outputs, traced: Traced) -> None:
        super().__init__(block, address, outputs)
        self._traced = traced

    def reject(self, code: Any) -> None:
        super().reject(code)
        trace = self._traced.trace
        trace.rejected_at = trace.rejected_at or trace.line

    def set_timer(self, id: Any, at_ns: Any) -> None:
        super().set_timer(id, at_ns)
        self._traced.trace.note_store(f"timer[{word(id)}].deadline_ns", word(at_ns))

    def cancel_timer(self, id: Any) -> bool:
        found = super().cancel_timer(id)
        self._traced.trace.note_store(f"timer[{word(id)}]", "cancelled" if found else "not set")
        return found


class TracedBinding(Binding):
    """A plugin's objects over one transaction block and arena, all of them traced."""

    def __init__(self, loaded: LoadedPlugin, address: int, outputs: Outputs, traced: Traced) -> None:
        super().__init__(loaded, address, outputs)
        memory = memoryview(self.arena).cast("B")
        self.transaction = TracedTransaction(self.block, address, outputs, traced)
        self.reading = ReadingTransaction(self.block, address, outputs)
        self.by_record: dict[str, TracedTable] = {}
        for record in loaded.declarations.records.values():
            number = loaded.table_number(record.name)
            reading = TracedTable(record, number, address, self.arena, memory, traced)
            writable = TracedWritableTable(record, number, address, self.arena, memory, traced)
            self.tables[number] = self.by_record[record.name] = reading
            setattr(self.transaction, record.table, writable)
            setattr(self.reading, record.table, reading)


def _shown_key(key: Any) -> Any:
    """An integer, by its name where it is of an enum."""
    return getattr(key, "name", None) or int(key)


class Labels:
    """What variables that are no plain values are called: records by table and key, messages by name."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        self._keys = {each.name: (each.table, each.key) for each in loaded.declarations.records.values()}

    def of(self, value: Any) -> Any:
        """A value that stays as it is, whatever the handler does next."""
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return _shown_key(value)
        if isinstance(value, bytes):
            return bytes_text(value)
        if isinstance(value, RecordView):
            table, key = self._keys[value._name]
            return f"{table}[{_shown_key(getattr(value, key))}]"
        if isinstance(value, BlockView):
            return value._name
        if isinstance(value, Table):
            return value._record.table
        if isinstance(value, Rows):
            return f"rows of {value._table._record.table}"
        if isinstance(value, tuple):
            return [self.of(each) for each in value]
        return type(value).__name__
