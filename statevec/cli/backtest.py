"""`statevec backtest`: a plugin over recorded ticks or over a journal, with changed parameters, many runs side by side.

The table goes to standard output, progress to standard error while that is a terminal. Nothing is written but the
picture that `--plot` names. Ctrl-C, SIGTERM and SIGHUP end all runs and leave nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from statevec.cli.interruptible import interruptible
from statevec.cli.parameters import SEQUENCE, OutputPath

if TYPE_CHECKING:
    from statevec.demo.backtest_task import Market, Recorded, Result, Task
    from statevec.engine.plugin.loader import LoadedPlugin

UNITS_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
DURATION = re.compile(r"(\d+)(ns|us|µs|ms|s)")
SUFFIXES = (".png", ".html")
SHIPPED = "statevec.plugins"


def duration_ns(text: str) -> int:
    """Nanoseconds of a whole number with a unit, such as 200us."""
    match = DURATION.fullmatch(text)
    if match is None:
        units = ", ".join(UNITS_NS)
        raise click.BadParameter(f"a duration is a whole number and one of {units}, such as 200us: {text!r}")
    return int(match[1]) * UNITS_NS[match[2]]


@click.command()
@click.argument("plugins", nargs=-1, required=True, metavar="PLUGIN…")
@click.option("--ticks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV file of quotes.")
@click.option("--generated", type=click.IntRange(2), help="A made-up market of so many ticks, instead of a file.")
@click.option(
    "--instance",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Instance: its journal where no ticks are given, and its store for NAME@VERSION.",
)
@click.option("--to", "last", type=SEQUENCE, help="Over a journal: last sequence.")
@click.option(
    "--set", "texts", multiple=True, metavar="NAME=VALUE,…", help="Values to try; FIRST:LAST:STEP is a range."
)
@click.option("--pairs", is_flag=True, help="First values together, second values together, … instead of all combined.")
@click.option("--instrument", "symbol", help="Symbol of the instrument; by default the tick file tells.")
@click.option("--latency", default="200us", show_default=True, help="Between engine and venue, one way.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the desk and of a made-up market.")
@click.option("--tier", type=click.Choice(["compiled", "interpreted"]), default="compiled", show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Processes; by default as many as there are cores.")
@click.option("--sort", "by", metavar="FIGURE", help="Best runs of that figure first; its best and worst are marked.")
@click.option("--plot", "picture", type=OutputPath(dir_okay=False), help="FILE.png or FILE.html.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def backtest(
    plugins: tuple[str, ...],
    ticks: Path | None,
    generated: int | None,
    directory: Path | None,
    last: int | None,
    texts: tuple[str, ...],
    pairs: bool,
    symbol: str | None,
    latency: str,
    seed: int,
    tier: Literal["compiled", "interpreted"],
    jobs: int | None,
    by: str | None,
    picture: Path | None,
    form: str,
) -> None:
    """Run plugins over recorded ticks, or over the journal of an instance, with parameters changed.

    PLUGIN is a shipped one (hedge, hedge_v2), a directory, or NAME@VERSION of the store of --instance. Each is run with
    each combination of the values that --set names. The same command gives the same figures and digests.
    """
    from statevec.audit.backtest_settings import combine, read_parameter
    from statevec.demo.backtest_pool import run_tasks
    from statevec.demo.backtest_task import Task

    _check_usage(ticks, generated, directory, last, picture)
    loaded = [_find(name, directory) for name in plugins]
    market, recorded = _inputs(ticks, generated, directory, last, symbol, duration_ns(latency), seed)
    settings = combine([read_parameter(text) for text in texts], pairs)
    tasks: list[Task] = []
    for plugin in loaded:
        for each in settings:
            place = str(plugin.source.directory)
            tasks.append(Task(len(tasks) + 1, place, plugin.content_hash, tier, each, market, recorded))
    if tier == "compiled":
        for plugin in loaded:
            plugin.dispatch("compiled")  # once, here: workers take it from the cache
    with interruptible(), _progress(len(tasks)) as show:
        results = run_tasks(tasks, jobs or os.cpu_count() or 1, show)
    if by is not None:
        results = _sorted(results, by)
    if picture is not None:
        _draw(picture, results, by)
    _print(results, by, form)


def _check_usage(
    ticks: Path | None, generated: int | None, directory: Path | None, last: int | None, picture: Path | None
) -> None:
    if ticks is not None and generated is not None:
        raise click.UsageError("--ticks and --generated exclude each other")
    over_ticks = ticks is not None or generated is not None
    if not over_ticks and directory is None:
        raise click.UsageError("what to run over: --ticks FILE, --generated N, or the journal of --instance DIR")
    if over_ticks and last is not None:
        raise click.UsageError("--to is for a journal, not for ticks")
    if picture is None:
        return
    if picture.suffix not in SUFFIXES:
        raise click.BadParameter(f"ends in none of {', '.join(SUFFIXES)}: {picture}", param_hint="--plot")
    if not over_ticks:
        raise click.UsageError("--plot draws what the market answered: it needs ticks")
    try:
        import matplotlib  # noqa: F401  # asked before the runs, not after them
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: pip install 'statevec[plots]'") from error


def _find(name: str, directory: Path | None) -> LoadedPlugin:
    """The plugin that was named."""
    import importlib.resources

    from statevec.engine.instance import open_instance
    from statevec.engine.plugin.loader import load_plugin
    from statevec.roles.shadow_plugins import find_candidate

    root = Path(str(importlib.resources.files(SHIPPED)))
    shipped = sorted(each.name for each in root.iterdir() if (each / f"{each.name.partition('_')[0]}.py").is_file())
    if name in shipped:
        return load_plugin(root / name)
    if Path(name).is_dir():
        return load_plugin(name)
    if directory is None:
        raise click.UsageError(
            f"no such plugin: {name!r} is no directory and none of {', '.join(shipped)}; "
            "for NAME@VERSION of an instance's store give --instance DIR"
        )
    return find_candidate(open_instance(directory), name)


def _inputs(
    ticks: Path | None,
    generated: int | None,
    directory: Path | None,
    last: int | None,
    symbol: str | None,
    latency: int,
    seed: int,
) -> tuple[Market | None, Recorded | None]:
    from statevec.demo.backtest_task import Market, Recorded, market_ticks
    from statevec.demo.instruments import Instruments
    from statevec.demo.ticks import find_instrument
    from statevec.engine.instance import open_instance

    if ticks is None and generated is None:
        assert directory is not None
        open_instance(directory)
        return None, Recorded(str(directory.resolve()), last)
    instruments = Instruments.load()
    if symbol is not None:
        instrument = instruments.get(symbol)
    elif ticks is not None:
        instrument = find_instrument(ticks, instruments)
    else:
        instrument = next(iter(instruments.by_symbol.values()))
    file = None if ticks is None else str(ticks.resolve())
    market = Market(instrument.symbol, file, generated or 0, latency, seed)
    market_ticks(market.symbol, market.ticks, market.generated, market.seed)  # a bad line ends it before any run
    return market, None


@contextmanager
def _progress(runs: int) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"0 of {runs} runs", total=runs)

        def show(done: float) -> None:
            progress.update(task, completed=done, description=f"{int(done)} of {runs} runs")

        yield show


def _sorted(results: list[Result], by: str) -> list[Result]:
    from statevec.cli.backtest_table import figure_names, goodness

    names = figure_names(results)
    if by not in names:
        raise click.BadParameter(f"no such figure: {by!r} (figures: {', '.join(names)})", param_hint="--sort")
    return sorted(results, key=lambda result: goodness(by, result.value(by)), reverse=True)


def _draw(picture: Path, results: list[Result], by: str | None) -> None:
    from statevec.audit.plots_drawing import png
    from statevec.audit.plots_page import page
    from statevec.demo.backtest_pictures import pictures

    drawn = [(each, png(each)) for each in pictures(results, by)]
    if picture.suffix == ".png":
        picture.write_bytes(drawn[0][1])
    else:
        picture.write_text(page("Backtest", f"{len(results)} runs", drawn), encoding="utf-8")


def _print(results: list[Result], by: str | None, form: str) -> None:
    from statevec.cli import backtest_table

    if form == "json":
        click.echo(backtest_table.as_json(results))
    elif form == "csv":
        click.echo(backtest_table.as_csv(results), nl=False)
    else:
        backtest_table.print_table(results, by)
