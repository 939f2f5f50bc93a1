"""Finding the next entry with outputs in the log, at native speed: most entries have none.

    private block of `LogReader` (its kernels' part included), then at SCAN:
      0   entries passed over since the reader was opened

Invariant: what is found is a private copy that was read whole and whose hash is right.

The gateway that owns the reader writes the block; nobody else sees it. A crash leaves nothing.
"""

from __future__ import annotations

from numba import types

from statevec.ipc.kernel import kernel
from statevec.ipc.log import KERNEL_PART, LOG_ADDRESS, LOG_SIZE, TARGET_ADDRESS, TARGET_SIZE, LogReader
from statevec.ipc.log_kernels import (
    CORRUPT_ENTRY,
    READER_ENTRY_POSITION,
    READER_SIZE,
    next_entry,
)
from statevec.ipc.memory import Region, region_at
from statevec.ipc.python_call import PythonCall
from statevec.journal.entry import VALID, check_entry, check_frame
from statevec.journal.entry_layout import OUTPUTS_LENGTH

PASSED_OVER = -10
"""So many entries without outputs were passed over that the caller should have a say; call again."""
ENTRIES_PER_CALL = 4096


@kernel
def next_with_outputs(log: Region, reader: Region, target: Region) -> int:
    """Copy the next entry that has outputs to `target`: its length, PASSED_OVER, or a code of `next_entry`."""
    for _ in range(ENTRIES_PER_CALL):
        length = next_entry(log, reader, target)
        if length < 0:
            return length
        if target.load_i32(OUTPUTS_LENGTH) != 0:
            position = reader.load_i64(READER_ENTRY_POSITION)
            return length if check_entry(target.slice(0, length), position) == VALID else CORRUPT_ENTRY
        if check_frame(target.slice(0, length), reader.load_i64(READER_ENTRY_POSITION)) != VALID:
            return CORRUPT_ENTRY  # its lengths do not add up: perhaps it has outputs
    return PASSED_OVER


@PythonCall((types.int64,))
def _next_with_outputs(block):  # type: ignore[no-untyped-def]
    private = region_at(block, KERNEL_PART + READER_SIZE)
    log = region_at(private.load_i64(LOG_ADDRESS), private.load_i64(LOG_SIZE))
    target = region_at(private.load_i64(TARGET_ADDRESS), private.load_i64(TARGET_SIZE))
    return next_with_outputs(log, private.slice(KERNEL_PART, READER_SIZE), target)


class OutputReader(LogReader):
    """A `LogReader` that returns only entries with outputs; it follows the released position."""

    @property
    def address(self) -> int:
        """Address of the private block, for compiled code that reads on from where this reader is."""
        return self._address

    def poll_outputs(self) -> memoryview | None:
        """The next entry with outputs, valid until the next call; None when none is released yet.

        Raises what `LogReader.poll` raises.
        """
        length = PASSED_OVER
        while length == PASSED_OVER:
            length = _next_with_outputs.entry(self._address)
        return self.taken(length)
