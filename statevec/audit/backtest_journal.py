"""A plugin over the inputs that a journal recorded, from genesis on, with fields changed on the way in.

    recorded entry ─► its input, at its time, from its source ─► changed fields, the run's ids ─► engine
    timers        those that the recorded version had set too fire when the journal says; others when they are due

What the world would have answered to other orders is not known: recorded answers come, whatever the run ordered. Those
that name an order which the run never made are counted, and reach the plugin with an id that it does not know.

Invariants
    With nothing changed, and the plugin that decided, every entry comes out as recorded, to the digest.
    A cutover changes nothing here: the plugin under test decides from the first entry to the last.

The journal is only read, without a lock. A crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from statevec.audit.backtest_engine import Ran, Timer, VirtualEngine, timer_input
from statevec.audit.backtest_ids import RecordedIds
from statevec.audit.backtest_settings import Changes
from statevec.audit.backtest_surroundings import WATCH_EVERY, Watch
from statevec.audit.backtest_tally import Tally
from statevec.codecs.errors import SbeError
from statevec.engine import engine_state
from statevec.engine.engine_state import ID_LAST_COUNTER, IDS, TIMERS
from statevec.engine.instance import Instance
from statevec.engine.versions import first_decider
from statevec.journal import admin_layout as admin
from statevec.journal import entry_layout as entries
from statevec.journal.decode import hex64
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader
from statevec.state.arena_layout import ROW_HEADER_SIZE

TIMER_ID_AT = engine_state.TIMER_KEY - ROW_HEADER_SIZE
DEADLINE_AT = engine_state.TIMER_DEADLINE_NS - ROW_HEADER_SIZE
COUNTER_AT = ID_LAST_COUNTER - ROW_HEADER_SIZE
NOTICE = (
    "recorded answers, not those that other orders would have had: figures after the first different decision are of a "
    "world that does not react"
)
"""What people are to know of every such run."""


@dataclass
class Followed:
    """How a run compares with what was recorded. Counts of inputs."""

    changed: int = 0
    """Inputs that a setting changed."""
    different: int = 0
    """Commands and timers with another outcome, or other outputs (ids translated)."""
    first_different: int = 0
    """Sequence in the journal of the first of them, 0 for none."""
    unknown_ids: int = 0
    """Values in inputs that name an id which the run never made."""
    timers_left_out: int = 0
    """Recorded timers that were not set in the run, or for another time."""
    timers_added: int = 0
    """Timers of the run that the journal does not have."""
    reproduced: bool = False
    """Whether the digest at the end is the recorded one."""

    def figures(self) -> dict[str, Any]:
        return {
            "inputs_changed": self.changed,
            "decided_otherwise": self.different,
            "first_different": self.first_different,
            "unknown_ids": self.unknown_ids,
            "timers_left_out": self.timers_left_out,
            "timers_added": self.timers_added,
            "reproduced": self.reproduced,
        }


class JournalRun:
    """One run over a journal; `run` feeds it to the engine."""

    def __init__(self, engine: VirtualEngine, changes: Changes, tally: Tally) -> None:
        self._engine = engine
        self._schema = engine.plugin.schema
        self._changes = changes
        self._tally = tally
        self._ids = RecordedIds()
        self._recorded_counter = 0
        self._recorded_timers: dict[int, int] = {}
        """Deadlines of the timers that were set in the recorded run, by the id that they have in this one."""
        self.found = Followed()

    def run(
        self,
        instance: Instance,
        last: int | None = None,
        watch: Watch | None = None,
        notice: Callable[[Entry, Ran], None] | None = None,
    ) -> Followed:
        """Feed the journal up to sequence `last`. `notice` gets each recorded entry and what came of it here.

        Raises `VersionError` where it does not reach back to genesis, and what the reader raises for damage.
        """
        reader = JournalReader(instance.journal_directory, instance.genesis.unit)
        first_decider(reader, instance.instance_id)
        total = reader.last_sequence() if last is None else last
        digest = ""
        for entry in reader.entries():
            if entry.sequence > total:
                break
            ran = self._take(entry)
            digest = hex64(entry.digest)
            if notice is not None and ran is not None:
                notice(entry, ran)
            if watch is not None and entry.sequence % WATCH_EVERY == 0:
                watch(entry.sequence, total)
        self.found.unknown_ids = self._ids.unknown
        self.found.reproduced = bool(digest) and digest == self._engine.digest
        return self.found

    def _take(self, entry: Entry) -> Ran | None:
        """Run one recorded entry; None for a timer that does not fire here."""
        self._fire_own(entry.timestamp_ns)
        content: bytes | None = entry.input
        if entry.kind == entries.TIMER:
            content = self._timer_input(entry)
        elif entry.kind == entries.COMMAND:
            content = self._message(entry)
        ran = None
        if content is None:
            self.found.timers_left_out += 1
        else:
            ran = self._engine.recorded(entry, content)
            self._tally.take(ran)
        self._follow(entry)
        if ran is not None and entry.kind in (entries.COMMAND, entries.TIMER) and self._is_different(entry, ran):
            self.found.different += 1
            self.found.first_different = self.found.first_different or entry.sequence
        return ran

    def _fire_own(self, now_ns: int) -> None:
        """Fire the timers that are due and that the recorded run had not, in the order of their deadlines."""
        fired = True
        while fired:
            fired = False
            for timer in self._engine.due_timers(now_ns):
                if self._recorded_timers.get(timer.timer_id) != timer.deadline_ns:
                    self._tally.take(self._engine.fire(timer))
                    self._ids.advance(self._engine.epoch, self._recorded_counter, self._engine.last_counter)
                    self.found.timers_added += 1
                    fired = True
                    break

    def _timer_input(self, entry: Entry) -> bytes | None:
        """The input of a timer's entry, None when the timer is not set here as it was there."""
        recorded_id, deadline_ns = admin.TIMER_FORMAT.unpack_from(entry.input, admin.TIMER_ID)
        own_id = self._ids.own(recorded_id)
        if own_id is None:
            return None
        if self._engine.timer_deadline(own_id) != self._recorded_timers.pop(own_id, None):
            return None
        return entry.input if own_id == recorded_id else timer_input(Timer(deadline_ns, own_id))

    def _message(self, entry: Entry) -> bytes:
        """A command's message with the run's settings and ids; as recorded where it is no message."""
        if entry.input_true_length > len(entry.input):
            return entry.input
        try:
            view = self._schema.decode(entry.input)
            name = view.layout.name
            if not self._ids.is_shifted and not self._changes.touches(name):
                return entry.input
            recorded = view.to_dict()
            fields = self._ids.translate(recorded)
            wanted = self._changes.apply(name, fields)
            if wanted == recorded:
                return entry.input
            message = self._schema.encode(name, wanted)
        except SbeError:
            return entry.input
        self.found.changed += wanted != fields
        return message

    def _follow(self, entry: Entry) -> None:
        """Take in which ids and timers the recorded version made."""
        changes = [each for each in entry.changes() if each.table in (IDS, TIMERS)]
        for change in changes:
            if change.table == IDS:
                self._recorded_counter = int.from_bytes(change.image[COUNTER_AT : COUNTER_AT + 8], "little")
        self._ids.advance(entry.epoch, self._recorded_counter, self._engine.last_counter)
        for change in changes:
            if change.table == TIMERS:
                own_id = self._ids.own(_i64(change.image, TIMER_ID_AT))
                if own_id is not None and change.operation == entries.DELETED:
                    self._recorded_timers.pop(own_id, None)
                elif own_id is not None:
                    self._recorded_timers[own_id] = _i64(change.image, DEADLINE_AT)

    def _is_different(self, entry: Entry, ran: Ran) -> bool:
        if entry.outcome != ran.outcome:
            return True
        recorded, made = entry.outputs(), ran.outputs
        if [(each.expires_ns, each.message) for each in recorded] == [(each.expires_ns, each.message) for each in made]:
            return False
        if len(recorded) != len(made) or not self._ids.is_shifted:
            return True
        return [self._readable(each.message, True) for each in recorded] != [
            self._readable(each.message, False) for each in made
        ]

    def _readable(self, message: bytes, translated: bool) -> Any:
        try:
            view = self._schema.decode(message)
        except SbeError:
            return message
        fields = view.to_dict()
        return view.layout.name, _with_ids(fields, self._ids) if translated else fields


def _with_ids(fields: dict[str, Any], ids: RecordedIds) -> dict[str, Any]:
    """Translated without counting what is unknown: these are outputs."""
    before = ids.unknown
    translated: dict[str, Any] = ids.translate(fields)
    ids.unknown = before
    return translated


def _i64(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 8], "little", signed=True)
