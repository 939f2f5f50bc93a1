"""`statevec demo`: the whole main job on a small market, as real processes, with a summary that is checked.

Progress goes to standard error, the summary to standard output: a table, or one JSON object. The exit status is 0 only
when everything is as it should be. Without `--directory` all files are temporary and go when the command ends.

Ctrl-C, SIGTERM and SIGHUP end the processes, remove shared memory and temporary files; a second signal does not
disturb that.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from statevec.audit.verify import verify_instance
from statevec.cli.echo import echo
from statevec.cli.interruptible import interruptible
from statevec.cli.parameters import FiniteRange
from statevec.demo.children import ChildError
from statevec.demo.evidence import read_log
from statevec.demo.review import Review, review
from statevec.demo.scenario import Scenario, run_scenario
from statevec.demo.summary import print_summary, progress_display

FAILED = 1


@contextmanager
def _working_directory(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="statevec-demo-") as temporary:
        yield Path(temporary).resolve()


def _run(scenario: Scenario) -> Review:
    with progress_display() as watch:
        outcome = run_scenario(scenario, watch)
        watch("verify", {})
        verification = verify_instance(scenario.instance, scenario.tier)
        return review(outcome, read_log(scenario.instance), verification)


@click.command()
@click.option(
    "--ticks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file of quotes; without it a market is generated.",
)
@click.option("--instrument", help="Symbol of the instrument; by default the tick file tells.")
@click.option("--generated", type=click.IntRange(1), default=8_000, show_default=True, help="Ticks to generate.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Play the ticks so many times.")
@click.option("--rate", type=FiniteRange(0), help="Ticks per second, 0 flat out; by default it takes about 8 s.")
@click.option("--speed", type=FiniteRange(0), help="Play at the recorded speed times this, instead of a rate.")
@click.option("--durability", type=click.Choice(["memory", "disk"]), default="disk", show_default=True)
@click.option("--tier", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of market, script and venue.")
@click.option(
    "--upgrade/--no-upgrade", default=True, show_default=True, help="Shadow hedge version 2 and cut over to it."
)
@click.option("--failover/--no-failover", default=True, show_default=True, help="Kill the leader; a standby goes on.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="Keep all files here.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def demo(
    ticks: Path | None,
    instrument: str | None,
    generated: int,
    repeat: int,
    rate: float | None,
    speed: float | None,
    durability: Literal["memory", "disk"],
    tier: Literal["compiled", "interpreted"],
    seed: int,
    upgrade: bool,
    failover: bool,
    directory: Path | None,
    form: str,
) -> int:
    """Run the whole main job on a small market and check its result.

    An engine with the hedge plugin, a feed, a desk and a venue run as processes of their own until the market is
    played. In the middle of it hedge version 2 takes over, after its shadow has compared it; later the engine is
    killed, and a standby goes on. Then the journal is executed again, and every account of the run is compared.
    """
    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other")
    with interruptible(), _working_directory(directory) as place:
        scenario = Scenario(
            directory=place,
            ticks=ticks,
            symbol=instrument,
            generated=generated,
            repeat=repeat,
            rate=rate,
            speed=speed,
            durability=durability,
            tier=tier,
            seed=seed,
            upgrade=upgrade,
            failover=failover,
        )
        try:
            made = _run(scenario)
        except ChildError as error:
            echo(f"error: {error}", err=True)
            return FAILED
    if form == "json":
        click.echo(json.dumps(made.figures))
    else:
        print_summary(made)
    for problem in (*made.problems, *made.details):
        echo(f"error: {problem}", err=True)
    return FAILED if made.problems else 0
