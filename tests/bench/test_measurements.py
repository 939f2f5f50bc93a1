"""Each measurement runs: with the smallest sizes, without looking at any figure."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import MODULES
from bench.figure import Comparison, alternate


@pytest.mark.parametrize("name", MODULES)
def test_a_measurement_gives_its_figures(name: str) -> None:
    comparisons = importlib.import_module(f"bench.{name}").measure(smoke=True)
    assert comparisons
    for each in comparisons:
        assert each.ours and all(value > 0 for value in each.ours), each.name
        assert each.target or each.met is None
        assert each.as_dict()["median"] == each.middle


def test_a_ratio_above_one_is_better_whichever_way_better_is() -> None:
    more = Comparison("rate", "1/s", "higher", ours=[20.0, 30.0, 10.0], peers={"peer": [10.0, 10.0, 10.0]})
    less = Comparison("time", "ns", "lower", ours=[10.0], peers={"peer": [20.0]})
    assert (more.ratio("peer"), less.ratio("peer")) == (2.0, 2.0)
    assert more.decide({"peer": 2.0}).met is True
    assert more.decide({"peer": 2.1}).met is False
    assert more.decide({"peer": 2.0, "another": 1.0}).met is None


def test_a_peer_that_raises_is_reported_with_its_reason() -> None:
    def missing() -> float:
        raise ModuleNotFoundError("No module named 'peer'")

    figure = alternate(Comparison("figure", "ns", "lower"), lambda: 1.0, {"peer": missing, "other": lambda: 2.0}, 2)
    assert figure.missing == {"peer": "ModuleNotFoundError: No module named 'peer'"}
    assert figure.peers == {"other": [2.0, 2.0]}


def test_results_become_a_table_and_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    figure = Comparison("figure", "ns", "lower", ours=[1.0], peers={"peer": [2.0]}, target="≤ 3 ns", met=False)
    figure.missing["other"] = "not installed"
    report.write("module", [figure])
    table = report.write_table().read_text()
    assert "| figure | 1 ns | peer × 2.00 (2.00–2.00); other: not there | ≤ 3 ns | **no** |" in table
    assert "not installed" in table
    assert report.plot_ratios() in (None, tmp_path / "ratios.png")
