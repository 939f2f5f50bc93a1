"""A log writer that never waits for a reader, for stress tests."""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import entry_offset, publish, start_entry
from statevec.ipc.log_layout import APPENDED, UNIT
from statevec.ipc.memory import Region, monotonic_ns

BATCH = 64


@kernel
def append_entries(log: Region, capacity: int, count: int, limit_ns: int) -> int:
    """Append `count` entries whose every 8 bytes are their number, published in batches; how many were appended."""
    deadline = monotonic_ns() + limit_ns
    position = log.load_i64(APPENDED)
    for number in range(1, count + 1):
        size = 16 + 8 * (number % 100)
        place = start_entry(log, capacity, UNIT, position, size)
        offset = entry_offset(capacity, place)
        log.store_i64(offset, size | 1 << 32)
        for at in range(8, size, 8):
            log.store_i64(offset + at, number)
        position = place + size
        if number % BATCH == 0 or number == count:
            publish(log, position, True)
            if monotonic_ns() > deadline:
                return number
    return count
