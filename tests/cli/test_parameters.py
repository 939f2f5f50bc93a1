"""Where a command may write."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from statevec.cli.parameters import OutputPath
from statevec.engine.instance import INSTANCE_FILE


def test_an_output_is_no_link_and_not_inside_an_instance(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    (instance / "journal").mkdir(parents=True)
    (instance / INSTANCE_FILE).write_text("{}")
    (tmp_path / "link.png").symlink_to(instance / "epoch")
    (tmp_path / "journal").symlink_to(instance / "journal")
    kind = OutputPath(dir_okay=False)
    assert kind.convert(str(tmp_path / "out.png"), None, None) == tmp_path / "out.png"
    for path, why in (
        (instance / "epoch.png", "lies in the instance"),
        (instance / "journal" / "x.png", "lies in the instance"),
        (tmp_path / "journal" / "x.png", "lies in the instance"),
        (tmp_path / "link.png", "is a symbolic link"),
    ):
        with pytest.raises(click.BadParameter, match=why):
            kind.convert(str(path), None, None)
