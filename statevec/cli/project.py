"""`statevec project`: a DuckDB file of everything an instance released, once or following it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from statevec.cli.echo import echo, echo_json
from statevec.cli.parameters import OutputPath

if TYPE_CHECKING:
    from statevec.roles.projector import Progress

PROGRESS_SECONDS = 0.5


@click.command()
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--into", "file", required=True, type=OutputPath(dir_okay=False), help="The DuckDB file.")
@click.option(
    "--follow", is_flag=True, help="Go on until interrupted; while it has caught up, others can read the file."
)
@click.option("--parquet", type=OutputPath(file_okay=False), help="Write Parquet files there too.")
@click.option("--rebuild", is_flag=True, help="Forget what the file has, begin at the first entry.")
@click.option(
    "--cold", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Directory with the cold segments."
)
@click.option("--batch", type=click.IntRange(1), default=500_000, show_default=True, help="Entries in a transaction.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def project(
    directory: Path,
    file: Path,
    follow: bool,
    parquet: Path | None,
    rebuild: bool,
    cold: Path | None,
    batch: int,
    form: str,
) -> None:
    """Keep a DuckDB file of an instance's entries, inputs, outputs and record versions, for `statevec sql`.

    The file goes on where it was, whatever ended the last run. The instance is only read.
    """

    from statevec.engine.instance import open_instance
    from statevec.roles.events import Speaker
    from statevec.roles.projector import Projector
    from statevec.roles.stop_request import StopRequest

    stop = StopRequest()
    instance = open_instance(directory)
    projector = Projector(instance, file, parquet=parquet, cold=cold, batch=batch)
    if rebuild:
        projector.rebuild()
    shown = _Shown()
    try:
        found = projector.run(stop.is_set, follow=follow, on_progress=shown)
    except Exception as error:
        if follow:  # nobody may be looking at it
            Speaker("projector", instance).report("projection_failed", file=str(file), error=str(error))
        raise
    shown.end()
    for problem in found.problems:
        echo(f"warning: {problem}", err=True)
    if form == "json":
        echo_json({**vars(found), "file": str(file)})
    else:
        echo(f"{found.entries} entries into {file}, up to sequence {found.sequence}, in {found.seconds:.1f} s")


class _Shown:
    """Progress on standard error, while that is a terminal."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_SECONDS
        self._used = False

    def __call__(self, progress: Progress) -> None:
        if sys.stderr.isatty() and time.monotonic() > self._next:
            self._next = time.monotonic() + PROGRESS_SECONDS
            self._used = True
            click.echo(f"\r{progress.entries} entries, sequence {progress.sequence} ", nl=False, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._used:
            echo("", err=True)
