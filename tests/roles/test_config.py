"""The configuration file: what is accepted, and that what is wrong is named by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.engine.config import Config, ConfigError, load_config, parse_config

SMALLEST = """
[instance]
directory = "instance"

[plugin]
path = "plugins/hedge"

[[ring]]
name = "market"
"""


def test_ten_lines_are_a_configuration_and_paths_count_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text(SMALLEST)
    config = load_config(file)
    assert config.directory == tmp_path / "instance"
    assert config.plugin_directory == tmp_path / "plugins" / "hedge"
    assert [ring.name for ring in config.rings] == ["operator", "market"]
    assert config.instance.durability == "disk"


def test_sizes_and_durations_are_numbers_or_texts_with_a_unit() -> None:
    text = SMALLEST + 'capacity = "1MiB"\n[engine]\nclock_tolerance = "250ms"\nloop_budget = 65536\n'
    config = parse_config(text, Path("/"))
    assert config.ring[0].capacity == 1 << 20
    assert config.engine.clock_tolerance == 250_000_000
    assert config.engine.loop_budget == 65536


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[engine]\ncore = "two"', "engine.core: expected int, got str"),
        ("[engine]\ncores = 1", "engine.cores: unknown key"),
        ("[engine]\ncore = -1", "engine.core: must not be negative, got -1"),
        ('[engine]\nidle = "nap"', 'engine.idle: must be "spin", "yield" or "sleep", got \'nap\''),
        ('[engine]\ntier = "fast"', 'engine.tier: must be "compiled" or "interpreted", got \'fast\''),
        ("[engine]\nbatch_size = 0", "engine.batch_size: must be 1 to 4096, got 0"),
        ('[log]\ncapacity = "5MiB"', "log.capacity: must be a power of two of at least 4194304, got 5242880"),
        ('[log]\ncapacity = "big"', "log.capacity: expected a number or a text such as \"64MiB\", got 'big'"),
        ("[log]\ncapacity = true", 'log.capacity: expected a number or a text such as "64MiB", got True'),
        ("[journal]\nsegment_size = 100", "journal.segment_size: must be a multiple of 1048576, got 100"),
        ('[[ring]]\nname = "market"', "ring[1].name: 'market' stands there twice"),
        ('[[ring]]\nname = "operator"', "ring[1].name: 'operator' is always there, leave it out"),
        (
            '[[ring]]\nname = "../market"',
            "ring[1].name: must be 1 to 31 of a-z, 0-9, - and _, not starting with - or _, got '../market'",
        ),
        ('[[ring]]\nname = "a"\ncapacity = 1000', "ring[1].capacity: must be a power of two from 4096"),
        ("[[ring]]\ncapacity = 4096", "ring[1].name: missing"),
        ('[[gateway]]\nname = "venue"\nmessages = [1]', "gateway[0].messages[0]: expected str, got int"),
        ('[[gateway]]\nname = "venue"\nmessages = []', "gateway[0].messages: names no message; leave it out for all"),
        ("[engine]\ncore = 9999", "engine.core: core 9999 does not exist, there are 0-"),
        ("[broken", "not TOML"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(SMALLEST + text, Path("/"))
    assert str(caught.value).startswith(message)


def test_what_the_host_does_not_have_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^instance\.group: this host has no group 'nosuchgroup'$"):
        parse_config(SMALLEST.replace("[plugin]", 'group = "nosuchgroup"\n[plugin]'), tmp_path)
    (tmp_path / "instance").write_text("")
    with pytest.raises(ConfigError, match=r"^instance\.directory: .*/instance is no directory$"):
        parse_config(SMALLEST, tmp_path)
    with pytest.raises(ConfigError, match=r"^instance\.directory: .*/instance is no directory$"):
        parse_config(SMALLEST.replace('"instance"', '"instance/below"'), tmp_path)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^plugin: missing$"):
        parse_config('[instance]\ndirectory = "x"', Path("/"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_config(tmp_path / "missing.toml")


def test_the_file_is_named_before_the_path_of_the_value(tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text(SMALLEST + "[engine]\ncore = 1.5")
    with pytest.raises(ConfigError, match=r"engine\.toml: engine\.core: expected int, got float"):
        load_config(file)


def test_defaults_are_valid() -> None:
    assert isinstance(parse_config(SMALLEST, Path("/")), Config)
