"""Feeder and gateway in one native loop: offers messages at planned times and sees their entries in the log.

    latencies[n] = nanoseconds from the planned time of message n to the moment its released entry was seen

Messages leave in order and their entries come in order, so that the n-th command entry seen is the n-th message.
"""

from __future__ import annotations

from statevec.ipc.kernel import kernel
from statevec.ipc.log_kernels import entry_offset
from statevec.ipc.memory import Region, monotonic_ns, pause
from statevec.ipc.ring_kernels import offer
from statevec.journal.entry_layout import COMMAND, KIND, LENGTH

OFFERS_A_TURN = 16
TIMED_OUT = -1


@kernel
def _see(log: Region, capacity: int, position: int, limit: int) -> int:
    """Commands between two positions of the log."""
    seen = 0
    while position < limit:
        at = entry_offset(capacity, position)
        if log.load_i32(at + KIND) == COMMAND:
            seen += 1
        position += log.load_i32(at + LENGTH)
    return seen


@kernel
def drive(ring: Region, producer: Region, log: Region, messages: Region, latencies: Region, plan: Region) -> int:
    """Send and see all messages of `plan`; nanoseconds it took, or TIMED_OUT.

    plan: 0 messages | 8 length of one | 16 period ns, 0 flat out | 24 log capacity | 32 offset of the released
    position | 40 limit ns | 48 different messages
    """
    count, length, period = plan.load_i64(0), plan.load_i64(8), plan.load_i64(16)
    capacity, released_at, different = plan.load_i64(24), plan.load_i64(32), plan.load_i64(48)
    # SYNC POINT: pairs with the release of the released position.
    position = log.load_acquire(released_at)
    begin = monotonic_ns()
    deadline = begin + plan.load_i64(40)
    sent = 0
    seen = 0
    while seen < count:
        now = monotonic_ns()
        if now > deadline:
            return TIMED_OUT
        turn = 0
        while sent < count and turn < OFFERS_A_TURN and now >= begin + sent * period:
            message = messages.slice(sent % different * length, length)
            if offer(ring, producer, message, begin + sent * period) < 0:
                break
            sent += 1
            turn += 1
        # SYNC POINT: pairs with the release of the released position.
        limit = log.load_acquire(released_at)
        if limit > position:
            fresh = _see(log, capacity, position, limit)
            position = limit
            if period > 0:
                now = monotonic_ns()
                for _ in range(fresh):
                    latencies.store_i64(seen * 8, now - begin - seen * period)
                    seen += 1
            else:
                seen += fresh
        elif turn == 0:
            pause()
    return monotonic_ns() - begin
