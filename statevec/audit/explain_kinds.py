"""What entries are about in words: those of the engine's own, and inputs that no handler was run for.

Everything is said from the entry, and from the engine's own tables as they were before it. Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from statevec.engine.execution import Execution
from statevec.engine.versions import decider_of
from statevec.ipc.faults import (
    COMMITTED,
    MALFORMED_MESSAGE,
    NO_HANDLER,
    OVERSIZE_MESSAGE,
    POISONED,
    UNKNOWN_TEMPLATE,
    WRONG_SCHEMA,
)
from statevec.ipc.ring_kernels import RING_CODES
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.journal.admin_layout import ADMIN_COMMANDS, BLOCK, CUTOVER_CAUSES, AdminCommand, Cutover
from statevec.journal.entry_view import Entry
from statevec.state.reading import read_rows

DURABILITIES = ("memory", "disk")
NOT_RUN = {MALFORMED_MESSAGE, UNKNOWN_TEMPLATE, WRONG_SCHEMA, OVERSIZE_MESSAGE, POISONED, NO_HANDLER}
"""Outcomes of inputs for which no line of the plugin ran."""


def time_text(timestamp_ns: int) -> str:
    """Nanoseconds since 1970 as UTC."""
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{nanoseconds:09d} UTC"


def tell(entry: Entry, before: Execution) -> list[str]:
    """What happened, a sentence each; `before` is the state before the entry."""
    tellers = {
        entries.COMMAND: _command,
        entries.TIMER: _timer,
        entries.ADMIN: _admin,
        entries.CUTOVER: _cutover,
        entries.LEADERSHIP: _leadership,
        entries.RING_ATTACH: _ring_attach,
        entries.RING_QUARANTINE: _ring_quarantine,
        entries.DUPLICATES: _duplicates,
    }
    teller = tellers.get(entry.kind)
    if teller is None:
        return [f"An entry of kind {entry.kind_name}; this version of statevec says nothing more about it."]
    return list(teller(entry, before))


def last_of_source(before: Execution, source: int) -> int | None:
    """The producer's sequence that the engine had last from a source; None when it had nothing."""
    for each in read_rows(before.arena, before.layout.tables["engine_sources"]):
        if each.fields["source"] == source:
            return int(each.fields["sequence"])
    return None


def _command(entry: Entry, before: Execution) -> Iterator[str]:
    if entry.gap:
        last = last_of_source(before, entry.source) or 0
        missing = entry.source_sequence - last - 1
        yield f"The producer's numbers {last + 1} to {entry.source_sequence - 1} ({missing}) never came: a gap."
    if entry.outcome == OVERSIZE_MESSAGE:
        kept = len(entry.input)
        yield f"The message had {entry.input_true_length} bytes; the entry keeps the first {kept}, nothing was run."
    elif entry.outcome == POISONED:
        yield "Running this input ended the engine's process again and again; so it was recorded and not run any more."
    elif entry.outcome in NOT_RUN:
        yield "No handler ran: the input is recorded as it came, and changed nothing."


def _timer(entry: Entry, before: Execution) -> Iterator[str]:
    timer_id, deadline_ns = admin.TIMER_FORMAT.unpack_from(entry.input, BLOCK)
    late = entry.timestamp_ns - deadline_ns
    yield f"Timer {timer_id} was due at {time_text(deadline_ns)}; it ran {duration_text(late)} later."
    if entry.outcome == NO_HANDLER:
        yield "The plugin has no handler for timers."


