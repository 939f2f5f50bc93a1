"""What an explanation tells: reads, lookups, lines, changes, outputs, refusals, and entries of the engine's own."""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from statevec.audit.explain import Explainer
from statevec.audit.explain_parts import Explanation
from statevec.audit.state_at import StateWalker
from statevec.cli.explain import explain
from statevec.cli.main import run_command
from statevec.ipc.faults import POISONED
from statevec.ipc.ring_kernels import CORRUPT_LENGTH
from statevec.journal import admin_layout
from statevec.journal import entry_layout as layout
from statevec.journal.admin_layout import CUT_OVER, AdminCommand
from tests.audit.recorded_instance import START_NS, RecordedInstance
from tests.audit.recorded_probe import PROBE, RecordedProbe
from tests.shadow.versions import WIDER, RecordedDesk, desk_version

LINES = (PROBE / "probe.py").read_text().splitlines()


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, 1) if text in line)


def explained(recorded: RecordedInstance, sequence: int) -> Explanation:
    recorded.write()
    found = Explainer(StateWalker(recorded.instance)).explain(sequence)
    assert found.reproduced, found.differences
    return found


@pytest.fixture
def probe(tmp_path: Path) -> RecordedProbe:
    made = RecordedProbe(tmp_path / "instance")
    made.things(6)
    return made


def shown(recorded: RecordedInstance, *arguments: str, status: int = 0) -> str:
    recorded.write()
    result = CliRunner().invoke(explain, ["--instance", str(recorded.instance.directory), *arguments])
    assert result.exit_code == status, result.output
    assert "json" in arguments or all(len(line) <= 100 for line in result.output.splitlines())
    return result.output


def test_what_arrived_and_who_decided(probe):
    found = explained(probe, 4)
    assert (found.arrived.message, found.arrived.fields) == ("Add", {"number": 2, "grade": "LOW", "weight": 102})
    assert (found.arrived.producer, found.arrived.source_sequence) == ("market", 4)
    assert (found.decided.name, found.decided.version) == ("probe", "1.0.0")
    assert found.decided.content_hash == probe.plugin.content_hash
    assert (found.decided.since_sequence, found.decided.since_kind) == (1, "leadership")
    assert (found.arrived.sent_ns, found.arrived.latency_ns) == (0, None)


def test_records_are_shown_as_they_were_when_they_were_read(probe):
    sequence = probe.say("Add", number=9, grade="HIGH", weight=50)
    found = explained(probe, sequence)
    reads = [(read.table, read.key, read.fields["weight"], read.version, read.changed) for read in found.reads]
    assert reads[:2] == [("totals", "HIGH", 309, 3, False), ("things", 9, 50, 0, True)]
    total, thing = found.reads[:2]
    assert (total.last_changed, total.line, total.by) == (7, line_of("if tx.totals.get(grade) is None"), "")
    assert total.times == 2
    assert thing.by == "weight_is_positive"


def test_lookups_tell_what_was_not_there_and_what_was_walked_over(probe):
    weigh = explained(probe, probe.say("Weigh", grade="LOW", divisor=3))
    group, lightest = weigh.lookups
    assert (group.how, group.index, group.value, group.found, group.count) == ("where", "grade", "LOW", [2, 4, 6], 3)
    assert (lightest.how, lightest.index, lightest.found, lightest.count) == ("ascending", "weight", [1], 1)
    missing = explained(probe, probe.say("Find", tag=77))
    assert [(each.how, each.index, each.value, each.found) for each in missing.lookups] == [("unique", "tag", 77, [])]
    there = explained(probe, probe.say("Find", tag=40))
    assert [(each.how, each.value, each.found) for each in there.lookups] == [("unique", 40, [4])]
    assert [(read.key, read.line) for read in there.reads if not read.by] == [(4, line_of("thing = tx.things.unique"))]
    added = explained(probe, 3)
    assert [(each.how, each.table, each.value, each.found) for each in added.lookups] == [
        ("in", "things", 1, []),
        ("get", "totals", "HIGH", []),
        ("len", "totals", None, []),
    ]
    assert added.lookups[2].count == 1


