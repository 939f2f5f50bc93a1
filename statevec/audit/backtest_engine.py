"""An engine in virtual time for backtests: one input in, what came of it out, nothing kept.

    engine = VirtualEngine(plugin, dispatch)
    ran = engine.command(message, now_ns)          # a message arrives at that time
    engine.first_timer(), engine.fire(…)           # timers are the caller's to fire, when their time has come

Entries run through the kernels of the live engine (`engine/execute.py`), from genesis on, without rings, log and
journal. `simulate()` does the same for a plugin's unit tests and keeps every entry; this keeps the last one only, and
makes one native call for each.

Invariants
    Sequences are dense, and time never goes back: `now_ns` is the time of the last entry.
    The same inputs at the same times give the same digest, in either tier.

Private memory of the process: a crash leaves nothing.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from numba import types

from statevec.engine import engine_state
from statevec.engine import execution_layout as block_layout
from statevec.engine.engine_state import DEADLINE_INDEX, ID_LAST_COUNTER, IDS, TIMERS
from statevec.engine.execute import book_entry, run_entry
from statevec.engine.execution import Execution
from statevec.engine.loop_layout import LOOP_SIZE
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.faults import POISONED
from statevec.ipc.log_layout import MAX_ENTRY, MAX_INPUT
from statevec.ipc.memory import region_at
from statevec.ipc.python_call import PythonCall
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.journal.decode import hex64
from statevec.journal.entry_view import Entry, Output
from statevec.state.tables import find, ordered_from, ordered_next
from statevec.state.transaction_layout import TRANSACTION_SIZE

EARLIEST = -(1 << 63)
SOURCE = 1
GIVEN_OUTCOME = (entries.ADMIN, entries.CUTOVER)
"""Kinds whose outcome the leader gave: nothing runs for them."""
_HEADER = struct.Struct("<iiQqqqqqqqiiiiiiii")
"""The fields of an entry up to its flags; the rest is zero until it is sealed."""

assert _HEADER.size == entries.DURABLE_POSITION


class Timer(NamedTuple):
    """A timer that is set: when it is due, and its id."""

    deadline_ns: int
    timer_id: int


class Ran(NamedTuple):
    """What came of one input. `kind` and `outcome` are those of `entry_layout` and `faults`."""

    sequence: int
    now_ns: int
    kind: int
    outcome: int
    outputs: list[Output]


def timer_input(timer: Timer) -> bytes:
    """The input of the entry in which a timer fires."""
    header = admin.TIMER_SBE_HEADER.to_bytes(8, "little")
    return header + admin.TIMER_FORMAT.pack(timer.timer_id, timer.deadline_ns)


@PythonCall((types.int64, types.int64, types.int64))
def _run(tx_address, block_address, entry_address):  # type: ignore[no-untyped-def]  # of no use to Numba
    tx = region_at(tx_address, TRANSACTION_SIZE)
    block = region_at(block_address, LOOP_SIZE)
    entry = region_at(entry_address, MAX_ENTRY)
    book_entry(tx, block, entry)
    return run_entry(tx, block, entry, MAX_ENTRY)


@PythonCall((types.int64,))
def _first_timer(tx_address):  # type: ignore[no-untyped-def]
    return ordered_from(region_at(tx_address, TRANSACTION_SIZE), TIMERS, DEADLINE_INDEX, EARLIEST, False)


class VirtualEngine:
    """See the module's docstring. `dispatch` is of the plugin, in either tier."""

    def __init__(self, plugin: LoadedPlugin, dispatch: Any) -> None:
        self.plugin = plugin
        self.now_ns = EARLIEST
        self.epoch = 1
        self.sequence = 0
        """Of the last entry."""
        self._execution = Execution(plugin.table_specs, dispatch)
        self._entry = self._execution.scratch
        self._length = 0
        self._run, self._first_timer = _run.entry, _first_timer.entry  # compiled or loaded here, not in a run's time
        self._ids_row = int(find(self._execution.tx, IDS, 0))

    @property
    def digest(self) -> str:
        """Digest (hex) after the last entry."""
        return hex64(self._execution.digest)

    @property
    def last_counter(self) -> int:
        """How many ids the plugin made so far."""
        return self._execution.arena.load_i64(self._ids_row + ID_LAST_COUNTER)

    @property
    def last_entry(self) -> Entry:
        """A copy of the last entry, whole."""
        return Entry(self._entry.view[: self._length])

    def first_timer(self) -> Timer | None:
        """The timer that fires next, None when none is set."""
        row = self._first_timer(self._execution.tx.address)
        return self._timer_at(row) if row else None

    def due_timers(self, now_ns: int) -> list[Timer]:
        """The timers that are due by then, in the order in which they fire."""
        found: list[Timer] = []
        tx, arena = self._execution.tx, self._execution.arena
        row = self._first_timer(tx.address)
        while row and arena.load_i64(row + engine_state.TIMER_DEADLINE_NS) <= now_ns:
            found.append(self._timer_at(row))
            row = ordered_next(tx, TIMERS, DEADLINE_INDEX, row, False)
        return found

    def _timer_at(self, row: int) -> Timer:
        arena = self._execution.arena
        return Timer(arena.load_i64(row + engine_state.TIMER_DEADLINE_NS), arena.load_i64(row + engine_state.TIMER_KEY))

    def timer_deadline(self, timer_id: int) -> int | None:
        """When that timer is due, None when it is not set."""
        row = find(self._execution.tx, TIMERS, timer_id)
        return self._execution.arena.load_i64(row + engine_state.TIMER_DEADLINE_NS) if row else None

    def command(self, message: bytes, now_ns: int) -> Ran:
        """A message arrives, well formed or not."""
        return self._new(entries.COMMAND, message, now_ns, self.sequence + 1, SOURCE)

    def fire(self, timer: Timer) -> Ran:
        """A timer fires: at its deadline, or now where that has passed."""
        return self._new(entries.TIMER, timer_input(timer), max(self.now_ns, timer.deadline_ns), 0, 0)

    def _new(self, kind: int, content: bytes, now_ns: int, source_sequence: int, source: int) -> Ran:
        kept = content[:MAX_INPUT]
        header = _HEADER.pack(
            *(0, kind, 0, 0, self.sequence + 1, self.epoch, now_ns, source_sequence, 0, 0, source, 0, 0),
            *(len(kept), 0, 0, len(content), 0),
        )
        return self._execute(header, kept, kind, now_ns)

    def recorded(self, entry: Entry, content: bytes) -> Ran:
        """A recorded entry's input again, at its time, as its source sent it, with the `content` it has in this run.

        An entry for which nothing runs (who leads, who sends, a cutover) keeps its outcome.
        """
        header = bytearray(entry.raw[: entries.DURABLE_POSITION])
        given = entry.kind in GIVEN_OUTCOME or entry.outcome == POISONED
        for offset, value, size in (
            (entries.SEQUENCE, self.sequence + 1, 8),
            (entries.OUTCOME, entry.outcome if given else 0, 4),
            (entries.INPUT_LENGTH, len(content), 4),
            (entries.INPUT_TRUE_LENGTH, entry.input_true_length if content == entry.input else len(content), 4),
        ):
            header[offset : offset + size] = value.to_bytes(size, "little", signed=True)
        if entry.kind == entries.LEADERSHIP:
            self._execution.block.store_i64(block_layout.LOGIC_VERSION, entry.logic_version)
        self.epoch = entry.epoch
        return self._execute(bytes(header), content, entry.kind, entry.timestamp_ns)

    def _execute(self, header: bytes, content: bytes, kind: int, now_ns: int) -> Ran:
        execution, entry = self._execution, self._entry
        padded = content + bytes(-len(content) % 8)
        head = header + bytes(entries.INPUT - len(header))
        entry.view[: entries.INPUT + len(padded)] = head + padded
        self._length = self._run(execution.tx.address, execution.block.address, entry.address)
        self.sequence += 1
        self.now_ns = now_ns
        outputs = self.last_entry.outputs() if entry.load_i32(entries.OUTPUTS_LENGTH) else []
        return Ran(self.sequence, now_ns, kind, entry.load_i32(entries.OUTCOME), outputs)
