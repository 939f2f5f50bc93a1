"""`statevec run`: one engine process."""

from __future__ import annotations

from pathlib import Path

import click

from statevec.cli.parameters import FiniteRange
from statevec.engine.config import ConfigError, load_config


@click.command()
@click.argument("configuration", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written once the engine leads (JSON).")
@click.option("--ready-fd", type=int, help="A line of JSON goes to this descriptor once the engine leads.")
@click.option("--accept-clock", is_flag=True, help="Lead although the clock is far from the last entry's time.")
@click.option(
    "--kill-hung-after",
    type=FiniteRange(1),
    metavar="SECONDS",
    help="As a standby, end a leader that gave no sign of life for so long.",
)
def run(
    configuration: Path,
    ready_file: Path | None,
    ready_fd: int | None,
    accept_clock: bool,
    kill_hung_after: float | None,
) -> None:
    """Run an engine process with CONFIGURATION (a TOML file) until SIGTERM.

    It leads the instance, or stands by while another process does: follows it, and leads once it is gone.
    What it does it says on standard error, one JSON object a line.
    """
    config = load_config(configuration)
    from statevec.roles.engine_process import run_engine  # loads the compiler: only for a configuration that is right

    try:
        run_engine(
            config,
            accept_clock=accept_clock,
            kill_hung_after=kill_hung_after,
            ready_file=ready_file,
            ready_descriptor=ready_fd,
        )
    except ConfigError as error:
        raise ConfigError(f"{configuration}: {error}") from error
