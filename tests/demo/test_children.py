"""Processes of a demonstration: their progress, their errors, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from statevec.demo.children import ChildError, Children, poll

READY_THEN_WAIT = "import signal; print('{\"ready\": true}', flush=True); signal.pause()"


def wait_ready(children: Children) -> None:
    for _ in poll(children, 30, "all children to be ready"):
        if all(child.lines for child in children.all):
            return


def test_progress_is_the_last_object_printed_and_other_lines_do_not_matter(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("talker", ["-c", "print('{\"n\": 1}'); print('hello'); print('7'); print('{\"n\": 2}')"])
        child.wait(30)
        assert (child.progress, child.lines, child.status) == ({"n": 2}, 2, 0)


def test_a_failure_shows_the_end_of_standard_error(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("loser", ["-c", "raise SystemExit('the disk is on fire')"])
        with pytest.raises(ChildError, match=r"(?s)loser ended with status 1; .*the disk is on fire"):
            child.wait(30)
        with pytest.raises(ChildError, match="loser ended with status 1"):
            children.check()


def test_a_lasting_child_must_not_end_by_itself(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("engine", ["-c", "pass"], lasting=True)
        with pytest.raises(ChildError, match="engine ended while it was needed"):
            for _ in poll(children, 30, "the end"):
                pass


def test_waiting_in_vain_says_for_what(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="still waiting for better times"):
        list(poll(Children(tmp_path), 0.05, "better times"))


def test_a_child_is_asked_to_stop_and_its_status_counts(tmp_path: Path) -> None:
    orderly = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); " + READY_THEN_WAIT
    with Children(tmp_path) as children:
        good = children.start("good", ["-c", orderly], lasting=True)
        bad = children.start("bad", ["-c", READY_THEN_WAIT], lasting=True)
        wait_ready(children)
        good.stop(30)
        with pytest.raises(ChildError, match="bad ended with status -15"):
            bad.stop(30)


def test_no_child_is_left_behind_when_something_goes_wrong(tmp_path: Path) -> None:
    def go_wrong(children: Children) -> None:
        with children:
            children.start("waiter", ["-c", READY_THEN_WAIT])
            wait_ready(children)
            raise ZeroDivisionError

    children = Children(tmp_path)
    with pytest.raises(ZeroDivisionError):
        go_wrong(children)
    assert children.all[0].status == -signal.SIGTERM


def test_children_end_when_the_demonstration_is_killed(tmp_path: Path) -> None:
    parent = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from statevec.demo.children import Children, poll
        children = Children(Path({str(tmp_path)!r}))
        child = children.start("orphan", ["-c", {"import os; print(os.getpid(), flush=True); " + READY_THEN_WAIT!r}])
        for _ in poll(children, 30, "ready"):
            if child.lines:
                break
        print(child._process.pid, flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        orphan = psutil.Process(int(process.stdout.readline()))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    gone, _ = psutil.wait_procs([orphan], timeout=30)
    assert gone
