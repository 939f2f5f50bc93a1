"""The hedge in its market, in virtual time: figures against the demonstration's judges, determinism, latency."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from statevec.audit.backtest_engine import Ran, VirtualEngine
from statevec.audit.backtest_settings import SettingError, Settings
from statevec.audit.backtest_surroundings import Arrival, BacktestError, drive
from statevec.audit.backtest_tally import Tally
from statevec.demo.backtest_market import HedgeMarket
from statevec.demo.instruments import Instrument, Instruments
from statevec.demo.ledger import Ledger
from statevec.demo.limits import LimitCheck
from statevec.demo.logged import LoggedEntry, Message
from statevec.demo.market import generate_ticks
from statevec.engine.plugin.loader import LoadedPlugin, Tier, load_plugin
from statevec.journal.entry_layout import COMMAND, TIMER
from statevec.plugins import hedge as hedge_package
from tests.audit.recorded_instance import PLUGIN as LEDGER_PLUGIN

HEDGE = Path(hedge_package.__path__[0])
LATENCY_NS = 200_000


@cache
def hedge(directory: Path = HEDGE) -> LoadedPlugin:
    return load_plugin(directory)


@cache
def dispatch(plugin: Path, tier: Tier) -> Any:
    return hedge(plugin).dispatch(tier)


def instrument() -> Instrument:
    return Instruments.load().get("EURUSD")


class WatchedMarket(HedgeMarket):
    """Keeps the log of the run, decoded by itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.plugin: LoadedPlugin = arguments[0]
        self.log: list[LoggedEntry] = []
        self.kinds: list[int] = []
        self.at_venue: list[int] = []
        self._arrived = b""

    def next_input(self, before_ns: int) -> Arrival | None:
        arrival = super().next_input(before_ns)
        self._arrived = b"" if arrival is None else arrival.message
        return arrival

    def _happen(self, now_ns: int, is_quote: bool) -> None:
        super()._happen(now_ns, is_quote)
        self.at_venue.append(now_ns)

    def _decode(self, message: bytes) -> Message:
        view = self.plugin.schema.decode(message)
        return Message(view.layout.name, view.to_dict())

    def take(self, ran: Ran) -> None:
        super().take(ran)
        said = self._decode(self._arrived) if ran.kind == COMMAND else None
        outputs = [self._decode(each.message) for each in ran.outputs]
        self.kinds.append(ran.kind)
        self.log.append(LoggedEntry(ran.sequence, 1, "", 0, ran.now_ns, 0, ran.outcome, said, outputs))


class Run:
    """A backtest over a made-up market."""

    def __init__(
        self,
        settings: Settings | None = None,
        ticks: int = 600,
        tier: Tier = "compiled",
        seed: int = 1,
        plugin: Path = HEDGE,
        latency_ns: int = LATENCY_NS,
    ) -> None:
        quotes = generate_ticks(instrument(), ticks, 1)
        self.engine = VirtualEngine(hedge(plugin), dispatch(plugin, tier))
        self.market = WatchedMarket(hedge(plugin), instrument(), quotes, settings or {}, latency_ns, seed)
        self.tally = Tally(hedge(plugin))
        drive(self.engine, self.market, self.tally)
        self.figures = self.market.figures()
        self.log = self.market.log


def test_figures_agree_with_the_judges_of_the_demonstration() -> None:
    run = Run(ticks=3_000)
    ledger = Ledger.of(run.log, instrument().id)
    limits = LimitCheck(run.log, instrument().id)
    assert run.figures["orders_placed"] == len(ledger.orders) > 20
    for status in ("FILLED", "CANCELLED", "REJECTED"):
        assert run.figures[f"orders_{status.lower()}"] == ledger.count_status(status)
    assert run.figures["cancels_requested"] == ledger.cancels_requested > 0
    assert (run.figures["ordered_lots"], run.figures["filled_lots"]) == (ledger.ordered_lots, ledger.filled_lots)
    assert run.figures["slippage_ticks"] == round(ledger.doubled_slippage / (2 * ledger.filled_lots), 4)
    assert run.figures["profit"] == float(instrument().money(ledger.doubled_profit) / 2)
    assert run.figures["position"] == ledger.position == run.figures["venue_position"]
    assert run.figures["exposure_highest"] == limits.exposure_highest > 0
    assert run.market.breaches == limits.breaches == []
    assert run.figures["ticks"] == ledger.ticks == 3_000
    assert run.tally.outcomes == {0: len(run.log)}


