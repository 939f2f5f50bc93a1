"""`ProjectionFile`: the DuckDB file of a projection: its tables, its cursor, and both in one transaction.

    projector   one row: format, instance, position, sequence and digest up to which everything is in the tables
    deciders    who decided from which sequence on: leaderships and cutovers
    gaps        versions whose messages and records could not be decoded, and from which sequence on

Invariants
    Rows and cursor are committed together: the file is at every moment what a projection up to its cursor is.
    Tables and columns are made when a version needs them, never removed or changed (`projector_tables`).

Who writes and who reads
    One projector writes; DuckDB lets no other process open the file meanwhile. Anybody reads it while none does.
    A statement on a connection for reading reaches no other file, and loads no code (`CONFINED`).

A crash leaves what was committed last: DuckDB's own log (`FILE.wal`) sees to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from statevec.journal.column_arrow import arrow, arrow_array
from statevec.journal.column_values import TIME, Column
from statevec.journal.entry_view import Entry
from statevec.roles.projector_tables import column_name, sql_type, type_suffix

FORMAT = 1
CREATE_CURSOR = (
    "CREATE TABLE projector (format INTEGER, instance_id VARCHAR, position BIGINT, sequence BIGINT, digest BIGINT)"
)
CREATE_DECIDERS = (
    "CREATE TABLE deciders (sequence BIGINT, time TIMESTAMP_NS, timestamp_ns BIGINT, epoch BIGINT, cause VARCHAR, "
    "logic_version BIGINT, name VARCHAR, version VARCHAR, content_hash VARCHAR)"
)
CREATE_GAPS = "CREATE TABLE gaps (logic_version BIGINT, first_sequence BIGINT, reason VARCHAR)"
CONFINED = {
    "enable_external_access": False,  # COPY, EXPORT, ATTACH, INSTALL, LOAD, read_text, glob and their like
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class ProjectionError(Exception):
    """A projection cannot be written or read; the text says why and what to do."""


@dataclass(frozen=True)
class ProjectionCursor:
    """Everything below `position` is in the tables; `sequence` and `digest` are of the last entry."""

    instance_id: str
    position: int = 0
    sequence: int = 0
    digest: int = 0


def duckdb() -> ModuleType:
    """The module duckdb. Raises `ProjectionError`."""
    try:
        import duckdb as module
    except ImportError:
        raise ProjectionError("duckdb is not installed: pip install 'statevec[audit]'") from None
    return module


def connect(path: Path, *, read_only: bool) -> Any:
    """A connection to the DuckDB file. One for reading is confined to it: see `CONFINED`, which no statement undoes.

    Raises `ProjectionError`: no such file, none of DuckDB's, in use.
    """
    module = duckdb()
    if read_only and not path.exists():
        raise ProjectionError(f"there is no projection {path}: make one with statevec project")
    try:
        connection = module.connect(str(path), read_only=read_only, config=CONFINED if read_only else {})
        connection.execute("SET TimeZone = 'UTC'")
        if read_only:
            connection.execute("SET lock_configuration = true")
    except module.Error as error:
        raise ProjectionError(f"projection cannot be opened: {path}: {error}") from error
    return connection


def check_projection(path: Path) -> None:
    """Raise `ProjectionError` unless the file at `path` is a projection, of whatever instance or format, or empty."""
    connection = connect(path, read_only=True)
    try:
        names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    finally:
        connection.close()
    if names and "projector" not in names:
        raise ProjectionError(f"not a projection of statevec: {path} has tables {', '.join(sorted(names))}")


def read_cursor(connection: Any, path: Path) -> ProjectionCursor | None:
    """How far the projection is, None in a file without tables. Raises `ProjectionError` for a file of something
    else.
    """
    names = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not names:
        return None
    if "projector" not in names:
        raise ProjectionError(f"this DuckDB file is no projection: {path} has tables {', '.join(sorted(names)[:10])}")
    format_version, instance_id, *numbers = connection.execute("SELECT * FROM projector").fetchone()
    if format_version != FORMAT:
        raise ProjectionError(
            f"projection of another format: {path} format={format_version} expected={FORMAT}; --rebuild"
        )
    return ProjectionCursor(instance_id, *numbers)


class ProjectionFile:
    """The file at `path`, open for writing; made when it is not there."""

    def __init__(self, path: Path, instance_id: str) -> None:
        self.path = path
        self._connection = connect(path, read_only=False)
        self._connection.execute("SET threads = 1")  # the other cores are an engine's, perhaps
        self._columns: dict[str, dict[str, str]] = {}
        try:
            cursor = read_cursor(self._connection, path)
            if cursor is None:
                cursor = ProjectionCursor(instance_id)
                self._make(cursor)
            if cursor.instance_id != instance_id:
                raise ProjectionError(
                    f"projection of another instance: {path} is of instance={cursor.instance_id}, not {instance_id}"
                )
        except BaseException:
            self._connection.close()
            raise
        self.cursor = cursor
        for table, column, kind in self._connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        ).fetchall():
            self._columns.setdefault(table, {})[column] = kind

    def _make(self, cursor: ProjectionCursor) -> None:
        with self:
            for statement in (CREATE_CURSOR, CREATE_DECIDERS, CREATE_GAPS):
                self._connection.execute(statement)
            row = [FORMAT, cursor.instance_id, cursor.position, cursor.sequence, cursor.digest]
            self._connection.execute("INSERT INTO projector VALUES (?, ?, ?, ?, ?)", row)

    def __enter__(self) -> ProjectionFile:
        """Begin a transaction."""
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")

    def close(self) -> None:
        """Let other processes open the file."""
        self._connection.close()

    def prepare(self, table: str, columns: list[Column]) -> dict[str, str]:
        """Make table and columns where they are missing; the column in the file of each column by its name."""
        there = self._columns.get(table)
        if there is None:
            there = self._columns[table] = {}
            self._connection.execute(f'CREATE TABLE "{table}" (sequence BIGINT, time TIMESTAMP_NS)')
            there |= {"sequence": "BIGINT", TIME: "TIMESTAMP_NS"}
        names = {}
        for column in columns:
            name, kind = column_name(column.name), sql_type(column)
            if there.get(name, kind) != kind:
                name = f"{name}_{type_suffix(kind)}"
            if name not in there:
                self._connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')
                there[name] = kind
            names[column.name] = name
        return names

    def insert(self, table: str, rows: Any) -> None:
        """Add the rows of an Arrow table, whose columns have the names of the file's."""
        self._connection.register("rows_to_insert", rows)
        try:
            self._connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM rows_to_insert')
        finally:
            self._connection.unregister("rows_to_insert")

    def note_decider(self, entry: Entry, cause: str, decider: Any) -> None:
        """Add who decides after a leadership or cutover entry."""
        self._connection.execute(
            "INSERT INTO deciders VALUES (?, make_timestamp_ns(?), ?, ?, ?, ?, ?, ?, ?)",
            [
                entry.sequence,
                entry.timestamp_ns,
                entry.timestamp_ns,
                entry.epoch,
                cause,
                decider.logic_version,
                decider.name,
                decider.version,
                decider.content_hash,
            ],
        )

    def note_gap(self, logic_version: int, sequence: int, reason: str) -> None:
        """Say that entries of a version are in `entries` only."""
        self._connection.execute("INSERT INTO gaps VALUES (?, ?, ?)", [logic_version, sequence, reason])

    def move(self, position: int, sequence: int, digest: int) -> None:
        """Move the cursor."""
        self._connection.execute(
            "UPDATE projector SET position = ?, sequence = ?, digest = ?", [position, sequence, digest]
        )
        self.cursor = ProjectionCursor(self.cursor.instance_id, position, sequence, digest)


def arrow_rows(columns: list[Column], names: dict[str, str]) -> Any:
    """Columns as an Arrow table with the file's names, and `time`."""
    arrays = {names[column.name]: arrow_array(column) for column in columns}
    arrays[TIME] = arrays["timestamp_ns"].view(arrow().timestamp("ns"))
    return arrow().table(arrays)
