"""Pinning a thread to a core. A thread inherits its maker's cores, so each one pins, or unpins, itself."""

from __future__ import annotations

import os


class PinningError(Exception):
    """A thread cannot run on the core that was asked for; the text has rule and values."""


def available_cores() -> set[int]:
    """Cores that the calling thread may run on now."""
    return os.sched_getaffinity(0)


def pin(core: int) -> None:
    """Keep the calling thread on `core`."""
    pin_to({core})


def pin_to(cores: set[int]) -> None:
    """Keep the calling thread on `cores`; `PinningError` when one of them is not there or not allowed."""
    text = ",".join(str(core) for core in sorted(cores))
    before = available_cores()
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, ValueError, OverflowError) as error:
        raise PinningError(
            f"cannot run on core {text}: {error}; cores={os.cpu_count()} allowed={sorted(before)}"
        ) from None
    missing = cores - available_cores()  # the kernel drops cores that it does not have and says nothing
    if missing:
        os.sched_setaffinity(0, before)
        raise PinningError(f"core {min(missing)} is not there or not allowed: allowed={sorted(before)}")