def test_lines_have_the_variables_that_changed_and_helpers_are_inside_them(probe):
    found = explained(probe, probe.say("Add", number=9, grade="HIGH", weight=50))
    handler = found.lines[0]
    assert (handler["function"], handler["arguments"]) == ("on_add", {"message": "Add"})
    steps = {step["text"]: step for step in handler["items"]}
    assert steps["thing = tx.things.insert(message.number)"]["variables"] == {"thing": "things[9]"}
    assert steps["thing.weight = message.weight"]["assigned"] == [["things[9].weight", 50]]
    split = steps["add_to_total( tx, message.grade, message.weight, )"]
    assert split["line"] == line_of("    add_to_total(")
    (helper,) = split["calls"]
    assert helper["arguments"] == {"grade": "HIGH", "weight": 50}
    assert [step["line"] for step in helper["items"]] == [
        line_of("if tx.totals.get(grade) is None"),
        line_of("total = tx.totals.edit(grade)"),
        line_of("total.weight += weight"),
    ]
    assert helper["items"][2]["assigned"] == [["totals[HIGH].weight", 359]]


def test_a_loop_shows_its_first_turns_and_its_last_one(probe):
    for number in range(10, 40):
        probe.say("Add", number=number, grade="LOW", weight=number)
    found = explained(probe, probe.say("Weigh", grade="LOW", divisor=3))
    loop = found.lines[0]["items"][2]
    assert (loop["line"], loop["turns"], len(loop["shown"])) == (line_of("for thing in tx.things.where"), 33, 3)
    turns = [turn[0]["variables"]["thing"] for turn in loop["shown"]]
    assert turns == ["things[2]", "things[4]", "things[39]"]
    assert [step["text"] for step in loop["shown"][2][1:]] == ["total += heavy(thing)", "count += 2"]
    assert loop["shown"][2][2]["variables"] == {"count": 66}
    ended_by_break = found.lines[0]["items"][4]
    assert (ended_by_break["turns"], len(ended_by_break["shown"])) == (1, 1)
    empty = explained(probe, probe.say("Spread", parts=[]))
    assert [(each["turns"], each["shown"]) for each in empty.lines[0]["items"]] == [(0, [])]


def test_groups_of_a_message_are_walked_over(probe):
    parts = [{"number": 1, "weight": 7}, {"number": 2, "weight": 8}]
    found = explained(probe, probe.say("Spread", parts=parts))
    assert found.arrived.fields == {"parts": parts}
    (loop,) = found.lines[0]["items"]
    assert loop["turns"] == 2
    assert [(change.key, change.fields) for change in found.changes] == [
        (1, {"weight": [101, 7]}),
        (2, {"weight": [102, 8]}),
    ]


def test_changes_have_fields_and_versions_before_and_after(probe):
    updated = explained(probe, probe.say("Find", tag=40)).changes[0]
    assert (updated.table, updated.key, updated.operation) == ("things", 4, "updated")
    assert (updated.version_before, updated.version_after, updated.previous_sequence) == (1, 2, 6)
    assert updated.fields == {"label": [0, 40]}
    deleted = explained(probe, probe.say("Remove", number=4)).changes[0]
    assert (deleted.operation, deleted.version_before, deleted.version_after) == ("deleted", 2, None)
    assert deleted.fields["label"] == [40, None]
    inserted = explained(probe, probe.say("Find", tag=77)).changes[0]
    assert (inserted.table, inserted.key, inserted.operation) == ("engine_timers", 77, "inserted")


def test_outputs_have_their_identity(probe):
    found = explained(probe, probe.say("Weigh", grade="HIGH", divisor=3))
    (output,) = found.outputs
    assert (output.identity, output.message) == (f"1:{found.sequence}:0", "Weighed")
    assert output.fields == {"total": 309, "each": 101 + 103}


def test_a_rejection_has_its_text_and_the_line_that_did(probe):
    found = explained(probe, probe.say("Add", number=3, grade="LOW", weight=1))
    assert found.refusal is not None
    assert (found.refusal.kind, found.refusal.code) == ("rejection", 1)
    assert found.refusal.text == "a thing of that number is there already"
    assert (found.refusal.line, found.refusal.source) == (line_of("tx.reject(THERE)"), "tx.reject(THERE)")
    assert (found.changes, found.outputs) == ([], [])


def test_a_fault_has_its_name_and_the_innermost_line(probe):
    divided = explained(probe, probe.say("Weigh", grade="LOW", divisor=0)).refusal
    assert divided is not None and (divided.kind, divided.name) == ("fault", "DIVISION_BY_ZERO")
    assert divided.line == line_of("weighed.each = lightest + total // message.divisor")
    assert "DivisionByZero at probe.py:" in divided.text
    missing = explained(probe, probe.say("Remove", number=55))
    assert missing.refusal is not None and missing.refusal.name == "MISSING_KEY"
    assert [(each.how, each.value, each.found) for each in missing.lookups] == [("key", 55, [])]
    assert missing.lines[0]["items"][0]["raised"] == "MissingKey"


