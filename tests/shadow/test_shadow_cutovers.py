"""A shadow over a journal in which other versions took over."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.roles.shadow_plugins import Range, ShadowError
from statevec.roles.shadow_rules import Rule
from tests.shadow.versions import DEARER, WIDER, RecordedDesk, desk_version, shadow_of

QUOTES = 40


def recorded_with(directory: Path, *versions: Path) -> tuple[RecordedDesk, list[int]]:
    """Quotes decided by 1.0.0, then by each of `versions`; the sequences of the cutovers."""
    made = RecordedDesk(directory / "instance")
    cutovers = []
    for number, version in enumerate([None, *versions]):
        if version is not None:
            cutovers.append(made.cut_over(version))
        for quote in range(QUOTES):
            made.quote(quote % 5, price=100 + number * 50 + quote)
    made.write()
    return made, cutovers


def test_the_candidate_is_compared_with_whoever_decides(tmp_path: Path) -> None:
    dearer = desk_version(tmp_path, DEARER)
    made, [cutover] = recorded_with(tmp_path, dearer)
    found = shadow_of(made, dearer)
    assert (found.compared, found.unexpected) == (made.execution.sequence, QUOTES)
    assert all(example.sequence < cutover for example in found.first_unexpected)
    assert (found.decider_version, found.decider_hash) == ("2.0.0", found.candidate_hash)


@pytest.mark.parametrize("mode", ["lockstep", "independent"])
def test_the_old_version_is_compared_with_its_successor(tmp_path: Path, mode: str) -> None:
    made, _ = recorded_with(tmp_path, desk_version(tmp_path, DEARER))
    found = shadow_of(made, desk_version(tmp_path, version="1.0.1"), mode)  # type: ignore[arg-type]
    assert found.unexpected == QUOTES
    assert found.unexpected_places == {"outputs.Order.price": QUOTES}


def test_counts_by_rule_go_on_over_a_cutover(tmp_path: Path) -> None:
    made, _ = recorded_with(tmp_path, desk_version(tmp_path, DEARER), desk_version(tmp_path, DEARER, version="2.0.1"))
    rules = [Rule(name="dearer", output="Order", field="price")]
    found = shadow_of(made, desk_version(tmp_path, version="1.0.1"), rules=rules)
    assert (found.expected, found.unexpected, found.rules) == (2 * QUOTES, 0, {"dearer": 2 * QUOTES})


def test_lockstep_begins_where_state_is_laid_out_alike(tmp_path: Path) -> None:
    wider = desk_version(tmp_path, WIDER)
    made, [cutover] = recorded_with(tmp_path, wider)
    candidate = desk_version(tmp_path, WIDER, DEARER, version="3.0.0")
    found = shadow_of(made, candidate)
    assert (found.from_sequence, found.to_sequence) == (cutover + 1, made.execution.sequence)
    assert (found.compared, found.unexpected) == (QUOTES, QUOTES)
    with pytest.raises(ShadowError, match=f"deciding=1.0.0 to sequence={cutover} candidate=3.0.0"):
        shadow_of(made, candidate, compared=Range(2))
    with pytest.raises(ShadowError, match=r"deciding=2.0.0"):
        shadow_of(made, desk_version(tmp_path, version="1.0.1"))


def test_an_independent_candidate_lives_through_a_migration_of_the_decider(tmp_path: Path) -> None:
    made, [cutover] = recorded_with(tmp_path, desk_version(tmp_path, WIDER))
    found = shadow_of(made, desk_version(tmp_path, version="1.0.1"), "independent")
    assert found.unexpected_places == {"records.positions.refused": QUOTES}
    assert found.first_unexpected[0].sequence == cutover + 1
