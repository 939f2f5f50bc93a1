"""`Execution`: the private memory in which one process runs entries, put together for Python.

It holds the arena (engine's and plugin's tables), the transaction block, the undo memory and the execution block, which
is the start of the leader's loop block. The leader, a standby, `verify` and `simulate()` each make one.

Nothing here is shared: a crash leaves nothing, the next process rebuilds it from the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from statevec.engine import execution_layout as block_layout
from statevec.engine.engine_state import CLOCK, ENGINE_TABLES, IDS, TIMERS
from statevec.engine.loop_layout import LOOP_SIZE
from statevec.ipc import log_layout
from statevec.ipc.memory import Region
from statevec.state import transaction_layout as layout
from statevec.state.arena import ArenaLayout
from statevec.state.records import TableSpec
from statevec.state.tables import insert_row
from statevec.state.transaction import begin, savepoint

UNDO_SIZE = 4 << 20
"""Like TOUCHED_CAPACITY it decides whether a transaction ends with CAPACITY_EXHAUSTED: it is the same everywhere."""
TOUCHED_CAPACITY = 65_536
LOOP_BUDGET = 1_000_000
"""Before the first leadership entry, which says what its leader allows."""
FIRST_LOGIC_VERSION = 1


class Dispatch(Protocol):
    """A plugin's dispatch function in one tier; the object keeps alive what the function needs."""

    @property
    def address(self) -> int: ...


class Execution:
    """State and transaction of one engine in this process; see the module's docstring.

    `table_specs` are the plugin's tables, in the plugin's order. The regions `arena`, `tx` and `block` go to the
    kernels of `engine.execute`; `block` is a whole loop block, so that a leader may use it as such. With an `image`,
    which becomes the arena, it goes on from there; what the execution block held then is the caller's to restore.
    """

    def __init__(
        self,
        table_specs: Sequence[TableSpec],
        dispatch: Dispatch,
        *,
        max_entry: int = log_layout.MAX_ENTRY,
        image: Region | None = None,
    ) -> None:
        self.layout = ArenaLayout([*ENGINE_TABLES, *table_specs])
        if image is not None:
            self.layout.check(image)
        self.arena = Region.allocate(self.layout.size, alignment=4096) if image is None else image
        self.tx = Region.allocate(layout.TRANSACTION_SIZE)
        self.block = Region.allocate(LOOP_SIZE)
        self.scratch = Region.allocate(max_entry)
        self._undo = Region.allocate(UNDO_SIZE)
        self._touched = Region.allocate(TOUCHED_CAPACITY * layout.TOUCHED_ENTRY_SIZE)
        self.dispatch = dispatch
        self._fill_blocks(max_entry)
        if image is None:
            self._make_genesis_rows()

    def _fill_blocks(self, max_entry: int) -> None:
        for offset, value in (
            (layout.ARENA_ADDRESS, self.arena.address),
            (layout.ARENA_SIZE, self.arena.size),
            (layout.UNDO_ADDRESS, self._undo.address),
            (layout.UNDO_SIZE, self._undo.size),
            (layout.TOUCHED_ADDRESS, self._touched.address),
            (layout.TOUCHED_CAPACITY, TOUCHED_CAPACITY),
            (layout.IDS_TABLE, IDS),
            (layout.TIMERS_TABLE, TIMERS),
        ):
            self.tx.store_i64(offset, value)
        for offset, value in (
            (block_layout.DISPATCH, self.dispatch.address),
            (block_layout.BUDGET, LOOP_BUDGET),
            (block_layout.MAX_ENTRY, max_entry),
            (block_layout.LOGIC_VERSION, FIRST_LOGIC_VERSION),
        ):
            self.block.store_i64(offset, value)

    def _make_genesis_rows(self) -> None:
        self.layout.format(self.arena)
        begin(self.tx)
        insert_row(self.tx, CLOCK, 0)
        insert_row(self.tx, IDS, 0)
        savepoint(self.tx)

    @property
    def memory(self) -> list[Region]:
        """Everything that running an entry reads or writes, beside the log."""
        return [self.arena, self.tx, self.block, self.scratch, self._undo, self._touched]

    @property
    def sequence(self) -> int:
        """Sequence of the last entry that was executed, 0 before the first."""
        return self.block.load_i64(block_layout.SEQUENCE)

    @property
    def digest(self) -> int:
        """Digest after the last entry, signed 64 bits."""
        return self.block.load_i64(block_layout.DIGEST)

    @property
    def counts(self) -> dict[str, int]:
        """How many entries were committed, rejected, and ended otherwise."""
        return {
            "committed": self.block.load_i64(block_layout.COMMITTED_COUNT),
            "rejected": self.block.load_i64(block_layout.REJECTED_COUNT),
            "faulted": self.block.load_i64(block_layout.FAULTED_COUNT),
        }
