"""A short run of the power loss check in both modes; `python -m tools.power_loss` is the long one."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from statevec.ipc.segment import SHARED_MEMORY
from tools.power.run import run

CUTS = 32


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="statevec-power-", dir=SHARED_MEMORY, ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_whatever_is_left_of_unsynced_writes_recovery_has_all_that_was_released(folder: Path, durability: str) -> None:
    """Rules 8 to 14, 18 and 19; each problem says the seed, which is another one each time."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed={seed}")
    found = run(durability, CUTS, seed, folder)
    assert found.problems == []
    assert found.images.total() == CUTS
    assert found.led > 0
    assert {"create", "write", "sync", "rename", "unlink", "mkdir", "allocate"} <= set(found.calls)
