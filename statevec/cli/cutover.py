"""`statevec cutover` and `statevec rollback`: let another logic version decide, from an exact sequence on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from statevec.cli.echo import echo
from statevec.cli.parameters import FiniteRange

if TYPE_CHECKING:
    from statevec.journal.entry_view import Entry

INSTANCE = click.option(
    "--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory."
)
AT = click.option("--at", "at_sequence", type=click.IntRange(2), help="Sequence that the cutover entry is to have.")
NEXT = click.option("--next", "at_next", is_flag=True, help="The next entry is the cutover.")
WHY = click.option("--why", default="", help="Reason, for the log.")
TIMEOUT = click.option("--timeout", type=FiniteRange(0), default=30.0, show_default=True, help="Seconds to wait.")
FORMAT = click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.command()
@click.argument("spec", metavar="NAME@VERSION")
@INSTANCE
@AT
@NEXT
@click.option("--force", is_flag=True, help="Without a shadow's consent; who and why are recorded.")
@WHY
@TIMEOUT
@FORMAT
def cutover(
    spec: str,
    instance: str,
    at_sequence: int | None,
    at_next: bool,
    force: bool,
    why: str,
    timeout: float,
    style: str,
) -> int:
    """Let a stored version decide from a sequence on; it must have been added, and shadowed unless forced.

    statevec cutover hedge@2.0.0 --next --instance DIR
    """
    from pathlib import Path

    from statevec.engine.store import PluginStore
    from statevec.journal.admin_layout import CUT_OVER

    if (at_sequence is None) != at_next:
        raise click.UsageError("say either --at SEQUENCE or --next")
    if force and not why:
        raise click.UsageError("--force wants --why")
    version = PluginStore(Path(instance)).find(spec)
    return _order(instance, CUT_OVER, version.content_hash, at_sequence or 0, force, why, timeout, style)


@click.command()
@INSTANCE
@AT
@WHY
@TIMEOUT
@FORMAT
def rollback(instance: str, at_sequence: int | None, why: str, timeout: float, style: str) -> int:
    """Let the version that decided before decide again, from the next entry on or from --at SEQUENCE."""
    from statevec.journal.admin_layout import ROLL_BACK

    return _order(instance, ROLL_BACK, "", at_sequence or 0, False, why, timeout, style)


def _order(
    instance: str, command: int, content_hash: str, at: int, forced: bool, why: str, timeout: float, style: str
) -> int:
    """Offer the command, wait for its entry and then for the cutover's; print both."""
    from statevec.cli.order import Order

    with Order(instance, command, why, timeout, subject=content_hash, at=at, forced=forced) as order:
        if style == "table":
            order.tell()
        done = order.wait(_is_end)
    return _show(order.answer, done, style)


def _is_end(entry: Entry) -> bool:
    """Whether the entry is the cutover, or the engine's word that there will be none."""
    from statevec.cli.order import is_word_on
    from statevec.journal.admin_layout import CUT_OVER, ROLL_BACK
    from statevec.journal.entry_layout import CUTOVER

    return entry.kind == CUTOVER or is_word_on(entry, CUT_OVER, ROLL_BACK)


def _show(answer: Entry, done: Entry, style: str) -> int:
    from statevec.cli.order import OrderError
    from statevec.journal.admin_layout import AdminCommand, Cutover
    from statevec.journal.entry_layout import CUTOVER

    if done.kind != CUTOVER:
        raise OrderError(AdminCommand.decode(done.input).answer)
    said = Cutover.decode(done.input)
    facts = {
        "command_sequence": answer.sequence,
        "sequence": done.sequence,
        "outcome": done.outcome_name,
        "name": said.name,
        "version": said.version,
        "content_hash": said.content_hash,
        "logic_version": said.logic_version,
        "migration": said.migration,
    }
    if style == "json":
        click.echo(json.dumps(facts))
    elif done.outcome == 0:
        echo(f"entry {done.sequence}: {said.name}@{said.version} decides from entry {done.sequence + 1} on")
    if done.outcome != 0:
        raise OrderError(f"entry {done.sequence}: the migration failed, {done.outcome_name}; the old version decides")
    return 0
