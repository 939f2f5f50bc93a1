"""Why an output went out: the entry that caused it, where the output is now, and what came back for it.

    epoch:sequence:index     that output
    an id                    the first output that carries it in the field that is the outputs' id (`output_ids`)

    id ─► its counter, if `next_id()` made it: bisect over the journal's units ─► from there on, natively: every
    output, input and timer that carries it. When nothing is found there, from the journal's begin.

Invariants
    What is shown was checked by its hash and decoded with the version that decided it.
    "Released" and "acknowledged" are said of the moment of the question.

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statevec.audit.entry_words import DecodedEntry, EntryReader
from statevec.audit.output_ids import UnknownOutputError, check_field, id_field, needles_for
from statevec.engine.engine_state import ID_BITS, ID_RECORD, IDS
from statevec.engine.instance import Instance
from statevec.engine.version_lookup import UnreadableVersionError
from statevec.ipc.log import LogError, attach_log, released_position
from statevec.ipc.segment import SegmentError
from statevec.journal.column_layout import OUTPUTS
from statevec.journal.entry_view import Entry, Output
from statevec.journal.reader import NO_LIMIT
from statevec.journal.search import Find, Needles, Search
from statevec.roles.cursor import CursorError, read_cursor

LAST_COUNTER = ID_RECORD.offset("last_counter")
MOST_LISTED = 20
MOST_LATER = 1_000
"""Events after the output that are kept; a limit for ids that everything carries."""


@dataclass(frozen=True)
class Event:
    """Something that carries the id, after the output: another output, an input, a timer."""

    what: str
    entry: DecodedEntry
    message: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"what": self.what, "entry": self.entry.to_dict(), "message": self.message}


@dataclass(frozen=True)
class Why:
    """See the module's docstring."""

    identity: str
    output: dict[str, Any]
    entry: DecodedEntry
    changes: list[dict[str, Any]]
    others: list[dict[str, Any]]
    """The entry's other outputs."""
    released: str
    gateways: dict[str, str]
    field: str
    """The field by which later events were found, empty when the output has no id."""
    later: list[Event]
    complete: bool
    problems: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        later = [event.to_dict() for event in self.later]
        return {**vars(self), "entry": self.entry.to_dict(), "later": later}