def _leadership(entry: Entry, before: Execution) -> Iterator[str]:
    numbers = admin.LEADERSHIP_FORMAT.unpack_from(entry.input, BLOCK)
    wall_clock_ns, unit, max_entry, max_input, budget = numbers[2:7]
    engine_version = numbers[9].rstrip(b"\0").decode()
    durability = DURABILITIES[numbers[8]] if numbers[8] in (0, 1) else str(numbers[8])
    decider = decider_of(entry)
    yield f"An engine process began to lead: epoch {entry.epoch}, at {time_text(wall_clock_ns)} of its host's clock."
    yield f"{decider} decides, as logic version {entry.logic_version}."
    yield (
        f"Engine {engine_version}, durability {durability}; limits in bytes: unit {unit}, entry {max_entry}, "
        f"input {max_input}; a handler may take {budget} loop turns."
    )


def _cutover(entry: Entry, before: Execution) -> Iterator[str]:
    said = Cutover.decode(entry.input)
    cause = CUTOVER_CAUSES.get(said.cause, str(said.cause))
    if entry.outcome != COMMITTED:
        yield f"A cutover to {said.name} {said.version} did not take place ({entry.outcome_name}); cause: {cause}."
        return
    yield (
        f"From the next entry on {said.name} {said.version} ({said.content_hash[:12]}) decides, as logic version "
        f"{said.logic_version}; before it decided logic version {said.previous_version}. Cause: {cause}."
    )
    if said.migration:
        digest = said.state_digest & ((1 << 64) - 1)
        yield f"The tables were migrated (migration {said.migration}); the digest of the result is {digest:016x}."
    else:
        yield "The tables stayed as they were."
    if said.probation.entries:
        limits = said.probation
        names = (("faults", limits.max_faults), ("rejections", limits.max_rejections))
        shown = [f"{name} {'any number' if most < 0 else most}" for name, most in names]
        violations = "any number" if limits.max_violations < 0 else limits.max_violations
        yield (
            f"For {limits.entries} entries it is on probation; allowed are: {', '.join(shown)}, violations of "
            f"invariants {violations}."
        )


def _admin(entry: Entry, before: Execution) -> Iterator[str]:
    command = AdminCommand.decode(entry.input)
    name = ADMIN_COMMANDS.get(command.command, str(command.command))
    subject = f" of {command.subject[:32]}" if command.subject else ""
    when = f", at sequence {command.at_sequence}" if command.at_sequence else ""
    forced = ", forced" if command.forced else ""
    who = command.who or ("the engine" if entry.source == 0 else "somebody")
    yield f"{who} asked for: {name}{subject}{when}{forced}."
    if command.why:
        yield f"Given reason: {command.why}"
    answer = f": {command.answer}" if command.answer else "."
    yield f"The engine {'accepted' if entry.outcome == COMMITTED else 'refused'} it{answer}"


def _ring_attach(entry: Entry, before: Execution) -> Iterator[str]:
    _, source, name = admin.RING_ATTACH_FORMAT.unpack_from(entry.input, BLOCK)
    ring = name.rstrip(b"\0").decode(errors="replace")
    yield f"Ring {ring} became source {source}: what its producer sends is recorded under that number."
    last = last_of_source(before, source)
    if last is not None:
        yield f"It had been a source before; the last input of it had the producer's number {last}."


def _ring_quarantine(entry: Entry, before: Execution) -> Iterator[str]:
    _, source, position, reason = admin.RING_QUARANTINE_FORMAT.unpack_from(entry.input, BLOCK)
    code = RING_CODES.get(reason, str(reason))
    yield f"Source {source} was put in quarantine: at position {position} of its ring stands no record ({code})."
    yield "Nothing more is taken from it until it is released (`statevec ring release`)."


def _duplicates(entry: Entry, before: Execution) -> Iterator[str]:
    last = last_of_source(before, entry.source)
    yield (
        f"Source {entry.source} sent number {entry.source_sequence} again; the log has everything up to {last}. "
        f"It was not run a second time, nor were other repeats that follow it directly."
    )


def duration_text(nanoseconds: int) -> str:
    """A duration with the unit that suits it."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if abs(nanoseconds) >= size:
            return f"{nanoseconds / size:.3f} {unit}"
    return f"{nanoseconds} ns"
