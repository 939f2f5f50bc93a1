"""`EntryDecoder`: entries as dictionaries for people and JSON, with what a plugin says about its messages and tables.

    {"sequence": …, "kind": "command", "outcome": "COMMITTED", …,
     "input": {"message": "MarketData", "fields": {…}},
     "outputs": [{"index": 0, "expires_ns": 0, "message": "PlaceOrder", "fields": {…}}],
     "changes": [{"table": "orders", "row": 3, "operation": "inserted", "version": 1, "previous_sequence": 0,
                  "fields": {…}}]}

Invariant: what cannot be decoded is shown as its bytes (hex) with the reason, never left out and never an exception: a
malformed input is an entry too.

Nothing here keeps state: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from statevec.codecs.errors import SbeError
from statevec.codecs.schema import Schema
from statevec.ipc.faults import reason_of
from statevec.ipc.memory import MASK64
from statevec.journal.entry_layout import COMMAND, TIMER
from statevec.journal.entry_view import Change, Entry, Output
from statevec.journal.plain_text import bytes_text, with_backslashes_doubled
from statevec.state.records import TableSpec

HEADER_NUMBERS = (
    "sequence",
    "position",
    "length",
    "epoch",
    "timestamp_ns",
    "source",
    "source_sequence",
    "source_position",
    "sent_ns",
    "logic_version",
    "input_true_length",
    "durable_position",
)


@cache
def own_schema() -> Schema:
    """The project's own schema: messages Entry, Leadership, RingAttach, RingQuarantine, TimerFired."""
    return Schema.parse((files("statevec.journal") / "statevec.xml").read_bytes(), "statevec.xml")


def hex64(value: int) -> str:
    """A hash or digest as people see it: 16 hex digits."""
    return f"{value & MASK64:016x}"


def plain_value(value: Any) -> Any:
    """A decoded value as JSON knows it; two different texts are two different values (`plain_text`)."""
    if isinstance(value, Enum):
        return value.name if value.name is not None else int(value.value)
    if isinstance(value, bytes):
        return bytes_text(value)
    if isinstance(value, str):
        return with_backslashes_doubled(value)
    if isinstance(value, Mapping):
        return {name: plain_value(each) for name, each in value.items()}
    if isinstance(value, np.generic):
        return plain_value(value.item())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(each) for each in value]
    return value


class EntryDecoder:
    """Decodes with the plugin's schema, its tables by their number in the directory, and its rejections' texts."""

    def __init__(
        self,
        schema: Schema | None = None,
        tables: Mapping[int, TableSpec] | None = None,
        rejections: Mapping[int, str] | None = None,
        enums: Mapping[tuple[str, str], type[IntEnum]] | None = None,
        invariants: Sequence[str] = (),
    ) -> None:
        """`enums` are those of records' fields, by (table's name, field's name), `invariants` names by number."""
        self._schema = schema
        self._tables = dict(tables or {})
        self._rejections = dict(rejections or {})
        self._enums = dict(enums or {})
        self._invariants = tuple(invariants)

    def entry(self, entry: Entry) -> dict[str, Any]:
        """Everything an entry says, decoded."""
        found: dict[str, Any] = {name: getattr(entry, name) for name in HEADER_NUMBERS}
        found |= {"kind": entry.kind_name, "outcome": entry.outcome_name, "outcome_code": entry.outcome}
        reason = self.reason(entry)
        if reason:
            found["rejection" if entry.outcome > 0 else "fault"] = reason
        found |= {"gap": entry.gap, "hash": hex64(entry.hash), "digest": hex64(entry.digest)}
        found["input"] = self.input(entry)
        found["outputs"] = [self.output(output) for output in entry.outputs()]
        found["changes"] = [self.change(change) for change in entry.changes()]
        return found

    def reason(self, entry: Entry) -> str:
        """Why a command or timer was rejected or faulted, empty when it was not."""
        return reason_of(entry.outcome, self._rejections, self._invariants) if entry.kind in (COMMAND, TIMER) else ""

    def input(self, entry: Entry) -> dict[str, Any] | None:
        """The input's message and fields; None where the entry has none."""
        if not entry.input:
            return None
        return self.message(entry.input, self._schema if entry.kind == COMMAND else own_schema())

    def output(self, output: Output) -> dict[str, Any]:
        """An output's message and fields."""
        return {"index": output.index, "expires_ns": output.expires_ns} | self.message(output.message, self._schema)

    def message(self, content: bytes, schema: Schema | None) -> dict[str, Any]:
        """Name and fields of an SBE message, or its bytes and why it is none."""
        if schema is None:
            return {"bytes": content.hex(), "reason": "schema is not known"}
        try:
            view = schema.decode(content)
            return {"message": view.layout.name, "fields": plain_value(view.to_dict())}
        except SbeError as error:
            return {"bytes": content.hex(), "reason": str(error)}

    def change(self, change: Change) -> dict[str, Any]:
        """What happened to one record, its fields by name."""
        spec = self._tables.get(change.table)
        found: dict[str, Any] = {
            "table": spec.name if spec else change.table,
            "row": change.row,
            "operation": change.operation_name,
            "version": change.version,
            "previous_sequence": change.previous_sequence,
        }
        if spec is None or len(change.image) != spec.record.size:
            return found | {"bytes": change.image.hex(), "reason": "table is not known"}
        values = np.frombuffer(change.image, spec.record.dtype, count=1)[0]
        fields = {field.name: self._field(spec.name, field.name, values[field.name]) for field in spec.record.fields}
        return found | {"fields": fields}

    def _field(self, table: str, field: str, value: Any) -> Any:
        enum = self._enums.get((table, field))
        known = enum is not None and int(value) in enum._value2member_map_
        return enum(int(value)).name if enum is not None and known else plain_value(value)
