"""What the tests of ipc share: instance ids whose shared memory is removed afterwards, and the forms of a kernel."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from statevec.ipc.kernel import plain


@pytest.fixture
def instance_id() -> Iterator[int]:
    """A random instance id; every segment of that instance is removed after the test."""
    number = secrets.randbelow((1 << 63) - 1) + 1
    yield number
    for path in Path("/dev/shm").glob(f"sv-{number:016x}-*"):
        path.unlink(missing_ok=True)


@pytest.fixture(params=["compiled", "plain"])
def form(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Gives a kernel its form: the compiled one (with bounds checks under STATEVEC_CHECKED=1), or plain Python."""
    if request.param == "compiled":
        return lambda kernel: kernel
    memo: dict[Any, Any] = {}
    return lambda kernel: plain(kernel, memo)
