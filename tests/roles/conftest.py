"""Fixtures of the process tests: engines that are gone, with their shared memory, when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.roles.engine_harness import EngineUnderTest


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[..., EngineUnderTest]]:
    made: list[EngineUnderTest] = []

    def make(*arguments: str, **options: str) -> EngineUnderTest:
        directory = tmp_path / f"engine{len(made)}"
        directory.mkdir()
        made.append(EngineUnderTest(directory, *arguments, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.clean_up()
