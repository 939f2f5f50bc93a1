"""`statevec handover`: a leader ends, and a standby goes on from the next entry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from statevec.cli.cutover import FORMAT, INSTANCE, TIMEOUT, WHY
from statevec.cli.echo import echo

if TYPE_CHECKING:
    from statevec.journal.entry_view import Entry


@click.command()
@INSTANCE
@WHY
@TIMEOUT
@FORMAT
def handover(instance: str, why: str, timeout: float, style: str) -> int:
    """Let a standby lead: the leader ends with everything on disk, the standby goes on with the next entry.

    Refused when no standby follows closely.
    """
    from statevec.cli.order import Order
    from statevec.journal.admin_layout import HAND_OVER
    from statevec.journal.entry_layout import LEADERSHIP

    with Order(instance, HAND_OVER, why, timeout) as order:
        if style == "table":
            order.tell()
        last = [order.answer]

        def leads(entry: Entry) -> bool:
            if entry.kind == LEADERSHIP:
                return True
            last[0] = entry
            return False

        begun = order.wait(leads)
    facts = {
        "command_sequence": order.answer.sequence,
        "last_sequence": last[0].sequence,
        "sequence": begun.sequence,
        "epoch": begun.epoch,
        "gap_ns": begun.timestamp_ns - last[0].timestamp_ns,
    }
    if style == "json":
        click.echo(json.dumps(facts))
    else:
        gap_ms = facts["gap_ns"] / 1e6
        echo(f"entry {begun.sequence}: epoch {begun.epoch} leads, {gap_ms:.1f} ms after the last entry before it")
    return 0
