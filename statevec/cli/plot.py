"""`statevec plot`: pictures from the journal, as PNG or one HTML page, with the figures that they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from statevec.cli.echo import echo
from statevec.cli.parameters import SEQUENCE, FiniteRange, OutputPath

if TYPE_CHECKING:
    from statevec.audit.journal_columns import Journal
    from statevec.audit.plots_figures import Picture

KINDS = ("latency", "throughput", "exposure", "lag")
SUFFIXES = (".png", ".html")


@click.command()
@click.argument("kinds", nargs=-1, required=True, type=click.Choice(KINDS), metavar="latency|throughput|exposure|lag …")
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--out", required=True, type=OutputPath(dir_okay=False), help="FILE.png or FILE.html.")
@click.option("--from", "first", type=SEQUENCE, help="First sequence.")
@click.option("--to", "last", type=SEQUENCE, help="Last sequence.")
@click.option("--cold", type=click.Path(exists=True, file_okay=False), help="Directory of the archived segments.")
@click.option("--instrument", type=int, help="For exposure; by default the one with the most changes.")
@click.option("--around", type=SEQUENCE, help="For lag: a sequence; by default the last cutover or new leader.")
@click.option(
    "--width", type=click.IntRange(1, 1_000_000), default=2_000, show_default=True, help="For lag: entries each way."
)
@click.option("--live", type=FiniteRange(0.1, 3600), metavar="SECONDS", help="For latency: of what comes meanwhile.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plot(
    kinds: tuple[str, ...],
    instance: str,
    out: Path,
    first: int | None,
    last: int | None,
    cold: str | None,
    instrument: int | None,
    around: int | None,
    width: int,
    live: float | None,
    style: str,
) -> None:
    """Draw pictures from an instance's journal, live or stopped, and print the figures.

    A page (.html) holds any number of pictures and loads nothing; a .png holds one. Takes no lock, writes only FILE.
    """
    if out.suffix not in SUFFIXES:
        raise click.BadParameter(f"ends in none of {', '.join(SUFFIXES)}: {out}", param_hint="--out")
    if out.suffix == ".png" and len(kinds) > 1:
        raise click.UsageError(f"a .png holds one picture, got {len(kinds)}: give --out FILE.html")
    if first is not None and last is not None and first > last:
        raise click.UsageError(f"the range is empty: from={first} to={last}")
    if live is not None and kinds != ("latency",):
        raise click.UsageError("--live goes with latency alone")
    try:
        from statevec.audit.plots_drawing import png
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: pip install 'statevec[plots]'") from error
    from statevec.audit.journal_columns import Journal
    from statevec.audit.plots_live import live_latency
    from statevec.audit.plots_page import page

    journal = Journal(instance, cold=cold)
    if live is not None:
        pictures = [live_latency(journal.instance, live)]
    else:
        chosen = dict.fromkeys(kinds)
        pictures = [_picture(journal, kind, first, last, instrument, around, width) for kind in chosen]
    drawn = [(picture, png(picture)) for picture in pictures]
    if out.suffix == ".png":
        out.write_bytes(drawn[0][1])
    else:
        facts = f"instance {journal.instance.genesis.instance_id}, {journal.instance.directory}"
        out.write_text(page("What the journal shows", facts, drawn), encoding="utf-8")
    _print(pictures, style)


def _picture(
    journal: Journal,
    kind: str,
    first: int | None,
    last: int | None,
    instrument: int | None,
    around: int | None,
    width: int,
) -> Picture:
    from statevec.audit import plots_exposure, plots_flow

    if kind == "latency":
        return plots_flow.latency(journal, first, last)
    if kind == "throughput":
        return plots_flow.throughput(journal, first, last)
    if kind == "exposure":
        return plots_exposure.exposure(journal, first, last, instrument)
    return plots_flow.lag(journal, around, width)


def _print(pictures: list[Picture], style: str) -> None:
    if style == "json":
        click.echo(json.dumps({picture.name: dict(picture.rows) for picture in pictures}))
        return
    for picture in pictures:
        echo(picture.title)
        for name, value in picture.rows:
            echo(f"  {name:<40} {value}")
