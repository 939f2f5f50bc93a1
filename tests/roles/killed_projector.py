"""A projector in a process of its own, to be killed: prints a line after each transaction.

Arguments: instance, DuckDB file, directory for Parquet files, entries in a transaction.
"""

from __future__ import annotations

import sys
from pathlib import Path

from statevec.engine.instance import open_instance
from statevec.roles.projector import Projector


def main() -> None:
    instance, file, parquet, batch = sys.argv[1:]
    projector = Projector(open_instance(instance), Path(file), parquet=Path(parquet), batch=int(batch))
    projector.run(lambda: False, on_progress=lambda progress: print(progress.sequence, flush=True))


if __name__ == "__main__":
    main()
