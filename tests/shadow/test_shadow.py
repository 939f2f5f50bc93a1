"""What a shadow finds between two versions, in both modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.engine.plugin.loader import load_plugin
from statevec.journal import entry_layout as entries
from statevec.journal.errors import JournalDamagedError
from statevec.journal.reader import JournalReader
from statevec.roles.shadow import Shadow
from statevec.roles.shadow_plugins import Mode, Range, ShadowError
from statevec.roles.shadow_report import read_report
from statevec.roles.shadow_rules import Rule
from statevec.state.arena import digest_of
from statevec.state.verify import verify
from tests.shadow.versions import (
    DEARER,
    DESK,
    STRICTER,
    TWICE,
    WIDER,
    RecordedDesk,
    desk_version,
    shadow_of,
)

MODES: list[Mode] = ["lockstep", "independent"]


def quotes(recorded: RecordedDesk) -> list[dict[str, int]]:
    """The quotes that the deciding version answered, decoded, with their sequence."""
    found = []
    for entry in JournalReader(recorded.instance.journal_directory).entries():
        if entry.kind == entries.COMMAND and entry.outcome == 0:
            found.append({"sequence": entry.sequence, **recorded.plugin.schema.decode(entry.input).to_dict()})
    return found


@pytest.mark.parametrize("mode", MODES)
def test_equal_logic_comes_out_the_same_to_the_last_entry(recorded: RecordedDesk, tmp_path: Path, mode: Mode) -> None:
    found = shadow_of(recorded, desk_version(tmp_path), mode)
    last = recorded.execution.sequence
    assert (found.compared, found.same, found.expected, found.unexpected) == (last, last, 0, 0)
    assert (found.from_sequence, found.to_sequence, found.caught_up, found.finished) == (1, last, True, True)
    assert (found.candidate_version, found.decider_version, found.mode) == ("2.0.0", "1.0.0", mode)
    assert found.times["candidate"].count == found.times["decider"].count > 0


@pytest.mark.parametrize("mode", MODES)
def test_another_price_is_found_on_every_order(recorded: RecordedDesk, tmp_path: Path, mode: Mode) -> None:
    found = shadow_of(recorded, desk_version(tmp_path, DEARER), mode)
    answered = quotes(recorded)
    assert found.unexpected == len(answered)
    assert found.same == found.compared - len(answered)
    assert found.unexpected_places == {"outputs.Order.price": len(answered)}
    first = found.first_unexpected[0]
    assert first.sequence == answered[0]["sequence"]
    [difference] = first.differences
    assert (difference.path, difference.decided, difference.candidate) == (
        "outputs.Order[0].price",
        answered[0]["price"],
        answered[0]["price"] + 2,
    )
    assert first.input == {
        "message": "Quote",
        "fields": {name: answered[0][name] for name in ("instrument", "price", "quantity")},
    }


def test_in_lockstep_each_entry_is_judged_on_the_state_that_really_was(recorded: RecordedDesk, tmp_path: Path) -> None:
    """A candidate that refuses dear quotes differs on these, and on nothing that follows."""
    found = shadow_of(recorded, desk_version(tmp_path, STRICTER))
    dear = [quote["sequence"] for quote in quotes(recorded) if quote["price"] > 150]
    assert found.unexpected == len(dear)
    assert found.unexpected_places == {"outcome COMMITTED -> REJECTED(2)": len(dear)}
    assert [example.sequence for example in found.first_unexpected] == dear[:5]
    assert found.worst_unexpected is not None
    assert found.worst_unexpected.candidate["rejection"] == "the price is above the limit"


def test_an_independent_candidate_lives_with_its_consequences(tmp_path: Path) -> None:
    made = RecordedDesk(tmp_path / "instance")
    made.quote(1, price=190)
    later = made.quote(1, price=100)
    made.write()
    found = shadow_of(made, desk_version(tmp_path, STRICTER), "independent")
    assert found.unexpected == 2
    differences = {each.path: (each.decided, each.candidate) for each in found.first_unexpected[1].differences}
    assert found.first_unexpected[1].sequence == later
    assert "outputs.Cancel[0]" in differences  # it never placed the order that is taken back
    assert differences["records.positions[1].quotes"] == (2, 1)
    assert differences["records.positions[1].operation"] == ("updated", "inserted")


def test_ids_mean_the_same_though_the_candidate_made_more_of_them(recorded: RecordedDesk, tmp_path: Path) -> None:
    """Once it has made an id more, all later ids differ, and cancels of the same order are the same decision."""
    found = shadow_of(recorded, desk_version(tmp_path, TWICE), "independent")
    dear = [quote["sequence"] for quote in quotes(recorded) if quote["price"] > 150]
    assert found.unexpected == len(dear)
    assert set(found.unexpected_places) == {
        "outputs.Order only by the candidate",
        "records.engine_ids.last_counter",
    }


def test_lockstep_leaves_the_state_as_the_leader_had_it(recorded: RecordedDesk, tmp_path: Path) -> None:
    running = Shadow(recorded.instance, load_plugin(desk_version(tmp_path, TWICE)), "lockstep", tier="interpreted")
    running.run(lambda: False, until_caught_up=True)
    running.close()
    assert digest_of(running.execution.arena) == digest_of(recorded.execution.arena)
    verify(running.execution.layout, running.execution.arena)


def test_lockstep_is_refused_where_state_is_laid_out_otherwise(recorded: RecordedDesk, tmp_path: Path) -> None:
    with pytest.raises(ShadowError, match=r"lockstep needs one layout.*--mode independent"):
        shadow_of(recorded, desk_version(tmp_path, WIDER))


def test_a_field_that_only_the_candidate_has_is_a_difference(recorded: RecordedDesk, tmp_path: Path) -> None:
    found = shadow_of(recorded, desk_version(tmp_path, WIDER), "independent")
    assert set(found.unexpected_places) == {"records.positions.refused"}
    assert found.unexpected > len(quotes(recorded)) - 1


def test_the_migration_is_tried_on_the_state_both_ways(recorded: RecordedDesk, tmp_path: Path) -> None:
    found = shadow_of(recorded, desk_version(tmp_path, WIDER), "independent")
    assert len(found.migration) == 32
    assert any("refused" in change for change in found.migration_changes)
    assert (found.migration_problem, found.rollback_problem, found.rollback_possible) == ("", "", True)
    assert shadow_of(recorded, desk_version(tmp_path, version="2.0.1")).migration == ""


def test_a_migration_that_would_fail_is_told(recorded: RecordedDesk, tmp_path: Path) -> None:
    smaller = desk_version(tmp_path, ("capacity=64", "capacity=4"))
    found = shadow_of(recorded, smaller, "independent")
    assert "CAPACITY_EXHAUSTED" in found.migration_problem
    assert not found.rollback_possible
    with pytest.raises(ShadowError, match="cannot start at sequence=200: migration ends with CAPACITY_EXHAUSTED"):
        shadow_of(recorded, smaller, "independent", compared=Range(200))


def test_an_independent_candidate_starts_with_the_migrated_state(recorded: RecordedDesk, tmp_path: Path) -> None:
    rules = [Rule(name="new", table="positions", field="refused")]
    found = shadow_of(recorded, desk_version(tmp_path, WIDER), "independent", rules, Range(200))
    assert found.unexpected == 0
    timers = found.expected - len([quote for quote in quotes(recorded) if quote["sequence"] >= 200])
    assert 0 < timers < 40


@pytest.mark.parametrize("mode", MODES)
def test_a_range_of_history_is_compared_alone(recorded: RecordedDesk, tmp_path: Path, mode: Mode) -> None:
    found = shadow_of(recorded, desk_version(tmp_path, DEARER), mode, compared=Range(100, 150))
    inside = [quote for quote in quotes(recorded) if 100 <= quote["sequence"] <= 150]
    assert (found.from_sequence, found.to_sequence, found.compared) == (100, 150, 51)
    assert found.unexpected == len(inside)
    assert found.finished


def test_an_independent_candidate_starts_with_the_state_before_the_range(
    recorded: RecordedDesk, tmp_path: Path
) -> None:
    found = shadow_of(recorded, desk_version(tmp_path), "independent", compared=Range(120))
    assert (found.unexpected, found.same) == (0, recorded.execution.sequence - 119)


def test_a_range_beyond_the_journal_is_refused(recorded: RecordedDesk, tmp_path: Path) -> None:
    with pytest.raises(ShadowError, match="the journal ends before the range"):
        shadow_of(recorded, desk_version(tmp_path), compared=Range(100_000, 100_001))
    with pytest.raises(ShadowError, match="from=5 to=4"):
        Range(5, 4)


def test_the_report_is_left_for_the_cutover(recorded: RecordedDesk, tmp_path: Path) -> None:
    found = shadow_of(recorded, desk_version(tmp_path, DEARER))
    assert read_report(recorded.instance, found.candidate_hash) == found
    assert read_report(recorded.instance, "0" * 32) is None


def test_another_plugin_is_no_candidate(recorded: RecordedDesk) -> None:
    ledger = DESK.parent.parent / "audit" / "ledger"
    with pytest.raises(ShadowError, match="these are two plugins: deciding='desk' candidate='ledger'"):
        shadow_of(recorded, ledger, "independent")


def test_a_journal_that_the_deciding_version_did_not_write_stops_the_shadow(tmp_path: Path) -> None:
    made = RecordedDesk(tmp_path / "instance")
    made.random_quotes(5, seed=3)
    made.forge(3, entries.OUTCOME, b"\x07")
    with pytest.raises(ShadowError, match="gave another result than the log has: sequence=3"):
        shadow_of(made, desk_version(tmp_path))


def test_damage_in_the_journal_is_named(tmp_path: Path) -> None:
    made = RecordedDesk(tmp_path / "instance")
    made.random_quotes(20, seed=4)
    made.write()
    made.overwrite(made.positions[5] + 40, b"\xff")
    with pytest.raises(JournalDamagedError, match="6"):
        shadow_of(made, desk_version(tmp_path))
