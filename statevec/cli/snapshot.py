"""`statevec snapshot`: keep the state of an instance, live or stopped, so that recovery need not begin at genesis."""

from __future__ import annotations

from pathlib import Path

import click

from statevec.cli.echo import echo, echo_json

KEEP = 3


@click.command()
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--keep", type=click.IntRange(1), default=KEEP, show_default=True, help="How many snapshots stay.")
@click.option("--tier", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def snapshot(directory: Path, keep: int, tier: str, form: str) -> None:
    """Take a snapshot of an instance's state at the last durable entry.

    A follower does it: it executes the journal from the newest snapshot on and disturbs no leader. When nothing was
    decided since the last one, that one is shown.
    """

    from statevec.engine.instance import open_instance
    from statevec.roles.snapshot_taker import take_snapshot

    taken = take_snapshot(open_instance(directory), "interpreted" if tier == "interpreted" else "compiled", keep=keep)
    if form == "json":
        echo_json(taken.to_dict())
        return
    for name, value in taken.to_dict().items():
        echo(f"{name:<10} {value}")
