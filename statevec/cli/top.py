"""`statevec top`: an instance live on the terminal, or once for scripts."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo
from statevec.cli.parameters import FiniteRange

if TYPE_CHECKING:
    from statevec.engine.instance import Instance
    from statevec.roles.live_rates import Rates
    from statevec.roles.live_sample import Sample


@click.command()
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--once", is_flag=True, help="Look twice, print, end.")
@click.option(
    "--interval",
    type=FiniteRange(0, 3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="With --once: the time between the two looks, over which rates are taken.",
)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def top(instance: str, once: bool, interval: float, style: str) -> None:
    """Show an instance live: flow, latency, rings, positions, readers, outcomes, alarms.

    Changes nothing and takes no lock. Keys: q quit, p pause, s sort rings by name, fill or rate.
    """
    from statevec.engine.instance import open_instance

    if style == "json" and not once:
        raise click.UsageError("--format json goes with --once")
    opened = open_instance(instance)
    if once:
        _once(opened, interval, style)
        return
    try:
        from statevec.cli.top_app import TopApp
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: pip install 'statevec[top]'") from error
    TopApp(opened).run()


def _once(instance: Instance, interval: float, style: str) -> None:
    from statevec.cli.top_text import plain, sections
    from statevec.roles.live import Looker
    from statevec.roles.live_rates import rate
    from statevec.roles.live_reasons import Reasons

    with Looker(instance) as looker:
        before = looker.look()
        time.sleep(interval)
        after = looker.look()
    rates = rate(before, after)
    if style == "json":
        click.echo(json.dumps(facts_of(after, rates)))
    else:
        for line in plain(sections(after, rates, Reasons(instance))).split("\n"):
            echo(line)


def facts_of(sample: Sample, rates: Rates) -> dict[str, Any]:
    """Sample and rates for JSON. What `rates` has of entries looked at are counts, not by the second."""
    from statevec.roles.live_sample import observed_facts

    found = asdict(rates)
    del found["observed"]
    return {**sample.to_dict(), "rates": {**found, **observed_facts(rates.observed)}}
