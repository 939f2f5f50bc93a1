"""A gateway whose leader gives no sign of life (rule 23)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from statevec.roles.gateway import Gateway
from tests.roles.engine_harness import EngineUnderTest

SILENT_SECONDS = 1.0
WAIT_SECONDS = 60.0


def test_a_gateway_is_told_once_each_time_its_leader_falls_silent(make_engine: Callable[..., EngineUnderTest]) -> None:
    """Rule 23."""
    engine = make_engine()
    engine.start()
    assert engine.process is not None
    told: list[float] = []
    with Gateway(engine.directory, "venue", silent_after=SILENT_SECONDS, on_silence=told.append) as gateway:
        for expected in (1, 2):
            engine.process.send_signal(signal.SIGSTOP)
            deadline = time.monotonic() + WAIT_SECONDS
            while len(told) < expected and time.monotonic() < deadline:
                gateway.wait(0.01)
            gateway.wait(0.01)
            assert len(told) == expected
            assert told[-1] > SILENT_SECONDS
            engine.process.send_signal(signal.SIGCONT)
            while gateway.leader_silent_for_ns > SILENT_SECONDS * 1e9:
                assert time.monotonic() < deadline
            gateway.wait(0.01)
        with pytest.raises(ValueError, match="belong together"):
            Gateway(engine.directory, "other", silent_after=SILENT_SECONDS)
    assert engine.stop() == 0
