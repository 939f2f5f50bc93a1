"""What a run of a backtest came to, counted as it goes, for any plugin.

Nothing of an entry is kept but counts. Values only; a crash leaves nothing.
"""

from __future__ import annotations

from collections import Counter

from statevec.audit.backtest_engine import Ran
from statevec.codecs.errors import SbeError
from statevec.engine.plugin.loader import LoadedPlugin
from statevec.ipc.faults import COMMITTED, outcome_name
from statevec.journal.entry_layout import COMMAND, TIMER


class Tally:
    """Counts of entries by outcome, of timers, of outputs by message."""

    def __init__(self, plugin: LoadedPlugin) -> None:
        self._schema = plugin.schema
        self.entries = 0
        self.commands = 0
        self.timers = 0
        self.outcomes: Counter[int] = Counter()
        """Of commands and timers, by `faults`' number."""
        self.outputs: Counter[str] = Counter()
        """By message name, "?" for what the schema cannot read."""

    def take(self, ran: Ran) -> None:
        """Count one entry."""
        self.entries += 1
        if ran.kind == COMMAND:
            self.commands += 1
        elif ran.kind == TIMER:
            self.timers += 1
        else:
            return
        self.outcomes[ran.outcome] += 1
        for output in ran.outputs:
            self.outputs[self._name(output.message)] += 1

    def _name(self, message: bytes) -> str:
        try:
            return self._schema.decode(message).layout.name
        except SbeError:
            return "?"

    @property
    def committed(self) -> int:
        return self.outcomes[COMMITTED]

    @property
    def rejected(self) -> dict[str, int]:
        """How often, by rejection code."""
        return {str(code): count for code, count in sorted(self.outcomes.items()) if code > 0}

    @property
    def faulted(self) -> dict[str, int]:
        """How often, by the fault's name."""
        return {outcome_name(code): count for code, count in sorted(self.outcomes.items()) if code < 0}
