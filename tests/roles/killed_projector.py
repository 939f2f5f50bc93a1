"""Projects one file again and again, each time in a child that kills itself before another step, until it is whole.

A step is a call of DuckDB's connection, or the moment before a Parquet file gets its name; now and then it is the
moment after a commit. Each child has transactions of another size. A process of its own that starts no thread before it
forks. Arguments: instance, DuckDB file, directory for Parquet files, seed. Prints one JSON object for each child: the
step, and whether it was killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import duckdb as _duckdb  # noqa: F401  # loaded before the forks
import pyarrow.parquet as _parquet  # noqa: F401

from statevec.engine.instance import open_instance
from statevec.journal.column_kernels import gather
from statevec.journal.column_plan import ColumnPlan
from statevec.journal.reader import JournalReader, make_cursor
from statevec.roles import projector_database, projector_parquet
from statevec.roles.projector import Projector

STEPS_MOST = 120
CHILDREN_MOST = 100
AFTER_COMMIT = 0.35
"""How probable it is to die right after a commit."""


class Steps:
    """Counts steps, and ends the process before one of them, or after a commit."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._left = source.randrange(10, STEPS_MOST)

    def step(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def committed(self) -> None:
        if self._source.random() < AFTER_COMMIT:
            os.kill(os.getpid(), signal.SIGKILL)


class CountedConnection:
    """A DuckDB connection whose calls are steps."""

    def __init__(self, connection: Any, steps: Steps) -> None:
        self._connection = connection
        self._steps = steps

    def execute(self, statement: str, *values: Any) -> Any:
        self._steps.step()
        result = self._connection.execute(statement, *values)
        if statement == "COMMIT":
            self._steps.committed()
        return result

    def __getattr__(self, name: str) -> Any:
        self._steps.step()
        return getattr(self._connection, name)


def run_until(projector: Projector, steps: Steps) -> None:
    """Project, as a child whose steps are counted."""
    connect, rename = projector_database.connect, projector_parquet.rename

    def counted_rename(source: Path, target: Path) -> None:
        steps.step()
        rename(source, target)

    projector_parquet.rename = counted_rename
    projector_database.connect = lambda path, read_only: CountedConnection(connect(path, read_only=read_only), steps)
    projector.run(lambda: False)


def load_kernels(instance: Any) -> None:
    """Have what is compiled loaded once, before the forks."""
    reader = JournalReader(instance.journal_directory)
    reader.last_sequence()
    segment = reader.segments[0]
    gather(reader.region(segment), segment.first, make_cursor(0), ColumnPlan(1, None, []).block)


def main() -> None:
    directory, file, parquet, seed = sys.argv[1:]
    instance = open_instance(directory)
    load_kernels(instance)
    for number in range(CHILDREN_MOST):
        source = random.Random(f"{seed}-{number}")
        batch = source.randrange(10, 40)
        child = os.fork()
        if child == 0:
            run_until(Projector(instance, Path(file), parquet=Path(parquet), batch=batch), Steps(source))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"batch": batch, "killed": os.WIFSIGNALED(status), "status": status}), flush=True)
        if not os.WIFSIGNALED(status):
            break


if __name__ == "__main__":
    main()
