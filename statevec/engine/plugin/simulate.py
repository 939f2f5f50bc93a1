"""`simulate()`: an engine inside the test's process, for a plugin's own unit tests.

    desk = hedge.simulate()                       # or tier="interpreted"
    entry = desk.send("MarketData", instrument=1, bid_price=99, ask_price=101)
    assert entry.outcome_name == "COMMITTED"
    assert [each.price for each in desk.outputs if each.name == "PlaceOrder"] == [99]
    assert desk.state.positions[1].quantity == 5
    desk.advance(60_000_000_000)                  # a minute: due timers fire

Entries run through the same kernel as in the live engine (`engine/execute.py`), without rings, log and journal.

Invariants
    Time moves with `advance` only; timers fire there, each at its deadline, in the engine's order.
    What is returned is a copy: later entries do not change it.

Private memory of the process: a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from statevec.codecs.accessors import BlockView, view_class
from statevec.engine import engine_state
from statevec.engine.execute import book_entry, run_entry
from statevec.engine.execution import Execution
from statevec.engine.plugin.declare import RecordDeclaration
from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.interpreted_dispatch import InterpretedDispatch
from statevec.engine.plugin.loader import LoadedPlugin, Tier, load_plugin
from statevec.engine.plugin.simulated_entry import SimulatedEntry, SimulatedOutput, record_values
from statevec.engine.plugin.source import hash_of_files, plugin_files
from statevec.ipc.log_layout import MAX_ENTRY, MAX_INPUT
from statevec.ipc.memory import Region
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.journal.decode import hex64
from statevec.journal.entry_view import Entry
from statevec.state import transaction_layout as layout
from statevec.state.arena import digest_of
from statevec.state.arena_layout import ROW_HEADER_SIZE
from statevec.state.tables import find, first_row, next_row, ordered_from, ordered_next, row_count

EARLIEST = -(1 << 63)
TIMERS_MAX = 100_000
"""Timers that one `advance` fires at most: more means that a handler sets its timer into the past for ever."""
SOURCE = 1

_loaded: dict[tuple[Path, str], LoadedPlugin] = {}
_compiled: dict[tuple[Path, str], Any] = {}


class SimulatedTable:
    """A table as a test sees it: by key, with `len`, `in`, `get`, and in row order."""

    def __init__(self, execution: Execution, record: RecordDeclaration, number: int) -> None:
        self._execution = execution
        self._number = number
        self._record = record
        self._view: type[BlockView] = view_class(record.name, record.fields, False)

    def _at(self, row: int) -> SimpleNamespace:
        return SimpleNamespace(**record_values(self._view(self._execution.arena.view, row + ROW_HEADER_SIZE)))

    def get(self, key: int) -> SimpleNamespace | None:
        """The record's fields, or None."""
        row = find(self._execution.tx, self._number, int(key))
        return self._at(row) if row else None

    def __getitem__(self, key: int) -> SimpleNamespace:
        found = self.get(key)
        if found is None:
            raise KeyError(f"no record {key} in {self._record.table}")
        return found

    def __contains__(self, key: int) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return int(row_count(self._execution.tx, self._number))

    def __iter__(self) -> Iterator[SimpleNamespace]:
        row = first_row(self._execution.tx, self._number)
        while row:
            yield self._at(row)
            row = next_row(self._execution.tx, self._number, row)


class SimulatedState:
    """The tables as attributes."""

    def __init__(self, tables: dict[str, SimulatedTable]) -> None:
        self._tables = tables

    def __getattr__(self, name: str) -> SimulatedTable:
        tables = self.__dict__.get("_tables", {})
        if name not in tables:
            raise AttributeError(f"there is no table {name!r} (tables: {', '.join(tables)})")
        found: SimulatedTable = tables[name]
        return found

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._tables]


