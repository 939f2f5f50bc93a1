"""The shadow's kernels in their other forms: as plain Python, and compiled with bounds checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from statevec.ipc.kernel import plain
from statevec.roles import shadow
from statevec.roles.shadow_plugins import Mode
from statevec.roles.shadow_report import ShadowReport
from statevec.roles.shadow_rules import Rule
from tests.shadow.versions import DEARER, TWICE, RecordedDesk, desk_version, shadow_of

RULES = [Rule(name="dearer", output="Order", field="price")]


def without_times(found: ShadowReport) -> ShadowReport:
    return msgspec.structs.replace(found, times={}, updated_ns=0, seconds=0)


@pytest.mark.parametrize("mode", ["lockstep", "independent"])
def test_plain_kernels_find_what_the_compiled_find(tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    made = RecordedDesk(tmp_path / "instance")
    made.random_quotes(60, seed=21)
    made.write()
    candidate = desk_version(tmp_path, DEARER, TWICE)
    compiled = shadow_of(made, candidate, mode, RULES)
    assert compiled.expected > 5
    assert compiled.unexpected > 5
    monkeypatch.setattr(shadow, "shadow_segment", plain(shadow.shadow_segment))
    assert without_times(shadow_of(made, candidate, mode, RULES)) == without_times(compiled)


@pytest.mark.skipif(os.environ.get("STATEVEC_CHECKED") == "1", reason="this process has bounds checks already")
def test_shadows_stay_inside_their_memory() -> None:
    environment = dict(os.environ, STATEVEC_CHECKED="1")
    command = [sys.executable, "-m", "tests.shadow.checked_run"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
