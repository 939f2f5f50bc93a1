"""One entry run again with something changed: input, state or version, and what cannot be changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from statevec.audit.state_at import StateWalker
from statevec.audit.state_at_records import RecordNameError
from statevec.audit.what_if import WhatIf, what_if
from statevec.audit.what_if_change import WhatIfError, change_input
from statevec.cli.what_if import what_if as command
from statevec.engine.store import PluginStore, StoreError
from statevec.journal import entry_layout as layout
from statevec.state.verify import verify
from tests.audit.recorded_probe import PROBE, RecordedProbe
from tests.shadow.versions import DEARER, WIDER, RecordedDesk, desk_version


@pytest.fixture
def probe(tmp_path: Path) -> RecordedProbe:
    made = RecordedProbe(tmp_path / "instance")
    made.things(6)
    return made


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A walker along a journal whose last entry is to be asked about."""
    made = RecordedProbe(tmp_path_factory.mktemp("still") / "instance")
    made.things(6)
    made.say("Weigh", grade="HIGH", divisor=3)
    made.write()
    return StateWalker(made.instance)


def asked(
    recorded: RecordedProbe | RecordedDesk,
    sequence: int,
    inputs: tuple[str, ...] = (),
    states: tuple[str, ...] = (),
    version: str | None = None,
) -> WhatIf:
    recorded.write()
    return what_if(StateWalker(recorded.instance), sequence, list(inputs), list(states), version)


def differences(found: WhatIf) -> dict[str, tuple[object, object]]:
    return {each.path: (each.recorded, each.executed) for each in found.differences}


def test_another_input_gives_another_outcome(probe):
    sequence = probe.say("Weigh", grade="HIGH", divisor=3)
    found = asked(probe, sequence, ("divisor=0",))
    assert found.asked == ["input divisor: 3 -> 0"]
    assert (found.recorded.outcome, found.changed.outcome) == ("COMMITTED", "DIVISION_BY_ZERO")
    changed = differences(found)
    assert changed["outcome"] == ("COMMITTED", "DIVISION_BY_ZERO")
    assert changed["outputs[0].total"] == (309, "none")
    low = asked(probe, sequence, ("grade=LOW", "divisor=2"))
    assert differences(low) == {"outputs[0].total": (309, 312), "outputs[0].each": (101 + 103, 101 + 156)}


def test_lines_that_ran_otherwise_are_shown_with_their_neighbours(probe):
    found = asked(probe, probe.say("Find", tag=40), ("tag=77",))
    (group,) = found.lines
    assert [(each.run, each.text.split(" = ")[0]) for each in group] == [
        ("recorded", "thing"),
        ("changed", "thing"),
        ("both", "if thing is not None:"),
        ("recorded", "tx.things.edit(thing.number).label"),
        ("recorded", "return thing.weight > 0"),
        ("changed", "tx.set_timer(message.tag, tx.now_ns + 5)"),
    ]
    same = asked(probe, probe.say("Find", tag=40), ("tag=40",))
    assert (same.differences, same.lines) == ([], [])


def test_a_field_of_a_group_can_be_changed(probe):
    parts = [{"number": 1, "weight": 7}, {"number": 2, "weight": 8}]
    found = asked(probe, probe.say("Spread", parts=parts), ("parts[1].weight=9",))
    assert differences(found) == {"things[2].weight": (8, 9)}


