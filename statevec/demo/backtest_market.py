"""The hedge's surroundings in a backtest: quotes, the desk's script and the venue, merged in the order of virtual time.

    quote at the venue ─► fills                    ┐
    order at the venue ─► fills, refusals          ├─ the exchange of the demonstration (`exchange.py`)
    what the exchange reports ─► engine, `latency_ns` later
    quote ─► engine, `latency_ns` later          output of the engine ─► venue, `latency_ns` later
    the desk's script (`script.py`) ─► engine, each action when its tick is at the venue

Nothing is lost, doubled or overtaken here: the latency is one number, so each way is a queue. (Lost and doubled answers
are the demonstration's; they test the plugin, and would make the runs of a backtest differ by luck.)

Invariants
    Everything follows from ticks, seed and parameters: two runs are the same to the digest.
    What happens at one moment has an order: the exchange first (quote before orders), then desk, quote, reports.
    An order that arrives after it expired is refused, as a gateway would.

Values only; a crash leaves nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from statevec.audit.backtest_engine import Ran
from statevec.audit.backtest_settings import Changes, SettingError, Settings, Value
from statevec.audit.backtest_surroundings import Arrival, BacktestError
from statevec.demo.backtest_figures import HedgeFigures
from statevec.demo.exchange import Exchange, OrderReport, Report, Side
from statevec.demo.instruments import Instrument
from statevec.demo.logged import LoggedEntry, Message
from statevec.demo.script import BEFORE_FIRST_TICK, Action, RiskSettings, make_script
from statevec.demo.ticks import MILLISECOND_NS, Ticks
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.journal.entry_layout import COMMAND

BEFORE_FIRST_NS = MILLISECOND_NS
AFTER_LAST_NS = 100 * MILLISECOND_NS
"""How long before the first and after the last tick the desk opens and closes the day."""
MICROSECOND_NS = 1_000
INPUTS = ("HedgeIntent", "RiskConfig", "MarketTrend", "MarketData", "OrderUpdate", "PositionUpdate")
OUTPUTS = ("PlaceOrder", "CancelOrder")
LATENCY = "venue.latency_us"
QUOTE_LOTS = "venue.quote_lots"
SEED = "desk.seed"
OWN_PARAMETERS = {LATENCY: 0, QUOTE_LOTS: 1, SEED: -(1 << 63)}
"""Parameters of the market itself, and the lowest value of each."""


def check_plugin(plugin: LoadedPlugin) -> None:
    """BacktestError unless the plugin speaks the hedge's messages."""
    handled, said = plugin.declarations.handlers, {each.name for each in plugin.outputs.values()}
    missing = [name for name in INPUTS if name not in handled] + [name for name in OUTPUTS if name not in said]
    if missing:
        raise BacktestError(
            f"no market for this plugin: {plugin.name}@{plugin.version} lacks the hedge's {', '.join(missing)}; run it "
            "over a journal (--instance), or write surroundings of its own (docs/backtest.md)"
        )


def split_settings(settings: Settings) -> tuple[dict[str, int], Settings]:
    """The market's own parameters, and those of messages. SettingError for a value that none of its own can have."""
    own = {name: _own(name, value) for name, value in settings.items() if name in OWN_PARAMETERS}
    others = {name: value for name, value in settings.items() if name not in OWN_PARAMETERS}
    for name in others:
        if name.startswith(("venue.", "desk.")):
            raise SettingError(f"the market has no parameter {name} (it has {', '.join(OWN_PARAMETERS)})")
    return own, others


def _own(name: str, value: Value) -> int:
    low = OWN_PARAMETERS[name]
    if not isinstance(value, int) or not low <= value < 1 << 63:
        raise SettingError(f"{name} is a whole number from {low} on: {name}={value}")
    return value