def test_invariants_that_were_asked_say_whether_they_held(probe):
    found = explained(probe, probe.say("Add", number=9, grade="LOW", weight=0))
    assert [(each.name, each.subject, each.held) for each in found.invariants] == [
        ("weight_is_positive", "things[9]", False)
    ]
    assert found.refusal is not None and (found.refusal.kind, found.refusal.text) == ("invariant", "weight_is_positive")
    held = explained(probe, 3)
    assert [(each.name, each.subject, each.held) for each in held.invariants] == [
        ("weight_is_positive", "things[1]", True),
        ("totals_are_few", "totals", True),
    ]


def test_inputs_that_no_handler_ran_for_are_told_in_words(probe):
    probe.append(layout.COMMAND, b"nonsense", source=1)
    malformed = explained(probe, probe.execution.sequence)
    assert malformed.arrived.bytes == b"nonsense".hex() and malformed.arrived.reason
    assert (malformed.lines, malformed.told) == (
        [],
        ["No handler ran: the input is recorded as it came, and changed nothing."],
    )
    message = probe.plugin.schema.encode("Remove", {"number": 1})
    probe.append(layout.COMMAND, message, 1, {layout.OUTCOME: POISONED})
    poisoned = explained(probe, probe.execution.sequence)
    assert poisoned.outcome == "POISONED" and "ended the engine's process again and again" in poisoned.told[0]
    probe.append(layout.COMMAND, message, 1, {layout.INPUT_TRUE_LENGTH: 99_999})
    oversize = explained(probe, probe.execution.sequence)
    assert "had 99999 bytes; the entry keeps the first 12" in oversize.told[0]
    probe.append(layout.COMMAND, message, 1, {layout.FLAGS: layout.FLAG_GAP})
    assert "never came: a gap" in explained(probe, probe.execution.sequence).told[0]


def test_entries_of_the_engine_itself_are_told_in_words(probe):
    assert "An engine process began to lead: epoch 1" in explained(probe, 1).told[0]
    assert explained(probe, 2).told[0].startswith("Ring market became source 1")
    probe.append(layout.ADMIN, AdminCommand(CUT_OVER, 99, True, "ab" * 16, "somebody", "planned", "no").encode(), 1)
    told = explained(probe, probe.execution.sequence).told
    assert told == [
        f"somebody asked for: cutover of {'ab' * 16}, at sequence 99, forced.",
        "Given reason: planned",
        "The engine accepted it: no",
    ]
    quarantine = explained(probe, probe.quarantine(1, 4_096, CORRUPT_LENGTH))
    assert "at position 4096 of its ring stands no record (CORRUPT_LENGTH)" in quarantine.told[0]
    probe.append(layout.DUPLICATES, b"", source=1)
    assert "again; the log has everything up to" in explained(probe, probe.execution.sequence).told[0]
    probe.append(layout.RING_DETACH, b"", source=1)
    assert "ring_detach" in explained(probe, probe.execution.sequence).told[0]


def test_a_timer_says_how_late_it_was_and_a_plugin_without_a_handler_is_named(probe):
    message = struct.pack("<qqq", admin_layout.TIMER_SBE_HEADER, 5, START_NS)
    probe.append(layout.TIMER, message)
    found = explained(probe, probe.execution.sequence)
    late = probe.execution.sequence
    assert found.told[0].startswith("Timer 5 was due at 2023-11-14 22:13:20.000000000 UTC")
    assert found.told[0].endswith(f"it ran {late} ns later.")
    assert found.told[1] == "The plugin has no handler for timers."


def test_a_cutover_and_the_version_behind_it_are_told(tmp_path):
    desk = RecordedDesk(tmp_path / "instance")
    desk.random_quotes(20, random.randrange(1 << 32))
    cutover = desk.cut_over(desk_version(tmp_path, WIDER))
    desk.quote(1, 150)
    last = desk.quote(1, 151)
    found = explained(desk, cutover)
    assert "From the next entry on desk 2.0.0" in found.told[0] and "The tables were migrated" in found.told[1]
    assert found.decided.version == "1.0.0"
    behind = explained(desk, last)
    assert (behind.decided.version, behind.decided.since_sequence, behind.decided.since_kind) == (
        "2.0.0",
        cutover,
        "cutover",
    )


