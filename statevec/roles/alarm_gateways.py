"""Whether a gateway keeps an output waiting. A cursor that stands need not mean that: nothing may be there for it.

    cursor stands for `gateway_after`  ─►  is there a released output behind it that is meant for this gateway, as old
    as that, and not expired?  ─►  gateway_stuck

Invariants
    The log and files are read as a gateway reads them, without its lock; the cursor is not moved.
    A look reads `MOST_ENTRIES` entries with outputs at most; the next one goes on behind them.

Private memory of the watcher; nothing is written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from statevec.engine.instance import Instance, InstanceError
from statevec.engine.plugin.errors import PluginError
from statevec.engine.store import PluginStore, StoreError
from statevec.ipc.log import LogError
from statevec.ipc.segment import SegmentError
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalError
from statevec.roles.alarm_judge import Trouble
from statevec.roles.cursor import Cursor, CursorError, read_cursor
from statevec.roles.live_sample import Sample
from statevec.roles.messages import MessageFilter
from statevec.roles.output_source import OutputSource

MOST_ENTRIES = 2_000


@dataclass
class _Stands:
    """A cursor, since when it stands, and up to where nothing for its gateway was found."""

    cursor: Cursor
    since_ns: int
    position: int
    told_ns: int = 0


class GatewayWatch:
    """Watches the gateways of one instance; `after_ns` is how long an output may wait."""

    def __init__(self, instance: Instance, after_ns: int, repeat_after_ns: int) -> None:
        self._instance = instance
        self._after_ns = after_ns
        self._repeat_after_ns = repeat_after_ns
        self._stands: dict[str, _Stands] = {}

    def look(self, sample: Sample) -> list[Trouble]:
        """Gateways that keep something waiting."""
        found = []
        now = sample.monotonic_ns
        self._stands = {name: stands for name, stands in self._stands.items() if name in sample.gateways}
        for name, gateway in sample.gateways.items():
            try:
                cursor = read_cursor(self._instance.gateways_directory / name)
            except CursorError:
                continue
            stands = self._stands.get(name)
            if stands is None or stands.cursor != cursor:
                stands = self._stands[name] = _Stands(cursor, now, cursor.position)
            due = now - stands.since_ns >= self._after_ns and gateway.behind_bytes != 0
            if not due or (stands.told_ns and now - stands.told_ns < self._repeat_after_ns):
                continue
            waiting = self._waiting(name, stands)
            if waiting is not None:
                stands.told_ns = now
                seconds = round((time.time_ns() - waiting.timestamp_ns) / 1e9, 1)
                found.append(
                    Trouble("gateway_stuck", name, {"gateway": name, "seconds": seconds, "sequence": waiting.sequence})
                )
        return found

    def _waiting(self, name: str, stands: _Stands) -> Entry | None:
        """The first entry behind the cursor with an output that waits too long, None without one."""
        try:
            takes = self._filter(name)
            source = OutputSource(self._instance, stands.position)
        except (InstanceError, StoreError, PluginError, SegmentError, LogError, OSError):
            return None  # another look will say what is wrong with it
        try:
            return self._search(source, takes, stands)
        except (JournalError, LogError, OSError):
            return None
        finally:
            source.close()

    def _search(self, source: OutputSource, takes: MessageFilter | None, stands: _Stands) -> Entry | None:
        now_ns = time.time_ns()
        for _ in range(MOST_ENTRIES):
            entry = source.next_with_outputs()
            if entry is None:
                return None
            acknowledged = stands.cursor.outputs if entry.position == stands.cursor.position else 0
            if entry.sequence <= stands.cursor.sequence and not acknowledged:
                continue
            for output in entry.outputs()[acknowledged:]:
                expired = output.expires_ns and now_ns > output.expires_ns
                if not expired and (takes is None or takes.takes(output.message)):
                    return entry if now_ns - entry.timestamp_ns >= self._after_ns else None
            stands.position = entry.position
        return None

    def _filter(self, name: str) -> MessageFilter | None:
        leader = self._instance.leader()
        messages = leader.gateways.get(name) if leader is not None else None
        if leader is None or messages is None:
            return None
        return MessageFilter(PluginStore(self._instance.directory).load(leader.content_hash).schema, messages)
