"""`statevec status`: who leads an instance, how far it is, and what its rings and gateways have."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from statevec.engine.instance import Instance

LEADS_WITHIN_NS = 1_000_000_000


@click.command()
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(instance: str, style: str) -> None:
    """Show who leads an instance and how far it is. Changes nothing and takes no lock."""
    from statevec.engine.instance import open_instance

    facts = collect(open_instance(instance))
    if style == "json":
        click.echo(json.dumps(facts))
        return
    for section, values in facts.items():
        if not isinstance(values, dict):
            click.echo(f"{section:<20} {values}")
            continue
        click.echo(section)
        for key, value in values.items():
            shown = " ".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, dict) else value
            click.echo(f"  {key:<34} {shown}")


def collect(instance: Instance) -> dict[str, Any]:
    """Everything about an instance that can be seen from outside."""
    leader = instance.leader()
    log = _log(instance)
    silent_ns = log.get("heartbeat_age_ns") if log else None
    return {
        "instance": instance.genesis.instance_id,
        "directory": str(instance.directory),
        "leading": silent_ns is not None and silent_ns < LEADS_WITHIN_NS,
        "halted": instance.halt_reason() or "no",
        "leader": {} if leader is None else {key: getattr(leader, key) for key in ("pid", "host", "since", "epoch")},
        "log": log or {"segment": "not in shared memory"},
        "rings": {name: _ring(instance, name) for name in (leader.rings if leader else {})},
        "gateways": _gateways(instance),
        "standbys": _standbys(instance),
        "snapshots": _snapshots(instance),
        "counters": _counters(instance),
    }


def _log(instance: Instance) -> dict[str, Any] | None:
    from statevec.ipc.log import attach_log, log_statistics
    from statevec.ipc.segment import SegmentError

    try:
        with attach_log(instance.instance_id) as log:
            found = log_statistics(log)
    except SegmentError:
        return None
    names = ("capacity", "last_sequence", "epoch", "appended", "written", "durable", "released", "halted")
    return {**{name: found[name] for name in names}, "heartbeat_age_ns": time.monotonic_ns() - found["heartbeat_ns"]}


def _ring(instance: Instance, name: str) -> dict[str, Any]:
    from statevec.ipc import ring_layout
    from statevec.ipc.python_call import load_acquire
    from statevec.ipc.ring import attach_ring
    from statevec.ipc.ring_repair import RingError, records_region
    from statevec.ipc.segment import SegmentError

    try:
        with attach_ring(name, instance.instance_id, writable=False) as segment:
            records = records_region(segment)
            # SYNC POINT: pairs with the stores of these words by engine and producer.
            head = load_acquire(records, segment.capacity + ring_layout.HEAD)
            tail = load_acquire(records, segment.capacity + ring_layout.TAIL)
            return {
                "capacity": segment.capacity,
                "used": tail - head,
                "appended": load_acquire(segment.region, ring_layout.APPENDED_SEQUENCE),
                "released": load_acquire(segment.region, ring_layout.RELEASED_SEQUENCE),
            }
    except (SegmentError, RingError) as error:
        return {"problem": str(error)}


def _gateways(instance: Instance) -> dict[str, Any]:
    from statevec.roles.cursor import CursorError, read_cursor

    found: dict[str, Any] = {}
    for directory in sorted(instance.gateways_directory.iterdir()):
        try:
            cursor = read_cursor(directory)
        except CursorError as error:
            found[directory.name] = {"problem": str(error)}
        else:
            found[directory.name] = {"position": cursor.position, "sequence": cursor.sequence}
    return found


def _standbys(instance: Instance) -> dict[str, Any]:
    from dataclasses import asdict

    from statevec.roles.standby_counters import standbys

    found = {}
    for standby in standbys(instance):
        values = asdict(standby)
        found[str(values.pop("pid"))] = values
    return found


def _snapshots(instance: Instance) -> dict[str, Any]:
    from statevec.engine.snapshot_file import SnapshotError, list_snapshots, read_header, sequence_of

    found: dict[str, Any] = {}
    for path in list_snapshots(instance.snapshots_directory):
        try:
            header = read_header(path)
        except (SnapshotError, OSError) as error:
            found[str(sequence_of(path))] = {"problem": str(error)}
        else:
            decides = f"{header.decider.name}@{header.decider.version}"
            found[str(header.sequence)] = {"position": header.position, "created": header.created, "decides": decides}
    return found


def _counters(instance: Instance) -> dict[str, int]:
    from statevec.ipc.counters import attach_counters
    from statevec.ipc.segment import SegmentError

    try:
        with attach_counters("engine", instance.instance_id) as counters:
            return counters.snapshot().counters
    except SegmentError:
        return {}
