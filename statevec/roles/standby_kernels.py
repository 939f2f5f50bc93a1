"""Running the entries of the live log again, natively, as they come: what a standby does.

Invariants
    An entry is copied, and its hash and place are checked, before it is run.
    Afterwards the digest that execution gave is the one that the entry holds, or the standby goes no further.
    Nothing outside of private memory is written.

A crash leaves nothing.
"""

from __future__ import annotations

from statevec.engine import execution_layout as execution
from statevec.engine.execute import DIGEST_DIFFERS, replay_entry
from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import READER_ENTRY_POSITION
from statevec.ipc.log_kernels import next_entry as next_in_log
from statevec.ipc.memory import Region
from statevec.journal import entry_layout as entries
from statevec.journal.entry import VALID, check_entry
from statevec.roles.follow_codes import DAMAGED, ENTRIES_PER_CALL, NOTICE, PAUSED

DIFFERENCE = -10
"""Execution gave another digest than the entry holds."""


@kernel
def follow_log(tx: Region, block: Region, scratch: Region, log: Region, reader: Region, target: Region) -> int:
    """Run entries of the live log, each copied to `target` first: a code above, or one of `ipc.log_kernels`."""
    for _ in range(ENTRIES_PER_CALL):
        length = next_in_log(log, reader, target)
        if length < 0:
            return length
        entry = target.slice(0, length)
        if check_entry(entry, reader.load_i64(READER_ENTRY_POSITION)) != VALID:
            return DAMAGED
        if entry.load_i64(entries.SEQUENCE) != block.load_i64(execution.SEQUENCE) + 1:
            return DAMAGED
        if replay_entry(tx, block, entry, scratch) == DIGEST_DIFFERS:
            return DIFFERENCE
        kind = entry.load_i32(entries.KIND)
        if kind in (entries.LEADERSHIP, entries.CUTOVER, entries.RING_ATTACH, entries.ADMIN):
            return NOTICE
    return PAUSED
