"""Random histories with all that a snapshot has to carry, and followers that ran part of them."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from pathlib import Path

from statevec.engine.cutover import migrate, switch_version
from statevec.engine.plugin.loader import Tier, load_plugin
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.probation import begin_probation
from statevec.engine.snapshot_file import CARRIED
from statevec.engine.store import PluginStore
from statevec.engine.versions import Candidate, first_decider
from statevec.ipc.memory import Region
from statevec.journal import admin_layout
from statevec.journal.admin_layout import BLOCK, BY_OPERATOR, CUT_OVER, AdminCommand, Probation
from statevec.journal.entry_layout import ADMIN, CUTOVER, RING_ATTACH
from statevec.journal.reader import JournalReader
from statevec.roles.following import Following
from tests.audit.recorded_instance import RecordedInstance
from tests.shadow.versions import WIDER, RecordedDesk, desk_version

HEDGE = Path(__file__).parents[2] / "statevec" / "plugins" / "hedge"


class RecordedHistory(RecordedDesk):
    """Quotes, timers and ids as in the shadow's tests; also rings, orders to cut over, and probation."""

    def cut_over(self, path: Path, probation: Probation = admin_layout.NO_PROBATION) -> int:
        loaded = load_plugin(path)
        PluginStore(self.instance.directory).keep(loaded)
        self.history.append(self.plugin.content_hash)
        candidate = Candidate(self.execution, self.plugin, loaded, "interpreted", len(self.history) + 1)
        digest = 0
        if candidate.tx_address:
            assert migrate(self.execution.tx, candidate.tx, candidate.migrate_address) == 0
            digest = plugin_tables_digest(candidate.tx)
        said = replace(candidate.describe(BY_OPERATOR, len(self.history), probation), state_digest=digest)
        self.append(CUTOVER, said.encode())
        numbers = (candidate.tx_address, candidate.dispatch.address, candidate.logic_version)
        switch_version(self.execution.tx, self.execution.block, *numbers)
        begin_probation(self.execution.tx, self.execution.block, Region.of(bytearray(said.encode())))
        candidate.adopt(self.execution)
        self.plugin = loaded
        return self.execution.sequence

    def attach_ring(self, source: int, name: str) -> None:
        header = admin_layout.sbe_header(admin_layout.RING_ATTACH_TEMPLATE, admin_layout.RING_ATTACH_FORMAT.size)
        block = admin_layout.RING_ATTACH_FORMAT.pack(1_000 + source, source, name.encode())
        self.append(RING_ATTACH, struct.pack("<Q", header) + block, source=source)
        assert len(block) + BLOCK == admin_layout.BLOCK + admin_layout.RING_ATTACH_FORMAT.size

    def order_cutover(self, at: int) -> None:
        self.append(ADMIN, AdminCommand(CUT_OVER, at, True, "ab" * 16, "somebody", "planned").encode(), source=3)


def desk_history(directory: Path, seed: int) -> RecordedHistory:
    """Some 150 entries: rings, a cutover with migration, a probation under way that fails, an order not carried out."""
    made = RecordedHistory(directory / "instance")
    made.attach_ring(1, "market")
    made.random_quotes(40, seed)
    made.order_cutover(made.execution.sequence + 2)
    made.attach_ring(3, "admin")
    made.cut_over(desk_version(directory, WIDER), Probation(1_000, 0, 3, 0))
    made.random_quotes(40, seed + 1)
    made.cut_over(desk_version(directory, WIDER, version="2.0.1"), Probation(1_000, -1, -1, -1))
    made.order_cutover(10_000)
    made.append(1, b"nonsense", source=1)
    made.random_quotes(40, seed + 2)
    made.write()
    return made


def hedge_history(directory: Path, seed: int) -> RecordedInstance:
    """The hedge engine on random prices and targets of a few instruments."""
    made = RecordedInstance(directory / "instance", HEDGE)
    schema, source = made.plugin.schema, random.Random(seed)
    limits = {
        "risk_switch": schema.enum("RiskSwitch").RISK_ON,
        "position_limit": 100,
        "order_size_limit": 10,
        "open_quantity_limit": 40,
        "open_order_limit": 5,
        "price_band": 20,
        "requote_distance": 3,
        "max_order_age_ns": 50,
        "cross_at_trend": 50,
    }
    for instrument in range(1, 4):
        made.append(1, schema.encode("RiskConfig", {"instrument": instrument, **limits}), source=1)
    for number in range(150):
        instrument, bid = source.randrange(1, 5), source.randrange(90, 110)
        if source.random() < 0.2:
            intent = {"instrument": instrument, "target_quantity": source.randrange(-90, 90)}
            made.append(1, schema.encode("HedgeIntent", intent), source=1)
        quote = {"instrument": instrument, "bid_price": bid, "ask_price": bid + 1, "bid_size": 5, "ask_size": 5}
        made.append(1, schema.encode("MarketData", {**quote, "exchange_time_ns": number + 1}), source=1)
    made.write()
    return made


def reader_of(recorded: RecordedInstance) -> JournalReader:
    return JournalReader(recorded.instance.journal_directory)


def end_of(recorded: RecordedInstance, sequence: int) -> int:
    """The position behind the entry `sequence`."""
    return recorded.positions[sequence] if sequence < len(recorded.positions) else len(recorded.content)


def followed(recorded: RecordedInstance, sequence: int, tier: Tier = "interpreted") -> Following:
    """A follower that ran everything from genesis to `sequence`."""
    first = first_decider(reader_of(recorded))
    assert first is not None
    plugin = PluginStore(recorded.instance.directory).load(first.content_hash)
    following = Following.from_genesis(recorded.instance, plugin, tier)
    run_to(recorded, following, sequence)
    return following


def run_to(recorded: RecordedInstance, following: Following, sequence: int) -> None:
    result = following.run_to(reader_of(recorded), end_of(recorded, sequence))
    assert result.difference is None
    assert following.execution.sequence == sequence


def everything(following: Following) -> dict[str, object]:
    """All that must be equal in two followers of one log at one position."""
    execution = following.execution
    return {
        "arena": bytes(execution.arena.view),
        "digest": execution.digest,
        "sequence": execution.sequence,
        "position": following.position,
        "deciders": following.versions.history.deciders,
        "plugin": following.versions.plugin.content_hash,
        "history": following.history,
        "block": {name: execution.block.load_i64(offset) for name, offset in CARRIED.items()},
    }
