"""`statevec plugin`: what each command prints, and its errors in one line with the plugin's file and line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.engine.deciders import Decided, deciders
from statevec.engine.store import PluginStore
from tests.audit.recorded_instance import RecordedInstance
from tests.plugin.writing import HEAD, handler, write_plugin
from tests.shadow.versions import DESK, WIDER, RecordedDesk, desk_version

ANSWERING = handler("answer = tx.emit.answer()\nanswer.value = {}")
CHANGED = HEAD.replace('"1.0.0"', '"2.0.0"').replace("    value: i64\n", "    value: i64\n    more: i64\n")


class CommandLine:
    """Runs `statevec plugin …`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object, status: int = 0) -> str:
        assert run_command(["plugin", *map(str, arguments)]) == status
        captured = self._capsys.readouterr()
        return captured.err if status else captured.out


@pytest.fixture
def statevec(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


@pytest.fixture
def recorded(tmp_path: Path) -> RecordedInstance:
    """An instance whose first version decided five entries."""
    made = RecordedInstance(tmp_path / "instance")
    for _ in range(4):
        made.transfer(1, "IN", 5)
    made.write()
    return made


@pytest.fixture
def instance(recorded: RecordedInstance) -> Path:
    return recorded.instance.directory


def first(directory: Path) -> Path:
    return write_plugin(directory, ANSWERING.format("message.a"))


def second(directory: Path) -> Path:
    return write_plugin(directory, ANSWERING.format("message.a + 1"), head=CHANGED)


def test_the_journal_says_who_decided_what(recorded: RecordedInstance) -> None:
    assert deciders(recorded.instance) == [Decided(1, recorded.plugin.content_hash, 1, 5)]
    shutil.rmtree(recorded.instance.journal_directory)
    assert deciders(recorded.instance) == []


def test_a_cutover_is_decided_by_the_version_before_it(statevec: CommandLine, tmp_path: Path) -> None:
    desk = RecordedDesk(tmp_path / "instance")
    first_hash = desk.plugin.content_hash
    for price in (100, 101):
        desk.quote(1, price)
    at = desk.cut_over(desk_version(tmp_path, WIDER))
    desk.quote(1, 102)
    back = desk.cut_over(DESK)
    desk.quote(1, 103)
    desk.write()
    second_hash = PluginStore(desk.instance.directory).find("desk@2.0.0").content_hash
    assert deciders(desk.instance) == [
        Decided(1, first_hash, 1, at),
        Decided(2, second_hash, at + 1, back),
        Decided(3, first_hash, back + 1, back + 1),
    ]
    lines = statevec("list", "--instance", desk.instance.directory).splitlines()
    assert f"#1 1-{at}, #3 {back + 1}-{back + 1}" in lines[1]
    assert f"#2 {at + 1}-{back}" in lines[2]


def test_versions_are_added_and_listed_with_what_they_decided(
    statevec: CommandLine, instance: Path, tmp_path: Path
) -> None:
    added = json.loads(statevec("add", first(tmp_path / "one"), "--instance", instance, "--format", "json"))
    assert (added["name"], added["version"]) == ("probe", "1.0.0")
    listed = json.loads(statevec("list", "--instance", instance, "--format", "json"))
    assert [(each["name"], each["decided"]) for each in listed] == [
        ("ledger", [{"ordinal": 1, "first": 1, "last": 5}]),
        ("probe", []),
    ]
    table = statevec("list", "--instance", instance).splitlines()
    assert "#1 1-5" in table[1]
    assert added["content_hash"][:12] in table[2]
    assert table[2].endswith("nothing")


def test_adding_says_what_a_cutover_would_do(statevec: CommandLine, instance: Path, tmp_path: Path) -> None:
    source = shutil.copytree(PluginStore(instance).versions()[0].directory, tmp_path / "ledger")
    module = source / "ledger.py"
    text = module.read_text()
    module.write_text(text.replace('version="1.0.0"', 'version="1.1.0"'))
    shown = statevec("add", source, "--instance", instance)
    assert "cutover 1.0.0 -> 1.1.0: records stay as they are" in shown
    assert "rollback 1.1.0 -> 1.0.0: records stay as they are" in shown


def test_what_a_version_declares_is_shown(statevec: CommandLine, instance: Path, tmp_path: Path) -> None:
    statevec("add", first(tmp_path / "one"), "--instance", instance)
    shown = statevec("show", "probe@1.0.0", "--instance", instance)
    for text in ("items (Item)", "item_id                  u64 (key)", "Probe (template 1) -> on_probe", "rejections"):
        assert text in shown
    facts = json.loads(statevec("show", "probe@1.0.0", "--instance", instance, "--format", "json"))
    assert facts["records"]["items (Item)"]["capacity"] == "8"
    assert facts["rejections"] == {"1": {"text": "no"}}
    assert list(facts["outputs"]) == ["Answer (template 101)"]


def test_two_versions_are_compared(statevec: CommandLine, instance: Path, tmp_path: Path) -> None:
    statevec("add", first(tmp_path / "one"), "--instance", instance)
    shown = statevec("diff", "probe@1.0.0", second(tmp_path / "two"), "--instance", instance)
    for text in (
        "--- a/probe.py",
        "+    answer.value = message.a + 1",
        "  + items (Item): more i64",
        "cutover: migration ",
        "  items.more: added (i64, zero)",
        "rollback: migration ",
        "  items.more: removed",
    ):
        assert text in shown
    made = json.loads(statevec("diff", tmp_path / "two", "probe@1.0.0", "--instance", instance, "--format", "json"))
    assert made["changes"] == {"records": ["- items (Item): more"]}
    assert made["migrations"]["cutover"]["changes"] == ["items.more: removed"]
    assert made["migrations"]["cutover"]["possible"]


def test_a_migration_that_is_not_possible_is_said(statevec: CommandLine, instance: Path, tmp_path: Path) -> None:
    statevec("add", first(tmp_path / "one"), "--instance", instance)
    head = CHANGED.replace("item_id: Key[u64]", "other_id: Key[u64]")
    other = write_plugin(tmp_path / "other", ANSWERING.format("message.a"), head=head)
    shown = statevec("diff", "probe@1.0.0", other, "--instance", instance)
    line = next(number for number, text in enumerate(head.splitlines(), 1) if "other_id" in text)
    assert f"probe.py:{line}: cannot migrate from 1.0.0: the key of items changes from item_id to other_id" in shown


def test_messages_in_flight_that_a_version_cannot_read_are_named(
    statevec: CommandLine, instance: Path, tmp_path: Path
) -> None:
    old = first(tmp_path / "one")
    for before, after, text in (
        ('id="901"', 'id="902"', "schema id was 901 and is 902: every message would be refused"),
        ('<sbe:message name="Probe" id="1">', '<sbe:message name="Probe" id="3">', "message Probe (template 1)"),
        ('name="a" id="3" type="int64"', 'name="a" id="3" type="int32"', "message Probe: field b is not where"),
        ('<field name="case"', '<field name="x" id="30" type="int8"/><field name="case"', "new field x lies inside"),
    ):
        other = second(tmp_path / "two")
        schema = (other / "probe.xml").read_text()
        assert before in schema
        (other / "probe.xml").write_text(schema.replace(before, after))
        shown = statevec("diff", old, other, "--instance", instance)
        assert "messages in flight that cannot be read" in shown
        assert text in shown


def test_a_field_behind_the_others_leaves_messages_in_flight_readable(
    statevec: CommandLine, instance: Path, tmp_path: Path
) -> None:
    other = second(tmp_path / "two")
    schema = (other / "probe.xml").read_text()
    more = '<field name="more" id="40" type="int64" presence="optional" sinceVersion="1"/></sbe:message>'
    (other / "probe.xml").write_text(
        schema.replace("</sbe:message>", more, 1).replace('id="901" version="0"', 'id="901" version="1"')
    )
    shown = statevec("diff", first(tmp_path / "one"), other, "--instance", instance)
    assert "cannot be read" not in shown
    assert "+ Probe (template 1) -> on_probe: more i64 optional" in shown


def test_check_stores_nothing(statevec: CommandLine, tmp_path: Path) -> None:
    assert statevec("check", first(tmp_path / "one")).startswith("probe@1.0.0 ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import time", "imports stand at the top of the module"),
        ("while True:\n    pass\nreturn nothing", "unknown name 'nothing'"),
        ("answer = tx.emit.answer()\nanswer.value = 1.5", "float"),
        ("tx.items[1].value = 5", "was only read"),
    ],
)
def test_errors_are_one_line_with_file_and_line(
    statevec: CommandLine, instance: Path, tmp_path: Path, body: str, text: str
) -> None:
    bad = write_plugin(tmp_path / "bad", handler(body))
    for arguments in (("check", bad), ("add", bad, "--instance", instance)):
        shown = statevec(*arguments, status=1)
        assert shown.startswith(f"error: {bad}/probe.py:")
        assert text in shown
        assert shown.count("\n") == 1
    assert len(PluginStore(instance).versions()) == 1


def test_what_is_not_in_the_store_is_an_error_that_says_what_is(
    statevec: CommandLine, instance: Path, tmp_path: Path
) -> None:
    assert "was never added" in statevec("show", "probe@1.0.0", "--instance", instance, status=1)
    assert "a plugin is a directory" in statevec("check", tmp_path / "nowhere", status=1)
    statevec("add", first(tmp_path / "one"), "--instance", instance)
    changed = write_plugin(tmp_path / "changed", ANSWERING.format("message.b"))
    assert "with other bytes" in statevec("add", changed, "--instance", instance, status=1)
    stored = PluginStore(instance).find("probe@1.0.0")
    (stored.directory / "probe.py").write_text("")
    assert "probe.py was changed" in statevec("show", "probe@1.0.0", "--instance", instance, status=1)
