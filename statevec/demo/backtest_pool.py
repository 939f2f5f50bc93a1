"""All runs of a backtest, side by side: worker processes over the cores, or one after the other in this process.

Invariants
    Results come in the order of the tasks, whoever did them, and are the same however many workers there are.
    However it ends (an error, Ctrl-C), no worker and no file is left; killed, the kernel ends the workers (`bound.py`),
    and a temporary directory stays.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from statevec.demo.backtest_task import Result, Task, check_task, run_task
from statevec.demo.children import POLL_SECONDS, Child, Children

Show = Callable[[float], None]
"""Called now and then with how many runs are done, parts of runs included; what it raises ends all."""


def run_tasks(tasks: list[Task], jobs: int, show: Show) -> list[Result]:
    """Do all runs, at most `jobs` at a time.

    Raises what `check_task` does before any run begins, and what a run does; `ChildError` for a run of a worker.
    """
    for task in tasks:
        check_task(task)
    workers = min(jobs, len(tasks))
    return _with_workers(tasks, workers, show) if workers > 1 else _here(tasks, show)


def _here(tasks: list[Task], show: Show) -> list[Result]:
    results: list[Result] = []
    for task in tasks:
        results.append(run_task(task, lambda done, total: show(len(results) + done / max(total, 1))))
        show(len(results))
    return results


def _with_workers(tasks: list[Task], workers: int, show: Show) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="statevec-backtest-") as temporary:
        directory = Path(temporary)
        (directory / "tasks.json").write_bytes(msgspec.json.encode(tasks))
        command = ["-m", "statevec.demo.backtest_worker", str(directory)]
        with Children(directory) as children:
            started = [children.start(f"worker {number}", command) for number in range(workers)]
            _wait(children, started, show)
        return [_read(directory, task) for task in tasks]


def _wait(children: Children, started: list[Child], show: Show) -> None:
    """Until all have ended; `ChildError` for the first that fails."""
    while any(child.status is None for child in started):
        children.check()
        show(sum(child.progress.get("finished", 0) for child in started))
        time.sleep(POLL_SECONDS)
    children.check()


def _read(directory: Path, task: Task) -> Result:
    return msgspec.json.decode((directory / f"{task.number}.result").read_bytes(), type=Result)
