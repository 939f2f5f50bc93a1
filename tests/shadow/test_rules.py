"""Rules: what they cover, what they don't, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statevec.roles.shadow_compare import MISSING, Difference
from statevec.roles.shadow_rules import Rules, RulesError, load_rules
from tests.shadow.versions import DEARER, STRICTER, RecordedDesk, desk_version, shadow_of

QUOTE = {"instrument": 3, "price": 155, "side": "BUY", "leg": {"ratio": 2}}


def rules(path: Path, text: str) -> Rules:
    file = path / "rules.toml"
    file.write_text(text)
    return Rules(load_rules(file))


def explained(found: Rules, *differences: Difference, message: str = "Quote") -> list[str | None]:
    return found.explain(differences, message, QUOTE)


def price(decided: Any, candidate: Any) -> Difference:
    return Difference("output", "Order", "price", "outputs.Order[0].price", decided, candidate)


def test_a_rule_covers_its_field_and_no_other(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[expected]]\nname = "p"\noutput = "Order"\nfield = "price"\n')
    other = Difference("output", "Order", "quantity", "", 1, 2)
    record = Difference("record", "Order", "price", "", 1, 2)
    assert explained(found, price(1, 2), other, record) == ["p", None, None]


@pytest.mark.parametrize(
    ("tolerance", "decided", "candidate", "covered"),
    [
        ("tolerance = 2", 100, 102, True),
        ("tolerance = 2", 100, 103, False),
        ("relative = 0.01", 1000, 1010, True),
        ("relative = 0.01", 1000, 1011, False),
        ("tolerance = 1\nrelative = 0.5", 2, 4, True),
        ("tolerance = 2", 100, MISSING, False),
        ("tolerance = 2", True, False, False),
        ("tolerance = 0", "BUY", "SELL", False),
    ],
)
def test_a_tolerance_is_for_numbers(
    tmp_path: Path, tolerance: str, decided: Any, candidate: Any, covered: bool
) -> None:
    found = rules(tmp_path, f'[[expected]]\nname = "p"\noutput = "Order"\nfield = "price"\n{tolerance}\n')
    assert explained(found, price(decided, candidate)) == ["p" if covered else None]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("price > 150", True),
        ("price <= 150", False),
        ("side == BUY", True),
        ('side != "BUY"', False),
        ("leg.ratio == 2", True),
        ("missing == 1", False),
        ("side > 4", False),
        ("price >= 155.0", True),
    ],
)
def test_a_condition_is_on_the_input(tmp_path: Path, condition: str, holds: bool) -> None:
    text = f"[[expected]]\nname = 'p'\noutput = 'Order'\nwhen = ['''{condition}''', 'instrument == 3']\n"
    assert explained(rules(tmp_path, text), price(1, 2)) == ["p" if holds else None]


def test_a_rule_can_be_for_one_input_message(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[expected]]\nname = "p"\noutput = "Order"\ninput = "Quote"\n')
    assert explained(found, price(1, 2)) == ["p"]
    assert explained(found, price(1, 2), message="Fill") == [None]


def test_a_rule_can_be_for_what_one_version_has_alone(tmp_path: Path) -> None:
    text = '[[expected]]\nname = "new"\noutput = "Order"\nside = "candidate"\n'
    whole = Difference("output", "Order", "", "outputs.Order[1]", MISSING, {"price": 1})
    gone = Difference("output", "Order", "", "outputs.Order[1]", {"price": 1}, MISSING)
    assert explained(rules(tmp_path, text), whole, gone, price(1, 2)) == ["new", None, None]


def test_an_expected_outcome_explains_what_follows_from_it(tmp_path: Path) -> None:
    text = '[[expected]]\nname = "refused"\noutcome = "REJECTED(2)"\ndecided = "COMMITTED"\n'
    outcome = Difference("outcome", "", "", "outcome", "COMMITTED", "REJECTED(2)")
    gone = Difference("output", "Order", "", "outputs.Order[0]", {"price": 1}, MISSING)
    found = rules(tmp_path, text)
    assert explained(found, outcome, gone) == ["refused", "refused"]
    assert explained(found, gone) == [None]
    other = Difference("outcome", "", "", "outcome", "REJECTED(1)", "REJECTED(2)")
    assert explained(found, other) == [None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expected = 3", "rules.toml: expected: Expected `array`, got `int`"),
        ('[[expected]]\noutput = "A"', "expected[0]: Object missing required field `name`"),
        ('[[expected]]\nname = "a"\noutput = "A"\nfeild = "x"', "expected[0]: Object contains unknown field `feild`"),
        ('[[expected]]\nname = "a"', "a rule is for one of output, table, outcome"),
        ('[[expected]]\nname = "a"\noutput = "A"\ntable = "t"', "a rule is for one of output, table, outcome"),
        ('[[expected]]\nname = "a"\noutput = "A"\ntolerance = 2', "a tolerance is of one field, and not negative"),
        ('[[expected]]\nname = "a"\noutcome = "REJECTED(1)"\nfield = "x"', "an outcome has no field"),
        ('[[expected]]\nname = "a"\noutput = "A"\nside = "left"', "expected[0].side: Invalid enum value 'left'"),
        (
            '[[expected]]\nname = "a"\noutput = "A"\nwhen = ["price"]',
            "expected[0]: a condition is `field operator value`",
        ),
        (
            '[[expected]]\nname = "a"\noutput = "A"\n[[expected]]\nname = "a"\ntable = "b"',
            "two rules have the name 'a'",
        ),
        ("[[expected", "rules.toml: "),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RulesError) as error:
        rules(tmp_path, text)
    assert message in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"nothing\.toml"):
        load_rules(tmp_path / "nothing.toml")


def test_entries_are_counted_by_the_rules_that_explain_them(recorded: RecordedDesk, tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        '[[expected]]\nname = "two ticks"\noutput = "Order"\nfield = "price"\ntolerance = 2\n'
        '[[expected]]\nname = "dear"\noutcome = "REJECTED(2)"\nwhen = ["price > 160"]\n',
    ).rules
    report = shadow_of(recorded, desk_version(tmp_path, DEARER, STRICTER), rules=found)
    assert set(report.unexpected_places) == {"outcome COMMITTED -> REJECTED(2)"}
    assert report.expected == report.rules["two ticks"] + report.rules["dear"]
    assert report.same + report.expected + report.unexpected == report.compared
    assert set(report.expected_examples) == {"two ticks", "dear"}
    assert all(150 < example.input["fields"]["price"] <= 160 for example in report.first_unexpected if example.input)
    assert report.timeline is not None
    assert sum(report.timeline.expected) == report.expected
    assert sum(report.timeline.unexpected) == report.unexpected
