"""Who may open what a running engine makes: modes of files and shared memory, with a group and without."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from statevec.engine.instance import create_instance, prepare_directory
from statevec.roles.cursor import Cursor, CursorFile
from tests.roles.engine_harness import EngineUnderTest

MakeEngine = Callable[..., EngineUnderTest]
READ_BY_ALL = {"instance.json", "leader.json"}


def modes(paths: list[Path]) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}


@pytest.mark.parametrize("with_group", [False, True])
def test_modes_are_as_narrow_as_they_are_said_to_be(make_engine: MakeEngine, with_group: bool) -> None:
    engine = make_engine()
    if with_group:
        text = engine.configuration.read_text()
        group = grp.getgrgid(os.getgid()).gr_name
        engine.configuration.write_text(text.replace("[plugin]", f'group = "{group}"\n[plugin]', 1))
    engine.start()
    prefix = engine.instance.segment_name("")[1:]
    found = {name.removeprefix(prefix): mode for name, mode in modes(list(Path("/dev/shm").glob(f"{prefix}*"))).items()}
    rings, rest = (0o660, 0o640) if with_group else (0o600, 0o600)
    assert found == {
        "log": rest,
        "counters-engine": rest,
        "ring-market": rings,
        "ring-desk": rings,
        "ring-operator": rings,
        "ring-admin": 0o600,
    }
    files = modes([path for path in engine.directory.iterdir() if path.is_file()])
    assert {name for name, mode in files.items() if mode & 0o077} <= READ_BY_ALL
    journal = engine.directory / "journal"
    assert set(modes(list(journal.iterdir())).values()) == {rest}
    if with_group:
        assert modes([journal]) == {"journal": 0o750}
        assert {path.stat().st_gid for path in [journal, *journal.iterdir()]} == {os.getgid()}
    assert engine.stop() == 0


def test_a_link_in_place_of_a_segment_is_never_written_through(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine()
    engine.start()
    assert engine.stop() == 0
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    ring = Path("/dev/shm") / engine.instance.segment_name("ring-desk")[1:]
    ring.unlink()
    ring.symlink_to(target)
    engine.start()
    assert ring.is_file()
    assert not ring.is_symlink()
    assert engine.stop() == 0
    assert target.read_bytes() == b"precious"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_cursor_of_another_users_gateway_is_readable_for_the_group(tmp_path: Path) -> None:
    """Or the engine could not tell what the gateway holds back, nor what it saw durable."""
    prepare_directory(tmp_path / "instance")
    instance = create_instance(tmp_path / "instance")
    for name, owner, mode in (("own", os.getuid(), 0o600), ("other", 12345, 0o640)):
        directory = instance.gateways_directory / name
        directory.mkdir()
        os.chown(directory, owner, -1)
        file = CursorFile(instance, name)
        file.write(Cursor(64, 1, 1, "ab", 1), durable=False)
        file.close()
        assert modes([directory / "cursor"]) == {"cursor": mode}
