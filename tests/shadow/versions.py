"""Versions of the desk plugin and instances whose journal it decided."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

from statevec.engine.cutover import migrate, switch_version
from statevec.engine.plugin.loader import LoadedPlugin, Tier, load_plugin
from statevec.engine.plugin.migration_digest import plugin_tables_digest
from statevec.engine.store import PluginStore
from statevec.engine.versions import Candidate
from statevec.journal.admin_layout import BY_OPERATOR
from statevec.journal.entry_layout import CUTOVER
from statevec.roles.shadow import Shadow
from statevec.roles.shadow_plugins import Mode, Range
from statevec.roles.shadow_report import ShadowReport
from statevec.roles.shadow_rules import Rule
from tests.audit.recorded_instance import RecordedInstance

DESK = Path(__file__).parent / "desk"
INSTRUMENTS = 8

DEARER = ("order.price = message.price", "order.price = message.price + 2")
"""One tick pair more for each order."""
STRICTER = (
    "    if message.instrument not in tx.positions:\n",
    "    if message.price > 150:\n        tx.reject(TOO_DEAR)\n        return\n"
    "    if message.instrument not in tx.positions:\n",
)
TWICE = (
    "    position.quotes = position.quotes + 1\n",
    "    if message.price > 150:\n        more = tx.emit.order()\n        more.order_id = tx.next_id()\n"
    "        more.instrument = message.instrument\n        more.price = 1\n        more.quantity = 1\n"
    "    position.quotes = position.quotes + 1\n",
)
"""Above 150 a second order: an id more than the deciding version makes."""
WIDER = ("    quotes: i64\n", "    quotes: i64\n    refused: i64\n")
"""Another layout of state, the same decisions."""


def desk_version(
    directory: Path, *changes: tuple[str, str], version: str = "2.0.0", schema: tuple[str, str] | None = None
) -> Path:
    """A copy of the plugin in `directory`/`version` with texts replaced."""
    copy = directory / f"desk-{version}"
    shutil.copytree(DESK, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / "desk.py").read_text()
    for before, after in (('version="1.0.0"', f'version="{version}"'), *changes):
        assert before in source, before
        source = source.replace(before, after)
    (copy / "desk.py").write_text(source)
    if schema is not None:
        text = (copy / "desk.xml").read_text()
        assert schema[0] in text
        (copy / "desk.xml").write_text(text.replace(*schema))
    return copy


class RecordedDesk(RecordedInstance):
    """An instance that version 1.0.0 of the desk decided."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, DESK)
        self.history: list[str] = []

    def quote(self, instrument: int, price: int, quantity: int = 10) -> int:
        """Append a quote; its sequence."""
        values = {"instrument": instrument, "price": price, "quantity": quantity}
        self.append(1, self.plugin.schema.encode("Quote", values), source=1)
        return self.execution.sequence

    def cut_over(self, path: Path) -> int:
        """Let the version at `path` decide from the next entry on; the cutover's sequence."""
        loaded = load_plugin(path)
        PluginStore(self.instance.directory).keep(loaded)
        self.history.append(self.plugin.content_hash)
        candidate = Candidate(self.execution, self.plugin, loaded, "interpreted", len(self.history) + 1)
        digest = 0
        if candidate.tx_address:
            assert migrate(self.execution.tx, candidate.tx, candidate.migrate_address) == 0
            digest = plugin_tables_digest(candidate.tx)
        said = replace(candidate.describe(BY_OPERATOR, len(self.history)), state_digest=digest)
        self.append(CUTOVER, said.encode())
        numbers = (candidate.tx_address, candidate.dispatch.address, candidate.logic_version)
        switch_version(self.execution.tx, self.execution.block, *numbers)
        candidate.adopt(self.execution)
        self.plugin = loaded
        return self.execution.sequence

    def random_quotes(self, count: int, seed: int) -> None:
        """Quotes from 100 to 199, some empty, and timers."""
        print(f"seed={seed}")
        source = random.Random(seed)
        for _ in range(count):
            self.quote(source.randrange(INSTRUMENTS), source.randrange(100, 200), source.choice([0, 5, 10, 20]))
            if source.random() < 0.1:
                self.timer(source.randrange(INSTRUMENTS))


def shadow_of(
    recorded: RecordedInstance,
    candidate: Path | LoadedPlugin,
    mode: Mode = "lockstep",
    rules: list[Rule] | None = None,
    compared: Range | None = None,
    tier: Tier = "interpreted",
) -> ShadowReport:
    """Run a shadow over all that was recorded."""
    loaded = load_plugin(candidate) if isinstance(candidate, Path) else candidate
    running = Shadow(recorded.instance, loaded, mode, rules or [], compared, tier)
    try:
        return running.run(lambda: False, until_caught_up=True)
    finally:
        running.close()
