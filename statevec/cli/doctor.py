"""`statevec doctor`: what is wrong with an instance, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--repair", is_flag=True, help="First cut a torn tail of the journal; the instance must not be led.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def doctor(directory: Path, repair: bool, form: str) -> int:
    """Look at an instance, led or not: nothing is locked or written without --repair.

    Exit status 1 when there is a problem.
    """
    import msgspec

    from statevec.audit.doctor import cut_torn_tail, examine
    from statevec.engine.instance import open_instance

    cut = cut_torn_tail(open_instance(directory)) if repair else 0
    found = examine(directory)
    if form == "json":
        click.echo(msgspec.json.encode({**found.to_dict(), "cut_bytes": cut}).decode())
        return int(found.problems > 0)
    if repair:
        click.echo(f"cut {cut} bytes")
    for each in found.findings:
        click.echo(f"{each.severity:<8} {each.where}: {each.what}")
        if each.remedy:
            click.echo(f"         what to do: {each.remedy}")
    return int(found.problems > 0)
