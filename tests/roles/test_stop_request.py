"""A stop request under a storm of signals: none may find the waiting process inside a lock of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = 10_000
WAIT_SECONDS = 60

STORM = "import os, sys, time\nwhile True: os.kill(int(sys.argv[1]), 15); time.sleep(0.00005)"
WAITS = f"""
import os, signal, subprocess, sys
from statevec.roles.stop_request import StopRequest

request = StopRequest()
storm = subprocess.Popen([sys.executable, "-c", {STORM!r}, str(os.getpid())])
try:
    for _ in range({ROUNDS}):
        request = StopRequest()
        while not request.wait(1e-9):
            pass
        assert request.signal_name == "SIGTERM"
finally:
    storm.kill()
    storm.wait()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], timeout=WAIT_SECONDS, capture_output=True, text=True)


def test_no_signal_stops_the_process_that_waits_for_it() -> None:
    ended = run(WAITS)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("seconds", ["", "30"])
def test_a_wait_ends_when_the_signal_arrives(seconds: str) -> None:
    ended = run(
        "import os, signal, threading, time\n"
        "from statevec.roles.stop_request import StopRequest\n"
        "request = StopRequest()\n"
        "assert not request.wait(0) and not request.wait(0.01) and not request.is_set()\n"
        "threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start(); begin = time.monotonic()\n"
        f"assert request.wait({seconds}) and request.wait() and request.wait(0) and request.signal_name == 'SIGINT'\n"
        "assert time.monotonic() - begin < 20"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
