"""`what_if`: one recorded entry, run again on the exact state before it with something changed.

    the state before it ─► run as recorded, traced ─► must come out as recorded
                        └► changed input, state or version ─► run again, traced ─► what is different

It judges this one entry alone: what the entries after it would have become is not told (a shadow does that).

Invariants
    The run to compare with reproduced the journal. Both runs begin at the same state but for what was asked for.
    A version with other tables gets the state as a cutover at this point would give it: migrated, into its own memory.

The walker's state is changed and then forgotten. Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from statevec.audit.explain import (
    VersionInWords,
    changed_records,
    emitted_outputs,
    images_before,
    refusal_of,
)
from statevec.audit.explain_lines import steps_of
from statevec.audit.explain_parts import ChangedRecord, Difference, EmittedOutput, Refusal
from statevec.audit.state_at import StateWalker
from statevec.audit.trace_run import TracedRun, trace_entry
from statevec.audit.what_if_change import WhatIfError, change_input, change_state
from statevec.engine import execution_layout
from statevec.engine.execution import Execution
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.plugin.migration import MigrationError, plan_migration
from statevec.ipc.faults import outcome_name
from statevec.ipc.memory import call_dispatch
from statevec.journal.entry_layout import COMMAND, TIMER
from statevec.journal.entry_view import Entry
from statevec.roles.shadow_plugins import find_candidate
from statevec.state.transaction_layout import DISPATCH_OK

MISSING = "none"
CONTEXT_LINES = 1
"""Lines shown before and behind those that differ."""


@dataclass(frozen=True)
class Outcome:
    """What one run came to."""

    version: str
    outcome: str
    outcome_code: int
    refusal: Refusal | None
    changes: list[ChangedRecord]
    outputs: list[EmittedOutput]


@dataclass(frozen=True)
class LineDifference:
    """A line that ran: in the `recorded` run, in the `changed` one, or in `both` the same, with what it set."""

    run: str
    line: int
    text: str
    values: list[list[Any]]


@dataclass(frozen=True)
class WhatIf:
    """See the module's docstring. `asked` are the changes in words; the fields' names are those of JSON."""

    sequence: int
    asked: list[str]
    recorded: Outcome
    changed: Outcome
    differences: list[Difference]
    """By path, such as `outputs[0].price`: `recorded` as it was, `executed` as it would have been."""
    lines: list[list[LineDifference]]
    """Lines that ran otherwise, with their neighbours, in groups with others between them."""
    note: str = "This judges the one entry alone, on the state before it; what followed from it is not told."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def what_if(
    walker: StateWalker,
    sequence: int,
    input_changes: list[str],
    state_changes: list[str],
    version: str | None = None,
) -> WhatIf:
    """Run entry `sequence` again with changes; at least one is to be asked for.

    Raises `WhatIfError` and `RecordNameError` for changes that cannot be made, what `find_candidate` and
    `plan_migration` raise for a version, and what `StateWalker.before` raises.
    """
    if not input_changes and not state_changes and version is None:
        raise WhatIfError("nothing is to be changed: name an input field, a field of the state or a version")
    following, entry = walker.before(sequence)
    if entry.kind not in (COMMAND, TIMER):
        raise WhatIfError(f"entry {sequence} is a {entry.kind_name}: no handler runs for it")
    decider = VersionInWords(following.versions.plugin)
    execution = following.execution
    before = images_before(execution, entry)
    recorded = trace_entry(execution, decider.dispatch, entry)
    if recorded.entry.digest != entry.digest:
        raise WhatIfError(f"entry {sequence} does not come out as it was recorded: see statevec explain {sequence}")
    try:
        changed_entry, asked = change_input(entry, decider.plugin, input_changes, walker.instance.genesis.max_input)
        asked += change_state(execution, decider.plugin, state_changes)
        candidate = decider
        if version is not None:
            candidate = VersionInWords(find_candidate(walker.instance, version))
            asked.append(f"version {_label(decider.plugin)} -> {_label(candidate.plugin)}")
            _check_message(changed_entry, decider.plugin, candidate.plugin)
            execution = _moved(execution, decider.plugin, candidate)
        changed = trace_entry(execution, candidate.dispatch, changed_entry)
        outcomes = (
            _outcome(recorded, decider, before),
            _outcome(changed, candidate, images_before(execution, changed.entry)),
        )
    finally:
        walker.forget()
    return WhatIf(
        sequence,
        asked,
        *outcomes,
        differences=list(_differences(*outcomes)),
        lines=list(_line_differences((recorded, decider), (changed, candidate))),
    )


def _label(plugin: LoadedPlugin) -> str:
    return f"{plugin.name}@{plugin.version} ({plugin.content_hash[:12]})"


def _check_message(entry: Entry, decider: LoadedPlugin, candidate: LoadedPlugin) -> None:
    """Refuse a message that the candidate's schema does not have at all."""
    if entry.kind != COMMAND:
        return
    template = int.from_bytes(entry.input[2:4], "little")
    names = {each.id: name for name, each in decider.schema.messages.items()}
    if template in names and template not in {each.id for each in candidate.schema.messages.values()}:
        raise WhatIfError(
            f"input {names[template]}: {_label(candidate)} has no such message: template={template} "
            f"known={', '.join(candidate.schema.messages)}"
        )


