"""Shadows in a process of their own, whose kernels check every access (STATEVEC_CHECKED=1)."""

import tempfile
from pathlib import Path

from statevec.ipc.kernel import CHECKED
from statevec.roles.shadow_rules import Rule
from tests.shadow.versions import DEARER, TWICE, WIDER, RecordedDesk, desk_version, shadow_of

assert CHECKED, "start with STATEVEC_CHECKED=1"
with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    made = RecordedDesk(directory / "instance")
    made.random_quotes(80, seed=5)
    made.write()
    rules = [Rule(name="dearer", output="Order", field="price"), Rule(name="wider", table="positions", field="refused")]
    dearer = shadow_of(made, desk_version(directory, DEARER), rules=rules)
    assert dearer.expected > 0, dearer
    assert dearer.unexpected == 0, dearer
    both = shadow_of(made, desk_version(directory, TWICE, WIDER, version="3.0.0"), "independent", rules)
    assert both.expected > 0, both
    assert set(both.unexpected_places) == {
        "outputs.Order only by the candidate",
        "records.engine_ids.last_counter",
    }, both
