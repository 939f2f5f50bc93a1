"""Explaining agrees with the journal, and with a model on dictionaries, on 10,000 random entries across a cutover."""

from __future__ import annotations

import random
from typing import Any

import pytest

from statevec.audit.explain import Explainer
from statevec.audit.explain_parts import Explanation
from statevec.audit.state_at import StateWalker
from statevec.engine.plugin.decoding import decoder_for
from statevec.journal.decode import hex64
from statevec.journal.entry_view import Entry
from statevec.plugins.hedge_v2.hedge import IMPROVE_TICKS
from tests.audit.recorded_hedge import RecordedHedge

EXPLAINED = 10_000
ENTRIES = 10_500
KEYS = {
    "desks": "desk",
    "risk_settings": "instrument",
    "hedge_targets": "instrument",
    "markets": "instrument",
    "positions": "instrument",
    "orders": "order_id",
    "engine_timers": "timer_id",
    "engine_ids": "key",
}


class Model:
    """Records by table and key, from the deltas of the entries alone: [version, entry that changed it, fields]."""

    def __init__(self) -> None:
        self.records: dict[str, dict[Any, tuple[int, int, dict[str, Any]]]] = {name: {} for name in KEYS}
        self.records["engine_ids"][0] = (1, 0, {"key": 0, "last_counter": 0})  # made at genesis

    def take(self, sequence: int, changes: list[dict[str, Any]]) -> None:
        for change in changes:
            table, fields = change["table"], change["fields"]
            key = fields[KEYS[table]]
            if change["operation"] == "deleted":
                del self.records[table][key]
            else:
                self.records[table][key] = (change["version"], sequence, fields)

    def fire(self, timer_id: int) -> None:
        self.records["engine_timers"].pop(timer_id, None)

    def migrate(self) -> None:
        """What version 2's migration promises."""
        for key, (version, changed, fields) in self.records["risk_settings"].items():
            self.records["risk_settings"][key] = (version, changed, {**fields, "improve_ticks": IMPROVE_TICKS})


def check_changes(found: Explanation, decoded: dict[str, Any], model: Model) -> None:
    assert len(found.changes) == len(decoded["changes"])
    for told, change in zip(found.changes, decoded["changes"], strict=True):
        key = change["fields"][KEYS[change["table"]]]
        before = model.records[change["table"]].get(key)
        assert (told.table, told.key, told.operation) == (change["table"], key, change["operation"])
        if told.operation == "updated":
            assert before is not None
            assert (told.version_before, told.version_after) == (before[0], change["version"])
            changed = {name: [before[2][name], value] for name, value in change["fields"].items()}
            assert told.fields == {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
        elif told.operation == "inserted":
            assert told.fields == {name: [None, value] for name, value in change["fields"].items()}
        else:
            assert before is not None and told.version_before == before[0]
            assert told.fields == {name: [value, None] for name, value in before[2].items()}


def check_reads(found: Explanation, model: Model) -> int:
    touched = {(change.table, change.key) for change in found.changes}
    for read in found.reads:
        if not read.changed:
            assert model.records[read.table][read.key] == (read.version, read.last_changed, read.fields)
    for lookup in found.lookups:
        if lookup.how in ("key", "in", "get") and (lookup.table, lookup.value) not in touched:
            assert bool(lookup.found) == (lookup.value in model.records[lookup.table])
    return sum(not read.changed for read in found.reads)


def check_outputs(found: Explanation, entry: Entry, decoded: dict[str, Any]) -> None:
    assert [(each.identity, each.message, each.fields, each.expires_ns) for each in found.outputs] == [
        (f"{entry.epoch}:{entry.sequence}:{each['index']}", each["message"], each["fields"], each["expires_ns"])
        for each in decoded["outputs"]
    ]


@pytest.fixture(scope="module")
def seed() -> int:
    return random.randrange(1 << 32)


def test_explaining_agrees_with_the_journal_and_with_a_model_of_it(tmp_path, seed):
    print("seed", seed)
    recorded = RecordedHedge(tmp_path / "instance", seed)
    first = recorded.plugin
    recorded.run(ENTRIES // 2)
    cutover = recorded.cut_over()
    recorded.run(ENTRIES // 2)
    recorded.write()
    decoders = [decoder_for(first), decoder_for(recorded.plugin)]
    chosen = set(random.Random(seed).sample(range(1, len(recorded.positions) + 1), EXPLAINED))
    explainer, model = Explainer(StateWalker(recorded.instance)), Model()
    reads = lines = 0
    content = memoryview(recorded.content)
    for sequence, position in enumerate(recorded.positions, 1):
        entry = Entry(content[position : position + (1 << 18)])
        decoded = decoders[sequence > cutover].entry(entry)
        if entry.kind_name == "timer":
            model.fire(decoded["input"]["fields"]["timer_id"])
        if sequence in chosen:
            found = explainer.explain(sequence)
            where = f"seed={seed} sequence={sequence}"
            assert found.reproduced and found.digest == hex64(entry.digest), where
            assert (found.outcome, found.kind) == (decoded["outcome"], decoded["kind"]), where
            assert found.decided.version == ("1.0.0" if sequence <= cutover else "2.0.0"), where
            assert found.decided.since_sequence == (1 if sequence <= cutover else cutover), where
            check_changes(found, decoded, model)
            check_outputs(found, entry, decoded)
            reads += check_reads(found, model)
            lines += len(found.lines)
        model.take(sequence, decoded["changes"])
        if sequence == cutover:
            model.migrate()
    content.release()
    assert reads > EXPLAINED and lines > EXPLAINED // 2, "the entries were not what they should be"
