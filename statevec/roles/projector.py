"""`Projector`: a follower that keeps a DuckDB file of everything an instance released, for questions in SQL.

    segment files, up to what is released and written ─► column_kernels.gather ─► Arrow ─► DuckDB, BATCH entries a
    transaction

It always reads the segment files, which a journaler at work fills within a millisecond: no log can lap it, and the
leader does not know of it.

Invariants
    The cursor commits with its rows (`projector_database`): a projector that dies anywhere goes on where it was, and
    a file is the same whatever dies on the way.
    Its cursor must agree with the log, by digest (rule 19): else `CursorDisagreesError`; `rebuild` begins anew.
    Nothing is read above the released position. Without a log in memory, everything that is whole in the files is
    read: where power was lost, a recovery that cut the files makes the cursor disagree.

Who writes and who reads
    It needs no lock of the instance and writes nothing there, so it is no registered reader for retention: when
    segments that it still needs are taken away, it says so (`CutAwayError`); with `cold` it reads them there.

A crash leaves what `projector_database` says, and Parquet files that the next run replaces (`projector_parquet`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from statevec.engine.instance import Instance
from statevec.engine.version_lookup import UnreadableVersionError, VersionLookup
from statevec.engine.versions import Decider
from statevec.ipc import log_layout
from statevec.ipc.log import LogError, attach_log, released_position
from statevec.ipc.memory import Region
from statevec.ipc.python_call import load_acquire
from statevec.ipc.segment import SegmentError
from statevec.journal import reader_layout
from statevec.journal.admin_layout import CUTOVER_CAUSES, Cutover
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.column_arrow import arrow
from statevec.journal.column_plan import ROOM, ColumnPlan, Walk
from statevec.journal.entry import BAD_DIGEST, BAD_SEQUENCE
from statevec.journal.entry_layout import CUTOVER
from statevec.journal.entry_view import Entry
from statevec.journal.errors import SequenceNotFoundError
from statevec.journal.reader import NO_LIMIT, JournalReader, chain_cursor, make_cursor
from statevec.journal.segments import contiguous_segments
from statevec.roles.projector_database import ProjectionError, ProjectionFile, arrow_rows, check_projection
from statevec.roles.projector_parquet import ParquetFiles
from statevec.roles.projector_tables import Projected, tables_for

BATCH = 500_000
"""Entries in a transaction, about: DuckDB writes whole row groups (122,880 rows) faster than parts of them."""
NO_ROWS = np.zeros((0, 0), np.uint8)
PAUSE_SECONDS = 1.0
"""How long a projector that has caught up lets others read the file before it looks again."""


class CursorDisagreesError(ProjectionError):
    """The log does not have the entry that the projection's cursor names (rule 19)."""


class CutAwayError(ProjectionError):
    """Entries that the projection needs next are in segments that were taken away."""


@dataclass
class Progress:
    """How far a projection is."""

    entries: int = 0
    sequence: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass
class _Version:
    """The tables of one logic version, the plan that gathers them, and the names of their columns in the file."""

    tables: list[Projected]
    plan: ColumnPlan
    names: list[dict[str, str]]


