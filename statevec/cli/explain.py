"""`statevec explain`: why an entry came out as it did, down to the lines that decided.

It only reads, without a lock: a live instance goes on undisturbed. Exit status 1 when the entry does not come out again
as it was recorded: then that is said instead.
"""

from __future__ import annotations

from pathlib import Path

import click

from statevec.cli.echo import echo_json
from statevec.cli.explain_format import Page, console, progress_line
from statevec.cli.parameters import STATE_SEQUENCE

INSTANCE = click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
COLD = click.option(
    "--cold", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Directory with the cold segments."
)
FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.command()
@click.argument("sequence", type=STATE_SEQUENCE)
@INSTANCE
@COLD
@FORMAT
@click.pass_context
def explain(context: click.Context, sequence: int, directory: Path, cold: Path | None, form: str) -> None:
    """Explain entry SEQUENCE: what arrived, who decided, what was read, which lines ran, what came out and why."""

    from statevec.audit.explain import Explainer
    from statevec.audit.state_at import StateWalker
    from statevec.cli.explain_text import print_explanation
    from statevec.engine.instance import open_instance

    with progress_line() as progress:
        found = Explainer(StateWalker(open_instance(directory), cold, progress)).explain(sequence)
    if form == "json":
        echo_json(found.to_dict())
    else:
        print_explanation(found, Page(console()))
    if not found.reproduced:
        context.exit(1)
