"""`statevec status`: who leads an instance, how far it is, and what its rings and gateways have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo

if TYPE_CHECKING:
    from statevec.roles.live_sample import Sample


@click.command()
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(instance: str, style: str) -> None:
    """Show who leads an instance and how far it is. Changes nothing and takes no lock."""
    from statevec.engine.instance import open_instance
    from statevec.roles.live import look

    facts = facts_of(look(open_instance(instance)))
    if style == "json":
        click.echo(json.dumps(facts))
        return
    for section, values in facts.items():
        if not isinstance(values, dict):
            echo(f"{section:<20} {values}")
            continue
        echo(section)
        for key, value in values.items():
            shown = " ".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, dict) else value
            echo(f"  {key:<34} {shown}")


def facts_of(sample: Sample) -> dict[str, Any]:
    """What the command shows of a sample."""
    from statevec.roles.live_sample import LEADS

    found = sample.to_dict()
    standbys = {str(each.pop("pid")): each for each in found["standbys"]}
    snapshots = {str(sequence): _or_problem(each) for sequence, each in found["snapshots"].items()}
    return {
        "instance": sample.instance,
        "directory": sample.directory,
        "leading": sample.state == LEADS,
        "state": sample.state,
        "halted": sample.halted or "no",
        "decides": sample.decides,
        "leader": found["leader"] or {},
        "log": found["log"] or {"segment": "not in shared memory"},
        "rings": {name: _or_problem(each) for name, each in found["rings"].items()},
        "gateways": {name: _or_problem(each) for name, each in found["gateways"].items()},
        "standbys": standbys,
        "shadows": found["shadows"],
        "snapshots": snapshots,
        "disk": found["disk"],
        "counters": sample.counters,
    }


def _or_problem(values: dict[str, Any]) -> dict[str, Any]:
    """The values alone, or what is wrong as well."""
    if not values["problem"]:
        del values["problem"]
    return values
