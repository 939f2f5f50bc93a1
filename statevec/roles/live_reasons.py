"""What an outcome means, in words, for who looks at an instance: the deciding plugin's rejections and invariants.

Invariant: a version that cannot be loaded gives no words, and is not tried again; the codes stay.

Reads the plugin store, once for each version that decides. Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from statevec.engine.instance import Instance
from statevec.engine.plugin.errors import PluginError
from statevec.engine.store import PluginStore, StoreError
from statevec.ipc.faults import outcome_name, reason_of


@dataclass
class Reasons:
    """Words for the outcomes of one instance."""

    instance: Instance
    _content_hash: str = ""
    _rejections: dict[int, str] = field(default_factory=dict)
    _invariants: list[str] = field(default_factory=list)

    def of(self, content_hash: str, outcome: int) -> str:
        """What `outcome` means to the version of that hash, empty when that is not known."""
        if content_hash != self._content_hash:
            self._content_hash, self._rejections, self._invariants = content_hash, {}, []
            try:
                plugin = PluginStore(self.instance.directory).load(content_hash)
            except (StoreError, PluginError, OSError):
                return reason_of(outcome, {}, [])
            self._rejections, self._invariants = dict(plugin.rejections), list(plugin.invariants)
        return reason_of(outcome, self._rejections, self._invariants)

    def line(self, content_hash: str, outcome: int) -> str:
        """Name and meaning."""
        meaning = self.of(content_hash, outcome)
        return f"{outcome_name(outcome)}: {meaning}" if meaning else outcome_name(outcome)
