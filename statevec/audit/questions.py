"""Questions in SQL over a projection: the ready ones (`questions/NAME.sql`), and asking any.

A question's file begins with a line `-- what it tells`; the rest is one SELECT over the tables of `projector_tables`.

Invariants
    Asking never changes the projection: the file is opened read-only. Nor does it reach another file or load code:
    `projector_database.connect` sees to it, for ready questions too.
    What is wrong with a question is one named error: `QuestionError`, with DuckDB's own words.

Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from statevec.journal.plain_text import line_text
from statevec.roles.projector_database import ProjectionError, connect, duckdb, read_cursor


class QuestionError(ProjectionError):
    """A question cannot be answered from this projection; the text says why."""


@dataclass(frozen=True)
class Question:
    """A ready question."""

    name: str
    tells: str
    sql: str


@cache
def questions() -> dict[str, Question]:
    """The ready questions by name."""
    found = {}
    for file in sorted((files("statevec.audit") / "questions").iterdir(), key=lambda each: each.name):
        first, sql = file.read_text().split("\n", 1)
        name = file.name.removesuffix(".sql")
        found[name] = Question(name, first.removeprefix("-- "), sql.strip())
    return found


def question(name: str) -> Question:
    """The ready question of that name. Raises `QuestionError` with those that there are."""
    if name not in questions():
        raise QuestionError(f"there is no question {name!r}; there are: {', '.join(questions())}")
    return questions()[name]


@dataclass(frozen=True)
class Answer:
    """Names and rows; `sequence` is how far the projection is."""

    names: list[str]
    rows: list[tuple[Any, ...]]
    sequence: int


def ask(path: Path, sql: str) -> Answer:
    """The answer to a question in SQL over the projection at `path`. Raises `ProjectionError`."""
    module = duckdb()
    connection = connect(path, read_only=True)
    try:
        cursor = read_cursor(connection, path)
        if not module.extract_statements(sql):
            raise QuestionError(f"the question has no statement: query={sql!r}")
        result = connection.execute(sql)
        names = [each[0] for each in result.description or []]
        return Answer(names, result.fetchall(), cursor.sequence if cursor is not None else 0)
    except module.Error as error:
        raise QuestionError(f"the question cannot be answered: {error}{_tables(connection, error)}") from error
    finally:
        connection.close()


def _tables(connection: Any, error: Exception) -> str:
    """The tables that there are, where one was not found."""
    if "Table with name" not in str(error):
        return ""
    tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    return f"; tables: {', '.join(name for (name,) in tables)}"


def plain(value: Any) -> Any:
    """A value of an answer as JSON and CSV know it."""
    if isinstance(value, (datetime, date, timedelta)):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def table_lines(answer: Answer) -> Iterator[str]:
    """An answer as a table for people: numbers to the right, the rest to the left."""
    names = [line_text(name) for name in answer.names]
    cells = [["-" if value is None else line_text(str(plain(value))) for value in row] for row in answer.rows]
    widths = [max(len(name), *(len(row[at]) for row in cells)) if cells else len(name) for at, name in enumerate(names)]
    numeric = [
        all(isinstance(row[at], (int, float, Decimal, type(None))) for row in answer.rows) for at in range(len(widths))
    ]
    for row in [names, *cells]:
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ]
        yield "  ".join(padded).rstrip()
