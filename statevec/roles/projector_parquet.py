"""`ParquetFiles`: a projection's rows as Parquet files too, for whoever has no DuckDB.

    DIRECTORY/TABLE/<first sequence, 20 digits>-<last sequence, 20 digits>.parquet

Invariants
    A name ending in `.parquet` is a whole file. Each file holds the rows of one transaction, and is there before that
    commits. Before a projector goes on, files of transactions that did not commit are removed: so no row is there
    twice.

The projector writes, one process at a time. A crash leaves files that the next run removes, and temporary names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statevec.journal.column_arrow import arrow
from statevec.journal.disk import make_directories, remove, rename, sync_directory

SUFFIX = ".parquet"
FILE_NAME = re.compile(r"(\d{20})-\d{20}\.parquet")


class ParquetFiles:
    """The files in `directory`."""

    def __init__(self, directory: Path) -> None:
        arrow()
        self._directory = directory

    def remove_after(self, sequence: int) -> None:
        """Remove the files of transactions behind that sequence."""
        for path in self._directory.glob(f"*/*{SUFFIX}"):
            named = FILE_NAME.fullmatch(path.name)  # others are not ours
            if named is not None and int(named[1]) > sequence:
                remove(path)

    def write(self, tables: Mapping[str, Any], first: int, last: int) -> None:
        """Write the rows of one transaction, of the entries `first` to `last`."""
        from pyarrow import parquet

        for table, rows in tables.items():
            directory = self._directory / table
            make_directories(directory)
            target = directory / f"{first:020d}-{last:020d}{SUFFIX}"
            temporary = target.with_name(f".{target.name}.tmp")
            parquet.write_table(rows, temporary, compression="zstd")
            rename(temporary, target)
            sync_directory(directory)