class Simulation:
    """See the module's docstring. `entries` are all so far, `outputs` all that they emitted."""

    def __init__(self, loaded: LoadedPlugin, dispatch: Any, now_ns: int, epoch: int) -> None:
        self.plugin = loaded
        self.now_ns = now_ns
        self.epoch = epoch
        self.entries: list[SimulatedEntry] = []
        self.dispatch = dispatch
        self._execution = Execution(loaded.table_specs, dispatch)
        self._entry = Region.allocate(MAX_ENTRY)
        records = loaded.declarations.records.values()
        self.state = SimulatedState(
            {each.table: SimulatedTable(self._execution, each, loaded.table_number(each.name)) for each in records}
        )
        """Tables by name."""

    @property
    def outputs(self) -> list[SimulatedOutput]:
        """All outputs so far."""
        return [output for entry in self.entries for output in entry.outputs]

    @property
    def sequence(self) -> int:
        """Sequence of the last entry."""
        return self._execution.sequence

    @property
    def digest(self) -> str:
        """Digest (hex) after the last entry: equal for equal histories, in any tier."""
        return hex64(self._execution.digest)

    @property
    def state_digest(self) -> str:
        """Digest (hex) of all state, byte for byte."""
        return digest_of(self._execution.arena)

    @property
    def timers(self) -> dict[int, int]:
        """Deadlines of the timers that are set, by id."""
        return dict(self._timers(EARLIEST))

    def send(self, message: str, **fields: Any) -> SimulatedEntry:
        """Send one message; its entry. Optional fields may be left out; SbeError for fields that do not fit."""
        return self.send_bytes(self.plugin.schema.encode(message, fields))

    def send_bytes(self, message: bytes) -> SimulatedEntry:
        """Send raw bytes, well formed or not; their entry."""
        return self._run(entries.COMMAND, message)

    def advance(self, nanoseconds: int) -> list[SimulatedEntry]:
        """Let time pass, in whole ns: timers that become due fire, each at its deadline; their entries."""
        if not isinstance(nanoseconds, int) or isinstance(nanoseconds, bool):
            raise TypeError(f"time passes in whole nanoseconds: {nanoseconds!r}")
        if nanoseconds < 0:
            raise ValueError(f"time does not run backwards: {nanoseconds}")
        target = self.now_ns + nanoseconds
        fired: list[SimulatedEntry] = []
        while (due := next(self._timers(EARLIEST), None)) is not None and due[1] <= target:
            if len(fired) == TIMERS_MAX:
                raise PluginError(
                    f"{TIMERS_MAX} timers fired within one advance: timer {due[0]} is set again and again"
                )
            self.now_ns = max(self.now_ns, due[1])
            header = admin.TIMER_SBE_HEADER.to_bytes(8, "little")
            fired.append(self._run(entries.TIMER, header + admin.TIMER_FORMAT.pack(*due)))
        self.now_ns = target
        return fired

    def _timers(self, earliest: int) -> Iterator[tuple[int, int]]:
        """(id, deadline) in the order in which they fire."""
        tx, arena = self._execution.tx, self._execution.arena
        row = ordered_from(tx, engine_state.TIMERS, engine_state.DEADLINE_INDEX, earliest, False)
        while row:
            timer_id = arena.load_i64(row + engine_state.TIMER_KEY)
            yield timer_id, arena.load_i64(row + engine_state.TIMER_DEADLINE_NS)
            row = ordered_next(tx, engine_state.TIMERS, engine_state.DEADLINE_INDEX, row, False)

    def _run(self, kind: int, content: bytes) -> SimulatedEntry:
        execution, entry = self._execution, self._entry
        entry.fill_zero(0, entries.INPUT)
        kept = content[:MAX_INPUT]
        entry.view[entries.INPUT : entries.INPUT + len(kept)] = kept
        padded = (len(kept) + 7) & ~7
        entry.fill_zero(entries.INPUT + len(kept), padded - len(kept))
        is_command = kind == entries.COMMAND
        for offset, value in (
            (entries.SEQUENCE, execution.sequence + 1),
            (entries.EPOCH, self.epoch),
            (entries.TIMESTAMP_NS, self.now_ns),
            (entries.SOURCE_SEQUENCE, execution.sequence + 1 if is_command else 0),
        ):
            entry.store_i64(offset, value)
        for offset, value in (
            (entries.KIND, kind),
            (entries.SOURCE, SOURCE if is_command else 0),
            (entries.INPUT_LENGTH, len(kept)),
            (entries.INPUT_TRUE_LENGTH, len(content)),
        ):
            entry.store_i32(offset, value)
        if isinstance(self.dispatch, InterpretedDispatch):
            self.dispatch.last_error = None
        book_entry(execution.tx, execution.block, entry)
        length = run_entry(execution.tx, execution.block, entry, MAX_ENTRY)
        fault = execution.tx.load_i64(layout.FAULT_INFORMATION)
        error = getattr(self.dispatch, "last_error", None)
        made = SimulatedEntry(self.plugin, Entry(entry.view[:length]), fault, error)
        self.entries.append(made)
        return made


def simulate(directory: Path, tier: Tier, now_ns: int, epoch: int) -> Simulation:
    """A simulation of the plugin in `directory`; loaded and compiled once for each content."""
    files = plugin_files(directory)
    key = (directory, hash_of_files(files))
    loaded = _loaded.get(key)
    if loaded is None:
        loaded = _loaded[key] = load_plugin(directory, files)
    if tier != "compiled":
        return Simulation(loaded, loaded.dispatch(tier), now_ns, epoch)
    if key not in _compiled:
        _compiled[key] = loaded.dispatch("compiled")
    return Simulation(loaded, _compiled[key], now_ns, epoch)