class HedgeMarket:
    """`Surroundings` of the hedge engine for one instrument; see the module's docstring. `total` counts ticks."""

    def __init__(
        self, plugin: LoadedPlugin, instrument: Instrument, ticks: Ticks, settings: Settings, latency_ns: int, seed: int
    ) -> None:
        """`latency_ns` and `seed` hold where the settings have no other."""
        check_plugin(plugin)
        own, of_messages = split_settings(settings)
        self._schema = plugin.schema
        self._changes = Changes(plugin, of_messages)
        self._instrument = instrument
        self._ticks = ticks
        self._latency_ns = own[LATENCY] * MICROSECOND_NS if LATENCY in own else latency_ns
        self._quote_lots = own.get(QUOTE_LOTS, instrument.quote_lots)
        self._exchange = Exchange(self._quote_lots)
        self._actions = deque(make_script(instrument, ticks, RiskSettings(), own.get(SEED, seed)))
        self._to_venue: deque[tuple[int, int, Message]] = deque()
        """When it arrives, when it expires (0 never), and what."""
        self._reports: deque[tuple[int, Report]] = deque()
        self._at_venue = 0
        self._told = 0
        self._last: Message | None = None
        self._figures = HedgeFigures(instrument, len(ticks))
        self.total = len(ticks)

    @property
    def done(self) -> int:
        return self._told

    @property
    def is_over(self) -> bool:
        waiting = self._actions or self._to_venue or self._reports
        return not waiting and self._told == self.total

    # the venue's side

    def _venue_ns(self) -> tuple[int, bool] | None:
        """When something happens at the venue next, and whether it is a quote."""
        quote_ns = self._ticks.times_ns[self._at_venue] if self._at_venue < self.total else None
        order_ns = self._to_venue[0][0] if self._to_venue else None
        if quote_ns is not None and (order_ns is None or quote_ns <= order_ns):
            return quote_ns, True
        return None if order_ns is None else (order_ns, False)

    def _happen(self, now_ns: int, is_quote: bool) -> None:
        if is_quote:
            reports = self._exchange.take_quote(self._ticks[self._at_venue])
            self._at_venue += 1
        else:
            _, expires_ns, message = self._to_venue.popleft()
            reports = self._order(message, 0 < expires_ns < now_ns)
        self._reports.extend((now_ns + self._latency_ns, report) for report in reports)

    def _order(self, message: Message, late: bool) -> list[Report]:
        fields = message.fields
        if message.name == "CancelOrder":
            return self._exchange.cancel(fields["order_id"])
        if late:
            return self._exchange.refuse(fields["order_id"])
        immediate = fields["time_in_force"] == "IMMEDIATE_OR_CANCEL"
        side = Side[fields["side"]]
        return self._exchange.place(fields["order_id"], side, fields["price"], fields["quantity"], immediate)

    # the engine's side

    def next_input(self, before_ns: int) -> Arrival | None:
        """See `Surroundings`."""
        while True:
            arrives_ns, source = self._next_arrival()
            venue = self._venue_ns()
            if venue is not None and venue[0] <= arrives_ns:
                if venue[0] >= before_ns:
                    return None
                self._happen(*venue)
                continue
            if source < 0 or arrives_ns >= before_ns:
                return None
            self._last = (self._next_action, self._next_quote, self._next_report)[source]()
            return Arrival(arrives_ns, self._schema.encode(self._last.name, self._last.fields))

    def _next_arrival(self) -> tuple[int, int]:
        """When the next message arrives, and from whom; of several at one moment the first named is the first."""
        heads = []
        if self._actions:
            heads.append((self._action_ns(self._actions[0]), 0))
        if self._told < self.total:
            heads.append((self._ticks.times_ns[self._told] + self._latency_ns, 1))
        if self._reports:
            heads.append((self._reports[0][0], 2))
        return min(heads, default=((1 << 63) - 1, -1))

    def _action_ns(self, action: Action) -> int:
        if action.tick == BEFORE_FIRST_TICK:
            return self._ticks.times_ns[0] - BEFORE_FIRST_NS
        if action.tick >= self.total:
            return self._ticks.times_ns[-1] + AFTER_LAST_NS
        return self._ticks.times_ns[action.tick]

    def _message(self, name: str, fields: dict[str, Any]) -> Message:
        return Message(name, self._changes.apply(name, fields))

    def _next_action(self) -> Message:
        action = self._actions.popleft()
        return self._message(action.message, action.fields)

    def _next_quote(self) -> Message:
        tick = self._ticks[self._told]
        self._told += 1
        sizes = {"bid_size": self._quote_lots, "ask_size": self._quote_lots}
        prices = {"bid_price": tick.bid, "ask_price": tick.ask, "exchange_time_ns": tick.time_ns}
        return self._message("MarketData", {**prices, **sizes, "instrument": self._instrument.id})

    def _next_report(self) -> Message:
        _, report = self._reports.popleft()
        if isinstance(report, OrderReport):
            fields = {"order_id": report.order_id, "venue_sequence": report.sequence, "status": report.status.name}
            fills = {"filled_quantity": report.filled, "last_price": report.price}
            return self._message("OrderUpdate", {**fields, **fills})
        fields = {"venue_sequence": report.sequence, "quantity": report.quantity, "instrument": self._instrument.id}
        return self._message("PositionUpdate", fields)

    def take(self, ran: Ran) -> None:
        """See `Surroundings`."""
        outputs = []
        for output in ran.outputs:
            view = self._schema.decode(output.message)
            message = Message(view.layout.name, view.to_dict())
            outputs.append(message)
            if message.name in OUTPUTS:
                self._to_venue.append((ran.now_ns + self._latency_ns, output.expires_ns, message))
        said = self._last if ran.kind == COMMAND else None
        self._figures.take(LoggedEntry(ran.sequence, 1, "", 0, ran.now_ns, ran.now_ns, ran.outcome, said, outputs))

    @property
    def breaches(self) -> list[str]:
        """Orders beyond a limit, in words."""
        return self._figures.breaches

    def figures(self) -> dict[str, Any]:
        """Those of `HedgeFigures`, and the venue's own account of the position."""
        return {**self._figures.figures(), "venue_position": self._exchange.position}

    def series(self) -> dict[str, list[float]]:
        """Those of `HedgeFigures`."""
        return self._figures.series()