class OutputHistory:
    """Answers questions about the outputs of one instance. `cold` is the directory of archived segments."""

    def __init__(self, instance: Instance, cold: Path | None = None) -> None:
        self._instance = instance
        self._entries = EntryReader(instance, cold)

    def why(self, asked: str, field: str | None = None) -> Why:
        """The answer. Raises `UnknownOutputError`, `SequenceNotFoundError`, and what reading the journal raises."""
        parts = asked.split(":")
        try:
            numbers = [int(part, 0) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) == 3:
            entry, output = self._by_identity(*numbers)
            field = field or self._field_of(entry)
            value = self._value(entry, output, field)
            finds, complete = self._finds(field, value, entry.position) if value is not None else ([], True)
        elif len(numbers) == 1:
            last = self._entries.last()
            if last is None:
                raise UnknownOutputError(f"the journal has no entries: {self._instance.journal_directory}")
            field = self._checked_field(last, field)
            finds, complete = self._by_id(field, numbers[0])
            entry, output = self._only(field, numbers[0], finds, complete)
        else:
            raise UnknownOutputError(f"an output is epoch:sequence:index, or the number that is its id, not {asked!r}")
        return self._answer(entry, output, field or "", finds, complete)

    def _by_identity(self, epoch: int, sequence: int, index: int) -> tuple[Entry, Output]:
        if not 1 <= sequence <= NO_LIMIT:
            raise UnknownOutputError(f"no such output: a sequence is 1 to {NO_LIMIT}: sequence={sequence}")
        entry = self._entries.at(sequence)
        outputs = entry.outputs()
        if entry.epoch != epoch:
            raise UnknownOutputError(f"no such output: sequence={sequence} is of epoch={entry.epoch}, not {epoch}")
        for output in outputs:
            if output.index == index:
                return entry, output
        raise UnknownOutputError(
            f"no such output: sequence={sequence} has {len(outputs)} outputs, from index 0; asked for {index}"
        )

    def _field_of(self, entry: Entry) -> str | None:
        """The id's field in the version that decided the entry, None when there is none: the question needs none."""
        try:
            return id_field(self._entries.versions.plugin(entry.logic_version))
        except (UnknownOutputError, UnreadableVersionError):
            return None

    def _checked_field(self, last: Entry, field: str | None) -> str:
        plugin = self._entries.versions.plugin(last.logic_version)
        if field is None:
            return id_field(plugin)
        check_field(plugin, field)
        return field

    def _value(self, entry: Entry, output: Output, field: str | None) -> int | None:
        fields = self._entries.decoder(entry).output(output).get("fields", {})
        value = fields.get(field) if field is not None else None
        return value if isinstance(value, int) else None

    def _finds(self, field: str | None, value: int, position: int) -> tuple[list[Find], bool]:
        """Everything that carries the value in that field from an entry's position on."""
        versions, problems = self._entries.versions, self._entries.problems

        def needles(logic_version: int) -> Needles:
            try:
                return needles_for(versions.plugin(logic_version), field or "", value)
            except UnreadableVersionError as error:
                problems.append(str(error))
                return Needles(None, [])

        return Search(self._entries.reader, needles, MOST_LATER).forward(position)

    def _by_id(self, field: str, value: int) -> tuple[list[Find], bool]:
        first = self._entries.reader.first_position
        start = self._unit_of_counter(value & (1 << ID_BITS) - 1) if value >> ID_BITS else first
        if start > first:
            found = self._finds(field, value, start)
            if any(find.kind == OUTPUTS for find in found[0]):
                return found
        return self._finds(field, value, first)

    def _unit_of_counter(self, counter: int) -> int:
        """The last unit that begins before `next_id()` counted that far: nothing can carry the id before it."""
        reader = self._entries.reader
        last = self._entries.last()
        low, high = reader.first_position // reader.unit, (last.position if last else 0) // reader.unit + 1
        while high - low > 1:
            middle = (low + high) // 2
            counted = self._counted_by(middle * reader.unit)
            if counted is None or counted < counter:
                low = middle
            else:
                high = middle
        return max(low - 1, reader.first_position // reader.unit) * reader.unit

    def _counted_by(self, position: int) -> int | None:
        """What the id counter is after its first change from a unit's start on; None when it does not change in the
        unit.
        """
        reader = self._entries.reader
        for entry in reader.entries(position=position, limit=position + reader.unit):
            for change in entry.changes():
                if change.table == IDS:
                    return int.from_bytes(change.image[LAST_COUNTER : LAST_COUNTER + 8], "little")
        return None

    def _only(self, field: str, value: int, finds: list[Find], complete: bool) -> tuple[Entry, Output]:
        """The output that is meant: the first one, unless several of one message carry the value."""
        outputs = [self._output(find) for find in finds if find.kind == OUTPUTS]
        if not outputs:
            raise UnknownOutputError(f"no output carries {field}={value} in the journal at hand")
        entry, output = outputs[0]
        message = self._message(entry, output)
        same = [each for each in outputs if self._message(*each) == message]
        if len(same) > 1:
            listed = ", ".join(_identity(each) for _, each in same[:MOST_LISTED])
            more = f" and {len(same) - MOST_LISTED} more" if len(same) > MOST_LISTED else ""
            count = f"{len(same)}" if complete else f"at least {len(same)}"
            raise UnknownOutputError(f"{count} outputs {message} carry {field}={value}; ask for one of: {listed}{more}")
        return entry, output

    def _output(self, find: Find) -> tuple[Entry, Output]:
        entry = self._entries.read(find.position)
        return entry, entry.outputs()[find.index]

    def _message(self, entry: Entry, output: Output) -> str:
        name: str = self._entries.decoder(entry).output(output).get("message", "?")
        return name

    def _answer(self, entry: Entry, output: Output, field: str, finds: list[Find], complete: bool) -> Why:
        decoder = self._entries.decoder(entry)
        decoded = decoder.output(output)
        others = [decoder.output(each) for each in entry.outputs() if each.index != output.index]
        return Why(
            identity=_identity(output),
            output=decoded,
            entry=self._entries.decoded(entry),
            changes=[decoder.change(change) for change in entry.changes()],
            others=others,
            released=self._released(entry),
            gateways=self._gateways(output, decoded.get("message", "")),
            field=field,
            later=list(self._events(finds, entry, output)),
            complete=complete,
            problems=self._entries.problems,
        )

    def _events(self, finds: list[Find], entry: Entry, output: Output) -> Iterator[Event]:
        for find in finds:
            if find.sequence < entry.sequence:
                continue
            found = self._entries.read(find.position)
            decoder = self._entries.decoder(found)
            if find.kind == OUTPUTS:
                other = found.outputs()[find.index]
                if other.identity != output.identity:
                    yield Event("output", self._entries.decoded(found), decoder.output(other))
            elif find.sequence > entry.sequence:
                what = "input" if found.kind_name == "command" else found.kind_name
                yield Event(what, self._entries.decoded(found), decoder.input(found) or {})

    def _released(self, entry: Entry) -> str:
        try:
            log = attach_log(self._instance.instance_id, owner=self._instance.owner)
        except (SegmentError, LogError):
            return "in the journal; no engine's log is in memory"
        with log:
            released = released_position(log)
        return "released" if entry.end_position <= released else "not released yet"

    def _gateways(self, output: Output, message: str) -> dict[str, str]:
        """What each gateway that takes such outputs has done with it."""
        leader = self._instance.leader()
        bound = dict(leader.gateways) if leader is not None else {}
        directory = self._instance.gateways_directory
        names = {path.name for path in directory.iterdir() if path.is_dir()} if directory.is_dir() else set()
        found = {}
        for name in sorted(names | set(bound)):
            messages = bound.get(name)
            if messages is None or message in messages:
                found[name] = self._at_gateway(directory / name, output)
        return found

    @staticmethod
    def _at_gateway(directory: Path, output: Output) -> str:
        try:
            cursor = read_cursor(directory)
        except CursorError as error:
            return str(error)
        if (cursor.sequence, cursor.outputs) < (output.sequence, output.index + 1):
            return f"not acknowledged yet; its cursor is at sequence {cursor.sequence}"
        return "acknowledged" if output.expires_ns == 0 else "acknowledged, or expired before it was handed out"


def _identity(output: Output) -> str:
    return f"{output.epoch}:{output.sequence}:{output.index}"
