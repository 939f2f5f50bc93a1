"""`python -m statevec.demo.backtest_worker DIRECTORY`: does runs of a backtest, one after the other.

    DIRECTORY/tasks.json        all runs (`backtest_task.Task`)
    DIRECTORY/N.claimed         run N is done by the worker that created this file
    DIRECTORY/N.result          its result, whole or not there

Several workers share the runs: each takes the next that nobody claimed, so none waits while there is work. It says how
far it is in JSON lines on standard output, and what is wrong on standard error; then it ends with status 1.

A worker that dies leaves a claimed run without a result, and the pool fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from statevec.demo.backtest_task import Task, run_task
from statevec.demo.results import report_progress, write_result


def claim(directory: Path, number: int) -> bool:
    """Take a run, unless another worker has it."""
    try:
        (directory / f"{number}.claimed").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def work(directory: Path) -> None:
    """Do runs until all are taken."""
    tasks = msgspec.json.decode((directory / "tasks.json").read_bytes(), type=list[Task])
    finished = 0
    for task in tasks:
        if not claim(directory, task.number):
            continue

        def watch(done: int, total: int, before: int = finished) -> None:
            report_progress(finished=before + done / max(total, 1))

        result = run_task(task, watch)
        write_result(directory / f"{task.number}.result", result)
        finished += 1
        report_progress(finished=finished)


def main() -> None:
    """Work in the directory that the command line names."""
    try:
        work(Path(sys.argv[1]))
    except Exception as error:
        if not type(error).__module__.startswith("statevec."):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
