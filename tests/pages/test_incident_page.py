"""`docs/incident.md`, run: each command of the page on a journal that the demonstration makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.page_session import DOCS, Session, steps_of


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    try:
        yield made
    finally:
        made.clean_up()


def test_the_page_leads_from_an_order_to_the_setting_that_caused_it(session: Session) -> None:
    steps = steps_of((DOCS / "incident.md").read_text())
    assert len(steps) == 8
    for step in steps:
        session.run(step)
    assert set(session.numbers) >= {"260", "140737488355329"}