class Projector:
    """Projects `instance` into the DuckDB file `path`; see the module's docstring."""

    def __init__(
        self,
        instance: Instance,
        path: Path,
        *,
        parquet: Path | None = None,
        cold: Path | None = None,
        batch: int = BATCH,
    ) -> None:
        self._instance = instance
        self._path = path
        self._cold = cold
        self._batch = batch
        self._lookup = VersionLookup(instance)
        self._parquet = ParquetFiles(parquet) if parquet is not None else None
        self.progress = Progress()

    def rebuild(self) -> None:
        """Forget the file, and all Parquet files: begin at the first entry again.

        Raises `ProjectionError` for a file that is no projection: it is not ours to remove.
        """
        if self._path.exists():
            check_projection(self._path)
        for name in (self._path, self._path.with_name(self._path.name + ".wal")):
            name.unlink(missing_ok=True)
        if self._parquet is not None:
            self._parquet.remove_after(0)

    def run(
        self,
        should_stop: Callable[[], bool],
        *,
        follow: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Project what is there; with `follow` until `should_stop`, the file being closed whenever it has caught up."""
        while True:
            self._round(should_stop, on_progress or (lambda progress: None))
            if not follow or should_stop():
                return self.progress
            deadline = time.monotonic() + PAUSE_SECONDS
            while time.monotonic() < deadline and not should_stop():
                time.sleep(0.05)

    def _round(self, should_stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> None:
        """Everything that is released now."""
        began = time.monotonic()
        file = ProjectionFile(self._path, self._instance.genesis.instance_id)
        try:
            if self._parquet is not None:
                self._parquet.remove_after(file.cursor.sequence)
            _Round(self, file, self._reader(), self._limit()).run(should_stop, on_progress)
        finally:
            file.close()
            self.progress.seconds += time.monotonic() - began

    def _reader(self) -> JournalReader:
        unit = self._instance.genesis.unit
        segments, _ = contiguous_segments(self._instance.journal_directory, unit)
        archived = list_cold_segments(self._cold, self._instance.instance_id) if self._cold is not None else []
        return JournalReader(self._instance.journal_directory, unit, join_segments(archived, segments))

    def _limit(self) -> int | None:
        """Up to where entries are released and in the files; None where no log says it."""
        try:
            log = attach_log(self._instance.instance_id, owner=self._instance.owner)
        except (SegmentError, LogError):
            return None
        with log:
            # SYNC POINT: pairs with the journaler's release of the written position: the files hold all below it.
            written = load_acquire(log.region, log_layout.WRITTEN)
            return min(released_position(log), written)


class _Round:
    """One time from the file's cursor to what is released."""

    def __init__(self, projector: Projector, file: ProjectionFile, reader: JournalReader, limit: int | None) -> None:
        self._projector = projector
        self._file = file
        self._reader = reader
        self._limit = limit
        self._versions: dict[int, _Version] = {}
        self._pending: dict[str, list[Any]] = {}
        self._count = 0
        self._deciders: list[tuple[Entry, str, Decider]] = []
        self._gaps: list[tuple[int, str]] = []

    def run(self, should_stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> None:
        """Project until nothing more is released. Raises `ProjectionError`, `JournalError`."""
        position = self._file.cursor.position
        self._prepare(tables_for(None))
        if self._limit is not None and self._limit <= position:
            self._check_end()
            return
        cursor = self._cursor()
        walk = Walk(self._reader, cursor, lambda version: self._version(version).plan, self._note)
        for plan in walk.filled():
            self._take(plan)
            if self._count >= self._projector._batch:
                self._commit(cursor)
                on_progress(self._projector.progress)
                if should_stop():
                    return
        self._commit(cursor)
        on_progress(self._projector.progress)
        self._check_following(cursor)
        walk.judge(self._limit)

    def _cursor(self) -> Region:
        """A cursor that goes on from the file's, the entry before being known. Raises what is wrong with that."""
        at = self._file.cursor
        if at.position < self._reader.first_position:
            raise CutAwayError(
                f"entries after sequence={at.sequence} were taken away by retention: journal begins at position="
                f"{self._reader.first_position}, the projection is at {at.position}; give the cold segments (--cold)"
            )
        self._check_end()
        cursor = make_cursor(at.position, self._reader.unit, NO_LIMIT if self._limit is None else self._limit)
        chain_cursor(cursor, at.sequence, at.digest)
        return cursor

    def _check_end(self) -> None:
        """Raise `CursorDisagreesError` unless the log has the entry that the file's cursor names, as far as it still
        has it.
        """
        at = self._file.cursor
        if at.sequence == 0:
            return
        try:
            entry = self._reader.read(self._reader.find(at.sequence))
        except SequenceNotFoundError:
            if at.position == self._reader.first_position:
                return  # its segment was taken away; that what follows does follow from it is checked by digest
            raise CursorDisagreesError(self._disagrees("the log ends before it")) from None
        if (entry.end_position, entry.digest) != (at.position, at.digest):
            raise CursorDisagreesError(self._disagrees(f"the log has digest={entry.digest} at that sequence"))

    def _check_following(self, cursor: Region) -> None:
        """Whether the walk stopped because the first entry does not follow from the file's cursor."""
        code = cursor.load_i64(reader_layout.CODE)
        stands = cursor.load_i64(reader_layout.POSITION) == self._file.cursor.position
        if stands and self._file.cursor.sequence and code in (BAD_DIGEST, BAD_SEQUENCE):
            raise CursorDisagreesError(self._disagrees("what follows does not follow from it"))

    def _disagrees(self, why: str) -> str:
        at = self._file.cursor
        return (
            f"projection disagrees with the log: sequence={at.sequence} position={at.position} digest={at.digest}: "
            f"{why}; begin anew with --rebuild"
        )

    def _note(self, entry: Entry) -> None:
        decider = self._projector._lookup.note(entry)
        if decider is not None:
            is_cutover = entry.kind == CUTOVER
            cause = CUTOVER_CAUSES[Cutover.decode(entry.input).cause] if is_cutover else "leadership"
            self._deciders.append((entry, cause, decider))

    def _version(self, logic_version: int) -> _Version:
        """What is gathered of entries that a version decided; tables and columns are made when it is first asked
        for.
        """
        if logic_version not in self._versions:
            try:
                plugin = self._projector._lookup.plugin(logic_version)
            except UnreadableVersionError as error:
                plugin = None
                self._gaps.append((logic_version, str(error)))
                self._projector.progress.problems.append(str(error))
            tables = tables_for(plugin)
            schema = plugin.schema if plugin is not None else None
            room = min(ROOM, self._projector._batch)
            plan = ColumnPlan(logic_version, schema, [each.part for each in tables], room)
            self._versions[logic_version] = _Version(tables, plan, self._prepare(tables))
        return self._versions[logic_version]

    def _prepare(self, tables: list[Projected]) -> list[dict[str, str]]:
        """Make what is missing of tables and columns; the names in the file."""
        with self._file as file:
            return [file.prepare(each.table, each.columns(NO_ROWS)) for each in tables]

    def _take(self, plan: ColumnPlan) -> None:
        """Make Arrow tables of a plan's rows."""
        version = self._version(plan.logic_version)
        self._count += len(plan.rows(0))
        for number, projected in enumerate(version.tables):
            rows = plan.rows(number)
            if len(rows):
                made = arrow_rows(projected.columns(rows), version.names[number])
                self._pending.setdefault(projected.table, []).append(made)

    def _commit(self, cursor: Region) -> None:
        """Rows and cursor in one transaction."""
        if not self._count:
            return
        first = self._file.cursor.sequence + 1
        position, sequence = cursor.load_i64(reader_layout.POSITION), cursor.load_i64(reader_layout.SEQUENCE)
        pending = {
            table: arrow().concat_tables(made, promote_options="permissive") for table, made in self._pending.items()
        }
        if self._projector._parquet is not None:
            self._projector._parquet.write(pending, first, sequence)
        with self._file as file:
            for table, rows in pending.items():
                file.insert(table, rows)
            for entry, cause, decider in self._deciders:
                file.note_decider(entry, cause, decider)
            for logic_version, reason in self._gaps:
                file.note_gap(logic_version, first, reason)
            file.move(position, sequence, cursor.load_i64(reader_layout.DIGEST))
        progress = self._projector.progress
        progress.entries += self._count
        progress.sequence = sequence
        self._pending, self._count, self._deciders, self._gaps = {}, 0, [], []
