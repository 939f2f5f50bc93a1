"""`statevec send`: one input by hand, and the entry that it became."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from statevec.cli.echo import echo
from statevec.cli.parameters import FiniteRange
from statevec.engine.config import OPERATOR_RING

if TYPE_CHECKING:
    from statevec.engine.instance import LeaderRecord
    from statevec.engine.plugin.loader import LoadedPlugin
    from statevec.ipc.log import LogReader
    from statevec.journal.entry_view import Entry

SILENT_LEADER_NS = 5_000_000_000
PAUSE_SECONDS = 0.000_2


class SendError(Exception):
    """The input could not be sent, or no entry came of it."""


@click.command()
@click.argument("message")
@click.argument("values", metavar="JSON")
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--ring", default=OPERATOR_RING, show_default=True, help="Ring to send through; it must be free.")
@click.option("--timeout", type=FiniteRange(0), default=10.0, show_default=True, help="Seconds to wait.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def send(message: str, values: str, instance: str, ring: str, timeout: float, style: str) -> int:
    """Offer one MESSAGE with the values in JSON, wait for its entry, and print its outcome.

    Exit status 0 when it was committed, 1 when it was rejected or faulted.

        statevec send RiskConfig '{"instrument": 7, "risk_switch": "RISK_OFF"}' --instance DIR
    """
    from statevec.codecs.errors import SbeError
    from statevec.engine.instance import open_instance
    from statevec.engine.store import PluginStore

    opened = open_instance(instance)
    leader = opened.leader()
    if leader is None or ring not in leader.rings:
        known = "" if leader is None else f"; it has {', '.join(leader.rings)}"
        raise SendError(f"{opened.directory} has no ring {ring!r}{known}")
    plugin = PluginStore(opened.directory).load(leader.content_hash)
    try:
        encoded = plugin.schema.from_json(message, values)
    except SbeError as error:
        raise click.UsageError(str(error)) from error
    entry = _offer_and_wait(instance, leader, ring, encoded, timeout)
    _show(entry, plugin, style)
    return 0 if entry.outcome == 0 else 1


def _offer_and_wait(instance: str, leader: LeaderRecord, ring: str, encoded: bytes, timeout: float) -> Entry:
    from statevec.ipc.log import LogReader, attach_log, released_position
    from statevec.roles.producer import Producer

    with Producer(instance, ring) as producer, attach_log(producer.instance.instance_id, populate=False) as log:
        refuse_silent_leader(log)
        with LogReader(log, released_position(log)) as reader:
            sequence = producer.send(encoded, timeout)
            return _wait_for_entry(reader, leader.rings[ring], sequence, timeout)


def refuse_silent_leader(log: Any) -> None:
    from statevec.ipc import log_layout
    from statevec.ipc.python_call import load_acquire

    # SYNC POINT: pairs with the leader's release of its heartbeat.
    silent_ns = time.monotonic_ns() - load_acquire(log.region, log_layout.HEARTBEAT_NS)
    if silent_ns > SILENT_LEADER_NS:
        raise SendError(f"nobody leads the instance: no sign of life for {silent_ns / 1e9:.1f} s; nothing was sent")


def _wait_for_entry(reader: LogReader, source: int, sequence: int, timeout: float) -> Entry:
    from statevec.journal.entry_view import Entry

    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = reader.poll()
        if found is None:
            time.sleep(PAUSE_SECONDS)
            continue
        entry = Entry(found)
        if entry.source == source and entry.source_sequence == sequence:
            return entry
    raise SendError(f"no entry was released within {timeout} s: source={source} sequence={sequence}; it may still come")


def _show(entry: Entry, plugin: LoadedPlugin, style: str) -> None:
    from statevec.audit.entry_words import one_line
    from statevec.ipc.faults import reason_of
    from statevec.journal.decode import plain_value

    outputs = [plugin.schema.decode(output.message) for output in entry.outputs()]
    facts: dict[str, Any] = {
        "sequence": entry.sequence,
        "outcome": entry.outcome,
        "outcome_name": entry.outcome_name,
        "reason": reason_of(entry.outcome, plugin.rejections, plugin.invariants) or None,
        "changes": len(entry.changes()),
        "outputs": [{"message": view.layout.name, **plain_value(view.to_dict())} for view in outputs],
    }
    if style == "json":
        click.echo(json.dumps(facts, default=str))
        return
    reason = f" ({facts['reason']})" if facts["reason"] else ""
    changed = "1 record" if facts["changes"] == 1 else f"{facts['changes']} records"
    echo(f"entry {entry.sequence}: {entry.outcome_name}{reason}, {changed} changed")
    for output in facts["outputs"]:
        values = ", ".join(f"{key}={one_line(value)}" for key, value in output.items() if key != "message")
        echo(f"  {output['message']}: {values}")
