"""An instance that a disk error halted: who may not lead it, and how a person clears it (rule 11).

    the halt mark           a file; on a disk that took no more it may be missing
    HALTED in the log       set by the journaler before the mark; gone when the host starts anew, as is all in doubt

Invariants
    Nobody takes over while one of the two is there.
    `resume` clears the log first: a crash in between leaves the mark.

Who calls `resume` holds the instance's lock. A crash leaves nothing else.
"""

from __future__ import annotations

from statevec.engine.instance import Instance
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log
from statevec.ipc.python_call import load_acquire, store_release
from statevec.ipc.segment import Segment, SegmentError

NO_MARK = "the log is halted, and its halt mark could not be written or was removed"


def refuse_when_log_halted(instance: Instance, log: Segment | None) -> None:
    """Raise `HaltedError` when a journaler halted this log and nobody cleared it since."""
    # SYNC POINT: pairs with the release of HALTED by the journaler that halted.
    if log is not None and load_acquire(log.region, log_layout.HALTED) != 0:
        raise instance.halted(NO_MARK)


def resume(instance: Instance) -> str | None:
    """Clear what halts the instance, with its lock; why it was halted, None when it was not."""
    reason = instance.halt_reason()
    try:
        with attach_log(instance.instance_id, writable=True, owner=instance.owner, populate=False) as log:
            # SYNC POINT: pairs with the release of HALTED by the journaler that halted.
            if load_acquire(log.region, log_layout.HALTED) != 0:
                reason = reason or NO_MARK
                store_release(log.region, log_layout.HALTED, 0)  # SYNC POINT: pairs with the next loop's acquire
    except (SegmentError, LogError):
        pass  # there is none, or who wants to lead will say what is wrong with it
    if reason is not None:
        instance.clear_halt()
    return reason
