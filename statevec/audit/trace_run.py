"""Running one recorded entry with everything traced, on a state that stays as it is.

    run = trace_entry(execution, dispatch, entry)      run.entry: what came out; run.trace: how

The entry is booked and then previewed: the handler runs in the interpreted tier over the very arena, and every byte is
rolled back. So the walker's state stays the log's, and any number of runs of one entry can follow each other.

Invariants
    What comes out is what `execute` made of it: outcome, outputs, changes and digest are to be compared with the log's.
    Booking the entry again afterwards, as the walker does, changes nothing more.

Private to the process; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from statevec.audit.trace import Trace
from statevec.audit.trace_lines import LineTracer, SourceLayout
from statevec.audit.trace_tables import Labels, TracedBinding
from statevec.codecs.accessors import BlockView
from statevec.engine import execution_layout
from statevec.engine.execute import book_recorded, preview_entry
from statevec.engine.execution import Execution
from statevec.engine.plugin.fault_text import describe_error
from statevec.engine.plugin.interpreted_dispatch import InterpretedDispatch
from statevec.engine.plugin.interpreted_records import RecordView
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.plugin.rewrite import PREFIX
from statevec.ipc.memory import Region
from statevec.journal.entry_view import Entry

STORE = PREFIX + "store"


@dataclass(frozen=True)
class TracedRun:
    """One run: the entry as it came out, and what happened on the way; `fault` in words, empty without one."""

    entry: Entry
    trace: Trace
    fault: str


class TracedDispatch(InterpretedDispatch):
    """A plugin's dispatch that traces; one object for many runs of one version. `trace` is that of the last run."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        super().__init__(loaded)
        self.loaded = loaded
        self.trace = Trace()
        self._labels = Labels(loaded)
        self._tracer = LineTracer(
            str(loaded.path), SourceLayout(loaded.source.tree), self._labels, frozenset(loaded.invariants)
        )

    def begin(self) -> None:
        """Forget the run before."""
        self.trace = Trace()
        self.last_error = None

    def _bind(self, transaction: int) -> TracedBinding:
        return TracedBinding(self._loaded, transaction, self._outputs, self)

    def _note_record(self, record: RecordView) -> None:
        assert isinstance(self._binding, TracedBinding)
        self._binding.by_record[record._name].note(record)

    def _dispatch(self, transaction: int, message: int, length: int) -> int:
        names = vars(self._loaded.module)
        plain = names[STORE]
        names[STORE] = self._store
        try:
            with self._tracer.tracing(self.trace, self._note_record):
                return super()._dispatch(transaction, message, length)
        finally:
            names[STORE] = plain

    def _store(self, target: Any, name: str, value: Any) -> None:
        """What the rewritten `target.name = value` calls."""
        setattr(target, name, value)
        where = self._labels.of(target) if isinstance(target, BlockView) else type(target).__name__
        self.trace.note_store(f"{where}.{name}", self._labels.of(value))


def trace_entry(execution: Execution, dispatch: TracedDispatch, recorded: Entry) -> TracedRun:
    """Run `recorded` on the state before it; afterwards the state is as it was, but for the entry being booked.

    `execution` may be that of another version than the one that decided, with the state migrated; `dispatch` fits it.
    """
    content = Region.of(bytearray(recorded.raw))
    scratch = Region.allocate(execution.scratch.size)
    block = Region.allocate(execution_layout.EXECUTION_SIZE)
    book_recorded(execution.tx, execution.block, content, scratch)
    block.copy_from(0, execution.block, 0, block.size)
    block.store_i64(execution_layout.DISPATCH, dispatch.address)
    dispatch.begin()
    length = preview_entry(execution.tx, block, scratch)
    if isinstance(dispatch.last_error, KeyboardInterrupt):
        raise dispatch.last_error  # nobody's fault, and everything is rolled back
    fault = describe_error(dispatch.last_error, str(dispatch.loaded.path))
    return TracedRun(Entry(scratch.view[:length]), dispatch.trace, fault)
