"""One recorded instance for all that only read it."""

from __future__ import annotations

import pytest

from tests.shadow.versions import RecordedDesk


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedDesk:
    """Some 330 entries: quotes, empty quotes, nonsense, timers; more than one leadership."""
    made = RecordedDesk(tmp_path_factory.mktemp("shadow") / "instance")
    made.random_quotes(200, seed=11)
    made.append(1, b"nonsense", source=1)
    made.lead()
    made.random_quotes(100, seed=12)
    made.write()
    return made
