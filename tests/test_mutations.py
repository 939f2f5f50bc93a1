"""The list of mutations stays applicable: each change fits the source once, each test is there, no rule is without."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.mutation_list import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"rule {mutation.rule}: {mutation.breaks}")
def test_a_mutation_fits_the_source(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    file, _, test = mutation.check.partition("::")
    if not file.startswith(("kills:", "seeds:", "cuts:")):
        assert test.split("[")[0] in (ROOT / file).read_text()


def test_each_rule_has_a_mutation() -> None:
    rules = re.findall(r"^(\d+)\. ", (ROOT / "docs" / "protocols.md").read_text(), re.MULTILINE)
    assert {mutation.rule for mutation in MUTATIONS} == {int(rule) for rule in rules}
