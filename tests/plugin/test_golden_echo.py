"""The reference's messages, read and written part by part by a handler: both tiers give them back byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.codecs.schema import Schema
from statevec.engine.plugin.simulate import simulate
from tests.codecs.sbe_data import golden_cases, needs_data
from tests.plugin.echo import echoed, write_echo

pytestmark = needs_data
CASES = [pytest.param(case, id=case.name) for case in golden_cases()]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_a_handler_copies_a_golden_message_byte_for_byte(tmp_path: Path, case: Path, tier: str) -> None:
    content = (case / "message.sbe").read_bytes()
    layout = Schema.load(case / "schema.xml").decode(content).layout
    files = {each.name: each.read_bytes() for each in case.glob("*.xml")}
    files["echo.xml"] = files.pop("schema.xml")
    simulation = simulate(write_echo(tmp_path / "echo", files, layout), tier, 0, 1)  # type: ignore[arg-type]
    assert echoed(simulation, content) == content
