"""An instance that the hedge engine decided: random markets, targets, answers of a venue, a cutover to version 2."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from statevec.engine.cutover import migrate, switch_version
from statevec.engine.execution_layout import DISPATCH
from statevec.engine.plugin.loader import load_plugin
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.store import PluginStore
from statevec.engine.versions import Candidate
from statevec.journal.admin_layout import BY_OPERATOR
from statevec.journal.entry_layout import COMMAND, CUTOVER
from statevec.journal.entry_view import Entry
from statevec.plugins import hedge as hedge_package
from tests.audit.recorded_instance import RecordedInstance
from tests.hedge.dealing import LIMITS

HEDGE = Path(hedge_package.__path__[0])
HEDGE_2 = HEDGE.parent / "hedge_v2"
INSTRUMENTS = (1, 2, 3)
PRICE = 1_000


class RecordedHedge(RecordedInstance):
    """`run` appends that many random inputs, `cut_over` lets version 2 decide from the next entry on."""

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(directory, HEDGE)
        self._compiled = self.plugin.dispatch("compiled")
        self.execution.dispatch = self._compiled
        self.execution.block.store_i64(DISPATCH, self._compiled.address)
        self._source = random.Random(seed)
        self._venue_sequence = 0
        self._open: dict[int, int] = {}
        """Orders that the venue has not answered for good, with their quantities."""
        self._due: list[int] = []
        for instrument in INSTRUMENTS:
            limits = {**LIMITS, "risk_switch": "RISK_ON", "instrument": instrument}
            limits |= {"max_order_age_ns": 500, "open_order_limit": 3}
            self.say("RiskConfig", limits)

    def say(self, message: str, values: dict[str, Any]) -> int:
        """Append a message of the plugin's schema; the entry's sequence."""
        self.append(COMMAND, self.plugin.schema.encode(message, values), source=1)
        self._see(Entry(bytes(self.content[self.positions[-1] :])))
        return self.execution.sequence

    def _see(self, entry: Entry) -> None:
        for output in entry.outputs():
            view = self.plugin.schema.decode(output.message)
            if view.layout.name == "PlaceOrder":
                self._open[view.order_id] = view.quantity
                self._due.append(view.order_id)

    def run(self, count: int) -> None:
        """Append random inputs: mostly quotes; also what is wrong, comes twice or too late."""
        for _ in range(count):
            self._one(self._source.random(), self._source.choice(INSTRUMENTS))

    def _one(self, dice: float, instrument: int) -> None:
        source = self._source
        if dice < 0.5:
            bid = PRICE + source.randrange(-8, 9)
            quote = {"instrument": instrument, "bid_price": bid, "ask_price": bid + source.choice([1, 2, 4])}
            sizes = {"bid_size": 5, "ask_size": 9, "exchange_time_ns": self.execution.sequence * 1_000}
            self.say("MarketData", quote | sizes)
        elif dice < 0.62:
            self.say("HedgeIntent", {"instrument": instrument, "target_quantity": source.randrange(-120, 120)})
        elif dice < 0.68:
            self.say("MarketTrend", {"instrument": instrument, "trend": source.randrange(-110, 111)})
        elif dice < 0.86 and self._open:
            self._answer(source.choice(list(self._open)))
        elif dice < 0.92 and self._due:
            self.timer(self._due.pop(0))
        elif dice < 0.97:
            self._venue_sequence += 1
            position = {"venue_sequence": self._venue_sequence, "quantity": source.randrange(-60, 60)}
            self.say("PositionUpdate", {"instrument": instrument, **position})
        elif dice < 0.98:
            self.append(COMMAND, b"nonsense", source=1)
        else:
            self.say(
                "MarketData",
                {"instrument": 99, "bid_price": 1, "ask_price": 1, "bid_size": 1, "ask_size": 1}
                | {"exchange_time_ns": 1},
            )

    def _answer(self, order_id: int) -> None:
        quantity = self._open[order_id]
        status = self._source.choice(["ACCEPTED", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED"])
        filled = {"FILLED": quantity, "PARTIALLY_FILLED": quantity // 2}.get(status, 0)
        self._venue_sequence += 1
        answer = {"order_id": order_id, "venue_sequence": self._venue_sequence, "status": status}
        self.say("OrderUpdate", {**answer, "filled_quantity": filled, "last_price": PRICE})
        if status in ("FILLED", "CANCELLED", "REJECTED"):
            del self._open[order_id]

    def cut_over(self, path: Path = HEDGE_2) -> int:
        """Let another version decide from the next entry on; the cutover's sequence."""
        loaded = load_plugin(path)
        PluginStore(self.instance.directory).keep(loaded)
        candidate = Candidate(self.execution, self.plugin, loaded, "compiled", 2)
        digest = 0
        if candidate.tx_address:
            assert migrate(self.execution.tx, candidate.tx, candidate.migrate_address) == 0
            digest = plugin_tables_digest(candidate.tx)
        self.append(CUTOVER, replace(candidate.describe(BY_OPERATOR, 1), state_digest=digest).encode())
        numbers = (candidate.tx_address, candidate.dispatch.address, candidate.logic_version)
        switch_version(self.execution.tx, self.execution.block, *numbers)
        candidate.adopt(self.execution)
        self.plugin = loaded
        return self.execution.sequence
