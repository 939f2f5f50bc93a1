"""What `simulate()` answers: entries and outputs with names and values, as a test reads them.

Nothing here keeps state; everything is a copy of what the engine wrote.
"""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from statevec.codecs.accessors import BlockView, view_class
from statevec.codecs.handler_view import HandlerGroup, HandlerLevel, message_maker
from statevec.codecs.header import HeaderCodec
from statevec.engine.engine_state import FIRST_PLUGIN_TABLE
from statevec.engine.plugin.fault_text import describe_error, describe_fault
from statevec.ipc.faults import INVARIANT_VIOLATED, outcome_name, reason_of
from statevec.journal.decode import hex64
from statevec.journal.entry_layout import ENTRY_KINDS
from statevec.journal.entry_view import Change, Entry, Output

if TYPE_CHECKING:
    from statevec.engine.plugin.loader import LoadedPlugin


def record_values(view: BlockView) -> dict[str, Any]:
    """The values of a view by attribute: enum members, None for null, nested ones as dictionaries, groups as lists."""
    values = {each.attribute: getattr(view, each.attribute) for each in view._layouts}
    if isinstance(view, HandlerLevel):
        values |= {name: getattr(view, name) for name in view._members}
    return {name: _plain(each) for name, each in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, HandlerGroup):
        return [record_values(each) for each in value]
    return record_values(value) if isinstance(value, BlockView) else value


class SimulatedOutput:
    """An output: `name`, `expires_ns`, its fields as attributes, and `to_dict()`."""

    def __init__(self, plugin: LoadedPlugin, output: Output) -> None:
        schema = plugin.schema
        self.message = output.message
        self.expires_ns = output.expires_ns
        self.identity = output.identity
        layout = schema.decode(output.message).layout
        self.name = layout.name
        if layout.is_flat:
            view = view_class(layout.name, layout.fields, False)(output.message, schema.header.size)
        else:
            header = HeaderCodec(schema.header, schema.id, schema.version)
            view = message_maker(layout, header)(output.message, len(output.message))
        self._values = record_values(view)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self._values)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name not in values:
            raise AttributeError(f"output {self.__dict__.get('name')} has no field {name!r}")
        return values[name]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


class SimulatedEntry:
    """One entry: `sequence`, `outcome` (0 committed), `outcome_name`, `reason`, `outputs`, `changes`, `digest`."""

    def __init__(self, plugin: LoadedPlugin, entry: Entry, fault_address: int, error: BaseException | None) -> None:
        self._plugin = plugin
        self.entry = entry
        self.sequence = entry.sequence
        self.timestamp_ns = entry.timestamp_ns
        self.outcome = entry.outcome
        self.digest = hex64(entry.digest)
        self.kind = ENTRY_KINDS[entry.kind]
        self.reason = self._reason(fault_address, error)

    @property
    def outcome_name(self) -> str:
        """COMMITTED, REJECTED(code), or the name of a fault."""
        return outcome_name(self.outcome)

    @property
    def committed(self) -> bool:
        return self.outcome == 0

    def _reason(self, fault_address: int, error: BaseException | None) -> str:
        """Why it was not committed, for people: the rejection's text, the invariant's name, the fault and its line."""
        place = ""
        if INVARIANT_VIOLATED < self.outcome < 0:
            place = describe_fault(fault_address) if fault_address else describe_error(error, str(self._plugin.path))
        return place or reason_of(self.outcome, self._plugin.rejections, self._plugin.invariants)

    @cached_property
    def outputs(self) -> list[SimulatedOutput]:
        """What the handler emitted, in order."""
        return [SimulatedOutput(self._plugin, each) for each in self.entry.outputs()]

    @cached_property
    def changes(self) -> list[SimpleNamespace]:
        """What happened to the plugin's records: `table`, `operation`, `version`, `fields`, in the delta's order."""
        changes = (each for each in self.entry.changes() if each.table >= FIRST_PLUGIN_TABLE)
        return [self._change(each) for each in changes]

    def _change(self, change: Change) -> SimpleNamespace:
        record = list(self._plugin.declarations.records.values())[change.table - FIRST_PLUGIN_TABLE]
        view = view_class(record.name, record.fields, False)(change.image, 0)
        return SimpleNamespace(
            table=record.table, operation=change.operation_name, version=change.version, fields=record_values(view)
        )

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"<entry {self.sequence} {self.kind} {self.outcome_name}{reason} outputs={self.outputs}>"
