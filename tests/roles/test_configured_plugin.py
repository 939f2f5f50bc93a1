"""What is wrong with a plugin or with gateways is said before an instance is made of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.engine.config import ConfigError, parse_config
from statevec.engine.plugin.errors import PluginError
from statevec.ipc.segment import SegmentError
from statevec.roles.configured_plugin import check_before_genesis
from tests.plugin.writing import HEAD, handler, write_plugin
from tests.roles.engine_harness import EngineUnderTest

EMITTING = handler("tx.emit.answer()")


def check(directory: Path, more: str = "") -> None:
    text = '[instance]\ndirectory = "instance"\n[plugin]\npath = "plugin"\n' + more
    try:
        check_before_genesis(parse_config(text, directory))
    finally:
        assert not (directory / "instance").exists()


def test_a_plugin_that_is_not_there_does_not_load_or_does_not_compile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^plugin\.path: .*/plugin is no directory$"):
        check(tmp_path)
    plugin = write_plugin(tmp_path / "plugin", handler("print(1)"))
    with pytest.raises(PluginError, match=r"probe\.py:\d+: .*output leaves"):
        check(tmp_path)
    write_plugin(plugin, handler("tx.items.insert(1).wrong = 1"))
    with pytest.raises(PluginError, match=r"probe\.py:\d+: .*no field 'wrong'"):
        check(tmp_path)
    write_plugin(plugin, EMITTING)
    check(tmp_path)


def test_memory_that_the_host_does_not_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = write_plugin(tmp_path / "plugin", EMITTING)
    with pytest.raises(SegmentError, match=rf"needed={(1 << 50) + (1 << 18)} free=\d+ in /dev/shm for log and rings"):
        check(tmp_path, '[log]\ncapacity = "1048576GiB"\n')
    with pytest.raises(ConfigError, match=r"^journal\.segment_size: not enough room on the disk: needed=\d+ free=\d+$"):
        check(tmp_path, '[journal]\nsegment_size = "1048576GiB"\n')
    write_plugin(plugin, EMITTING, head=HEAD.replace("capacity=8", "capacity=1_000_000"))
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    with pytest.raises(PluginError, match=r"not enough memory for the tables: needed=\d+ has=4096000"):
        check(tmp_path)


@pytest.mark.parametrize("message", ["Probe", "Nothing"])
def test_a_gateway_of_what_is_no_output_is_refused(tmp_path: Path, message: str) -> None:
    write_plugin(tmp_path / "plugin", EMITTING)
    wrong = rf"^gateway\[0\]\.messages: '{message}' is no output of probe \(outputs: Answer\)$"
    with pytest.raises(ConfigError, match=wrong):
        check(tmp_path, f'[[gateway]]\nname = "venue"\nmessages = ["{message}"]\n')
    check(tmp_path, '[[gateway]]\nname = "venue"\nmessages = ["Answer"]\n')
    check(tmp_path, '[[gateway]]\nname = "later"\nmessages = ["Poke"]\n')


def test_the_command_names_the_file_and_leaves_nothing(
    make_engine: Callable[..., EngineUnderTest],
) -> None:
    engine = make_engine(more='[[gateway]]\nname = "adds"\nmessages = ["Add"]')
    result = subprocess.run(engine.command(), capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 2
    outputs = "(outputs: Note, Total)"
    assert result.stderr == (
        f"error: {engine.configuration}: gateway[0].messages: 'Add' is no output of tally {outputs}\n"
    )
    assert not engine.directory.exists()


def test_a_standby_with_gateways_that_do_not_fit_says_so_at_once(make_engine: Callable[..., EngineUnderTest]) -> None:
    """Not when it takes over and nobody else is there."""
    engine = make_engine()
    engine.start()
    other = engine.configuration.with_name("standby.toml")
    other.write_text(engine.configuration.read_text() + '[[gateway]]\nname = "adds"\nmessages = ["Add"]\n')
    command = [str(other) if word == str(engine.configuration) else word for word in engine.command()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 2
    assert "gateway[0].messages: 'Add' is no output of tally" in result.stderr.splitlines()[-1]
    assert engine.stop() == 0
    left = Path("/dev/shm").glob(engine.instance.segment_name("counters-standby")[1:] + "*")
    assert list(left) == []
