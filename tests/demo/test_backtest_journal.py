"""A plugin over a journal's inputs: entry by entry as recorded with nothing changed, and counted when something is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from statevec.audit.backtest_engine import Ran, VirtualEngine
from statevec.audit.backtest_ids import COUNTER_MASK, RecordedIds
from statevec.audit.backtest_journal import Followed, JournalRun
from statevec.audit.backtest_settings import Changes, Settings
from statevec.audit.backtest_tally import Tally
from statevec.engine.engine_state import ID_BITS, TIMER_DEADLINE_NS, TIMERS
from statevec.engine.plugin.loader import LoadedPlugin, Tier, load_plugin
from statevec.engine.versions import VersionError
from statevec.journal import admin_layout
from statevec.journal.entry_layout import COMMAND, TIMER
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader
from statevec.state.tables import find
from tests.audit.recorded_hedge import HEDGE_2, INSTRUMENTS, RecordedHedge
from tests.audit.recorded_instance import PLUGIN, RecordedInstance

SEED = 7


class TimedHedge(RecordedHedge):
    """Timers fire only when they are set, as an engine fires them, and mostly late."""

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(directory, seed)
        for instrument in INSTRUMENTS:
            self.say("RiskConfig", {"instrument": instrument, "max_order_age_ns": 30})

    def timer(self, timer_id: int) -> None:
        row = find(self.execution.tx, TIMERS, timer_id)
        if row:
            deadline_ns = self.execution.arena.load_i64(row + TIMER_DEADLINE_NS)
            message = struct.pack("<qqq", admin_layout.TIMER_SBE_HEADER, timer_id, deadline_ns)
            self.append(TIMER, message)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> TimedHedge:
    print(f"seed={SEED}")
    made = TimedHedge(tmp_path_factory.mktemp("recorded") / "instance", SEED)
    made.run(1_500)
    made.write()
    return made


class Again:
    """A run over a recorded instance; `pairs` has each recorded entry and what came of it."""

    def __init__(
        self,
        recorded: RecordedInstance,
        settings: Settings,
        plugin: LoadedPlugin | None = None,
        tier: Tier = "compiled",
    ) -> None:
        loaded = plugin or recorded.plugin
        self.engine = VirtualEngine(loaded, loaded.dispatch(tier))
        self.tally = Tally(loaded)
        self.pairs: list[tuple[Entry, Ran, Entry]] = []
        run = JournalRun(self.engine, Changes(loaded, settings), self.tally)
        self.found: Followed = run.run(recorded.instance, notice=self._keep)

    def _keep(self, entry: Entry, ran: Ran) -> None:
        self.pairs.append((entry, ran, self.engine.last_entry))


@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_with_nothing_changed_every_entry_is_as_recorded(recorded: TimedHedge, tier: Tier) -> None:
    again = Again(recorded, {}, tier=tier)
    assert len(again.pairs) == recorded.execution.sequence > 1_400
    for entry, ran, made in again.pairs:
        assert made.digest == entry.digest, f"seed={SEED} sequence={entry.sequence}"
        assert (ran.sequence, ran.now_ns, ran.outcome) == (entry.sequence, entry.timestamp_ns, entry.outcome)
        assert ran.outputs == entry.outputs()
        assert made.changes() == entry.changes()
    assert again.found == Followed(reproduced=True)
    assert {TIMER, COMMAND} < {entry.kind for entry, _, _ in again.pairs}
    assert sum(len(ran.outputs) for _, ran, _ in again.pairs) > 20


def test_another_domain_needs_no_market_for_its_journal(tmp_path: Path) -> None:
    made = RecordedInstance(tmp_path / "instance", PLUGIN)
    made.random_transfers(200, SEED)
    made.write()
    assert Again(made, {}, tier="interpreted").found.reproduced
    changed = Again(made, {"amount": 1}, tier="interpreted")
    assert changed.found.changed > 100
    assert changed.found.different > 0
    assert not changed.found.reproduced


def test_a_changed_limit_changes_decisions_from_its_first_effect_on(recorded: TimedHedge) -> None:
    again = Again(recorded, {"position_limit": 20})
    assert again.found.changed == 6
    assert again.found.different > 0
    assert not again.found.reproduced
    before = [pair for pair in again.pairs if pair[0].sequence < again.found.first_different]
    assert all(ran.outcome == entry.outcome for entry, ran, _ in before)
    placed = Again(recorded, {}).tally.outputs["PlaceOrder"]
    assert 0 < again.tally.outputs["PlaceOrder"] < placed
    assert again.found.unknown_ids > 0


def test_answers_name_the_orders_that_the_run_made_for_the_same_inputs(recorded: TimedHedge) -> None:
    again = Again(recorded, {"position_limit": 20})
    own = {_field(recorded, each.message, "order_id") for _, ran, _ in again.pairs for each in ran.outputs}
    named = [
        (_field(recorded, entry.input, "order_id"), _field(recorded, made.input, "order_id"))
        for entry, _, made in again.pairs
        if _name(recorded, entry.input) == "OrderUpdate"
    ]
    translated = [new for old, new in named if new != old and new & COUNTER_MASK != COUNTER_MASK]
    assert translated, f"seed={SEED}"
    assert set(translated) <= own
    assert sum(new & COUNTER_MASK == COUNTER_MASK for _, new in named) == again.found.unknown_ids


def test_timers_of_the_run_fire_when_due_and_recorded_ones_are_left_out(recorded: TimedHedge) -> None:
    again = Again(recorded, {"max_order_age_ns": 10})
    assert again.found.timers_added > 0
    assert again.found.timers_left_out > 0
    times = [made.timestamp_ns for _, _, made in again.pairs]
    assert times == sorted(times)
    assert again.engine.sequence == len(again.pairs) + again.found.timers_added


def test_a_newer_version_runs_over_the_journal_of_an_older(recorded: TimedHedge) -> None:
    newer = load_plugin(HEDGE_2)
    again = Again(recorded, {"improve_ticks": 0}, newer)
    assert not again.tally.faulted.keys() - {"MALFORMED_MESSAGE", "WRONG_SCHEMA"}
    assert again.tally.outputs["PlaceOrder"] > 20


def test_a_journal_without_its_beginning_is_refused(recorded: TimedHedge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalReader, "first_position", 4_096)
    with pytest.raises(VersionError, match="does not reach back to genesis"):
        Again(recorded, {})


def test_ids_are_paired_in_order_and_the_rest_have_no_counterpart() -> None:
    ids = RecordedIds()
    base = 1 << ID_BITS
    ids.advance(1, 2, 2)
    assert ids.own(base + 2) == base + 2
    ids.advance(1, 4, 3)  # the recorded version made 3 and 4, the run only 3
    ids.advance(1, 5, 4)
    assert [ids.own(base + counter) for counter in (3, 4, 5)] == [base + 3, None, base + 4]
    ids.advance(1, 5, 7)  # the run made three more
    ids.advance(1, 6, 8)
    assert ids.own(base + 6) == base + 8
    assert ids.own(base + 7) == base + 7  # not made yet, so no id
    assert ids.own(1_700_000_000_000_000_000) == 1_700_000_000_000_000_000
    assert ids.translate({"a": [base + 5, True], "b": "text"}) == {"a": [base + 4, True], "b": "text"}
    assert ids.unknown == 0
    assert ids.translate(base + 4) == base | COUNTER_MASK
    assert ids.unknown == 1


def _name(recorded: TimedHedge, message: bytes) -> str:
    return recorded.plugin.schema.decode(message).layout.name if _readable(recorded, message) else ""


def _field(recorded: TimedHedge, message: bytes, name: str) -> Any:
    return getattr(recorded.plugin.schema.decode(message), name)


def _readable(recorded: TimedHedge, message: bytes) -> bool:
    header = recorded.plugin.schema.header.size
    return len(message) > header and message[4:6] == recorded.plugin.schema.id.to_bytes(2, "little")
