"""Kill points: a process of the test build dies exactly where it is told to, and the build that ships has none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numba import njit

from statevec.engine.loop import run_loop
from statevec.ipc import kill_points
from statevec.ipc.kernel import KILL_POINTS, cache_root, kernel, source_key
from statevec.ipc.kill_control import KillControl
from statevec.ipc.kill_points import AFTER_COPY, AFTER_HANDLER, PAGE_SYMBOL, kill_point
from statevec.ipc.memory import REGION, Region
from statevec.journal.journaler_kernels import journal_loop

PASSES = 10


@kernel
def count_with(region: Region) -> None:
    for _ in range(PASSES):
        kill_point(AFTER_COPY)
        region.store_i64(0, region.load_i64(0) + 1)


@kernel
def count_without(region: Region) -> None:
    for _ in range(PASSES):
        region.store_i64(0, region.load_i64(0) + 1)


COUNTING = """
import sys
from pathlib import Path
from statevec.ipc.kill_points import map_control
from tests.ipc.test_kill_points import count_with
count = count_with if sys.argv[1] == "compiled" else count_with.py_func
count(map_control(sys.argv[2]))
"""


def run_counting(form: str, control: Path, counter: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"STATEVEC_KILL_POINTS": str(control)}
    return subprocess.Popen([sys.executable, "-c", COUNTING, form, str(counter)], env=environment)


def counted(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[:8], "little")


@pytest.mark.parametrize("form", ["compiled", "plain"])
def test_a_process_dies_at_the_passing_it_was_told(form: str, tmp_path: Path) -> None:
    control, counter = KillControl.create(tmp_path / "control"), tmp_path / "counter"
    KillControl.create(counter)
    control.arm(AFTER_COPY, passings=4)
    process = run_counting(form, tmp_path / "control", counter)
    assert process.wait(120) == -signal.SIGKILL
    died = control.died
    assert died is not None
    assert (died.point, died.process) == (AFTER_COPY, process.pid)
    assert died.monotonic_ns > 0
    assert counted(counter) == 3
    control.disarm()
    assert control.died is None


@pytest.mark.parametrize(("point", "process"), [(AFTER_HANDLER, 0), (AFTER_COPY, 1)])
def test_nobody_dies_at_another_point_or_in_the_place_of_another(point: int, process: int, tmp_path: Path) -> None:
    control, counter = KillControl.create(tmp_path / "control"), tmp_path / "counter"
    KillControl.create(counter)
    control.arm(point, process)
    assert run_counting("compiled", tmp_path / "control", counter).wait(120) == 0
    assert control.died is None
    assert counted(counter) == PASSES


def code_of(function: Any) -> list[str]:
    """LLVM's optimised instructions of a kernel compiled anew, without what numbers and names make of them."""
    dispatcher = njit(function.py_func, nogil=True, _nrt=False)  # without the cache, which keeps no text
    dispatcher.compile((REGION,))
    text = str(dispatcher.overloads[(REGION,)].library.get_llvm_str())
    found = re.search(r"^define [^\n]* i32 @[^\n]*\{\n(.*?)\n\}", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return [re.sub(r"[%!@][\w.\"$]+", "_", line) for line in found[1].splitlines()]


@pytest.mark.skipif(KILL_POINTS, reason="this process is the test build")
def test_a_kill_point_is_no_instruction_in_the_build_that_ships() -> None:
    assert code_of(count_with) == code_of(count_without)


def machine_code(kernel: Any, root: Path) -> bytes:
    """The cached file of a kernel on two regions, made now if it was not there."""
    kernel.compile((REGION, REGION))
    folder = root / source_key(kernel.py_func.__module__)
    [found] = folder.glob(f"*.{kernel.py_func.__name__}-*.nbc")
    return found.read_bytes()


@pytest.mark.parametrize("loop", [run_loop, journal_loop], ids=["engine", "journaler"])
def test_the_loops_that_ship_show_no_trace_of_kill_points(loop: Any) -> None:
    """Code that can be killed names the page that says so."""
    root = cache_root()
    if root is None:
        pytest.skip("there is no cache to look at")
    assert (PAGE_SYMBOL.encode() in machine_code(loop, root)) == KILL_POINTS


def test_every_point_has_a_name_and_only_one() -> None:
    assert sorted(kill_points.NAMES) == list(range(1, len(kill_points.NAMES) + 1))
    assert kill_points.NAMES[AFTER_COPY] == "after_copy"


KEYS = """
from statevec.ipc.kernel import source_key
print(source_key("statevec.engine.loop"), source_key("statevec.ipc.ring_kernels"))
"""


def test_the_two_builds_share_no_machine_code_that_can_be_killed(tmp_path: Path) -> None:
    KillControl.create(tmp_path / "control")
    found = []
    for value in ("", str(tmp_path / "control")):
        environment = os.environ | {"STATEVEC_KILL_POINTS": value}
        done = subprocess.run(
            [sys.executable, "-c", KEYS], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        found.append(done.stdout.split())
    [shipped, tested] = found
    assert shipped[0] != tested[0]
    assert shipped[1] == tested[1], "what has no kill points is shared"
