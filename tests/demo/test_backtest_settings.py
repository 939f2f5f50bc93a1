"""Parameters of a backtest: how they are written, combined, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from statevec.audit.backtest_settings import Changes, Parameter, SettingError, Settings, combine, read_parameter
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.plugins import hedge as hedge_package


@pytest.fixture(scope="module")
def hedge() -> LoadedPlugin:
    return load_plugin(Path(hedge_package.__path__[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("position_limit=100,200", Parameter("position_limit", (100, 200))),
        ("requote_distance=2:8:2", Parameter("requote_distance", (2, 4, 6, 8))),
        ("requote_distance=2:7:2", Parameter("requote_distance", (2, 4, 6))),
        ("trend=2:-2:-2,9", Parameter("trend", (2, 0, -2, 9))),
        ("risk_switch=RISK_ON", Parameter("risk_switch", ("RISK_ON",))),
        ("RiskConfig.price_band=none,1.5", Parameter("RiskConfig.price_band", (None, 1.5))),
    ],
)
def test_values_are_listed_or_stepped(text: str, expected: Parameter) -> None:
    assert read_parameter(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("position_limit", "a parameter is NAME=VALUE"),
        ("a=1,,2", "a value is missing: a=1,,2"),
        ("a=1,1", "a value is given twice"),
        ("a=2:1:1", "no value lies there: a=2:1:1: first=2 last=1 step=1"),
        ("a=1:2:0", "no value lies there"),
        ("a=1:999999:1", "too many values: a=1:999999:1: count=999999 max=10000"),
    ],
)
def test_what_is_no_parameter_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read_parameter(text)


def test_parameters_are_combined_or_paired() -> None:
    parameters = [Parameter("a", (1, 2)), Parameter("b", (3, 4))]
    assert combine(parameters, pairs=False) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]
    assert combine(parameters, pairs=True) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert combine([], pairs=False) == combine([], pairs=True) == [{}]


def test_pairs_of_unequal_length_and_doubled_names_are_refused() -> None:
    with pytest.raises(SettingError, match="pairs need as many values of each parameter: a=1 b=2"):
        combine([Parameter("a", (1,)), Parameter("b", (1, 2))], pairs=True)
    with pytest.raises(SettingError, match="a parameter is given twice: a"):
        combine([Parameter("a", (1,)), Parameter("a", (2,))], pairs=False)


def test_a_setting_goes_into_every_message_with_the_field_or_into_the_one_named(hedge: LoadedPlugin) -> None:
    everywhere = Changes(hedge, {"instrument": 3})
    assert everywhere.apply("HedgeIntent", {"instrument": 1})["instrument"] == 3
    assert everywhere.apply("MarketTrend", {"instrument": 1})["instrument"] == 3
    one = Changes(hedge, {"MarketTrend.instrument": 3})
    assert one.apply("HedgeIntent", {"instrument": 1})["instrument"] == 1
    assert one.touches("MarketTrend")
    assert not one.touches("HedgeIntent")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"position_limitt": 1}, r"position_limitt is no field of an input of hedge@1.0.0 \(fields: .*position_limit"),
        ({"PlaceOrder.price": 1}, r"hedge takes no message 'PlaceOrder'"),
        ({"RiskConfig.trend": 1}, r"RiskConfig.trend is no field of an input"),
        ({"risk_switch": "MAYBE"}, r"risk_switch=MAYBE: .*RiskSwitch has no value 'MAYBE'"),
        ({"open_order_limit": 40_000}, r"open_order_limit=40000: .*value out of range: 40000"),
        ({"instrument": None}, r"instrument=None: .*null in a required field"),
        ({"OPEN_ORDERS_MAX": 3}, r"OPEN_ORDERS_MAX is a constant of hedge.py, line \d+, and no parameter"),
    ],
)
def test_a_setting_that_fits_no_input_is_refused(hedge: LoadedPlugin, settings: Settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Changes(hedge, settings)
