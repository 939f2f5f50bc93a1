"""`statevec retain`: archive or remove the journal's first segments once snapshots and gateways are past them."""

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
@click.option("--config", type=click.Path(dir_okay=False), help="Take [retention] from this configuration.")
@click.option("--keep-snapshots", "keep", type=click.IntRange(1), help="Snapshots that segments must lie below.  [3]")
@click.option("--cold", type=click.Path(path_type=Path, file_okay=False), help="Archive segments in this directory.")
@click.option("--delete", is_flag=True, help="Remove segments for good.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def retain(directory: Path, config: str | None, keep: int | None, cold: Path | None, delete: bool, form: str) -> None:
    """Take away journal segments that lie below the kept snapshots and every gateway's cursor.

    With neither --cold nor --delete it only says what would go. An archived segment is compressed, chained to the one
    before, and read back before the original is removed. Keep the hash that it ends with somewhere else: only who has
    it can tell that nothing in the cold segments was changed.
    """

    from statevec.engine.config import RetentionConfig, load_config
    from statevec.engine.instance import open_instance
    from statevec.roles.retention import retain as retain_segments

    settings = load_config(config).retention if config is not None else RetentionConfig()
    if cold is None and not delete:
        cold, delete = Path(settings.cold) if settings.cold else None, settings.delete
    done = retain_segments(open_instance(directory), keep=keep or settings.keep_snapshots, cold=cold, delete=delete)
    if form == "json":
        echo_json(done.to_dict())
        return
    for name, value in done.to_dict().items():
        echo(f"{name:<14} {value}")
    if not done.done:
        echo("nothing was changed: give --cold DIR or --delete")
