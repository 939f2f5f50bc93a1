"""`docs/upgrades.md`, run: each command of the page against a live engine (`tests/pages/page_session.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from statevec.audit.verify import verify_instance
from tests.pages.page_session import DOCS, Session, output_pattern, plain_lines, steps_of


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    try:
        yield made
    finally:
        made.clean_up()


def test_the_page_is_a_session_that_works(session: Session) -> None:
    steps = steps_of((DOCS / "upgrades.md").read_text())
    assert len(steps) > 15
    for step in steps:
        session.run(step)
    assert verify_instance(session.directory / "desk" / "instance").verified
    assert (session.directory / "shadow.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("shown", "written", "alike"),
    [
        ("entry 12: accepted", "entry 3,456: accepted", True),
        ("entry 12: accepted", "entry twelve: accepted", False),
        ("hedge@1.0.0  0123456789ab", "hedge@1.0.0 fedcba987654", True),
        ("hedge@1.0.0  0123456789ab", "hedge@1.0.1 fedcba987654", False),
        ("error: refused …", "error: refused (entry 7): no", True),
        ("…\nunexpected  0\n…", "same 4\nunexpected 0\nmigration none", True),
        ("verified   True", "verified False", False),
    ],
)
def test_outputs_are_compared_by_words_and_kinds(shown: str, written: str, alike: bool) -> None:
    assert bool(output_pattern(shown.splitlines()).fullmatch(plain_lines(written))) is alike
