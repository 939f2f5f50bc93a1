"""Retiring a gateway: what it forgets, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.cli.main import run_command
from statevec.engine.instance import Instance, InstanceError, LeaderLock, create_instance, prepare_directory
from statevec.roles.cursor import Cursor, CursorError, CursorFile, retire


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    prepare_directory(tmp_path / "instance")
    return create_instance(tmp_path / "instance")


def test_a_retired_gateway_leaves_nothing(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    file = CursorFile(instance, "venue")
    file.write(Cursor(8, 1, 3, "ab", 1), durable=False)
    file.close()
    left = instance.directory / ".gateway-venue.tmp"  # of one that was killed before
    left.mkdir()
    (left / "cursor").write_text("{}")
    assert run_command(["gateway", "retire", "venue", "--instance", str(instance.directory)]) == 0
    assert "acknowledged up to sequence 3" in capsys.readouterr().out
    assert list(instance.gateways_directory.iterdir()) == []
    assert not left.exists()


def test_a_gateway_at_work_or_unknown_or_configured_is_not_retired(instance: Instance) -> None:
    file = CursorFile(instance, "venue")
    with pytest.raises(CursorError, match="another process is gateway 'venue'"):
        retire(instance, "venue")
    file.close()
    with pytest.raises(CursorError, match="there is no gateway 'nobody'"):
        retire(instance, "nobody")
    with pytest.raises(InstanceError, match="not a gateway's name"):
        retire(instance, "../journal")
    with LeaderLock(instance.directory) as lock:
        lock.record(gateways={"venue": None})
    with pytest.raises(CursorError, match="is configured"):
        retire(instance, "venue")
    assert (instance.gateways_directory / "venue").is_dir()