def _moved(execution: Execution, decider: LoadedPlugin, candidate: VersionInWords) -> Execution:
    """An execution with the candidate's state: the same memory where the tables are the same, else migrated."""
    try:
        plan = plan_migration(decider, candidate.plugin)
    except MigrationError as error:
        raise WhatIfError(f"version {_label(candidate.plugin)}: the state cannot become its own: {error}") from error
    if not plan.needed:
        return execution
    made = Execution(candidate.plugin.table_specs, candidate.dispatch, max_entry=execution.scratch.size)
    made.layout.format(made.arena)
    function = plan.function("interpreted")
    answer = call_dispatch(function.address, execution.tx.address, made.tx.address, 0)
    if answer != DISPATCH_OK:
        raise WhatIfError(f"version {_label(candidate.plugin)}: the migration ends with {outcome_name(answer)}")
    made.block.copy_from(0, execution.block, 0, execution_layout.EXECUTION_SIZE)
    return made


def _outcome(run: TracedRun, version: VersionInWords, before: Any) -> Outcome:
    return Outcome(
        version=_label(version.plugin),
        outcome=run.entry.outcome_name,
        outcome_code=run.entry.outcome,
        refusal=refusal_of(run, version),
        changes=changed_records(run.entry, version.names, before),
        outputs=emitted_outputs(run.entry, version),
    )


def _differences(recorded: Outcome, changed: Outcome) -> Iterator[Difference]:
    left, right = _flat(recorded), _flat(changed)
    for path in dict.fromkeys([*left, *right]):
        was, now = left.get(path, MISSING), right.get(path, MISSING)
        if was != now:
            yield Difference(path, was, now)


def _flat(outcome: Outcome) -> dict[str, Any]:
    """Everything by path; of a record the values afterwards."""
    found: dict[str, Any] = {"outcome": outcome.outcome}
    if outcome.refusal is not None:
        found["reason"] = outcome.refusal.text
    for change in outcome.changes:
        place = f"{change.table}[{change.key}]"
        found[place] = change.operation
        for name, (_, after) in change.fields.items():
            found[f"{place}.{name}"] = after
    for number, output in enumerate(outcome.outputs):
        found[f"outputs[{number}]"] = output.message
        found |= {f"outputs[{number}].{name}": value for name, value in output.fields.items()}
        found[f"outputs[{number}].expires_ns"] = output.expires_ns
    return found


Line = tuple[int, str, list[list[Any]]]


def _lines(run: TracedRun, version: VersionInWords) -> list[Line]:
    found: list[Line] = []
    for step in steps_of(run.trace.roots):
        values = [list(each) for each in [*step.changes.items(), *step.stores]]
        found.append((step.line, version.source.text(step.line), values))
    return found


def _line_differences(
    recorded: tuple[TracedRun, VersionInWords], changed: tuple[TracedRun, VersionInWords]
) -> Iterator[list[LineDifference]]:
    """Lines by their text and what they set; where nothing differs, none."""
    left, right = _lines(*recorded), _lines(*changed)
    matcher = SequenceMatcher(None, [repr(each[1:]) for each in left], [repr(each[1:]) for each in right], False)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        found: list[LineDifference] = []
        for operation, left_from, left_to, right_from, right_to in group:
            if operation == "equal":
                found += [LineDifference("both", *each) for each in left[left_from:left_to]]
                continue
            found += [LineDifference("recorded", *each) for each in left[left_from:left_to]]
            found += [LineDifference("changed", *each) for each in right[right_from:right_to]]
        yield found
