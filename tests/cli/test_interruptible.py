"""What ends a command by a signal, wherever in it the signal arrives."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAIT_SECONDS = 60

PROGRAM = """
import ctypes, signal, sys, time
from statevec.cli.interruptible import interruptible

class Dropping:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

@ctypes.CFUNCTYPE(None)
def called_back():
    signal.raise_signal(signal.SIGTERM)

hook = sys.unraisablehook
try:
    with interruptible():
        HERE
        time.sleep(50)
except KeyboardInterrupt:
    print("interrupted")
assert sys.unraisablehook is hook and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
"""


@pytest.mark.parametrize("where", ["signal.raise_signal(signal.SIGHUP)", "Dropping()", "called_back()"])
def test_a_signal_interrupts_wherever_it_arrives(where: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("HERE", where)], timeout=WAIT_SECONDS, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_other_errors_that_are_dropped_are_still_shown() -> None:
    program = PROGRAM.replace("signal.raise_signal(signal.SIGTERM)", "raise ValueError('kept')")
    program = program.replace("HERE", "Dropping(); signal.raise_signal(signal.SIGINT)")
    ended = subprocess.run([sys.executable, "-c", program], timeout=WAIT_SECONDS, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n")
    assert "ValueError: kept" in ended.stderr
