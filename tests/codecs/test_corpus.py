"""What the fuzzer chose and found (`tools/fuzz_sbe.py`): no bytes get anything but a value or an `SbeError`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codecs.fuzz_targets import CORPUS, TARGETS, packed

INPUTS = [(name, each) for name in TARGETS for each in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=lambda each: each.name if isinstance(each, Path) else each)
def test_no_input_gets_more_than_an_sbe_error(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", list(TARGETS))
def test_no_input_that_the_fuzzer_chose_gets_more(name: str) -> None:
    assert packed(name)
    for content in packed(name):
        TARGETS[name](content)


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_cut_of_an_input_ends_well(name: str) -> None:
    content = max((each.read_bytes() for each in (CORPUS / name).iterdir()), key=len)
    for length in range(0, len(content), max(1, len(content) // 50)):
        TARGETS[name](content[:length])
