"""`statevec doctor`: what is wrong with an instance, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import click

from statevec.cli.echo import echo, echo_json


@click.command()
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--repair", is_flag=True, help="First put in order what is safe to; the instance must not be led.")
@click.option(
    "--cold", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Archived segments, to be read too."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def doctor(directory: Path, repair: bool, cold: Path | None, form: str) -> int:
    """Look at an instance, led or not: nothing is locked or written without --repair.

    --repair cuts a torn tail, removes temporary files of dead writers, sets damaged snapshots aside where another start
    is sound, and removes counters of dead processes; it says each thing. Exit status 1 when there is a problem.
    """

    from statevec.audit.doctor import examine
    from statevec.audit.repair import repair as repair_instance
    from statevec.engine.instance import open_instance

    done = repair_instance(open_instance(directory)) if repair else []
    found = examine(directory, cold)
    if form == "json":
        echo_json({**found.to_dict(), "repaired": done})
        return int(found.problems > 0)
    for action in done:
        echo(f"repaired {action}")
    if repair and not done:
        echo("nothing to repair")
    for each in found.findings:
        echo(f"{each.severity:<8} {each.where}: {each.what}")
        if each.remedy:
            echo(f"         what to do: {each.remedy}")
    return int(found.problems > 0)
