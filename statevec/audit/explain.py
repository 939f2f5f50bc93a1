"""`Explainer`: why an entry came out as it did, from the state before it and the source that decided.

    recorded entry ─► state before it (`state_at`) ─► run again, traced (`trace_run`) ─► the same digest? ─► Explanation
                                                                                      └► no: what differs, nothing else

Invariants
    What is explained was reproduced: outcome, changes and outputs of the traced run have the digest that is recorded.
    Nothing is written or locked. Explaining in the order of sequences costs one pass over the log.

Private memory; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from statevec.audit.difference import compare_entries
from statevec.audit.explain_decider import DeciderSearch
from statevec.audit.explain_kinds import tell, time_text
from statevec.audit.explain_lines import SourceLines, call_to_dict
from statevec.audit.explain_parts import (
    Arrived,
    AskedInvariant,
    ChangedRecord,
    Decided,
    Difference,
    EmittedOutput,
    Explanation,
    ReadRecord,
    Refusal,
    TableLookup,
)
from statevec.audit.state_at import DigestDiffersError, StateWalker
from statevec.audit.state_at_records import RecordNames
from statevec.audit.trace import Trace
from statevec.audit.trace_run import TracedDispatch, TracedRun, trace_entry
from statevec.engine.execution import Execution
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.engine.store import StoreError
from statevec.ipc.faults import COMMITTED, INVARIANT_VIOLATED, outcome_name, reason_of
from statevec.journal.decode import hex64
from statevec.journal.entry_layout import COMMAND, DELETED, INSERTED, TIMER, UPDATED
from statevec.journal.entry_view import Change, Entry
from statevec.roles.following import Following
from statevec.state.reading import RecordView, read_row

LATENCY_MOST_NS = 86_400_000_000_000
"""Beyond that the producer's clock is another one than the engine's."""


class VersionInWords:
    """What is needed of one version to explain its entries, made once."""

    def __init__(self, plugin: LoadedPlugin) -> None:
        self.plugin = plugin
        self.names = RecordNames(plugin)
        self.decoder = decoder_for(plugin)
        self.source = SourceLines(plugin)
        self.dispatch = TracedDispatch(plugin)


class Explainer:
    """Explains entries of the log that `walker` walks along; see the module's docstring."""

    def __init__(self, walker: StateWalker) -> None:
        self._walker = walker
        self._search = DeciderSearch(walker.log)
        self._versions: dict[str, VersionInWords] = {}

    def version(self, plugin: LoadedPlugin) -> VersionInWords:
        """One version's names, decoder, source and traced dispatch."""
        known = self._versions.get(plugin.content_hash)
        if known is None or known.plugin is not plugin:
            known = self._versions[plugin.content_hash] = VersionInWords(plugin)
        return known

    def explain(self, sequence: int) -> Explanation:
        """Explain one entry. Raises what `StateWalker.before` raises, for the entries before it as for itself."""
        try:
            following, entry = self._walker.before(sequence)
        except StoreError as error:
            raise StoreError(f"{self._known(sequence)}; why is not: {error}") from error
        version = self.version(following.versions.plugin)
        if entry.kind not in (COMMAND, TIMER):
            return self._explain_own(following, entry, version)
        before = images_before(following.execution, entry)
        run = trace_entry(following.execution, version.dispatch, entry)
        head = self._head(following, entry, version)
        if run.entry.digest != entry.digest:
            fields = compare_entries(entry, run.entry, version.decoder)
            differences = [Difference(each.path, each.recorded, each.executed) for each in fields]
            return Explanation(**head, reproduced=False, differences=differences)
        return Explanation(
            **head,
            reproduced=True,
            file=version.source.file,
            lines=[call_to_dict(call, version.source) for call in run.trace.roots],
            changes=changed_records(entry, version.names, before),
            outputs=emitted_outputs(entry, version),
            invariants=[AskedInvariant(each.name, each.subject, each.held) for each in run.trace.invariants],
            refusal=refusal_of(run, version),
            **_asked(run.trace, version.names),
        )

    def _known(self, sequence: int) -> str:
        """What the journal alone says of an entry."""
        entry = self._walker.entry(sequence)
        what = f"a {entry.kind_name} of epoch {entry.epoch}, {entry.outcome_name}, at {time_text(entry.timestamp_ns)}"
        parts = f"{len(entry.changes())} records changed, {len(entry.outputs())} outputs"
        return f"entry {sequence} is known from the journal: {what}, {parts}, logic version {entry.logic_version}"

    def _explain_own(self, following: Following, entry: Entry, version: VersionInWords) -> Explanation:
        """An entry for which no handler runs: the walk to it compares its digest."""
        head = self._head(following, entry, version)
        before = images_before(following.execution, entry)
        changes = changed_records(entry, version.names, before)
        try:
            self._walker.to(entry.sequence)
        except DigestDiffersError as error:
            return Explanation(**head, reproduced=False, differences=[Difference("digest", head["digest"], str(error))])
        return Explanation(**head, reproduced=True, changes=changes)

    def _head(self, following: Following, entry: Entry, version: VersionInWords) -> dict[str, Any]:
        """The fields that do not depend on the run."""
        plugin = version.plugin
        since = self._search.since(entry, following.versions.history)
        decided = Decided(
            plugin.name, plugin.version, plugin.content_hash, entry.logic_version, since.sequence, since.kind
        )
        return {
            "sequence": entry.sequence,
            "kind": entry.kind_name,
            "epoch": entry.epoch,
            "position": entry.position,
            "timestamp_ns": entry.timestamp_ns,
            "outcome": entry.outcome_name,
            "outcome_code": entry.outcome,
            "digest": hex64(entry.digest),
            "arrived": arrived(following, entry, version),
            "decided": decided,
            "told": tell(entry, following.execution),
        }


