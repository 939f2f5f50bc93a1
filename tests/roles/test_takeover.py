"""What keeps a process from leading: a clock that is far off (rule 20)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from statevec.engine import engine_state
from statevec.engine.config import Config, parse_config
from statevec.engine.engine_state import CLOCK
from statevec.engine.execution import Execution
from statevec.engine.instance import LeaderRecord, create_instance, prepare_directory
from statevec.roles.cursor import Cursor, CursorFile
from statevec.roles.takeover import TakeoverError, check_clock, known_durable
from statevec.state.tables import find

LAST_NS = 1_800_000_000 * 10**9
SECOND_NS = 10**9


@pytest.fixture
def execution() -> Execution:
    made = Execution([], SimpleNamespace(address=0))
    row = find(made.tx, CLOCK, 0)
    made.arena.store_i64(row + engine_state.CLOCK_LAST_TIME_NS, LAST_NS)
    return made


@pytest.fixture
def config() -> Config:
    text = '[instance]\ndirectory = "i"\n[plugin]\npath = "p"\n'
    return parse_config(text + '[engine]\nclock_tolerance = "2s"\ndowntime_tolerance = "1h"', Path("/"))


@pytest.mark.parametrize("difference_ns", [-2 * SECOND_NS, 0, 3600 * SECOND_NS])
def test_a_clock_within_the_tolerances_leads(execution: Execution, config: Config, difference_ns: int) -> None:
    check_clock(execution, config, LAST_NS + difference_ns)


@pytest.mark.parametrize(
    ("difference_ns", "message"),
    [
        (-2 * SECOND_NS - 1, r"behind the last entry by 2\.000 s.*--accept-clock"),
        (3600 * SECOND_NS + 1, r"ahead of the last entry by 3600\.000 s.*--accept-clock"),
    ],
)
def test_a_clock_outside_does_not_lead(execution: Execution, config: Config, difference_ns: int, message: str) -> None:
    with pytest.raises(TakeoverError, match=message):
        check_clock(execution, config, LAST_NS + difference_ns)


def test_any_clock_leads_a_new_instance(config: Config) -> None:
    check_clock(Execution([], SimpleNamespace(address=0)), config, 1)


@pytest.mark.parametrize(("durability", "known"), [("disk", 4096 + 128), ("memory", 0)])
def test_what_a_gateway_acknowledged_is_known_to_be_durable_in_disk_mode(
    tmp_path: Path, durability: str, known: int
) -> None:
    """Rule 9: recovery must not cut below it."""
    prepare_directory(tmp_path)
    instance = create_instance(tmp_path)
    for name, position in (("venue", 4096), ("other", 512)):
        file = CursorFile(instance, name)
        file.write(Cursor(position, 1, 7, "00", 1), durable=False)
        file.close()
    assert known_durable(instance, None, LeaderRecord(1, "host", "then", durability=durability)) == known
    assert known_durable(instance, None, None) == 0