def test_what_does_not_come_out_again_is_said_instead_of_explained(probe):
    sequence = probe.say("Weigh", grade="HIGH", divisor=3)
    probe.write()
    place = probe.content.rindex((309).to_bytes(8, "little")) - probe.positions[sequence - 1]
    probe.forge(sequence, place, (310).to_bytes(8, "little"))
    found = Explainer(StateWalker(probe.instance)).explain(sequence)
    assert not found.reproduced
    assert [(each.path, each.recorded, each.executed) for each in found.differences] == [
        ("outputs[0].fields.total", 310, 309)
    ]
    assert (found.lines, found.reads, found.changes, found.outputs) == ([], [], [], [])
    result = CliRunner().invoke(explain, [str(sequence), "--instance", str(probe.instance.directory)])
    assert result.exit_code == 1 and "does NOT come out as it was recorded" in result.output
    assert "outputs[0].fields.total: recorded 310, executed again 309" in result.output


def test_a_handler_that_asks_too_often_is_listed_in_part(probe, monkeypatch):
    monkeypatch.setattr("statevec.audit.trace.KEPT", 2)
    found = explained(probe, probe.say("Weigh", grade="HIGH", divisor=3))
    assert (len(found.reads), len(found.lookups), found.left_out) == (2, 2, 1)
    assert "… and 1 more reads and lookups" in shown(probe, str(found.sequence))


def test_an_interruption_inside_a_handler_is_no_fault_of_it(probe, monkeypatch):
    sequence = probe.say("Find", tag=40)
    probe.write()
    walker = StateWalker(probe.instance)
    explainer = Explainer(walker)
    explainer.explain(3)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("statevec.audit.trace_tables.TracedTable.find_unique", interrupt)
        with pytest.raises(KeyboardInterrupt):
            explainer.explain(sequence)
    assert explainer.explain(sequence).reproduced


def test_an_explanation_leaves_state_and_trace_function_as_they_were(probe):
    sequence = probe.say("Find", tag=40)
    probe.write()
    walker = StateWalker(probe.instance)
    before = sys.gettrace()
    explainer = Explainer(walker)
    first = explainer.explain(sequence)
    assert explainer.explain(sequence) == first
    assert sys.gettrace() is before
    assert walker.to(sequence).execution.digest == probe.execution.digest


def test_the_text_fits_a_hundred_columns_and_names_everything(probe):
    text = shown(probe, str(probe.say("Weigh", grade="HIGH", divisor=3)))
    for part in (
        "Weigh, COMMITTED",
        "from        market (source 1)",
        "decided by  probe 1.0.0",
        "total=309  each=204",
        "things[1] version 1, last changed by entry 3",
        "things, those with grade=HIGH: 3: 1, 3, 5",
        "-- 3 turns:",
        "heavy(thing=things[1])",
        "executed again, it came out the same",
    ):
        assert part in text, text
    rejected = shown(probe, str(probe.say("Add", number=3, grade="LOW", weight=1)))
    assert "REJECTED(1): a thing of that number is there already" in rejected
    assert "\x1b" not in text


def test_json_has_the_documented_names(probe):
    found = json.loads(shown(probe, "--format", "json", str(probe.say("Find", tag=40))))
    assert set(found) == set(Explanation.__dataclass_fields__)
    assert found["arrived"]["message"] == "Find" and found["changes"][0]["fields"] == {"label": [0, 40]}


def test_bad_sequences_and_directories_are_one_line(probe, tmp_path, capsys):
    probe.write()
    directory = str(probe.instance.directory)
    last = probe.execution.sequence
    for sequence, text in (
        ("0", f"sequence is not in the journal: sequence=0 first=1 last={last}"),
        ("999", f"sequence is not in the journal: sequence=999 first=1 last={last}"),
    ):
        assert run_command(["explain", sequence, "--instance", directory]) == 1
        assert capsys.readouterr().err == f"error: {text}\n"
    assert run_command(["explain", "1", "--instance", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
    (probe.instance.plugin_directory(probe.plugin.content_hash) / "probe.py").write_text("# changed\n")
    assert run_command(["explain", "3", "--instance", directory]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: entry 3 is known from the journal: a command of epoch 1, COMMITTED")
    assert "probe.py was changed" in error and probe.plugin.content_hash in error
