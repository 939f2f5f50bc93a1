"""What a standby does before it leads: have the leader's machine code in memory, by a leadership on private memory.

Compiling, or loading compiled code from its cache, takes longer than all the rest of a takeover.

Invariant: nothing but memory of its own is touched. A crash leaves nothing.
"""

from __future__ import annotations

import mmap

from statevec.engine import loop_layout as layout
from statevec.engine.append import append_admin
from statevec.engine.engine_state import CLOCK
from statevec.engine.execution import Execution
from statevec.engine.loop import run_loop
from statevec.ipc import log_layout
from statevec.ipc.memory import Region
from statevec.ipc.ring_kernels import CONSUMER_SIZE, open_consumer, resume_position
from statevec.ipc.ring_layout import TRAILER_SIZE
from statevec.ipc.ring_repair import check_positions
from statevec.ipc.sigbus import guard, unguard
from statevec.journal import admin_layout
from statevec.journal.entry_layout import RING_ATTACH
from statevec.journal.journaler import load_loop
from statevec.state.tables import find

LOG_CAPACITY = 4 * log_layout.MAX_BATCH_BYTES
RING_CAPACITY = 4096


class NoLogic:
    """A dispatch function that is never called: there is no input."""

    address = 0


def warm_up() -> None:
    """Append an entry, open a ring, and run both loops until they see that they are to stop."""
    execution = Execution([], NoLogic())
    log = Region.allocate(log_layout.DATA + LOG_CAPACITY, 128)
    for offset, value in (
        (layout.LOG_ADDRESS, log.address),
        (layout.LOG_SIZE, log.size),
        (layout.LOG_CAPACITY, LOG_CAPACITY),
        (layout.UNIT, log_layout.UNIT),
        (layout.MAX_INPUT, log_layout.MAX_INPUT),
        (layout.STOP, 1),
    ):
        execution.block.store_i64(offset, value)
    message = Region.of(admin_layout.ring_attach(1, 1, "none"))
    append_admin(execution.block, execution.tx, RING_ATTACH, 1, message)
    run_loop(execution.block, execution.tx)
    find(execution.tx, CLOCK, 0)
    records = Region.allocate(RING_CAPACITY + TRAILER_SIZE, mmap.PAGESIZE)
    check_positions(records, RING_CAPACITY)
    resume_position(RING_CAPACITY, 0, 0)
    open_consumer(records, Region.allocate(CONSUMER_SIZE), RING_CAPACITY, 0)
    unguard(guard(records))
    load_loop()
