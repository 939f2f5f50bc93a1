"""The plugin store: what it keeps, what it refuses, and what it says about damage."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from statevec.engine.plugin.errors import PluginError
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.simulate import simulate
from statevec.engine.store import LABEL_FILE, PluginStore, StoreError
from tests.plugin.writing import HEAD, PROBE, handler, write_plugin

ANSWERING = handler("answer = tx.emit.answer()\nanswer.value = {}")


def plugin(directory: Path, version: str = "1.0.0", answer: str = "message.a") -> Path:
    head = HEAD.replace('version="1.0.0"', f'version="{version}"')
    return write_plugin(directory, ANSWERING.format(answer), head=head)


@pytest.fixture
def store(tmp_path: Path) -> PluginStore:
    return PluginStore(tmp_path / "instance")


@pytest.fixture(autouse=True)
def instance_directory(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()


def keep(store: PluginStore, directory: Path) -> str:
    return store.keep(load_plugin(directory)).content_hash


def test_an_added_plugin_is_there_byte_for_byte_when_its_directory_is_gone(store: PluginStore, tmp_path: Path) -> None:
    source = plugin(tmp_path / "probe")
    (source / "notes").mkdir()
    (source / "notes" / "why.txt").write_text("because\n")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "probe.pyc").write_bytes(b"x")
    expected = {name: (source / name).read_bytes() for name in ("probe.py", "probe.xml", "notes/why.txt")}
    added = store.add(source)
    shutil.rmtree(source)
    assert added.spec == "probe@1.0.0"
    assert added.added.endswith("+00:00")
    assert store.files(added.content_hash) == expected
    loaded = store.load(added.content_hash)
    assert (loaded.name, loaded.version, loaded.content_hash) == ("probe", "1.0.0", added.content_hash)
    assert loaded.path.is_relative_to(added.directory)
    assert simulate(added.directory, "interpreted", 0, 1).send("Probe", **{**PROBE, "a": 5}).outputs[0].value == 5


def test_adding_again_changes_nothing(store: PluginStore, tmp_path: Path) -> None:
    source = plugin(tmp_path / "probe")
    first = store.keep(load_plugin(source))
    moved = tmp_path / "elsewhere"
    source.rename(moved)
    assert store.keep(load_plugin(moved)) == first
    assert store.versions() == [first]


def test_versions_are_in_the_order_of_their_numbers(store: PluginStore, tmp_path: Path) -> None:
    for version in ("1.10.0", "1.2.0", "1.9.1"):
        keep(store, plugin(tmp_path / version, version))
    assert [each.version for each in store.versions()] == ["1.2.0", "1.9.1", "1.10.0"]


def test_the_same_version_with_other_bytes_is_refused(store: PluginStore, tmp_path: Path) -> None:
    first = keep(store, plugin(tmp_path / "probe"))
    with pytest.raises(StoreError, match=rf"probe@1.0.0 is in the store with other bytes: stored={first} given="):
        store.add(plugin(tmp_path / "changed", answer="message.b"))
    assert [each.content_hash for each in store.versions()] == [first]


def test_what_is_no_plugin_is_refused_with_its_line_and_not_stored(store: PluginStore, tmp_path: Path) -> None:
    bad = plugin(tmp_path / "probe", answer="1 + nothing")
    line = HEAD.count("\n") + 4
    with pytest.raises(PluginError, match=rf"probe.py:{line}: unknown name 'nothing'"):
        store.add(bad)
    assert store.versions() == []


def test_a_version_is_found_by_name_and_version_or_by_its_hash(store: PluginStore, tmp_path: Path) -> None:
    first = keep(store, plugin(tmp_path / "one"))
    second = keep(store, plugin(tmp_path / "two", "2.0.0"))
    assert store.find("probe@2.0.0").content_hash == second
    assert store.find(first).content_hash == first
    assert store.find(first[:6]).content_hash == first


def test_what_is_not_there_is_refused_and_what_is_there_is_named(store: PluginStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"never added.*stored: nothing"):
        store.find("probe@1.0.0")
    first = keep(store, plugin(tmp_path / "one"))
    with pytest.raises(StoreError, match=rf"never added.*stored: probe@1.0.0 \({first[:12]}\)"):
        store.find("probe@3.0.0")
    for unclear in ("probe", first[:5], "../probe"):
        with pytest.raises(StoreError, match="NAME@VERSION or 6 or more digits"):
            store.find(unclear)
    for unknown in ("0" * 32, "..", ""):
        with pytest.raises(StoreError, match="not in the store"):
            store.load(unknown)


def test_an_ambiguous_hash_names_the_candidates(store: PluginStore, tmp_path: Path) -> None:
    first = keep(store, plugin(tmp_path / "one"))
    twin = first[:6] + "0" * 26
    shutil.copytree(store.directory / first, store.directory / twin)
    with pytest.raises(StoreError, match=rf"ambiguous.*{first[:12]}"):
        store.find(first[:6])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda where: (where / "probe.py").write_text("x = 1\n"), "probe.py was changed"),
        (lambda where: (where / "probe.xml").unlink(), "probe.xml is missing"),
        (lambda where: (where / "more.txt").write_text("x"), "more.txt does not belong to it"),
    ],
)
def test_a_damaged_file_is_named(store: PluginStore, tmp_path: Path, damage: object, text: str) -> None:
    stored = keep(store, plugin(tmp_path / "one"))
    assert callable(damage)
    damage(store.directory / stored)
    for use in (store.load, store.files):
        with pytest.raises(StoreError, match=text):
            use(stored)
    with pytest.raises(StoreError, match=text):
        store.add(tmp_path / "one")


@pytest.mark.parametrize("link", ["probe.py", "probe.xml", ".stored", "", "__pycache__", "more/deep.txt"])
def test_a_symbolic_link_in_a_stored_version_is_refused(store: PluginStore, tmp_path: Path, link: str) -> None:
    stored = keep(store, plugin(tmp_path / "one"))
    path, elsewhere = store.directory / stored / link, tmp_path / "elsewhere"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.rename(elsewhere)  # the same bytes, at a place where other files may lie beside them
    path.symlink_to(elsewhere)
    for use in (store.load, store.files):
        with pytest.raises(StoreError, match=rf"{path} is a symbolic link"):
            use(stored)


def test_what_is_loaded_are_the_bytes_that_were_hashed(
    store: PluginStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = keep(store, plugin(tmp_path / "one"))
    other = (store.directory / stored / "probe.xml").read_text().replace('"Answer" id="101"', '"Answer" id="77"')
    assert "77" in other

    def change_and_load(directory: Path, files: dict[str, bytes]) -> Any:
        for name, content in (("probe.py", "raise SystemExit"), ("probe.xml", other)):
            (directory / name).write_text(content)
        return load_plugin(directory, files)

    monkeypatch.setattr("statevec.engine.store.load_plugin", change_and_load)
    loaded = store.load(stored)
    assert (loaded.content_hash, list(loaded.outputs)) == (stored, [101])
    with pytest.raises(StoreError, match=r"probe\.py was changed"):
        store.load(stored)


@pytest.mark.parametrize("schema", ["../outside.xml", "include.xml"])
def test_a_schema_that_is_not_of_the_plugin_is_refused(tmp_path: Path, schema: str) -> None:
    made = plugin(tmp_path / "one")
    (tmp_path / "outside.xml").write_bytes((made / "probe.xml").read_bytes())
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="../outside.xml"/>'
    (made / "include.xml").write_text(f'<messageSchema package="p" id="1">{include}</messageSchema>')
    (made / "probe.py").write_text((made / "probe.py").read_text().replace("probe.xml", schema))
    with pytest.raises(PluginError, match="it is no file of the plugin"):
        load_plugin(made)


def test_a_damaged_label_keeps_nobody_from_loading(store: PluginStore, tmp_path: Path) -> None:
    stored = keep(store, plugin(tmp_path / "one"))
    other = keep(store, plugin(tmp_path / "two", "2.0.0"))
    label = store.directory / stored / LABEL_FILE
    label.write_bytes(label.read_bytes()[:-5])
    assert [bool(each.problem) for each in store.versions()] == [True, False]
    assert store.find(stored[:8]).content_hash == stored
    assert store.load(stored).version == "1.0.0"
    assert store.find("probe@2.0.0").content_hash == other
    label.write_bytes((store.directory / other / LABEL_FILE).read_bytes())
    with pytest.raises(StoreError, match=r"says probe@2\.0\.0, the plugin not"):
        store.load(stored)


def test_a_copy_that_was_not_finished_is_made_again(store: PluginStore, tmp_path: Path) -> None:
    loaded = load_plugin(plugin(tmp_path / "one"))
    unfinished = store.directory / f".{loaded.content_hash}.tmp"
    unfinished.mkdir(parents=True)
    (unfinished / "half.py").write_text("x")
    assert store.versions() == []
    stored = store.keep(loaded)
    assert not unfinished.exists()
    assert sorted(store.files(stored.content_hash)) == ["probe.py", "probe.xml"]


@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_versions_decide_side_by_side_in_one_process(store: PluginStore, tmp_path: Path, tier: object) -> None:
    first = store.keep(load_plugin(plugin(tmp_path / "one")))
    second = store.keep(load_plugin(plugin(tmp_path / "two", "2.0.0", "message.a * 2")))
    old, new = (simulate(each.directory, tier, 0, 1) for each in (first, second))  # type: ignore[arg-type]
    for value in (3, 4):
        message = {**PROBE, "a": value}
        assert old.send("Probe", **message).outputs[0].value == value
        assert new.send("Probe", **message).outputs[0].value == 2 * value


def test_what_was_added_is_only_linked_where_it_is_loaded(store: PluginStore, tmp_path: Path) -> None:
    """The cache of compiled code is under the content hash: it does not matter from which directory it was made."""
    source = plugin(tmp_path / "one")
    added = store.add(source)
    shutil.rmtree(source)
    compiled: Any = store.load(added.content_hash).dispatch("compiled")
    assert compiled.cache_hits == 1