def test_another_state_is_changed_as_handlers_change_it(probe):
    sequence = probe.say("Weigh", grade="HIGH", divisor=3)
    probe.write()
    walker = StateWalker(probe.instance)
    following, _ = walker.before(sequence)
    found = what_if(walker, sequence, [], ["things[2].grade=HIGH", "things[1].weight=400"])
    assert found.asked == ["state things[2].grade: LOW -> HIGH", "state things[1].weight: 101 -> 400"]
    total = 400 + 102 + 103 + 105
    assert differences(found) == {
        "outputs[0].total": (309, total),
        "outputs[0].each": (101 + 103, 102 + total // 3),
    }
    verify(following.execution.layout, following.execution.arena)
    assert walker.sequence is None
    assert walker.to(sequence).execution.digest == probe.execution.digest


def test_a_changed_record_keeps_its_version(probe):
    sequence = probe.say("Find", tag=40)
    found = asked(probe, sequence, states=("things[4].label=5",))
    (change,) = found.changed.changes
    assert (change.version_before, change.version_after, change.previous_sequence) == (1, 2, 6)
    assert change.fields == {"label": [5, 40]}


def test_another_version_decides_on_the_same_state(tmp_path):
    desk = RecordedDesk(tmp_path / "instance")
    desk.quote(1, 150)
    sequence = desk.quote(1, 151)
    found = asked(desk, sequence, version=str(desk_version(tmp_path, DEARER)))
    assert differences(found) == {"outputs[1].price": (151, 153)}
    wider = desk_version(tmp_path, WIDER, version="3.0.0")
    stored = PluginStore(desk.instance.directory).add(wider)
    assert asked(desk, sequence, version=stored.spec).changed.version.startswith("desk@3.0.0")
    assert differences(asked(desk, sequence, version=stored.content_hash[:12])) == {}
    both = asked(desk, sequence, ("price=7",), ("positions[1].quotes=40",), stored.spec)
    assert differences(both) == {"outputs[1].price": (151, 7), "positions[1].quotes": (2, 41)}


@pytest.mark.parametrize(
    ("inputs", "states", "text"),
    [
        (("divisor=99999999999999999999",), (), "input Weigh.divisor: value out of range: 99999999999999999999"),
        (("divisor=many",), (), "input Weigh.divisor: "),
        (("grade=MIDDLE",), (), "input Weigh.grade: Grade has no value 'MIDDLE'"),
        (("colour=1",), (), "input colour: no such field in Weigh; it has grade, divisor"),
        (("divisor[0]=1",), (), "input divisor[0]: no such field in Weigh"),
        (("divisor",), (), "input divisor: a change is FIELD=VALUE"),
        ((), ("things[2].weight=99999999999999999999",), "state things[2].weight: out of range of i64"),
        ((), ("things[2].weight=many",), "state things[2].weight: not a number: 'many'"),
        ((), ("things[2].grade=MIDDLE",), "state things[2].grade: no such value: 'MIDDLE'; Grade has LOW, HIGH"),
        ((), ("things[2].grade=1",), "state things[2].grade: ValueOutOfRange: grade: Grade has no value 1"),
        ((), ("things[2].tag=30",), "state things[2].tag: DuplicateKey"),
        ((), ("things[2].colour=1",), "state things[2].colour: no such field; things has number, grade"),
        ((), ("things[2].number=1",), "state things[2].number: is the key"),
        ((), ("things[99].weight=1",), "state things[99].weight: no such record after entry 8"),
        ((), ("things[x].weight=1",), "state things[x]: not a number: 'x'"),
        ((), ("thongs[2].weight=1",), "state thongs: no such table in probe@1.0.0; its tables are things, totals"),
        ((), ("engine_ids[0].last_counter=1",), "state engine_ids[0].last_counter: the engine's own tables"),
        ((), ("things.weight=1",), "state things.weight=1: a change is TABLE[KEY].FIELD=VALUE"),
        ((), (), "nothing is to be changed"),
    ],
)
def test_what_cannot_be_changed_is_named_with_its_place(still, inputs, states, text):
    with pytest.raises((WhatIfError, RecordNameError)) as raised:
        what_if(still, still.log.newest_sequence, list(inputs), list(states))
    assert str(raised.value).startswith(text)


def test_entries_and_versions_that_cannot_be_asked_are_named(probe, tmp_path):
    with pytest.raises(WhatIfError, match="entry 1 is a leadership: no handler runs for it"):
        asked(probe, 1, ("divisor=1",))
    probe.append(layout.COMMAND, b"nonsense", source=1)
    with pytest.raises(WhatIfError, match="input: entry 9 has no message that could be changed"):
        asked(probe, 9, ("divisor=1",))
    with pytest.raises(StoreError, match=r"'probe@7\.0\.0' was never added"):
        asked(probe, 3, version="probe@7.0.0")
    other = tmp_path / "other"
    shutil.copytree(PROBE, other, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in (("probe.xml", 'id="1">', 'id="11">'), ("probe.py", "1.0.0", "2.0.0")):
        (other / name).write_text((other / name).read_text().replace(before, after))
    with pytest.raises(WhatIfError, match=r"input Add: probe@2.0.0 \(\w+\) has no such message: template=1 known="):
        asked(probe, 3, version=str(other))


def test_a_message_longer_than_an_input_may_be_is_refused(still):
    entry = still.entry(still.log.newest_sequence)
    plugin = still.to(entry.sequence).versions.plugin
    length = len(entry.input)
    assert change_input(entry, plugin, ["divisor=1"], length)[0].input != entry.input
    with pytest.raises(WhatIfError, match=f"input Weigh: message would be too long: length={length} max={length - 1}"):
        change_input(entry, plugin, ["divisor=1"], length - 1)


def test_the_command_prints_text_and_json(probe):
    probe.say("Weigh", grade="HIGH", divisor=3)
    probe.write()
    arguments = ["9", "--input", "grade=LOW", "--instance", str(probe.instance.directory)]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    for text in ("input grade: HIGH -> LOW", "outputs[0].total: 309 -> 312", "- ", "+ ", "judges the one entry alone"):
        assert text in result.output
    assert all(len(line) <= 100 for line in result.output.splitlines())
    found = json.loads(CliRunner().invoke(command, [*arguments, "--format", "json"]).stdout)
    assert set(found) == set(WhatIf.__dataclass_fields__)
