"""`statevec sql`: questions over a projection, in SQL or by the name of a ready one."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo, echo_json
from statevec.cli.parameters import OutputPath

if TYPE_CHECKING:
    from statevec.audit.questions import Answer


@click.command()
@click.argument("query", required=False)
@click.option("--question", "name", help="Ask a ready question by its name.")
@click.option("--list", "listed", is_flag=True, help="List the ready questions.")
@click.option("--show", is_flag=True, help="Print the question's SQL, do not ask it.")
@click.option(
    "--instance",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Project what is missing of this instance first; without --into into a file for this question alone.",
)
@click.option("--into", "file", type=OutputPath(dir_okay=False), help="The DuckDB file.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def sql(
    query: str | None,
    name: str | None,
    listed: bool,
    show: bool,
    directory: Path | None,
    file: Path | None,
    form: str,
) -> None:
    """Ask history in SQL: QUERY, or --question NAME. The file is only read, but for what --instance adds."""
    from statevec.audit.questions import ask, question, questions

    if listed:
        for each in questions().values():
            echo(f"{each.name:<28} {each.tells}")
        return
    if (query is None) == (name is None):
        raise click.UsageError("give a query, or --question NAME; --list shows the ready ones")
    text = question(name).sql if name is not None else query or ""
    if show:
        click.echo(text)
        return
    if file is None and directory is None:
        raise click.UsageError("give --into FILE, --instance DIR, or both")
    with _projection(directory, file) as path:
        _print(ask(path, text), form)


@contextmanager
def _projection(directory: Path | None, file: Path | None) -> Iterator[Path]:
    """The file to ask, with everything of the instance in it where one is given."""
    if file is not None:
        if directory is not None:
            _project(directory, file)
        yield file
        return
    assert directory is not None
    with TemporaryDirectory(prefix="statevec-sql-") as folder:
        made = Path(folder) / "history.duckdb"
        _project(directory, made)
        yield made


def _project(directory: Path, file: Path) -> None:
    from statevec.engine.instance import open_instance
    from statevec.roles.projector import Projector

    for problem in Projector(open_instance(directory), file).run(lambda: False).problems:
        echo(f"warning: {problem}", err=True)


def _cell(value: Any) -> Any:
    from statevec.journal.plain_text import line_text

    return line_text(value) if isinstance(value, str) else value


def _print(answer: Answer, form: str) -> None:

    from statevec.audit.questions import plain, table_lines
    from statevec.journal.plain_text import line_text

    if form == "table":
        for line in table_lines(answer):
            echo(line)
        return
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(line_text(name) for name in answer.names)
        writer.writerows([_cell(plain(value)) for value in row] for row in answer.rows)
        return
    rows = [{name: plain(value) for name, value in zip(answer.names, row, strict=True)} for row in answer.rows]
    echo_json({"sequence": answer.sequence, "rows": rows})