def arrived(following: Following, entry: Entry, version: VersionInWords) -> Arrived:
    """The input, decoded, and its producer."""
    names = {number: name for name, number in following.history.sources.items()}
    latency = entry.timestamp_ns - entry.sent_ns
    known = entry.sent_ns > 0 and abs(latency) < LATENCY_MOST_NS
    return Arrived(
        source=entry.source,
        producer=names.get(entry.source, ""),
        source_sequence=entry.source_sequence,
        sent_ns=entry.sent_ns,
        latency_ns=latency if known else None,
        gap=entry.gap,
        true_length=entry.input_true_length,
        **(version.decoder.input(entry) or {}),
    )


def images_before(execution: Execution, entry: Entry) -> dict[tuple[int, int], RecordView | None]:
    """The rows that `entry` changes, as they are in the state before it, by table and row."""
    tables = list(execution.layout.tables.values())
    return {
        (change.table, change.row): read_row(execution.arena, tables[change.table], change.row)
        for change in entry.changes()
    }


def changed_records(
    entry: Entry, names: RecordNames, before: dict[tuple[int, int], RecordView | None]
) -> list[ChangedRecord]:
    """What an entry did to records, field by field."""
    return [_changed(change, names, before.get((change.table, change.row))) for change in entry.changes()]


def _changed(change: Change, names: RecordNames, before: RecordView | None) -> ChangedRecord:
    image = names.fields(change.table, change.image)
    old = names.named(change.table, before.fields) if change.operation == UPDATED and before is not None else {}
    if change.operation == DELETED:
        fields = {name: [value, None] for name, value in image.items()}
    elif change.operation == INSERTED:
        fields = {name: [None, value] for name, value in image.items()}
    else:
        fields = {name: [old.get(name), value] for name, value in image.items() if old.get(name) != value}
    known = before is not None and change.operation != INSERTED
    return ChangedRecord(
        table=names.tables[change.table].name,
        key=image[names.key_field(change.table)],
        operation=change.operation_name,
        version_before=before.version if known and before is not None else None,
        version_after=None if change.operation == DELETED else change.version,
        previous_sequence=change.previous_sequence,
        fields=fields,
    )


def emitted_outputs(entry: Entry, version: VersionInWords) -> list[EmittedOutput]:
    """What an entry emitted, decoded."""
    return [
        EmittedOutput(
            identity=":".join(str(part) for part in output.identity),
            message=decoded.get("message", ""),
            fields=decoded.get("fields", {"bytes": decoded.get("bytes")}),
            expires_ns=output.expires_ns,
        )
        for output in entry.outputs()
        for decoded in [version.decoder.output(output)]
    ]


def _asked(trace: Trace, names: RecordNames) -> dict[str, Any]:
    reads, lookups = list(_reads(trace, names)), list(_lookups(trace, names))
    return {"reads": reads, "lookups": lookups, "left_out": trace.left_out}


def _reads(trace: Trace, names: RecordNames) -> Iterator[ReadRecord]:
    for each in trace.reads:
        fields = names.fields(each.table, each.image)
        yield ReadRecord(
            table=names.tables[each.table].name,
            key=fields[names.key_field(each.table)],
            fields=fields,
            version=each.version,
            last_changed=each.last_changed,
            line=each.line,
            by=each.by,
            changed=each.changed,
            times=each.times,
        )


def _lookups(trace: Trace, names: RecordNames) -> Iterator[TableLookup]:
    for each in trace.lookups:
        key = names.key_field(each.table)
        yield TableLookup(
            table=names.tables[each.table].name,
            how=each.how,
            index=each.index,
            value=None if each.value is None else names.shown(each.table, each.index, each.value),
            found=[names.shown(each.table, key, word) for word in each.found],
            count=each.count,
            line=each.line,
            by=each.by,
            times=each.times,
        )


def refusal_of(run: TracedRun, version: VersionInWords) -> Refusal | None:
    """Why a run did not commit; None when it did."""
    outcome, trace = run.entry.outcome, run.trace
    if outcome == COMMITTED:
        return None
    text = reason_of(outcome, version.plugin.rejections, version.plugin.invariants)
    if outcome > 0:
        kind, line = "rejection", trace.rejected_at
    elif outcome <= INVARIANT_VIOLATED:
        function = version.plugin.declarations.invariants[INVARIANT_VIOLATED - outcome].function
        kind, line = "invariant", function.__code__.co_firstlineno
    else:
        kind, line = "fault", trace.failed_at
        text = f"{text} {run.fault}".strip() if run.fault and line else text
    shown = version.source.text(line) if line else ""
    return Refusal(kind, outcome, outcome_name(outcome), text, line, shown)