def test_profit_over_time_is_that_of_the_ledger_up_to_then() -> None:
    run = Run(ticks=1_000)
    series = run.market.series()
    quotes = [number for number, entry in enumerate(run.log) if entry.message and entry.message.name == "MarketData"]
    assert {len(column) for column in series.values()} == {1_000} == {len(quotes)}
    held = [sample for sample in range(1_000) if series["position"][sample]]
    for sample in (held[0], held[len(held) // 2], held[-1]):
        ledger = Ledger.of(run.log[: quotes[sample] + 1], instrument().id)
        assert series["position"][sample] == ledger.position != 0
        assert series["profit"][sample] == float(instrument().money(ledger.doubled_profit) / 2)
        assert series["lowest"][sample] <= ledger.position <= series["highest"][sample]


def test_the_same_run_gives_the_same_digest_in_both_tiers_and_another_seed_another() -> None:
    compiled, again, interpreted = Run(), Run(), Run(tier="interpreted")
    assert compiled.engine.digest == again.engine.digest == interpreted.engine.digest
    assert compiled.figures == again.figures == interpreted.figures
    assert compiled.figures["orders_placed"] > 0
    assert Run(seed=2).engine.digest != compiled.engine.digest


def test_a_changed_limit_bounds_the_exposure() -> None:
    wide, narrow = Run(ticks=1_500), Run({"position_limit": 30}, ticks=1_500)
    assert wide.figures["exposure_highest"] > 30 >= narrow.figures["exposure_highest"] > 0
    assert narrow.figures["position_limit"] == 30
    sent = [each.message.fields for each in narrow.log if each.message and each.message.name == "RiskConfig"]
    assert {fields["position_limit"] for fields in sent} == {30}


def test_the_surroundings_have_parameters_of_their_own() -> None:
    given, set_so = Run(seed=2, latency_ns=5_000_000), Run({"desk.seed": 2, "venue.latency_us": 5_000})
    assert given.engine.digest == set_so.engine.digest
    never_cross: Settings = {"cross_at_trend": 101}
    thin = Run({"venue.quote_lots": 1, **never_cross}, ticks=1_500)
    assert thin.figures["filled_lots"] < Run(never_cross, ticks=1_500).figures["filled_lots"]


def test_a_plugin_that_leaves_its_limit_is_found_out(tmp_path: Path) -> None:
    place = tmp_path / "hedge"
    shutil.copytree(HEDGE, place, ignore=shutil.ignore_patterns("__pycache__"))
    source = (place / "hedge.py").read_text()
    careful = "max(-risk.position_limit, min(risk.position_limit, target.quantity))"
    assert careful in source
    (place / "hedge.py").write_text(source.replace(careful, "target.quantity"))
    run = Run({"position_limit": 40}, ticks=900, tier="interpreted", plugin=place)
    assert run.figures["limit_breaches"] > 0
    assert "exposure above position_limit" in run.market.breaches[0]
    assert run.market.breaches == LimitCheck(run.log, instrument().id).breaches


def test_time_never_goes_back_and_timers_fire_at_their_deadlines() -> None:
    run = Run(ticks=1_500)
    times = [entry.timestamp_ns for entry in run.log]
    assert times == sorted(times)
    assert run.market.at_venue == sorted(run.market.at_venue)
    placed = {
        output.fields["order_id"]: entry.timestamp_ns
        for entry in run.log
        for output in entry.outputs
        if output.name == "PlaceOrder"
    }
    fired = [entry for entry, kind in zip(run.log, run.market.kinds, strict=True) if kind == TIMER]
    ages = {
        entry.timestamp_ns - placed[output.fields["order_id"]]
        for entry in fired
        for output in entry.outputs
        if output.name == "CancelOrder" and output.fields["reason"] == "AGE"
    }
    assert ages == {300_000_000}


def test_an_answer_comes_two_latencies_after_its_order() -> None:
    run = Run({"venue.latency_us": 7_000})
    placed = {
        output.fields["order_id"]: entry.timestamp_ns
        for entry in run.log
        for output in entry.outputs
        if output.name == "PlaceOrder"
    }
    told = [
        entry.timestamp_ns - placed[entry.message.fields["order_id"]]
        for entry in run.log
        if entry.message and entry.message.name == "OrderUpdate" and entry.message.fields["status"] == "ACCEPTED"
    ]
    assert len(told) == len(placed) > 0
    assert set(told) == {14_000_000}


def test_an_order_that_expires_on_its_way_is_refused() -> None:
    run = Run({"venue.latency_us": 400_000})
    assert run.figures["orders_placed"] == run.figures["orders_rejected"] > 0
    assert run.figures["filled_lots"] == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"venue.latency": 3}, "the market has no parameter venue.latency"),
        ({"venue.latency_us": -1}, "venue.latency_us is a whole number from 0 on: venue.latency_us=-1"),
        ({"venue.quote_lots": "many"}, "venue.quote_lots=many"),
        ({"position_limit": "x"}, "position_limit=x: RiskConfig.position_limit: not an integer"),
    ],
)
def test_a_setting_that_does_not_fit_names_it_and_its_value(settings: Settings, text: str) -> None:
    with pytest.raises(SettingError, match=text):
        Run(settings)


def test_a_plugin_of_another_domain_is_told_what_it_lacks() -> None:
    with pytest.raises(BacktestError, match=r"no market for this plugin: ledger@.* lacks the hedge's HedgeIntent"):
        HedgeMarket(hedge(LEDGER_PLUGIN), instrument(), generate_ticks(instrument(), 2, 1), {}, 0, 1)
