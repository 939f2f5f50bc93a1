"""`statevec shadow`: a candidate version beside the live one, or over history alone, and what the two decide otherwise.

Exit status 0 when every difference is expected, 1 when one is not (or it failed), 2 when the command line or the rules
are wrong. The table goes to standard output, progress to standard error while it is a terminal; with `--format json`
standard output has one object.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from statevec.cli.echo import echo_json
from statevec.cli.parameters import OutputPath

if TYPE_CHECKING:
    from statevec.roles.shadow_report import ShadowReport


@click.command()
@click.argument("candidate", metavar="NAME@VERSION|PATH")
@click.option(
    "--instance",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The instance's directory.",
)
@click.option("--mode", type=click.Choice(["lockstep", "independent"]), default="lockstep", show_default=True)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML file with the differences that are meant.",
)
@click.option(
    "--from", "first", type=click.IntRange(1), default=1, show_default=True, help="First sequence to compare."
)
@click.option("--to", "last", type=click.IntRange(1), help="Last sequence to compare; the shadow ends there.")
@click.option("--until-caught-up", is_flag=True, help="End when nothing more is there, instead of following.")
@click.option("--core", type=click.IntRange(0), help="Run on this processor core.")
@click.option("--tier", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True)
@click.option("--html", "page", type=OutputPath(dir_okay=False), help="Write a page to sign off.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def shadow(
    context: click.Context,
    candidate: str,
    directory: Path,
    mode: Literal["lockstep", "independent"],
    rules_file: Path | None,
    first: int,
    last: int | None,
    until_caught_up: bool,
    core: int | None,
    tier: Literal["compiled", "interpreted"],
    page: Path | None,
    form: str,
) -> None:
    """Run a candidate version beside the one that decides, and compare what they decide.

    Starts at the beginning of the journal, catches up, and follows the live log until SIGTERM or SIGINT, until --to, or
    until it has caught up. Nothing is written but the report in the instance's directory; the leader is not disturbed.

    Lockstep runs the candidate on the live state before each entry. Independent lets it live with a state of its own;
    its timers do not fire by themselves, it gets those that the log says fired.
    """
    from statevec.engine.instance import open_instance
    from statevec.ipc.pinning import pin
    from statevec.roles.shadow import Shadow
    from statevec.roles.shadow_plugins import Range, find_candidate
    from statevec.roles.shadow_rules import load_rules
    from statevec.roles.stop_request import StopRequest

    compared = Range(first, last)
    rules = load_rules(rules_file) if rules_file is not None else []
    instance = open_instance(directory)
    if core is not None:
        pin(core)
    running = Shadow(instance, find_candidate(instance, candidate), mode, rules, compared, tier)
    request = StopRequest()
    try:
        with _Progress() as progress:
            found = running.run(request.is_set, progress.show, until_caught_up=until_caught_up)
    finally:
        running.close()
    if page is not None:
        from statevec.cli.shadow_page import render_page

        page.write_text(render_page(found, rules), encoding="utf-8")
    _print(found, form)
    if found.unexpected:
        context.exit(1)


class _Progress:
    """One line on standard error that says how far it is, where that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        console = Console(stderr=True)
        self._status = Status("starting", console=console) if console.is_terminal else None

    def show(self, found: ShadowReport) -> None:
        """Take in a report."""
        if self._status is not None:
            where = "caught up" if found.caught_up else f"{found.behind_bytes:,} bytes behind"
            self._status.update(
                f"sequence {found.to_sequence:,}: {found.same:,} the same, {found.expected:,} expected, "
                f"{found.unexpected:,} unexpected; {where}"
            )

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()


def _print(found: ShadowReport, form: str) -> None:
    if form == "json":
        echo_json(found)
        return
    from rich.console import Console

    from statevec.cli.shadow_table import tables

    console = Console(width=None if Console().is_terminal else 140)
    for table in tables(found):
        console.print(table)
